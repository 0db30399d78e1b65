"""``python -m qasr.bench.table ARTIFACT...``: size, load time, memory, error rates and time of artifacts, side by side.

Every artifact runs in a process of its own, all clips one by one; rounds are interleaved, so that a machine that slows
down slows all of them. The first artifact is the baseline. Load time runs from the start of the process to its first
transcript, in the second process that loads the artifact, so that files and compiled models are where they are cached.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import click
from rapidfuzz.distance import Levenshtein
from rich.console import Console
from rich.table import Table

from .. import reference
from ..artifacts import Artifact, read
from ..errors import QasrError
from ..runtimes import Model, Transcript, load


@dataclass(frozen=True)
class Row:
    """One artifact's figures."""

    name: str
    megabytes: float
    load_seconds: float
    """From the start of a process to its first transcript."""
    peak_rss_bytes: int
    """Of the process that transcribed the recordings one by one."""
    error_rates: dict[str, float]
    """Level to edit distance over label length, 0 to 1."""
    rtf: float
    """Median over the rounds: seconds of computing (decoding and features included) per second of audio."""


_model: Model | None = None


def measure(artifacts: Sequence[Path], data: Path, rounds: int, threads: int) -> list[Row]:
    """Transcribe the labelled recordings of ``data`` ``rounds`` times with each artifact. Raises QasrError."""
    rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines() if line.strip()]
    files = [str(data.parent / row["audio"]) for row in rows]
    seconds: dict[Path, list[float]] = {artifact: [] for artifact in artifacts}
    transcripts: dict[Path, list[Transcript]] = {}
    for artifact in artifacts:
        with _process(artifact, threads) as worker:
            worker.submit(_first, files[0], time.time()).result()
    load_seconds: dict[Path, float] = {}
    peaks: dict[Path, int] = {}
    with ExitStack() as stack:
        workers = {artifact: stack.enter_context(_process(artifact, threads)) for artifact in artifacts}
        for artifact, worker in workers.items():
            load_seconds[artifact] = worker.submit(_first, files[0], time.time()).result()
            transcripts[artifact] = worker.submit(_transcribe, files).result()[1]
            peaks[artifact] = worker.submit(_peak_rss_bytes).result()
        for _ in range(rounds):
            for artifact, worker in workers.items():
                seconds[artifact].append(worker.submit(_transcribe, files).result()[0])
    audio_seconds = sum(transcript.seconds for transcript in transcripts[artifacts[0]])
    return [
        Row(
            artifact.name,
            _bytes(read(artifact, verify=False)) / 1e6,
            load_seconds[artifact],
            peaks[artifact],
            error_rates(transcripts[artifact], rows, read(artifact, verify=False)),
            median(seconds[artifact]) / audio_seconds,
        )
        for artifact in artifacts
    ]


def error_rates(
    transcripts: Sequence[Transcript], rows: Sequence[dict[str, Any]], artifact: Artifact
) -> dict[str, float]:
    """Error rate of every level that the rows label; QasrError where they label none."""
    found: dict[str, float] = {}
    for level, vocabulary in artifact.manifest.levels.items():
        distance = length = 0
        for transcript, row in zip(transcripts, rows, strict=True):
            labels = row.get(level) or (row.get("levels") or {}).get(level)
            if labels is None:
                break
            expected = tokenize(labels, vocabulary.tokens)
            got = [token.text for token in transcript.levels[level].tokens]
            distance += Levenshtein.distance(got, expected)
            length += len(expected)
        else:
            found[level] = distance / max(length, 1)
    if not found:
        raise QasrError("the data labels none of the artifact's levels")
    return found


def tokenize(text: str, vocabulary: Sequence[str]) -> list[str]:
    """A label as tokens, the longest that fits first. QasrError where none fits."""
    longest_first = sorted(vocabulary, key=len, reverse=True)
    tokens = []
    while text:
        token = next((token for token in longest_first if text.startswith(token)), None)
        if token is None:
            raise QasrError(f"the label {text[:20]!r} is not in the vocabulary")
        tokens.append(token)
        text = text[len(token) :]
    return tokens


def _process(artifact: Path, threads: int) -> ProcessPoolExecutor:
    """A process that starts with its first task, and loads the artifact."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=context, initializer=_load, initargs=(artifact, threads))


def _load(artifact: Path, threads: int) -> None:
    global _model
    _model = load(artifact, threads=threads)


def _first(file: str, started: float) -> float:
    """Seconds from ``started``, by the clock of the machine, to the transcript of ``file``."""
    assert _model is not None
    _model.transcribe(file)
    return time.time() - started


def _peak_rss_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kibibytes on Linux, bytes on macOS.
    return peak if sys.platform == "darwin" else peak * 1024


def _transcribe(files: Sequence[str]) -> tuple[float, list[Transcript]]:
    assert _model is not None
    started = time.perf_counter()
    found = [_model.transcribe(file) for file in files]
    return time.perf_counter() - started, found


def _bytes(artifact: Artifact) -> int:
    return sum(entry.bytes for entry in artifact.manifest.files.values())


@click.command("bench", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), default=reference.EVALUATION, help="Labelled JSON lines.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True)
def command(artifacts: tuple[Path, ...], data: Path, rounds: int, threads: int) -> None:
    """Print size, load time, peak memory, error rates and time of ARTIFACTS; the first is the baseline."""
    for artifact in artifacts:
        read(artifact)
    rows = measure(artifacts, data, rounds, threads)
    first = next(iter(rows[0].error_rates))
    errors = (f"{first} error %", "delta", "mean of levels %", "delta")
    table = Table("artifact", "MB", "load s", "peak MB", *errors, "RTF", "time", box=None)
    for row in rows:
        table.add_row(
            row.name,
            f"{row.megabytes:.1f}",
            f"{row.load_seconds:.2f}",
            f"{row.peak_rss_bytes / 1e6:.0f}",
            f"{100 * row.error_rates[first]:.2f}",
            f"{100 * (row.error_rates[first] - rows[0].error_rates[first]):+.2f}",
            f"{100 * _mean(row):.3f}",
            f"{100 * (_mean(row) - _mean(rows[0])):+.3f}",
            f"{row.rtf:.4f}",
            f"{row.rtf / rows[0].rtf:.2f} x",
        )
    Console(width=140).print(table)


def _mean(row: Row) -> float:
    return sum(row.error_rates.values()) / len(row.error_rates)


if __name__ == "__main__":
    try:
        command()
    except QasrError as error:
        raise SystemExit(f"error: {error}") from None
