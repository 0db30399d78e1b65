"""What every technique takes and gives: a deployable model in, the same model with quantized layers out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from dataclasses import replace as replace_fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from torch import Tensor, nn

from ..errors import QasrError
from ..models import DeployableCTC
from .scheme import INT8, WeightScheme

if TYPE_CHECKING:
    from .search.mixture import Mixture

Track = Callable[[Iterable[Any], str, int], Iterable[Any]]
"""Wraps an iterable in a progress display: (items, description, total)."""


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
    symmetric_inputs: bool = False
    """Static ranges reach as far down as up, for engines that know no zero points."""
    outputs: bool = False
    """Round the outputs of statically quantized layers too; QNNPACK's kernels do nothing else."""
    scheme: WeightScheme = INT8
    """How techniques that choose weights represent them. An export takes it from its target, with the next two."""
    group_size: int | None = None
    """Inputs that share a scale, where not so many as the target has by default."""
    symmetric: bool | None = None
    """Whether there are no zero points; None: as the target is, which has some where it can hold them."""
    activation: Literal["none", "grouped", "static"] = "none"
    """What those techniques leave of the layers' inputs: floats, or int8 a group, or uint8 by calibration."""
    bits_budget: float | None = None
    """Bits a weight in the mean: the layers that lose most get twice as many as ``scheme`` says."""
    bits_by_layer: Mapping[str, int] = field(default_factory=dict)
    """Layers that get other bits than ``scheme`` says, by name."""
    damping: float = 0.01
    """What GPTQ adds to the diagonal of a Hessian, as a part of its mean."""
    activation_order: bool = True
    """GPTQ rounds the inputs with the largest squares first."""
    mixture: Mixture | None = None
    """Formats by layer, for mixed precision."""
    journal: Path | None = None
    """Where finished layers are kept, so that a quantization that was killed goes on from there."""
    track: Track = field(default=lambda items, *_: items, compare=False, repr=False)

    def identity(self) -> str:
        """What of these options decides the weights, for comparison between runs."""
        decisive = (self.scheme, sorted(self.bits_by_layer.items()), self.exclude, self.damping, self.activation_order)
        return repr(decisive)

    def weight(self, name: str) -> WeightScheme:
        """The scheme of the weights of the layer called ``name``."""
        return replace_fields(self.scheme, bits=self.bits_by_layer.get(name, self.scheme.bits))


@dataclass(frozen=True)
class CalibrationSet:
    """Real audio, as features: each clip (1, T, F) float32 alone, so that padding never counts."""

    name: str
    sha256: str
    seconds: float
    clips: int
    features: Callable[[], Iterator[Tensor]] = field(repr=False)
    prepared: str = ""
    """How features were made of the audio."""

    def identity(self) -> str:
        """What decides the features."""
        return f"{self.sha256} {self.clips} {self.seconds} {self.prepared}"


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


def check_groups(linears: Iterable[tuple[str, nn.Linear]], scheme: WeightScheme, *, fixed: bool = False) -> None:
    """Raise QuantizationError for a layer whose inputs the groups do not divide; ``fixed``: there are no others."""
    for name, linear in linears:
        if scheme.group_size is not None and linear.in_features % scheme.group_size:
            fitting = [size for size in (16, 32, 64, 128, 256) if linear.in_features % size == 0]
            instead = (
                f"; --group-size {fitting[-1]} does"
                if fitting and not fixed
                else f"; leave it out with --exclude '{name}'"
            )
            raise QuantizationError(
                f"groups of {scheme.group_size} do not divide the {linear.in_features} inputs of {name}{instead}"
            )


def model_hash(model: nn.Module) -> str:
    """SHA-256 over all that decides what a float model computes: its modules with their settings, and every tensor."""
    hashed = hashlib.sha256(repr(model).encode())
    for name, value in model.state_dict().items():
        hashed.update(name.encode())
        hashed.update(value.detach().contiguous().numpy().tobytes())
    return hashed.hexdigest()


def make_folder(folder: Path) -> None:
    """For what is kept between runs. Raises QuantizationError, before any work, where nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise QuantizationError(f"{folder}: cannot be written ({error.strerror}); choose another --journal") from None
    if not os.access(folder, os.W_OK):
        raise QuantizationError(f"{folder}: cannot be written; choose another --journal")
