"""Turns NNNN_verb_noun.sql files into a C table: embed.py OUT.c FILE.sql..."""
import pathlib
import sys

out, *files = sys.argv[1:]
lines = ['#include "migrations/migrations.h"', '', 'const struct migration MIGRATIONS[] = {']
for number, name in enumerate(sorted(files, key=lambda f: pathlib.Path(f).name), start=1):
    path = pathlib.Path(name)
    if not path.name.startswith(f'{number:04d}_'):
        sys.exit(f'{path.name}: expected the number {number:04d} (no gaps, no duplicates)')
    lines.append(f'    {{{number}, "{path.stem}", (const char[]){{')
    text = path.read_bytes() + b'\0'
    for at in range(0, len(text), 16):
        lines.append('        ' + ' '.join(f'{byte},' for byte in text[at:at + 16]))
    lines.append('    }},')
lines += ['};', f'const int MIGRATION_COUNT = {len(files)};', '']
pathlib.Path(out).write_text('\n'.join(lines))
