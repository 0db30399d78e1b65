"""What every technique takes and gives: a deployable model in, the same model with quantized layers out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Protocol

from torch import Tensor, nn

from ..errors import QasrError
from ..models import DeployableCTC


class QuantizationError(QasrError):
    """Options or data with which a technique cannot work."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of all techniques; each reads what concerns it."""

    exclude: tuple[str, ...] = ("projection", "heads")
    """Layers left in float, by glob. The first and the last hold 0.05 % of the weights and touch all of the signal."""
    observer: str = "minmax"
    """``minmax``, ``percentile`` or ``mse``: how calibration fixes ranges."""
    percentile: float = 99.99
    strength: float | None = None
    """How much of the activations' spread SmoothQuant moves into the weights, 0 to 1; None searches it by layer."""
    outputs: bool = False
    """Round the outputs of statically quantized layers too; QNNPACK's kernels do nothing else."""


@dataclass(frozen=True)
class CalibrationSet:
    """Real audio, as features: each clip (1, T, F) float32 alone, so that padding never counts."""

    name: str
    sha256: str
    seconds: float
    clips: int
    features: Callable[[], Iterator[Tensor]] = field(repr=False)


class Technique(Protocol):
    """Replaces layers of a deployable model by quantized ones, in place, and returns the model."""

    def __call__(self, model: DeployableCTC, options: Options, calibration: CalibrationSet | None) -> DeployableCTC:
        """Quantize; QuantizationError where the options or the data do not serve."""


def quantizable(model: nn.Module, exclude: Iterable[str]) -> list[tuple[str, nn.Linear]]:
    """Every Linear by its dotted name, less those that match a glob of ``exclude``.

    Raises QuantizationError where a glob matches nothing, or nothing is left.
    """
    linears = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    globs = tuple(exclude)
    idle = [glob for glob in globs if not any(fnmatchcase(name, glob) for name, _ in linears)]
    if idle:
        raise QuantizationError(
            f"no layer matches the excluded {', '.join(idle)}; layers are named like {linears[0][0]}"
        )
    chosen = [(name, module) for name, module in linears if not any(fnmatchcase(name, glob) for glob in globs)]
    if not chosen:
        raise QuantizationError("every layer is excluded, so nothing would be quantized")
    return chosen


def replace(model: nn.Module, name: str, module: nn.Module) -> None:
    """Put ``module`` in the place that the dotted ``name`` means."""
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, module)
