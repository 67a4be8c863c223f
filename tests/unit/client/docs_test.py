#!/usr/bin/env python3
"""The documents say what the tables say: docs_test.py CAMBRIAN SOURCE_ROOT.

Mended by:  cambrian schema > docs/jobfile.schema.json
            cambrian schema --markdown, between the marks of docs/JOBFILE.md
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

CAMBRIAN, ROOT = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2])
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def cambrian(*args):
    return subprocess.run([CAMBRIAN, *args], capture_output=True, text=True, check=True).stdout


def commands():
    """{command: [its options]} as --help tells them."""
    names = re.findall(r"(?m)^  ([a-z]+) ", cambrian("--help"))
    return {name: re.findall(r"(?m)^  (?:-\w, )?(--\w+)", cambrian(name, "--help"))
            for name in names}


class Documents(unittest.TestCase):
    def test_schema_file(self):
        self.assertEqual((ROOT / "docs/jobfile.schema.json").read_text(), cambrian("schema"))

    def test_reference(self):
        text = (ROOT / "docs/JOBFILE.md").read_text()
        made = re.search(r"<!-- made by .*? -->\n(.*)<!-- end of the made part -->", text, re.S)
        self.assertEqual(made.group(1), cambrian("schema", "--markdown"))

    def test_manual_page(self):
        text = (ROOT / "docs/cambrian.1").read_text().replace("\\-", "-")
        found = commands()
        self.assertGreater(len(found), 12)
        for name, options in found.items():
            entries = re.findall(r'(?m)^\.BR "%s[^\n]*' % name, text)
            self.assertTrue(entries, f"{name} has no entry")
            for option in options:
                self.assertIn(option, "\n".join(entries) if option != "--socket" else text, name)

    def text(self):
        """The path of a text long enough for any example."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = pathlib.Path(folder.name) / "input.txt"
        path.write_text("To be, or not to be, that is the question.\n" * 9000)
        return path

    def test_examples_can_run(self):
        for path in EXAMPLES:
            text = path.read_text()
            words = ["--set", "data=glyphs"] if "format: idx" in text else []
            words += ["--set", f"data.path={self.text()}"] if "format: text" in text else []
            found = json.loads(cambrian("check", str(path), "--json", *words))
            self.assertGreater(found["steps_per_epoch"], 0)
            self.assertGreater(found["parameters"], 1000)
            self.assertGreater(found["flops_per_step"], 1e6)
            self.assertEqual(found["rank_bytes"], sum(
                found[name + "_bytes"] for name in ("parameter", "state", "gradient", "activation",
                                                    "packed", "data", "checkpoint")))
            planned = json.loads(cambrian("check", str(path), "--plan", "--json", *words))
            self.assertEqual({**found, "phases": planned["phases"]}, planned)
            for phase in planned["phases"]:
                products = sum(step["flops"] for step in phase["steps"] if step["kind"] == "kernel")
                self.assertEqual(phase["product_flops"], products)
                self.assertTrue(all(step["written_bytes"] > 0 for step in phase["steps"]))
                self.assertIn(f"{phase['phase']}, a shard: {len(phase['steps'])} steps",
                              cambrian("check", str(path), "--plan", *words))
            text = cambrian("check", str(path), *words)
            self.assertIn("can run", text)

    def test_readme(self):
        """Its job file can run, and so can every example, as it is used there, with no data."""
        text = (ROOT / "README.md").read_text()
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "job.yaml"
            path.write_text(re.search(r"(?s)```yaml\n(.*?)```", text).group(1))
            cambrian("check", str(path))
        used = re.findall(r"cambrian submit (examples/\S+?)\)?( --set data\.|\n)", text)
        self.assertGreaterEqual(len(used), 2)
        for name, words in used:
            done = subprocess.run([CAMBRIAN, "check", str(ROOT / name)], capture_output=True,
                                  text=True)
            if words.strip() and not (ROOT / "examples/data/mnist").exists():
                # It says that the data are missing, where, and how to name them.
                self.assertRegex(done.stderr, r"mnist-dcgan\.yaml:\d+: data images .*"
                                 r"--set data\.images=PATH")
            else:
                self.assertEqual(0, done.returncode, done.stderr)

    def test_check_refuses(self):
        path = str(next(path for path in EXAMPLES if path.name == "glyphs-gan.yaml"))
        for setting, words in (
                ("train.shards=7", "does not divide"), ("train.epoch=7", "did you mean 'epochs'"),
                ("model.generator.0.dense.units=7", "reshape"), ("loss=hinged", "loss"),
                ("optimizer={adan: {}}", "adam"), ("model.generator.1={reshap: [1]}", "reshape"),
                ("data={format: idx, images: nowhere}", "nowhere"), ("train.batch=8000", "6000")):
            done = subprocess.run([CAMBRIAN, "check", path, "--set", setting], capture_output=True,
                                  text=True)
            self.assertEqual(1, done.returncode, done.stdout + done.stderr)
            self.assertEqual("", done.stdout)
            self.assertEqual(1, done.stderr.count("\n"), done.stderr)
            self.assertIn(words, done.stderr)

    def allowed(self, setting):
        """The names that a refusal of this setting lists."""
        path = str(ROOT / "examples/glyphs-gan.yaml")
        done = subprocess.run([CAMBRIAN, "check", path, "--set", setting], capture_output=True,
                              text=True)
        self.assertIn("allowed: ", done.stderr)
        return done.stderr.split("allowed: ")[1].strip().split(", ")

    def test_names_of_the_model(self):
        """JOBFILE.md has every layer with its attributes, and no other; losses and so on too."""
        text = (ROOT / "docs/JOBFILE.md").read_text()

        def section(title):
            return re.search(r"(?ms)^## %s$(.*?)(^## |\Z)" % title, text).group(1)

        rows = {}
        for names, keys in re.findall(r"(?m)^\| (`[^|]*`) \|([^|]*)\|", section("Layers")):
            for name in re.findall(r"`(\w+)`", names):
                rows[name] = keys
        self.assertEqual(set(self.allowed("model.generator.0={nonsense: {}}")), set(rows))
        shared = {"use_bias", "activation", "norm", "spectral_norm"}
        for name, keys in rows.items():
            words = set(re.findall(r"`(\w+)`", keys))
            if keys.rstrip().endswith("W"):
                words |= shared | {"initializer"}
            found = self.allowed("model.generator.0={%s: {nonsense: 1}}" % name)
            self.assertEqual(set(found) - {"none"}, words, name)
        for title, setting in (("Losses", "loss=nonsense"), ("Optimizers", "optimizer=nonsense"),
                               ("Presets", "model.generator={preset: nonsense}")):
            names = re.findall(r"(?m)^\| `(\w+)` \|", section(title))
            self.assertEqual(set(self.allowed(setting)), set(names), title)

    def test_examples_fit_the_schema(self):
        self.assertGreaterEqual(len(EXAMPLES), 3)
        schema = json.loads(cambrian("schema"))
        try:
            import jsonschema
            import yaml
        except ImportError:
            for path in EXAMPLES:  # by hand: the keys of the top level
                keys = set(re.findall(r"(?m)^(\w+):", path.read_text()))
                self.assertLessEqual(keys, set(schema["properties"]), path)
                self.assertLessEqual(set(schema["required"]), keys, path)
            self.skipTest("no jsonschema or PyYAML here: only keys of the top level were compared")
        # YAML 1.1 as PyYAML reads it takes 2e-4 for a text; the schema leaves such values alone.
        check = jsonschema.Draft202012Validator(schema)
        for path in EXAMPLES:
            self.assertEqual([], [e.message for e in check.iter_errors(yaml.safe_load(path.read_text()))],
                             path)
        for bad in ({"train": {"epochs": 0}}, {"nonsense": 1}, {"resources": {"ranks": "1-4"}},
                    {"data": {"format": "png"}}, {"env": {"a-b": "x"}}, {"model": {}},
                    {"checkpoint": {"every": "often"}}, {"optimizer": {"adam": 3}},
                    {"loss": "hing"}, {"optimizer": "adan"}, {"optimizer": {"adam": {"beta": 1}}},
                    {"optimizer": {"adam": {}, "sgd": {}}}, {"optimizer": {"generator": "adam"}},
                    {"optimizer": {"generator": "adam", "critic": "adam"}},
                    {"data": {"format": "idx"}}, {"data": "idx"}, {"data": {"images": "a"}},
                    {"data": {"format": "glyphs", "images": "a"}},
                    {"data": {"format": "idx", "images": "a", "count": 3}},
                    {"resources": {"device": "cuda"}}):
            job = dict(yaml.safe_load(EXAMPLES[0].read_text()), **bad)
            self.assertTrue(list(check.iter_errors(job)), bad)
        for bad in ({"preset": "dcgam"}, {"preset": "dcgan", "widht": 3}, {"width": 3}, [], ["dens"],
                    [{"dens": {}}], [{"dense": {"unit": 1}}], [{"dense": 3}], [{"flatten": {"a": 1}}],
                    [{"dense": {"units": 1}, "relu": {}}], [{"relu": {"name": 3}}], "dcgan"):
            job = yaml.safe_load(EXAMPLES[0].read_text())
            job["model"]["generator"] = bad
            self.assertTrue(list(check.iter_errors(job)), bad)
        for good in ({"data": "glyphs"}, {"data": {"format": "idx", "images": "a", "labels": "b"}},
                     {"optimizer": "adam"}, {"optimizer": {"sgd": None}},
                     {"optimizer": {"generator": "adam", "discriminator": {"sgd": {"lr": 0.1}}}},
                     {"model": {"generator": {"preset": "dcgan", "width": 32},
                                "discriminator": ["flatten", {"dropout": 0.3}, {"relu": None},
                                                  {"dense": {"units": 1, "name": "a",
                                                             "input": ["b"]}}]}}):
            job = dict(yaml.safe_load(EXAMPLES[0].read_text()), **good)
            self.assertEqual([], [e.message for e in check.iter_errors(job)], good)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
