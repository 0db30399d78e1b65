"""Building a TensorRT engine: which flavour, for which GPUs, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...kernels import cuda, tensorrt
from ...kernels.tensorrt import RTX_CAPABILITIES, Flavour
from ..build import BuildOptions, Compiled, Shapes
from ..errors import ExportError
from ..onnx.writer import DATA_FILE, MODEL_FILE
from ..target import Target

ENGINE_FILE = "model.engine"
_PORTABLE = ("8.6", "8.9", "12.0")
"""What it puts into one engine where nothing is asked for."""
_FIRST_WITH_FP8 = (8, 9)
_KERNELS_FROM: dict[Flavour, str] = {
    "rtx": "the engine's program: types are fixed in it, instructions are chosen by the GPU's driver at load",
    "tensorrt": "the engine's inspector",
}


def obstacle(options: BuildOptions) -> str | None:
    """Why no engine can be built here, and what to do, or None."""
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
            "TensorRT builds engines on the GPU that runs them, and there is none here; use --flavour rtx, "
            "or give --onnx-only and build elsewhere"
        )
    return None


def compile(target: Target, options: BuildOptions, shapes: Shapes, folder: Path) -> Compiled:  # noqa: A001
    """Replace ``model.onnx`` in ``folder`` by ``model.engine``. Raises ExportError with TensorRT's own reason."""
    flavour = choose(options)
    capabilities = capabilities_for(target, flavour, options)
    plan = {
        "flavour": flavour,
        "onnx": str(folder / MODEL_FILE),
        "engine": str(folder / ENGINE_FILE),
        "capabilities": capabilities,
        "shapes": asdict(shapes),
        "workspace_bytes": options.workspace_bytes,
        "timing_cache": None if flavour == "rtx" else str(folder.parent / "tensorrt-timing.cache"),
    }
    report = _in_a_fresh_process(plan)
    for name in (MODEL_FILE, DATA_FILE):
        (folder / name).unlink(missing_ok=True)
    execution = {
        "flavour": flavour,
        "tensorrt": report["version"],
        "compute_capabilities": " ".join(capabilities),
        "kernels_from": _KERNELS_FROM[flavour],
        "frames": f"{shapes.min_frames} {shapes.opt_frames} {shapes.max_frames}",
        "batch": f"1 1 {shapes.max_batch}",
        **{name: str(report[name]) for name in ("weight_bytes", "scratch_bytes") if report[name] is not None},
    }
    return Compiled(execution, report["kernels"], runs_here=cuda.capability() in capabilities)


def command_line(shapes: Shapes) -> str:
    """How ``trtexec`` builds the same engine of ``model.onnx``."""
    size = shapes.feature_size
    profile = {
        "min": (1, shapes.min_frames),
        "opt": (1, shapes.opt_frames),
        "max": (shapes.max_batch, shapes.max_frames),
    }
    given = " ".join(
        f"--{name}Shapes=features:{batch}x{frames}x{size},lengths:{batch}" for name, (batch, frames) in profile.items()
    )
    return f"trtexec --onnx={MODEL_FILE} --stronglyTyped {given} --saveEngine={ENGINE_FILE}"


def choose(options: BuildOptions) -> Flavour:
    """The flavour asked for; TensorRT itself where it is installed and there is a GPU to build on."""
    if options.flavour is not None:
        return options.flavour
    return "tensorrt" if tensorrt.missing("tensorrt") is None and cuda.capability() is not None else "rtx"


def capabilities_for(target: Target, flavour: Flavour, options: BuildOptions) -> list[str]:
    """GPUs to build for. Raises ExportError for those that the flavour or the target's types do not know."""
    here = cuda.capability()
    asked = list(options.compute_capabilities)
    if flavour == "tensorrt":
        if asked and asked != [here]:
            raise ExportError(
                f"TensorRT builds for the GPU that is here ({here}), not for {', '.join(asked)}; use --flavour rtx"
            )
        return [here] if here else []
    unknown = [one for one in asked if one not in RTX_CAPABILITIES]
    if unknown:
        raise ExportError(
            f"TensorRT-RTX does not build for compute capability {', '.join(unknown)}; "
            f"it knows {', '.join(RTX_CAPABILITIES)}"
        )
    chosen = asked or ([here] if here in RTX_CAPABILITIES else list(_PORTABLE))
    able = [one for one in chosen if target.precision != "fp8" or tuple(map(int, one.split("."))) >= _FIRST_WITH_FP8]
    if not able or (asked and able != asked):
        lacking = ", ".join(one for one in chosen if one not in able)
        raise ExportError(
            f"GPUs of compute capability {lacking} do not multiply FP8; take 8.9 or later, or tensorrt-int8"
        )
    return able


def _in_a_fresh_process(plan: dict[str, Any]) -> dict[str, Any]:
    """TensorRT names what it builds by addresses and counters: only in a fresh process are they the same again."""
    command = [sys.executable, "-m", f"{__package__}.build"]
    done = subprocess.run(command, input=json.dumps(plan), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = [line for line in done.stderr.strip().splitlines() if line]
        reason = said[-1] if said else f"its process ended with {done.returncode}"
        raise ExportError(f"TensorRT built no engine ({reason.removeprefix('error: ')})")
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report
