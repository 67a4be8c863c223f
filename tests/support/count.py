#!/usr/bin/env python3
"""Counts a meson test log (testlog.json, one JSON object a line): prints PASSED FAILED SKIPPED."""
import json
import sys

counts = {"passed": 0, "failed": 0, "skipped": 0}
KINDS = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}
with open(sys.argv[1], encoding="utf-8") as log:
    for line in log:
        counts[KINDS.get(json.loads(line)["result"], "failed")] += 1
print(counts["passed"], counts["failed"], counts["skipped"])
