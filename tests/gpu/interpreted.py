"""Runs the kernel in the interpreter of Triton, which decides on it when it is imported: a process of its own."""

from __future__ import annotations

import sys

import torch

from qasr.gpu.nbits_matmul import INTERPRETED, nbits_matmul

if __name__ == "__main__":
    assert INTERPRETED
    given, taken = sys.argv[1:]
    cases = torch.load(given)
    torch.save({name: nbits_matmul(*case["tensors"], bits=case["bits"]) for name, case in cases.items()}, taken)
