"""A case of golden values, and the safetensors file that holds it."""
import json
import os
import struct
import zlib

import torch

DTYPES = {torch.float32: "F32", torch.float64: "F64"}


def write_file(path, tensors, metadata):
    """safetensors: a length, a JSON header, the tensors' bytes."""
    header = {"__metadata__": {key: str(value) for key, value in sorted(metadata.items())}}
    body = b""
    for name in sorted(tensors):
        tensor = tensors[name].detach().contiguous()
        raw = tensor.numpy().tobytes()
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + body)


class Case:
    """Tensors and metadata under one name; its random numbers depend on the name alone."""

    def __init__(self, name, **metadata):
        self.name = name
        self.metadata = dict(metadata, torch=torch.__version__)
        self.tensors = {}
        self.random = torch.Generator().manual_seed(zlib.crc32(name.encode()))

    def draw(self, *shape, low=-1.0, high=1.0):
        """Uniform numbers that f32 holds exactly."""
        values = torch.rand(*shape, generator=self.random, dtype=torch.float32)
        return (low + (high - low) * values).double().float().double()

    def whole(self, *shape, below):
        return torch.randint(below, shape, generator=self.random).double()

    def given(self, name, tensor):
        """An input: stored as F32, and returned as what the file holds."""
        self.tensors[name] = tensor.detach().float()
        return self.tensors[name].double()

    def expect(self, name, tensor):
        self.tensors[name] = tensor.detach().double()


def write_all(folder, kind, cases):
    """Files of one kind; those of a name that is no more are removed."""
    folder = os.path.join(folder, kind)
    os.makedirs(folder, exist_ok=True)
    written = set()
    for case in cases:
        name = case.name + ".safetensors"
        assert name not in written, name
        write_file(os.path.join(folder, name), case.tensors, case.metadata)
        written.add(name)
    for name in os.listdir(folder):
        if name.endswith(".safetensors") and name not in written:
            os.remove(os.path.join(folder, name))
    size = sum(os.path.getsize(os.path.join(folder, name)) for name in written)
    print(f"{kind}: {len(written)} files, {size} bytes")
