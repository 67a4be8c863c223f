#!/usr/bin/env python3
"""Counts the cases in a meson test log (testlog.json, one JSON object a program).

    count.py testlog.json      prints PASSED FAILED SKIPPED

A program that speaks as cmocka or unittest counts as its cases; any other counts as one.  A program
that failed counts at least one failure, whatever it said.
"""
import json
import re
import sys

UNITTEST = re.compile(r"^Ran (\d+) tests? in", re.M)
UNITTEST_END = re.compile(r"^(?:OK|FAILED)(?: \((.*)\))?$", re.M)
CMOCKA = re.compile(r"^\[\s*(PASSED|FAILED|SKIPPED)\s*\] (\d+) test", re.M)


def cases(entry):
    """[passed, failed, skipped] of one program."""
    text = entry.get("stdout", "") + "\n" + entry.get("stderr", "")
    ran = UNITTEST.search(text)
    if ran:
        end = UNITTEST_END.search(text, ran.end())
        parts = dict(re.findall(r"(\w+)=(\d+)", end.group(1) or "")) if end else {}
        failed = int(parts.get("failures", 0)) + int(parts.get("errors", 0))
        skipped = int(parts.get("skipped", 0))
        return [max(0, int(ran.group(1)) - failed - skipped), failed, skipped]
    found = {kind: int(count) for kind, count in CMOCKA.findall(text)}
    if found:
        return [found.get(kind, 0) for kind in ("PASSED", "FAILED", "SKIPPED")]
    return {"OK": [1, 0, 0], "SKIP": [0, 0, 1]}.get(entry["result"], [0, 1, 0])


def main():
    total = [0, 0, 0]
    with open(sys.argv[1], encoding="utf-8") as log:
        for line in log:
            entry = json.loads(line)
            count = cases(entry)
            if entry["result"] not in ("OK", "SKIP") and count[1] == 0:
                count[1] = 1
            total = [a + b for a, b in zip(total, count)]
    print(*total)


if __name__ == "__main__":
    main()
