"""``python -m qasr.runtimes.probe``: run an artifact on given features in this fresh process, and report what executed.

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

from ..artifacts import read
from ..errors import QasrError
from .engine import EngineOptions, load_engine


def probe(folder: Path, inputs: Path, outputs: Path, threads: int | None) -> dict[str, Any]:
    """Write logits for every ``features_i`` (B, T, F) and ``lengths_i`` (B,) of ``inputs``; return the report."""
    started = time.perf_counter()
    artifact = read(folder)
    engine = load_engine(artifact, EngineOptions(threads=threads, profile=True))
    load_seconds = time.perf_counter() - started
    found: dict[str, Any] = {}
    with np.load(inputs) as given:
        for index in range(len(given.files) // 2):
            logits = engine.infer(given[f"features_{index}"], given[f"lengths_{index}"])
            found |= {f"logits_{index}_{level}": value for level, value in logits.items()}
    executed = engine.kernels()
    engine.close()
    np.savez(outputs, **found)
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
