"""Our kernel for weights of 4 and 2 bits against cuBLAS with the same weights in 16 bits, on an NVIDIA GPU.

python -m qasr.bench.kernels. Each figure is the median of rounds in which all candidates take turns; before every
measurement the L2 cache is flushed, and CUDA events stand around one call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ..errors import QasrError

SHAPES = ((4096, 1024), (1024, 4096), (3072, 1024), (2048, 1024), (1024, 1024))
"""(N, K) of the layers of a Wav2Vec2-BERT of hidden size 1024."""
ROWS = (1, 16, 64, 250, 500, 1000, 4000)
"""Frames in a batch: a clip of 10 s has 500."""
_FLUSH_BYTES = 256 * 2**20
BASELINE = "cuBLAS"


class NoGpuError(QasrError):
    """There is nothing here to measure on."""


@dataclass(frozen=True)
class Row:
    """One candidate at one size; ``error`` is relative to the exact product of the widened weights."""

    name: str
    rows: int
    outputs: int
    inputs: int
    seconds: float
    ratio: float
    error: float
    tile: str

    @property
    def tera_operations(self) -> float:
        """10^12 multiplications and additions a second."""
        return 2e-12 * self.rows * self.outputs * self.inputs / self.seconds


@dataclass(frozen=True)
class Candidate:
    """``product`` multiplies x with its form of the weights; ``exact`` is what it should give, in float32."""

    name: str
    product: Callable[[], Any]
    exact: Any

    def error(self) -> float:
        """Relative error of the product."""
        return float((self.product().float() - self.exact).norm() / self.exact.norm())


def candidates(rows: int, outputs: int, inputs: int, group: int, dtype: Any, device: str) -> list[Candidate]:
    """The baseline first, all with the same x."""
    import torch

    from ..kernels.layout import dequantize, pack
    from ..kernels.nbits_matmul import nbits_matmul

    made = torch.Generator().manual_seed(0)
    x = torch.randn(rows, inputs, generator=made).to(device, dtype)
    scale = (torch.rand(outputs, inputs // group, generator=made) / inputs).to(device, dtype)
    found: list[Candidate] = []
    for bits in (4, 2):
        codes = torch.randint(0, 2**bits, (outputs, inputs), generator=made, dtype=torch.uint8)
        packed = pack(codes, bits).to(device)
        weight = dequantize(packed, scale, None, bits)
        exact = x.float() @ weight.float().t()
        if not found:
            found.append(Candidate(BASELINE, partial(torch.nn.functional.linear, x, weight), exact))
        found.append(Candidate(f"int{bits}", partial(nbits_matmul, x, packed, scale, bits=bits), exact))
    return found


def measure(competing: Sequence[Candidate], rounds: int) -> dict[str, float]:
    """Median seconds of each, interleaved, after a first call apart (which compiles and tunes)."""
    import torch

    cold = torch.empty(_FLUSH_BYTES, dtype=torch.uint8, device="cuda")
    for one in competing:
        one.product()
    samples: dict[str, list[float]] = {one.name: [] for one in competing}
    for _ in range(rounds):
        for one in competing:
            cold.zero_()
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            start.record()
            one.product()
            end.record()
            end.synchronize()
            samples[one.name].append(start.elapsed_time(end) / 1e3)
    return {name: median(taken) for name, taken in samples.items()}


def run(shapes: Sequence[tuple[int, int]], rows: Sequence[int], group: int, dtype: str, rounds: int) -> list[Row]:
    """Every shape at every number of rows. Raises NoGpuError."""
    import torch

    if not torch.cuda.is_available():
        raise NoGpuError("torch sees no NVIDIA GPU here, so there is nothing to measure")
    found = []
    for outputs, inputs in shapes:
        for count in rows:
            competing = candidates(count, outputs, inputs, group, getattr(torch, dtype), "cuda")
            seconds = measure(competing, rounds)
            for one in competing:
                taken = seconds[one.name]
                ratio = taken / seconds[BASELINE]
                found.append(Row(one.name, count, outputs, inputs, taken, ratio, one.error(), _tile(one.name)))
    return found


def _tile(name: str) -> str:
    """What the tuner chose for the last call."""
    from ..kernels.nbits_matmul import tuned

    return "" if name == BASELINE else str(tuned.best_config)


def table(found: Sequence[Row], card: str) -> Table:
    """For the terminal."""
    shown = Table("rows", "N x K", "", "us", f"of {BASELINE}", "TOP/s", "error", "tile", title=card)
    for row in found:
        figures = (f"{row.seconds * 1e6:.1f}", f"{row.ratio:.2f} x", f"{row.tera_operations:.1f}", f"{row.error:.1e}")
        shown.add_row(str(row.rows), f"{row.outputs} x {row.inputs}", row.name, *figures, row.tile)
    return shown


@click.command()
@click.option("--group-size", type=click.Choice(["32", "64", "128"]), default="64", show_default=True)
@click.option("--dtype", type=click.Choice(["float16", "bfloat16"]), default="float16", show_default=True)
@click.option("--rounds", type=click.IntRange(3), default=50, show_default=True)
def main(group_size: str, dtype: str, rounds: int) -> None:
    """Measure the kernel for weights of 4 and 2 bits against cuBLAS."""
    try:
        found = run(SHAPES, ROWS, int(group_size), dtype, rounds)
    except QasrError as error:
        click.echo(f"kernels: error: {error}", err=True)
        sys.exit(1)
    import torch
    import triton

    versions = f"{torch.cuda.get_device_name()}, torch {torch.__version__}, triton {triton.__version__}"
    Console(width=160).print(table(found, f"{versions}, {dtype}, groups of {group_size}"))


if __name__ == "__main__":
    main()
