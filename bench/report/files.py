"""A report as files: all data as JSON, the figures as CSV, and an HTML page."""

from __future__ import annotations

import csv
import io
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import figures
from ..errors import ReportError
from ..results import Report, Row, Speed

_PERCENTILES = (50, 90, 99)


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write report.html, report.json and report.csv into ``folder``, each atomically. Raises ReportError."""
    from .page import page

    contents = {
        "report.html": page(report).encode(),
        "report.json": report.encode(),
        "report.csv": as_csv(report).encode(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [_write(folder / name, content) for name, content in contents.items()]
    except OSError as error:
        raise ReportError(f"{folder}: the report cannot be written ({error.strerror})") from None


def as_csv(report: Report) -> str:
    """One line per artifact, scenario, clip length, thread count and batch size; a failed artifact has one line."""
    lines: list[dict[str, Any]] = []
    for row in report.rows:
        lines += [_shared(row) | _measured(speed, report) for speed in row.speeds] or [_shared(row)]
    names = list(dict.fromkeys(name for line in lines for name in line))
    text = io.StringIO()
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _shared(row: Row) -> dict[str, Any]:
    line: dict[str, Any] = {
        "artifact": row.name,
        "target": row.target,
        "method": row.method,
        "failure": row.failure,
        "size_bytes": row.size_bytes or None,
    }
    if row.failure is not None or not row.processes:
        return line
    line |= {
        "warm_load_seconds": figures.warm_load_seconds(row),
        "cold_load_seconds": figures.cold_load_seconds(row),
        "peak_rss_bytes": figures.peak_rss_bytes(row),
        "peak_device_bytes": figures.peak_device_bytes(row),
    }
    accuracy = row.accuracy
    if accuracy is None:
        return line
    line |= {f"{level}_error_rate": errors.rate for level, errors in accuracy.levels.items()}
    line |= {
        "mean_error_rate": accuracy.mean,
        "word_error_rate": accuracy.words.rate if accuracy.words else None,
        "character_error_rate": accuracy.characters.rate if accuracy.characters else None,
        "disagreement": accuracy.disagreement,
        "unchanged": accuracy.unchanged,
        "argmax_agreement": accuracy.argmax_agreement,
        "logits_error": accuracy.logits_error,
    }
    for name, delta in (("first_delta", accuracy.first_delta), ("mean_delta", accuracy.mean_delta)):
        if delta is not None:
            line |= {name: delta.value, f"{name}_low": delta.low, f"{name}_high": delta.high}
    line |= {name: figure.value for name, figure in row.tajweed.items()}
    if row.noisy is not None:
        line |= {
            "noisy_error_rate": row.noisy.first.rate,
            "noisy_disagreement": row.noisy.disagreement,
            "noisy_unchanged": row.noisy.unchanged,
        }
    return line


def _measured(speed: Speed, report: Report) -> dict[str, Any]:
    base = figures.find(report.row(report.baseline), speed)
    line: dict[str, Any] = {
        "scenario": speed.scenario,
        "clip_seconds": speed.clip_seconds,
        "threads": speed.threads,
        "batch": speed.batch,
        "queries": len(speed.queries),
        "rtf": figures.rtf(speed.queries),
        "rtfx": figures.rtfx(speed.queries),
        "relative_time": figures.relative_time(speed, base) if base and figures.relative_times(speed, base) else None,
        "samples_per_second": None if speed.scenario == "server" else figures.throughput(speed),
        "sustained_queries_per_second": figures.sustained_rate(speed),
    }
    line |= {f"latency_p{rank}_seconds": figures.latency(speed, rank) for rank in _PERCENTILES}
    return line | {f"{part}_rtf": value for part, value in figures.shares(speed.queries).items()}


def _write(path: Path, content: bytes) -> Path:
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return path
