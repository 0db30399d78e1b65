"""The kernel for 4-bit and 2-bit weights compared with cuBLAS and 16-bit weights: ``python -m qasr.bench.kernels``.

Needs an NVIDIA GPU. Each figure is the median over rounds in which all candidates are measured in turn. Before every
measurement the L2 cache is flushed; CUDA events enclose a single call.
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
"""Frames in a batch; a clip of 10 s has 500."""
_FLUSH_BYTES = 256 * 2**20
BASELINE = "cuBLAS"


class NoGpuError(QasrError):
    """No NVIDIA GPU on this machine."""


@dataclass(frozen=True)
class Row:
    """One candidate at one shape. ``error`` is relative to the exact product with the dequantized weights."""

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
        """10^12 multiplications and additions per second."""
        return 2e-12 * self.rows * self.outputs * self.inputs / self.seconds


@dataclass(frozen=True)
class Candidate:
    """``product`` multiplies x by the candidate's weights; ``exact`` is the exact result in float32."""

    name: str
    product: Callable[[], Any]
    exact: Any

    def error(self) -> float:
        """Relative error of the product."""
        return float((self.product().float() - self.exact).norm() / self.exact.norm())


def candidates(rows: int, outputs: int, inputs: int, group: int, dtype: Any, device: str) -> list[Candidate]:
    """The baseline and one candidate per bit width, all with the same x."""
    import torch

    from ..gpu.layout import dequantize, pack
    from ..gpu.nbits_matmul import nbits_matmul

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, inputs, generator=generator).to(device, dtype)
    scale = (torch.rand(outputs, inputs // group, generator=generator) / inputs).to(device, dtype)
    result: list[Candidate] = []
    for bits in (4, 2):
        codes = torch.randint(0, 2**bits, (outputs, inputs), generator=generator, dtype=torch.uint8)
        packed = pack(codes, bits).to(device)
        weight = dequantize(packed, scale, None, bits)
        exact = x.float() @ weight.float().t()
        if not result:
            result.append(Candidate(BASELINE, partial(torch.nn.functional.linear, x, weight), exact))
        result.append(Candidate(f"int{bits}", partial(nbits_matmul, x, packed, scale, bits=bits), exact))
    return result


def measure(group: Sequence[Candidate], rounds: int) -> dict[str, float]:
    """Median seconds of each candidate, interleaved, after an untimed first call that compiles and tunes."""
    import torch

    cache = torch.empty(_FLUSH_BYTES, dtype=torch.uint8, device="cuda")
    for candidate in group:
        candidate.product()
    samples: dict[str, list[float]] = {candidate.name: [] for candidate in group}
    for _ in range(rounds):
        for candidate in group:
            cache.zero_()
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            start.record()
            candidate.product()
            end.record()
            end.synchronize()
            samples[candidate.name].append(start.elapsed_time(end) / 1e3)
    return {name: median(seconds) for name, seconds in samples.items()}


def run(shapes: Sequence[tuple[int, int]], rows: Sequence[int], group: int, dtype: str, rounds: int) -> list[Row]:
    """Measure every shape with every number of rows. Raises NoGpuError."""
    import torch

    if not torch.cuda.is_available():
        raise NoGpuError("torch finds no NVIDIA GPU on this machine")
    result = []
    for outputs, inputs in shapes:
        for count in rows:
            group_candidates = candidates(count, outputs, inputs, group, getattr(torch, dtype), "cuda")
            seconds = measure(group_candidates, rounds)
            for candidate in group_candidates:
                name, own = candidate.name, seconds[candidate.name]
                ratio = own / seconds[BASELINE]
                result.append(Row(name, count, outputs, inputs, own, ratio, candidate.error(), _tile(name)))
    return result


def _tile(name: str) -> str:
    """The configuration that the tuner chose for the last call."""
    from ..gpu.nbits_matmul import tuned

    return "" if name == BASELINE else str(tuned.best_config)


def table(rows: Sequence[Row], title: str) -> Table:
    """The figures as a table for the terminal."""
    result = Table("rows", "N x K", "", "us", f"of {BASELINE}", "TOP/s", "error", "tile", title=title)
    for row in rows:
        figures = (f"{row.seconds * 1e6:.1f}", f"{row.ratio:.2f} x", f"{row.tera_operations:.1f}", f"{row.error:.1e}")
        result.add_row(str(row.rows), f"{row.outputs} x {row.inputs}", row.name, *figures, row.tile)
    return result


@click.command()
@click.option("--group-size", type=click.Choice(["32", "64", "128"]), default="64", show_default=True)
@click.option("--dtype", type=click.Choice(["float16", "bfloat16"]), default="float16", show_default=True)
@click.option("--rounds", type=click.IntRange(3), default=50, show_default=True)
def main(group_size: str, dtype: str, rounds: int) -> None:
    """Measure the kernel for 4-bit and 2-bit weights against cuBLAS."""
    try:
        rows = run(SHAPES, ROWS, int(group_size), dtype, rounds)
    except QasrError as error:
        click.echo(f"kernels: error: {error}", err=True)
        sys.exit(1)
    import torch
    import triton

    versions = f"{torch.cuda.get_device_name()}, torch {torch.__version__}, triton {triton.__version__}"
    Console(width=160).print(table(rows, f"{versions}, {dtype}, groups of {group_size}"))


if __name__ == "__main__":
    main()
