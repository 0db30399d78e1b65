"""Targets of torch.export's programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..target import TORCH, Target


@dataclass(frozen=True, kw_only=True)
class TorchTarget(Target):
    """``autocast``: everything beside the quantized layers runs under torch's autocast to bf16, on FBGEMM's kernels."""

    engine: str = "torch"
    precision: str = "int8"
    libraries: tuple[str, ...] = TORCH
    tolerance: float = 1e-2
    autocast: bool = False

    @property
    def execution(self) -> Mapping[str, str]:
        """Kernels and autocast."""
        return {"quantized_engine": "fbgemm", "autocast": "bf16"} if self.autocast else {}

    @property
    def rounds_to_bf16(self) -> bool:
        """Under autocast."""
        return self.autocast


TARGETS = (
    TorchTarget(name="torch-amp-int8", methods=("dynamic",), autocast=True, runs_on="torch: x86 CPUs with bf16"),
    TorchTarget(
        name="torch-inc-int8",
        methods=("inc",),
        libraries=(*TORCH, "neural_compressor", "torchao"),
        extra="inc",
        runs_on="torch: x86 CPUs with VNNI",
    ),
)
