"""Building a TensorRT engine: which flavour, for which GPUs, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ...artifacts import InputLimits
from ...audio.frontends import FrontEnd
from ...gpu import cuda, tensorrt
from ...gpu.tensorrt import RTX_CAPABILITIES, Flavour
from ..errors import ExportError, RequestError
from ..onnx.files import DATA_FILE, MODEL_FILE
from ..target import Compiled
from .options import TensorRTOptions
from .targets import TensorRTTarget

graph_engine = "onnx"
"""What runs the graph before it is compiled."""

ENGINE_FILE = "model.engine"
_PORTABLE = ("8.6", "8.9", "12.0")
"""What TensorRT-RTX puts into one engine by default."""
_FIRST_WITH_FP8 = (8, 9)
_KERNELS_FROM: dict[Flavour, str] = {
    "rtx": "the engine's program: types are fixed in it, instructions are chosen by the GPU's driver at load",
    "tensorrt": "the engine's inspector",
}


def skips(options: TensorRTOptions) -> bool:
    """With ``onnx_only``."""
    return options.onnx_only


def unsupported_reason(options: TensorRTOptions) -> str | None:
    """Why no engine can be built here, and what to do; None where it can."""
    if options.flavour is None:
        if tensorrt.missing("rtx") is None or (tensorrt.missing("tensorrt") is None and cuda.capability() is not None):
            return None
        return (
            "no TensorRT that can build here is installed; pip install 'qasr[tensorrt-rtx]' (Linux and Windows on x86, "
            "needs no GPU), or give --onnx-only and build elsewhere"
        )
    absent = tensorrt.missing(options.flavour)
    if absent is not None:
        return (
            f"{absent} is not installed; {tensorrt.INSTALL[options.flavour]}, or give --onnx-only and build elsewhere"
        )
    if options.flavour == "tensorrt" and cuda.capability() is None:
        return (
            "TensorRT builds engines on the GPU that runs them, and this machine has none; use --flavour rtx, "
            "or give --onnx-only and build elsewhere"
        )
    return None


def check(target: TensorRTTarget, options: TensorRTOptions) -> None:
    """Raise RequestError for GPUs that cannot be built for."""
    capabilities_for(target, choose(options), options)


def limits(options: TensorRTOptions, front_end: FrontEnd) -> InputLimits:
    """The optimization profile's smallest and largest shapes."""
    least, _, most = _frames(options, front_end)
    return InputLimits(min_frames=least, max_frames=most, max_batch=options.max_batch)


def compile(  # noqa: A001
    target: TensorRTTarget, options: TensorRTOptions, front_end: FrontEnd, folder: Path
) -> Compiled:
    """Replace ``model.onnx`` in ``folder`` by ``model.engine``. Raises ExportError with TensorRT's own reason."""
    flavour = choose(options)
    capabilities = capabilities_for(target, flavour, options)
    plan = {
        "flavour": flavour,
        "onnx": str(folder / MODEL_FILE),
        "engine": str(folder / ENGINE_FILE),
        "capabilities": capabilities,
        "profile": profile(options, front_end),
        "workspace_bytes": options.workspace_bytes,
        "timing_cache": None if flavour == "rtx" else str(folder.parent / "tensorrt-timing.cache"),
    }
    report = _in_a_fresh_process(plan)
    for name in (MODEL_FILE, DATA_FILE):
        (folder / name).unlink(missing_ok=True)
    runs_here = cuda.capability() in capabilities
    execution = {
        "flavour": flavour,
        "tensorrt": report["version"],
        "compute_capabilities": " ".join(capabilities),
        "kernels_from": _KERNELS_FROM[flavour],
        "frames": " ".join(map(str, _frames(options, front_end))),
        "batch": f"1 1 {options.max_batch}",
        "verified": "the engine, on this GPU" if runs_here else "its graph, under ONNX Runtime on a CPU",
        **{name: str(report[name]) for name in ("weight_bytes", "scratch_bytes") if report[name] is not None},
    }
    return Compiled(execution, report["kernels"], runs_here=runs_here)


def profile(options: TensorRTOptions, front_end: FrontEnd) -> dict[str, list[list[int]]]:
    """Shapes of each input: the smallest, the one to tune for, the largest."""
    batches = (1, 1, options.max_batch)
    inputs, lengths = front_end.input_names
    frames = _frames(options, front_end)
    return {
        inputs: [list(front_end.shape(batch, count)) for batch, count in zip(batches, frames, strict=True)],
        lengths: [[batch] for batch in batches],
    }


def command_line(options: TensorRTOptions, front_end: FrontEnd) -> str:
    """How ``trtexec`` builds the same engine from ``model.onnx``."""
    shapes = profile(options, front_end)
    given = " ".join(
        f"--{name}Shapes=" + ",".join(f"{key}:{'x'.join(map(str, values[index]))}" for key, values in shapes.items())
        for index, name in enumerate(("min", "opt", "max"))
    )
    return f"trtexec --onnx={MODEL_FILE} --stronglyTyped {given} --saveEngine={ENGINE_FILE}"


def _frames(options: TensorRTOptions, front_end: FrontEnd) -> tuple[int, int, int]:
    seconds = (options.min_seconds, options.opt_seconds, options.max_seconds)
    least, typical, most = (max(1, round(value * front_end.frames_per_second)) for value in seconds)
    return least, typical, most


def choose(options: TensorRTOptions) -> Flavour:
    """The requested flavour; by default TensorRT itself where it is installed and has a GPU to build on."""
    if options.flavour is not None:
        return options.flavour
    return "tensorrt" if tensorrt.missing("tensorrt") is None and cuda.capability() is not None else "rtx"


def capabilities_for(target: TensorRTTarget, flavour: Flavour, options: TensorRTOptions) -> list[str]:
    """GPUs to build for. Raises RequestError for those that the flavour or the target's types do not support."""
    here = cuda.capability()
    requested = list(options.compute_capabilities)
    if flavour == "tensorrt":
        if requested and requested != [here]:
            raise RequestError(
                f"TensorRT builds for the GPU that is here ({here}), not for {', '.join(requested)}; use --flavour rtx",
                option="--compute-capability",
            )
        return [here] if here else []
    unknown = [one for one in requested if one not in RTX_CAPABILITIES]
    if unknown:
        raise RequestError(
            f"TensorRT-RTX does not build for compute capability {', '.join(unknown)}; "
            f"it supports {', '.join(RTX_CAPABILITIES)}",
            option="--compute-capability",
        )
    chosen = requested or ([here] if here in RTX_CAPABILITIES else list(_PORTABLE))
    able = [one for one in chosen if not target.fp8 or tuple(map(int, one.split("."))) >= _FIRST_WITH_FP8]
    if not able or (requested and able != requested):
        lacking = ", ".join(one for one in chosen if one not in able)
        raise RequestError(
            f"GPUs of compute capability {lacking} do not multiply FP8; take 8.9 or later, or tensorrt-int8",
            option="--compute-capability",
        )
    return able


def _in_a_fresh_process(plan: dict[str, Any]) -> dict[str, Any]:
    """TensorRT names its tensors by addresses and counters: they repeat only in a fresh process."""
    command = [sys.executable, "-P", "-m", f"{__package__}.build"]
    done = subprocess.run(command, input=json.dumps(plan), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in done.stderr.strip().splitlines() if line]
        reason = lines[-1] if lines else f"its process ended with {done.returncode}"
        raise ExportError(f"TensorRT built no engine ({reason.removeprefix('error: ')})")
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report
