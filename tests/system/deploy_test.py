#!/usr/bin/env python3
"""The systemd unit says what DESIGN wants, and systemd understands it."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from harness import BUILD  # noqa: E402

UNIT = (BUILD / "deploy" / "cambriand.service").read_text()
USER_UNIT = (BUILD / "deploy" / "user" / "cambriand.service").read_text()


class Deploy(unittest.TestCase):
    def test_the_unit_leaves_training_running(self):
        for line in ("Type=notify", "KillMode=process", "OOMPolicy=continue",
                     "Restart=on-failure", "TasksMax=infinity", "RuntimeDirectoryPreserve=yes"):
            self.assertIn(f"\n{line}\n", UNIT)
            self.assertIn(f"\n{line}\n", USER_UNIT)

    def test_one_serves_all_and_one_its_user(self):
        for line in ("--users all ", "StateDirectoryMode=0711\n", "RuntimeDirectoryMode=0755\n",
                     "WantedBy=multi-user.target\n"):
            self.assertIn(line, UNIT)
        for line in ("--users own ", "StateDirectoryMode=0700\n", "RuntimeDirectoryMode=0700\n",
                     "WantedBy=default.target\n"):
            self.assertIn(line, USER_UNIT)
        self.assertNotIn("@", UNIT + USER_UNIT, "all is filled in")

    @unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze here")
    def test_systemd_understands_it(self):
        start = [line for line in UNIT.splitlines() if line.startswith("ExecStart=")][0]
        # Verification wants the program to exist: that of the build folder stands in.
        text = UNIT.replace(start.split()[0], f"ExecStart={BUILD}/daemon/cambriand")
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "cambriand.service"
            path.write_text(text)
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True,
                                  text=True, env=dict(os.environ, SYSTEMD_LOG_LEVEL="warning"))
            mine = [line for line in done.stderr.splitlines() if "cambriand.service" in line]
            self.assertEqual([], mine)
            self.assertEqual(0, done.returncode, done.stderr)

    def test_the_sample_settings_are_accepted(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "all.conf"
            lines = [line[1:] for line in (BUILD / "deploy" / "cambriand.conf").read_text()
                     .splitlines() if line.startswith("#") and " = " in line
                     and line[1] != " " and not line.rstrip().endswith("=")]
            self.assertGreater(len(lines), 5)
            path.write_text("\n".join(lines) + "\n")
            done = subprocess.run([BUILD / "daemon" / "cambriand", "--config", path, "--version"],
                                  capture_output=True, text=True)
            self.assertEqual(0, done.returncode, done.stderr)


if __name__ == "__main__":
    unittest.main()
