"""``python -m qasr.exporters.tensorrt.build``: build one engine in this fresh process, from a plan on stdin.

Writes the engine and prints, as one line of JSON, what was read back from it.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from ...gpu.errors import GpuError
from ...gpu.tensorrt import Log, load
from .read_back import read_back

_NO_RANDOM_ADDRESSES = 0x0040000
_FIXED = "QASR_FIXED_ADDRESSES"
_WEIGHTS, _SCRATCH = re.compile(r"Total Weights Memory: (\d+) bytes"), re.compile(r"Max Scratch Memory: (\d+) bytes")


def build(plan: dict[str, Any]) -> dict[str, Any]:
    """Build ``plan["engine"]`` from ``plan["onnx"]`` and report. Raises GpuError with TensorRT's reason."""
    trt, log = load(plan["flavour"]), Log()
    logger = log.make(trt)
    builder = trt.Builder(logger)
    # TensorRT 11 has no other networks, and no flag for them.
    typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if typed is None else 1 << int(typed))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(plan["onnx"]):
        raise GpuError(f"the graph: {parser.get_error(0).desc() if parser.num_errors else log.reason()}")
    config = builder.create_builder_config()
    _configure(trt, builder, config, plan)
    cache = _timing_cache(config, plan["timing_cache"])
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise GpuError(log.reason())
    Path(plan["engine"]).write_bytes(engine)
    if cache is not None:
        Path(plan["timing_cache"]).write_bytes(config.get_timing_cache().serialize())
    messages = "\n".join(message for _, message in log.lines)
    kernels = read_back(bytes(engine))
    return {
        "version": trt.__version__,
        "kernels": kernels or _inspected(trt, logger, engine),
        "weight_bytes": _number(_WEIGHTS, messages),
        "scratch_bytes": _number(_SCRATCH, messages),
    }


def _configure(trt: Any, builder: Any, config: Any, plan: dict[str, Any]) -> None:
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if plan["flavour"] == "rtx":
        config.num_compute_capabilities = len(plan["capabilities"])
        for index, capability in enumerate(plan["capabilities"]):
            known = getattr(trt.ComputeCapability, f"SM{capability.replace('.', '')}")
            config.set_compute_capability(known, index)
    if plan["workspace_bytes"] is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, plan["workspace_bytes"])
    profile = builder.create_optimization_profile()
    for name, shapes in plan["profile"].items():
        profile.set_shape(name, *map(tuple, shapes))
    config.add_optimization_profile(profile)


def _timing_cache(config: Any, path: str | None) -> Any:
    """What earlier builds on this GPU measured, so that the next one takes seconds."""
    if path is None:
        return None
    known = Path(path).read_bytes() if Path(path).exists() else b""
    cache = config.create_timing_cache(known)
    config.set_timing_cache(cache, ignore_mismatch=False)
    return cache


def _inspected(trt: Any, logger: Any, engine: Any) -> dict[str, int]:
    """Layers by kind and input types, as the engine's inspector reports them; it needs the GPU."""
    loaded = trt.Runtime(logger).deserialize_cuda_engine(engine)
    if loaded is None:
        return {}
    report = json.loads(loaded.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON))
    counts: Counter[str] = Counter()
    for layer in report.get("Layers", []):
        if isinstance(layer, dict):
            types = [value.get("Format/Datatype", "") for value in layer.get("Inputs", [])]
            counts[f"{layer.get('LayerType', 'layer')} {' x '.join(types[:2])}".strip()] += 1
    return dict(sorted(counts.items()))


def _number(pattern: re.Pattern[str], text: str) -> int | None:
    matches = pattern.findall(text)
    return int(matches[-1]) if matches else None


def _fix_addresses() -> None:
    """Start again without random addresses, where the system allows it: the engine's bytes depend on them."""
    if sys.platform != "linux" or _FIXED in os.environ:
        return
    if ctypes.CDLL(None).personality(_NO_RANDOM_ADDRESSES) != -1:
        os.environ[_FIXED] = "1"
        os.execv(sys.executable, [sys.executable, "-P", "-m", f"{__package__}.build"])  # noqa: S606


def main() -> None:
    """Read the plan, build, report."""
    _fix_addresses()
    try:
        report = build(json.load(sys.stdin))
    except GpuError as error:
        raise SystemExit(f"error: {error}") from None
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
