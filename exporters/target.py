"""What a target is, and what its exporter and its compiler are asked for. It can be read without torch."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

from ..artifacts import Precision
from ..errors import MissingExtraError
from ..version import installed
from .build import BuildOptions, Compiled, Shapes
from .errors import UnknownTargetError

if TYPE_CHECKING:
    from ..models import DeployableCTC


class Exporter(Protocol):
    """Writes one engine's files."""

    def write(self, model: DeployableCTC, target: Target, folder: Path) -> Precision:
        """Write the engine's files into ``folder`` and return what was counted in them (``kernels`` still empty).

        Raises ExportError for a layer whose scheme the engine cannot express.
        """

    def integer_kernels(self, kernels: Mapping[str, int]) -> int:
        """How many of the executed ``kernels`` (as the runtime reads them back) take quantized weights as integers."""


class Compiler(Protocol):
    """Makes an engine's own file of the ONNX graph that an exporter has written."""

    def obstacle(self, options: BuildOptions) -> str | None:
        """Why this machine cannot build what is asked for, and what to do, or None."""

    def compile(self, target: Target, options: BuildOptions, shapes: Shapes, folder: Path) -> Compiled:
        """Replace the graph in ``folder`` by the engine. Raises ExportError."""

    def command_line(self, shapes: Shapes) -> str:
        """How the engine's own tool builds it from the graph."""


@dataclass(frozen=True)
class Target:
    """What ``--to`` can name."""

    name: str
    precision: str
    engine: str
    module: str
    """Module of this package that holds the engine's ``exporter``."""
    libraries: tuple[str, ...]
    """Top-level modules that building and running need."""
    extra: str
    methods: tuple[str, ...] = ()
    """Techniques, the default first; none where nothing is quantized."""
    dtype: Literal["float32", "float16"] = "float32"
    """Type of what is not quantized."""
    storage: Literal["float32", "float16"] = "float32"
    """Type in which float weights are stored; they are widened to ``dtype`` when it is loaded."""
    tolerance: float = 1e-4
    """Relative error of the logits allowed between the artifact and its torch model."""
    runs_on: str = ""
    execution: Mapping[str, str] = field(default_factory=dict)
    """How the engine has to be set up; goes into the manifest."""
    outputs: bool = False
    """Static schemes round the layers' outputs too."""
    bits: int = 8
    """Of the weights; below 8 they lie in groups."""
    group_size: int | None = None
    """Inputs that share a scale, unless the user says otherwise; None: all of an output channel."""
    symmetric: bool = True
    """Zero points in the middle of the codes."""
    two_level: bool = False
    """Group scales are whole multiples of a channel's."""
    exclude: tuple[str, ...] = ()
    """Layers that the format cannot hold, by glob: they stay in float."""
    activation: Literal["none", "grouped", "static"] = "none"
    """What weight techniques leave of the layers' inputs; see ``quantizers.Options``."""
    values: Literal["int", "e4m3"] = "int"
    """What weights and inputs of quantized layers are rounded to."""
    symmetric_inputs: bool = False
    """Static ranges are symmetric; the engine knows no zero points."""
    formats: tuple[str, ...] = ()
    """Formats among which each layer gets one, its float first, then from most to fewest bits; none: all get one."""
    compiler: str | None = None
    """Module that makes the engine's file of the ONNX graph, once that has been verified."""
    rounds_to_bf16: bool = False
    """The engine computes in bf16, or its kernels round to it on the way."""
    integer: bool = False
    """Every quantized layer has to be executed by a kernel that takes its weights as integers."""

    def missing(self) -> str | None:
        """The first library that is not installed here, or None."""
        return next((library for library in self.libraries if not installed(library)), None)

    def method(self, name: str | None) -> str | None:
        """The technique to use: ``name`` where this target knows it, else its default; UnknownTargetError."""
        if name is None:
            return self.methods[0] if self.methods else None
        if name in self.methods:
            return name
        if not self.methods:
            raise UnknownTargetError(f"{self.name} quantizes nothing, so it takes no method")
        there = ", ".join(self.methods)
        from .targets import TARGETS

        if any(name in target.methods for target in TARGETS.values()):
            raise UnknownTargetError(
                f"{self.name}: the engine cannot express what the method {name!r} makes; it takes {there}"
            )
        raise UnknownTargetError(f"{self.name} has no method {name!r}; it has {there}")

    def exporter(self) -> Exporter:
        """The engine's exporter; MissingExtraError where a library that it needs is not installed."""
        absent = self.missing()
        if absent is not None:
            raise MissingExtraError(absent, self.extra)
        module = importlib.import_module(f".{self.module}.writer", __package__)
        return cast(Exporter, module)

    def cannot_compile(self, options: BuildOptions) -> str | None:
        """Why the engine's file cannot be built here, and what to do; None where it can, or where there is none."""
        return None if self.compiler is None or options.onnx_only else self._compiler().obstacle(options)

    def compile(self, options: BuildOptions, shapes: Shapes, folder: Path) -> Compiled:
        """See ``Compiler.compile``."""
        return self._compiler().compile(self, options, shapes, folder)

    def command_line(self, shapes: Shapes) -> str:
        """See ``Compiler.command_line``."""
        return self._compiler().command_line(shapes)

    def _compiler(self) -> Compiler:
        return cast(Compiler, importlib.import_module(f".{self.compiler}", __package__))
