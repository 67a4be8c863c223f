"""dcgan64.py at batch 256."""
import dcgan64

BATCH = 256


def make(mode):
    return dcgan64.make(mode, BATCH)
