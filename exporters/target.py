"""What a target is, and what an engine's writer and compiler implement. It can be read without torch."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, cast

from ..artifacts import InputLimits, Precision
from ..errors import MissingExtraError
from ..quantizers import INT8, WeightScheme
from ..version import installed

if TYPE_CHECKING:
    from ..audio.frontends import FrontEnd
    from ..models import Checkpoint, CTCModel

TORCH = ("torch", "transformers")
"""Libraries that every export needs."""


@dataclass(frozen=True, kw_only=True)
class Layers:
    """What the engine's quantized layers look like."""

    weight: WeightScheme = INT8
    """Bits, zero points and default group size of the weights."""
    activation: Literal["none", "grouped", "static"] = "none"
    """What inputs of layers with grouped weights are rounded to."""
    symmetric_inputs: bool = False
    """Static ranges are symmetric, because the engine has no zero points for inputs."""
    outputs: bool = False
    """Static layers round their outputs too."""
    convolutions: bool = True
    """Linears that are convolutions in the stock module can be quantized."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What ``--to`` can name; engines add what is their own in a subclass."""

    package: ClassVar[str] = __package__ or ""

    name: str
    engine: str
    """Name of the engine: of its folders in ``exporters`` and ``runtimes``, and in the manifest."""
    precision: str
    libraries: tuple[str, ...]
    """Top-level modules that building and verifying need."""
    extra: str = "export"
    """The extra that installs them."""
    runs_on: str
    methods: tuple[str, ...] = ()
    """Quantization methods, the default first; none where nothing is quantized."""
    layers: Layers = Layers()
    formats: tuple[str, ...] = ()
    """Formats of mixed precision, the float one first, then by falling bits; empty: all layers are alike."""
    dtype: Literal["float32", "float16"] = "float32"
    """In which everything that is not quantized is computed."""
    storage: Literal["float32", "float16"] = "float32"
    """In which float weights are stored."""
    tolerance: float = 1e-4
    """Relative error of the logits allowed between the artifact and its torch model."""

    @property
    def execution(self) -> Mapping[str, str]:
        """How the runtime has to set up the engine; goes into the manifest."""
        return {}

    @property
    def rounds_to_bf16(self) -> bool:
        """Whether the engine computes in bf16, or its kernels round to it."""
        return False

    @property
    def options_type(self) -> type | None:
        """The dataclass of the engine's own build options; None where it has none."""
        return None

    @property
    def low_bit(self) -> bool:
        """Whether weights have groups whose size and zero points the user may choose."""
        return self.layers.weight.group_size is not None

    def missing(self) -> str | None:
        """The first library that is not installed here, or None."""
        return next((library for library in self.libraries if not installed(library)), None)

    def require(self) -> None:
        """Raise MissingExtraError where a library is not installed."""
        absent = self.missing()
        if absent is not None:
            raise MissingExtraError(absent, self.extra)

    def writer(self) -> Writer:
        """The engine's writer."""
        return cast(Writer, self._module("writer"))

    def costs(self) -> EngineCosts:
        """What layers cost in this engine, for mixed precision."""
        return cast(EngineCosts, self._module("costs"))

    def compiler(self) -> Compiler | None:
        """What builds the engine's own file from the ONNX graph; None for engines that read what the writer writes."""
        return None

    def _module(self, name: str) -> Any:
        return importlib.import_module(f".{self.engine}.{name}", self.package)


class Writer(Protocol):
    """``exporters/<engine>/writer.py``."""

    def write(self, model: CTCModel, target: Any, checkpoint: Checkpoint, folder: Path) -> Precision:
        """Write the engine's files into ``folder`` and return what was counted in them (``kernels`` still empty).

        ``model`` was made from ``checkpoint``, whose configuration and vocabulary are in ``folder`` already; it is
        consumed. Raises ExportError for a layer whose scheme the engine cannot express.
        """

    def integer_kernels(self, kernels: Mapping[str, int]) -> int:
        """How many of the executed ``kernels`` (as the runtime reads them back) take quantized weights as integers."""


class EngineCosts(Protocol):
    """``exporters/<engine>/costs.py``, for engines with targets of mixed precision."""

    def graph_bytes(self, *, compiled: bool) -> tuple[int, int]:
        """Bytes beside the weights: for each block of the model, and for all the rest."""

    def seconds(self, target: Target, layer: Any, rows: Any) -> float | None:
        """Median time of one layer on ``rows`` (1, frames, inputs); None where it cannot be measured here."""

    def library(self) -> str:
        """The library that times depend on."""


@dataclass(frozen=True)
class Compiled:
    """What a compiler reports of the file that it built."""

    execution: dict[str, str]
    kernels: dict[str, int] = field(default_factory=dict)
    """What the file will execute, read back from it; empty where it does not say."""
    runs_here: bool = False
    """Whether this machine can run it, so that the file itself can be verified."""


class Compiler(Protocol):
    """``exporters/<engine>/compiler.py``: makes the engine's own file from the verified ONNX graph."""

    graph_engine: str
    """The engine that runs the graph until then."""

    def skips(self, options: Any) -> bool:
        """Whether ``options`` stop at the graph."""

    def unsupported_reason(self, options: Any) -> str | None:
        """Why this machine cannot build it, and what to do; None where it can."""

    def check(self, target: Any, options: Any) -> None:
        """Raise RequestError for options that ``target`` cannot be built with."""

    def limits(self, options: Any, front_end: FrontEnd) -> InputLimits:
        """Shapes that the file will accept."""

    def compile(self, target: Any, options: Any, front_end: FrontEnd, folder: Path) -> Compiled:
        """Replace the graph in ``folder`` by the engine's file. Raises ExportError."""

    def command_line(self, options: Any, front_end: FrontEnd) -> str:
        """How the engine's own tool builds it from the graph."""
