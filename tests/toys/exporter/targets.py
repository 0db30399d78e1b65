"""Its targets."""

from __future__ import annotations

from dataclasses import dataclass

from ..onnx.targets import GRAPH_LIBRARIES
from ..target import Target


@dataclass(frozen=True, kw_only=True)
class ToyTarget(Target):
    """Nothing of its own."""

    engine: str = "toy"
    libraries: tuple[str, ...] = GRAPH_LIBRARIES
    runs_on: str = "any machine, slowly"


TARGETS = (
    ToyTarget(name="toy-fp32", precision="fp32"),
    ToyTarget(name="toy-int8", precision="int8", methods=("dynamic",), tolerance=1e-2),
)
