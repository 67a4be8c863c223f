#!/usr/bin/env python3
"""Holds the shape of the tree: include directions, header homes, file sizes, banned calls.

Every rule names what to do instead.  Exit 1 and one line a breach: FILE:LINE: what, instead.
`tidy.py --self-test` shows each rule a breach and fails if one is not seen.
"""
import os
import re
import subprocess
import sys
import tempfile

# A folder and what it may include besides itself.  The keys are matched longest first.
MAY_INCLUDE = {
    "base": [],
    "proto": ["base"],
    "data": ["proto", "base"],
    "model": ["proto", "base"],
    "kernels": ["model", "base"],
    "worker": ["kernels", "model", "data", "proto", "base"],
    "daemon": ["migrations", "model", "data", "proto", "base"],
    "client": ["model", "data", "proto", "base"],
    "tests": ["migrations", "worker", "daemon", "client", "kernels", "model", "data", "proto", "base"],
}

# A third-party header (regular expression) and the only places that may include it.
HEADER_HOMES = {
    r"uv\.h": ["daemon/"],
    r"sqlite3\.h": ["daemon/store"],
    r"mpi\.h": ["worker/main.c", "worker/collectives/mpi"],
    r"(oneapi/dnnl/)?dnnl.*\.h": ["kernels/cpu/"],
    r"sleef\.h": ["kernels/cpu/"],
    r"(cuda|cudnn|cublas|nccl|nvrtc).*\.h": ["kernels/cuda/"],
    r"yaml\.h": ["proto/document"],
    r"zlib\.h": ["data/"],
    r"libdeflate\.h": ["data/inflate.c"],
    r"png\.h": ["worker/"],
    r"openssl/.*": ["base/digest.c"],
}

# A call that may not be made outside the named files, and what to use.
BANNED = {
    r"\b(malloc|calloc|realloc|aligned_alloc|posix_memalign)\s*\(": (["base/mem.c"], "base/mem.h"),
    r"\b(strcat|strncpy|strncat|sprintf|vsprintf|gets|alloca|strtok)\s*\(":
        ([], "snprintf, memcpy or base/text.h"),
    r"\bstrcpy\s*\(": ([], "snprintf or memcpy"),
    r"\b(system|popen)\s*\(": ([], "an argv and posix_spawn or fork (never a shell)"),
    r"\b(rand|srand|random|drand48)\s*\(": ([], "base/philox.h"),
    r"\b(atoi|atol|atof)\s*\(": ([], "strtoll or strtod with checks"),
    r"\b(usleep|sleep)\s*\(": ([], "cam_sleep_ms"),
    r"\bassert\s*\([^;]*(\+\+|--)": ([], "an assert without side effects"),
}

LINES_MAX = 600
COLUMNS_MAX = 100
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
# The test program may do what a product may not: ask the C library directly.
BANNED_EXEMPT = ("tests/",)


def strip(text):
    """Comments and string literals become blanks, lines stay."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(\\.|[^"\\\n])*"', blank, text, flags=re.S)


def folder_of(path):
    return path.split("/", 1)[0]


def check_includes(path, text, known_headers):
    own = folder_of(path)
    for number, line in enumerate(text.split("\n"), 1):
        match = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
        if not match:
            continue
        header = match.group(2)
        if header in known_headers:
            target = folder_of(header)
            if own in MAY_INCLUDE and target != own and target not in MAY_INCLUDE[own]:
                yield number, f"{own}/ may not include {header}: it sees only {MAY_INCLUDE[own]}"
        elif match.group(1) == "<" or "/" not in header:
            if path.startswith("tests/"):
                continue
            for pattern, homes in HEADER_HOMES.items():
                if re.fullmatch(pattern, header) and not path.startswith(tuple(homes)):
                    yield number, f"{header} has its home in {homes}"


def check_banned(path, text):
    if path.startswith(BANNED_EXEMPT):
        return
    for number, line in enumerate(strip(text).split("\n"), 1):
        for pattern, (exempt, instead) in BANNED.items():
            match = re.search(pattern, line)
            if match and path not in exempt:
                yield number, f"{match.group(0).strip()} is banned: use {instead}"


def check_size(path, text):
    lines = text.count("\n")
    if lines > LINES_MAX:
        yield lines, f"{lines} lines, at most {LINES_MAX}: one noun a file"
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > COLUMNS_MAX:
            yield number, f"{len(line)} columns, at most {COLUMNS_MAX}"


def check_words(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        if UNFINISHED.search(line):
            yield number, "unfinished work by its own word: finish it or file it as an issue"


def check_guard(path, text):
    if path.endswith(".h") and not re.search(r"#ifndef \w+_H\n#define \w+_H\n", text):
        yield 1, "a header needs a guard NAME_H"


def breaches(root, files):
    known = {name for name in files if name.endswith(".h")}
    for path in sorted(files):
        if not path.endswith((".c", ".h", ".cu")):
            continue
        with open(os.path.join(root, path), encoding="utf-8") as file:
            text = file.read()
        checks = [check_includes(path, text, known), check_banned(path, text),
                  check_size(path, text), check_words(path, text), check_guard(path, text)]
        for check in checks:
            for number, message in check:
                yield f"{path}:{number}: {message}"


def tree_files(root):
    try:
        listed = subprocess.run(["git", "-C", root, "ls-files", "--cached", "--others",
                                 "--exclude-standard"], capture_output=True, text=True).stdout
    except FileNotFoundError:
        listed = ""
    if listed:
        return [name for name in listed.split("\n")
                if name and os.path.exists(os.path.join(root, name))]
    found = []
    for folder, folders, names in os.walk(root):  # an unpacked archive, or no git here
        folders[:] = [f for f in folders if not f.startswith((".", "build"))]
        found += [os.path.relpath(os.path.join(folder, n), root) for n in names]
    return found


def self_test():
    bad = {
        "base/a.h": "int x;\n",
        "model/b.c": '#include "worker/c.h"\n',
        "worker/c.h": "#ifndef C_H\n#define C_H\n#endif\n",
        "client/d.c": "#include <sqlite3.h>\n",
        "client/e.c": "void f(void) { g(malloc(3)); }\n",
        "client/f.c": "int a;\n" * 700,
        "client/g.c": "/* " + "x" * 120 + " */\n",
        "client/h.c": "/* TO" + "DO: later */\n",
    }
    wanted = ["base/a.h:1", "model/b.c:1", "client/d.c:1", "client/e.c:1", "client/f.c:700",
              "client/g.c:1", "client/h.c:1"]
    with tempfile.TemporaryDirectory() as root:
        for path, text in bad.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        seen = [line.split(": ")[0] for line in breaches(root, list(bad))]
    if sorted(seen) != sorted(wanted):
        print(f"tidy self-test: saw {sorted(seen)}, wanted {sorted(wanted)}")
        return 1
    return 0


def main():
    if "--self-test" in sys.argv:
        return self_test()
    root = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
    found = list(breaches(root, tree_files(root)))
    print("\n".join(found) if found else "tidy: nothing found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
