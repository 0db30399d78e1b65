"""Checkpoints for transformers, by the library that holds their quantized weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ...quantizers import WeightScheme
from ..target import TORCH, Layers, Target


@dataclass(frozen=True, kw_only=True)
class HfTarget(Target):
    """``format``: what reads the quantized weights, as transformers calls it; ``float`` where nothing is quantized."""

    engine: str = "hf"
    libraries: tuple[str, ...] = TORCH
    storage: Literal["float32", "float16"] = "float16"
    format: Literal["float", "compressed-tensors", "bitsandbytes", "optimum-quanto"]
    setup: Mapping[str, str] = field(default_factory=dict)
    """What else the runtime has to know."""

    @property
    def execution(self) -> Mapping[str, str]:
        """The format and its setup."""
        return {"format": self.format, **self.setup}

    @property
    def rounds_to_bf16(self) -> bool:
        """Bitsandbytes' CPU kernels round inputs on the way: 0.3 % of a layer's output."""
        return self.format == "bitsandbytes"


def _layers(bits: int, group_size: int | None = None) -> Layers:
    """Convolutions are ``Conv1d`` in the stock module, which no format here knows."""
    return Layers(weight=WeightScheme(bits, group_size=group_size), convolutions=False)


TARGETS = (
    # What engines for GPUs are compared with: the stock module.
    *(
        HfTarget(
            name=f"hf-{precision}",
            precision=precision,
            format="float",
            setup={"precision": precision, **more},
            runs_on=f"transformers: CPUs, which compute in fp32; CUDA in {precision}{how}",
        )
        for precision, how, more in (("fp16", "", {}), ("bf16", ", by torch.compile", {"compile": "cuda"}))
    ),
    *(
        HfTarget(
            name=f"hf-{method}",
            precision="int4",
            libraries=(*TORCH, "compressed_tensors"),
            extra="lowbit",
            methods=(method,),
            layers=_layers(4, group_size=64),
            format="compressed-tensors",
            runs_on="transformers with compressed-tensors: any CPU, CUDA; a storage format, computed in float",
        )
        for method in ("gptq", "awq")
    ),
    *(
        HfTarget(
            name=f"hf-bnb-{precision}",
            precision=precision,
            libraries=(*TORCH, "bitsandbytes", "accelerate"),
            extra="lowbit",
            methods=(method,),
            layers=_layers(8),
            tolerance=1e-2,
            format="bitsandbytes",
            runs_on="transformers with bitsandbytes: CPUs, CUDA",
        )
        for precision, method in (("nf4", "nf4"), ("int8", "llm-int8"))
    ),
    *(
        HfTarget(
            name=f"hf-quanto-int{bits}",
            precision=f"int{bits}",
            libraries=(*TORCH, "optimum.quanto"),
            extra="lowbit",
            methods=("quanto",),
            layers=_layers(bits),
            format="optimum-quanto",
            runs_on="transformers with optimum-quanto: any CPU, CUDA",
        )
        for bits in (8, 4, 2)
    ),
)
