"""The table of targets: the one place where their names stand. It can be read without torch."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

from ..artifacts import Precision
from ..errors import MissingExtraError
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
    integer: bool = False
    """Every quantized layer has to be executed by a kernel that takes its weights as integers."""

    def missing(self) -> str | None:
        """The first library that is not installed here, or None."""
        return next((library for library in self.libraries if not _installed(library)), None)

    def method(self, name: str | None) -> str | None:
        """The technique to use: ``name`` where this target knows it, else its default; UnknownTargetError."""
        if name is None:
            return self.methods[0] if self.methods else None
        if name in self.methods:
            return name
        if not self.methods:
            raise UnknownTargetError(f"{self.name} quantizes nothing, so it takes no method")
        there = ", ".join(self.methods)
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
        module = importlib.import_module(f".{self.module}", __package__)
        return cast(Exporter, module)


def _installed(library: str) -> bool:
    try:
        return importlib.util.find_spec(library) is not None
    except ModuleNotFoundError:  # the package that it is a part of
        return False


_BUILD = ("torch", "transformers", "onnx", "onnxscript")
_ONNX = (*_BUILD, "onnxruntime")
_ONNX_RUNS_ON = "ONNX Runtime: any CPU, CUDA"
_OPENVINO = (*_BUILD, "openvino")
_OPENVINO_RUNS_ON = "OpenVINO: x86 and ARM CPUs"
_FEW_BITS = ("gptq", "awq", "mse", "rtn")

# The tolerance of INT8 rows is the least that is allowed: a deep model is allowed its own rounding noise, see
# ``verify.tolerance``.
TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("onnx-fp32", "fp32", "onnx", "onnx", _ONNX, "export", runs_on=_ONNX_RUNS_ON),
        # ONNX Runtime and torch round to fp16 at different places of the graph.
        Target(
            "onnx-fp16",
            "fp16",
            "onnx",
            "onnx",
            _ONNX,
            "export",
            dtype="float16",
            tolerance=2e-2,
            runs_on="ONNX Runtime: CUDA; on CPUs it computes in fp32",
        ),
        Target(
            "onnx-int8",
            "int8",
            "onnx",
            "onnx",
            _ONNX,
            "export",
            methods=("static", "dynamic", "smoothquant"),
            tolerance=1e-2,
            runs_on="ONNX Runtime: CPUs with VNNI or NEON dot products, CUDA",
            integer=True,
        ),
        *(
            Target(
                f"onnx-int{bits}",
                f"int{bits}",
                "onnx",
                "onnx",
                _ONNX,
                "export",
                methods=_FEW_BITS,
                bits=bits,
                group_size=64,
                symmetric=False,
                activation="grouped",
                tolerance=1e-2,
                runs_on=_ONNX_RUNS_ON,
                integer=True,
            )
            for bits in (4, 2)
        ),
        Target(
            "openvino-fp16",
            "fp16",
            "openvino",
            "openvino",
            _OPENVINO,
            "export",
            storage="float16",
            runs_on=f"{_OPENVINO_RUNS_ON}, which compute in fp32",
            execution={"precision": "fp32"},
        ),
        Target(
            "openvino-bf16",
            "bf16",
            "openvino",
            "openvino",
            _OPENVINO,
            "export",
            storage="float16",
            runs_on=f"{_OPENVINO_RUNS_ON} with bf16",
            execution={"precision": "bf16"},
        ),
        Target(
            "openvino-int8",
            "int8",
            "openvino",
            "openvino",
            _OPENVINO,
            "export",
            methods=("static", "smoothquant"),
            tolerance=1e-2,
            runs_on=f"{_OPENVINO_RUNS_ON} with VNNI and bf16",
            execution={"precision": "bf16"},
            integer=True,
        ),
        Target(
            "openvino-int8-weights",
            "int8-weights",
            "openvino",
            "openvino",
            _OPENVINO,
            "export",
            methods=("rtn",),
            runs_on=f"{_OPENVINO_RUNS_ON} with bf16",
            execution={"precision": "bf16"},
            integer=True,
        ),
        Target(
            "openvino-int4",
            "int4",
            "openvino",
            "openvino",
            _OPENVINO,
            "export",
            methods=_FEW_BITS,
            storage="float16",
            bits=4,
            group_size=64,
            symmetric=False,
            activation="grouped",
            tolerance=1e-2,
            runs_on=f"{_OPENVINO_RUNS_ON} with bf16",
            execution={"precision": "bf16"},
            integer=True,
        ),
        Target(
            "openvino-int2",
            "int2",
            "openvino",
            "openvino",
            _OPENVINO,
            "export",
            methods=_FEW_BITS,
            storage="float16",
            bits=2,
            group_size=64,
            symmetric=False,
            runs_on=f"{_OPENVINO_RUNS_ON} with bf16",
            execution={"precision": "bf16"},
            integer=True,
        ),
        # 4 bits on disk, which are multiplied as the 8-bit integers that they stand for.
        Target(
            "openvino-w4a8",
            "w4a8",
            "openvino",
            "openvino",
            _OPENVINO,
            "export",
            methods=_FEW_BITS,
            bits=4,
            group_size=64,
            two_level=True,
            activation="static",
            tolerance=1e-2,
            runs_on=f"{_OPENVINO_RUNS_ON} with VNNI and bf16",
            execution={"precision": "bf16"},
            integer=True,
        ),
        Target(
            "torchscript-fbgemm",
            "int8",
            "torchscript",
            "torchscript",
            _BUILD[:2],
            "export",
            methods=("dynamic", "static", "smoothquant"),
            tolerance=1e-2,
            runs_on="torch: x86 CPUs",
            execution={"quantized_engine": "fbgemm"},
            integer=True,
        ),
        Target(
            "torchscript-qnnpack",
            "int8",
            "torchscript",
            "torchscript",
            _BUILD[:2],
            "export",
            methods=("dynamic", "static", "smoothquant"),
            tolerance=1e-2,
            runs_on="torch: ARM CPUs; slow on x86",
            execution={"quantized_engine": "qnnpack"},
            outputs=True,
            integer=True,
        ),
        *(
            Target(
                f"hf-{method}",
                "int4",
                "hf",
                "hf",
                (*_BUILD[:2], "compressed_tensors"),
                "lowbit",
                methods=(method,),
                bits=4,
                group_size=64,
                exclude=("*.pointwise1", "*.pointwise2"),
                storage="float16",
                runs_on="transformers with compressed-tensors: any CPU, CUDA; a storage format, computed in float",
                execution={"format": "compressed-tensors"},
                integer=True,
            )
            for method in ("gptq", "awq")
        ),
        *(
            Target(
                f"hf-bnb-{precision}",
                precision,
                "hf",
                "hf",
                (*_BUILD[:2], "bitsandbytes", "accelerate"),
                "lowbit",
                methods=(method,),
                exclude=("*.pointwise1", "*.pointwise2"),
                storage="float16",
                # Its CPU kernels round inputs on the way: 0.3 % of a layer's output.
                tolerance=1e-2,
                runs_on="transformers with bitsandbytes: CPUs, CUDA",
                execution={"format": "bitsandbytes"},
                integer=True,
            )
            for precision, method in (("nf4", "nf4"), ("int8", "llm-int8"))
        ),
        *(
            Target(
                f"hf-quanto-int{bits}",
                f"int{bits}",
                "hf",
                "hf",
                (*_BUILD[:2], "optimum.quanto"),
                "lowbit",
                methods=("quanto",),
                bits=bits,
                exclude=("*.pointwise1", "*.pointwise2"),
                storage="float16",
                runs_on="transformers with optimum-quanto: any CPU, CUDA",
                execution={"format": "optimum-quanto"},
                integer=True,
            )
            for bits in (8, 4, 2)
        ),
        Target(
            "torch-inc-int8",
            "int8",
            "torch",
            "torch_program",
            (*_BUILD[:2], "neural_compressor", "torchao"),
            "inc",
            methods=("inc",),
            tolerance=1e-2,
            runs_on="torch: x86 CPUs with VNNI",
            integer=True,
        ),
    )
}


def find(name: str) -> Target:
    """The target called ``name``; UnknownTargetError with the nearest names."""
    if name in TARGETS:
        return TARGETS[name]
    near = get_close_matches(name, TARGETS, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(TARGETS)}"
    raise UnknownTargetError(f"no target {name!r}; {hint}")
