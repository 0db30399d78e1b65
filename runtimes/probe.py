"""``python -m qasr.runtimes.probe``: run an artifact on given features in this fresh process, and report what executed.

The exporter compares the logits with those of its torch model. It starts this module by name and never imports it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from ..artifacts import Artifact, read
from ..errors import MissingExtraError, QasrError
from .engine import Engine, EngineOptions, load_engine


def probe(folder: Path, inputs: Path, outputs: Path, threads: int | None) -> dict[str, Any]:
    """Write logits for every ``features_i`` (B, T, F) and ``lengths_i`` (B,) of ``inputs``; return the report."""
    started = time.perf_counter()
    artifact = read(folder)
    options = EngineOptions(threads=threads)
    with tempfile.TemporaryDirectory(prefix="qasr-") as scratch:
        engine, kernels = _engine(artifact, options, Path(scratch))
        load_seconds = time.perf_counter() - started
        found: dict[str, Any] = {}
        with np.load(inputs) as given:
            for index in range(len(given.files) // 2):
                logits = engine.infer(given[f"features_{index}"], given[f"lengths_{index}"])
                found |= {f"logits_{index}_{level}": value for level, value in logits.items()}
        executed = kernels()
        engine.close()
    np.savez(outputs, **found)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kibibytes on Linux, bytes on macOS.
    return {
        "load_seconds": load_seconds,
        "peak_rss_bytes": peak if sys.platform == "darwin" else peak * 1024,
        "kernels": executed,
    }


def _engine(artifact: Artifact, options: EngineOptions, scratch: Path) -> tuple[Engine, Any]:
    """The engine, and a function that counts the kernels that it has executed."""
    if artifact.manifest.engine != "onnx":
        return load_engine(artifact, options), dict
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("onnxruntime", "onnx") from None
    from .onnx import OnnxEngine

    settings = onnxruntime.SessionOptions()
    settings.enable_profiling = True
    settings.profile_file_prefix = str(scratch / "profile")
    engine = OnnxEngine(artifact, options, settings)
    return engine, lambda: _executed(Path(engine.session.end_profiling()))


def _executed(profile: Path) -> dict[str, int]:
    """Kernels by operator: each node of the optimized graph that ran, counted once; float16 ones are marked."""
    kernels: dict[str, str] = {}
    for event in json.loads(profile.read_text(encoding="utf-8")):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            arguments = event["args"]
            types = {kind for value in arguments.get("input_type_shape", []) for kind in value}
            half = ".float16" if "float16" in types else ""
            kernels[f"{event['name']} {arguments.get('node_index')}"] = arguments["op_name"] + half
    return dict(Counter(kernels.values()))


def main() -> None:
    """Read the command line, probe, and print the report as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("inputs", type=Path)
    parser.add_argument("outputs", type=Path)
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()
    try:
        report = probe(given.artifact, given.inputs, given.outputs, given.threads)
    except QasrError as error:
        raise SystemExit(f"error: {error}") from None
    sys.stdout.write(json.dumps(report) + os.linesep)


if __name__ == "__main__":
    main()
