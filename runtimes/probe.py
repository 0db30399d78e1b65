"""``python -m qasr.runtimes.probe``: run an artifact on given inputs in this fresh process, and report what executed.

The exporter compares the logits with those of its torch model. It starts this module by name and never imports it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from ..artifacts import Artifact, decode, read
from ..errors import QasrError
from .engine import load_engine
from .options import EngineOptions


def probe(artifact: Artifact, inputs: Path, outputs: Path, options: EngineOptions) -> dict[str, Any]:
    """Write logits for every ``inputs_i`` (B, T, …) and ``lengths_i`` (B,) of ``inputs``, and return the report.

    The logits are the arrays ``logits_i_LEVEL`` (B, T', V) of ``outputs``.
    """
    started = time.perf_counter()
    engine = load_engine(artifact, options)
    load_seconds = time.perf_counter() - started
    logits: dict[str, Any] = {}
    with np.load(inputs) as arrays:
        for index in range(len(arrays.files) // 2):
            levels = engine.infer(arrays[f"inputs_{index}"], arrays[f"lengths_{index}"])
            logits |= {f"logits_{index}_{level}": value for level, value in levels.items()}
    executed = engine.kernels()
    engine.close()
    np.savez(outputs, **logits)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kibibytes on Linux, bytes on macOS.
    return {
        "load_seconds": load_seconds,
        "peak_rss_bytes": peak if sys.platform == "darwin" else peak * 1024,
        "kernels": executed,
    }


def main() -> None:
    """Read the command line, probe, and print the report as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path, help="Folder of the artifact.")
    parser.add_argument("inputs", type=Path, help="An .npz file with inputs_0, lengths_0, inputs_1, …")
    parser.add_argument("outputs", type=Path, help="The .npz file to write.")
    parser.add_argument("--threads", type=int)
    parser.add_argument(
        "--manifest", type=Path, help="The manifest of an unpublished folder whose files were just hashed and trusted."
    )
    parser.add_argument("--trust-code", action="store_true", help="Run code in the artifact.")
    arguments = parser.parse_args()
    try:
        if arguments.manifest is None:
            artifact = read(arguments.artifact)
        else:
            draft = decode(arguments.manifest.read_bytes(), str(arguments.manifest))
            artifact = Artifact(arguments.artifact, draft, verified=True)
        trusted = arguments.trust_code or arguments.manifest is not None
        options = EngineOptions(threads=arguments.threads, profile=True, trust_code=trusted)
        report = probe(artifact, arguments.inputs, arguments.outputs, options)
    except QasrError as error:
        raise SystemExit(f"error: {error}") from None
    sys.stdout.write(json.dumps(report) + os.linesep)


if __name__ == "__main__":
    main()
