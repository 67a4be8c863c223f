"""Bytes that PyTorch saves for the backward passes of one step, by torch.autograd.graph's hooks,
beside the activation arenas that `cambrian check --plan` says of the same step:

    python saved.py CAMBRIAN [NAME...]    # names of tests/bench/jobs

A saved tensor counts once a storage and backward pass, parameters and what views share left out;
a pass is one (forward, backward), the largest of a step is told.  Ours is the arena of the largest
phase, gradients on their way included, for as many lanes as run at once (two) and for all shards."""
import gc
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from common import Mode  # noqa: E402

JOBS = pathlib.Path(__file__).resolve().parents[1] / "jobs"


def saved_bytes(name):
    """The largest pass of a step."""
    step = __import__(name).make(Mode("eager"))
    optimizers = [o for o in gc.get_objects() if issubclass(type(o), torch.optim.Optimizer)]
    own = {p.untyped_storage().data_ptr() for o in optimizers for g in o.param_groups
           for p in g["params"]}
    storages, passes = {}, []
    backward = torch.Tensor.backward

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    def counted(self, *args, **kwargs):
        passes.append(sum(storages.values()))
        storages.clear()
        return backward(self, *args, **kwargs)

    torch.Tensor.backward = counted
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        step()
    torch.Tensor.backward = backward
    return max(passes)


def planned(cambrian, name):
    """(bytes of two lanes, of all shards) of the largest phase that trains."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "job.yaml").write_text((JOBS / f"{name}.yaml").read_text())
        (folder / "images.idx").write_bytes(
            struct.pack(">HBB4I", 0, 8, 4, 640, 32, 32, 3) + bytes(640 * 32 * 32 * 3))
        (folder / "labels.idx").write_bytes(
            struct.pack(">HBB1I", 0, 8, 1, 640) + bytes(i % 10 for i in range(640)))
        (folder / "text.txt").write_text("".join(chr(33 + i % 65) for i in range(100000)))
        done = subprocess.run([cambrian, "check", folder / "job.yaml", "--plan", "--json"],
                              stdout=subprocess.PIPE, check=True)
    plan = json.loads(done.stdout)
    most = max(phase["activation_bytes"] for phase in plan["phases"]
               if phase["phase"] not in ("sample", "evaluation"))
    return most * min(2, plan["shards"]), most * plan["shards"]


def main():
    torch.set_num_threads(2)
    torch.manual_seed(1)
    for name in sys.argv[2:] or ("dcgan64", "resnet18", "gpt"):
        lanes, shards = planned(sys.argv[1], name)
        saved = saved_bytes(name)
        print(f"{name:10} ours {lanes / 1e6:7.1f} MB in two lanes, {shards / 1e6:7.1f} MB of all shards; "
              f"PyTorch saves {saved / 1e6:7.1f} MB: {lanes / saved:.2f} and {shards / saved:.2f} of it")


main()
