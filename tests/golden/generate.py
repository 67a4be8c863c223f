#!/usr/bin/env python3
"""Writes the golden values that the tests of this folder compare with.

    generate.py [FOLDER]      needs PyTorch; FOLDER is this file's own unless given

Inputs and parameters are drawn in f32 and computed with in double; files say what golden.h says.
"""
import os
import sys

import torch

from golden_file import write_all
import golden_initial
import golden_layers
import golden_losses
import golden_optimizers
import golden_sequences
import golden_supervised
import golden_trainings


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    for kind, modules in (("initial", (golden_initial,)),
                          ("layers", (golden_layers, golden_sequences)),
                          ("losses", (golden_losses,)), ("optimizers", (golden_optimizers,)),
                          ("trainings", (golden_trainings, golden_supervised))):
        write_all(folder, kind, (case for module in modules for case in module.cases()))


if __name__ == "__main__":
    main()
