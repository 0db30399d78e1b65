"""The text and the tables of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from .. import figures
from ..accuracy.tajweed import SHOWN
from ..results import Report, Row, Worst
from ..wording import (
    AGREEMENT,
    agreement_cells,
    clip,
    figure_with_delta,
    megabytes,
    milliseconds,
    noise_cells,
    noise_heads,
    percent,
    points,
    recipe,
    times_baseline,
)
from .terminal import BUSY

_DEFINITIONS = {
    "load": "from the start of a process to its first transcript: interpreter, imports, reading with verification of "
    "hashes, compiling, first inference",
    "RTF": "Σ compute seconds / Σ audio seconds, with features and decoding; RTFx is its inverse",
    "time": "compute time over the baseline's for the same audio in the same round; median over the rounds",
    "p50, p90, p99": "latency that 50, 90 or 99 % of the queries did not exceed (nearest rank)",
    "samples/s": "clips per second of wall time",
    "error rate": "edits over tokens of the labels",
    "delta": "error rate minus the baseline's, in percentage points; ~ if the 95 % interval of a paired bootstrap "
    "over the recordings contains zero",
    "differ": "edit distance to the baseline's transcripts of the first level, over the length of those",
    "same": "recordings whose first level is transcribed exactly as by the baseline",
    "dB": "the same figures with white noise that far below the speech, equal for every artifact",
    "frames": "frames and levels with the same best token as the baseline",
    "scenarios": "names of MLPerf Inference: single-stream, multi-stream, offline, server",
}


def headline(report: Report, title: str) -> str:
    """Data, settings and baseline, and the best artifact by speed, size, memory and start."""
    data, settings = report.data, report.settings
    facts = (
        f"{len(report.rows)} artifacts on {escape(data.name)} ({len(data.recordings)} recordings, "
        f"{sum(data.seconds) / 60:.1f} minutes), {settings.rounds} rounds of fresh processes, "
        f"{escape(report.started.replace('T', ' '))}, baseline <b>{escape(report.baseline)}</b>."
    )
    return f"<header><h1>{escape(title)}</h1><p>{facts}</p>{_cards(report)}{_warning(report)}</header>"


def failures(report: Report) -> str:
    """Failed artifacts with their reasons."""
    lines = [
        f"<li><b>{escape(row.name)}</b>: {escape(row.failure)}</li>" for row in report.rows if row.failure is not None
    ]
    return f'<section class="failed"><h2>Failed</h2><ul>{"".join(lines)}</ul></section>' if lines else ""


def main_table(report: Report) -> str:
    """One line per artifact."""
    rows = [row for row in report.rows if row.failure is None]
    if not rows:
        return ""
    level = next((next(iter(row.accuracy.levels)) for row in rows if row.accuracy), "")
    heads = ["artifact", "MB", "load s", "cold s", "peak MB", "RTF", "time", "p50 ms", "p90 ms", "p99 ms"]
    heads += [f"{level} %", "delta", "levels %", "delta", *AGREEMENT, "frames %"]
    noise = report.settings.noise_db
    heads += [] if noise is None else noise_heads(noise)
    words = any(row.accuracy and row.accuracy.words for row in rows)
    heads += [*(["WER %", "CER %"] if words else []), "target, method"]
    return _section("Figures", _table(heads, [_line(row, report, words) for row in rows], sortable=True))


def tajweed(report: Report) -> str:
    """Figures of qdat_bench; empty for other data."""
    rows = [row for row in report.rows if row.tajweed]
    if not rows:
        return ""
    lines = [[row.name, *(figure_with_delta(row.tajweed[name]) for name in SHOWN)] for row in rows]
    return _section("Tajweed", _table(["artifact", *SHOWN.values()], lines, sortable=True))


def scenarios(report: Report) -> str:
    """One line per scenario, clip length, thread count, batch size and artifact; empty if there is one setting."""
    keys = {figures.key(speed) for row in report.rows for speed in row.speeds}
    if len(keys) < 2:
        return ""
    heads = ["artifact", "scenario", "clips", "threads", "batch", "RTF", "time", "p50 ms", "p90 ms", "p99 ms"]
    heads += [
        "samples/s",
        "RTFx",
        *(["queries/s"] if any(key.scenario == "server" for key in keys) else []),
        "peak MB",
    ]
    lines = []
    for row in report.rows:
        for speed in row.speeds:
            server = speed.scenario == "server"
            cells = [row.name, speed.scenario, clip(speed), str(speed.threads), str(speed.batch)]
            cells += [f"{figures.rtf(speed.queries):.4f}", times_baseline(speed, report)]
            cells += [milliseconds(figures.latency(speed, rank)) for rank in (50, 90, 99)]
            cells += (
                ["", ""] if server else [f"{figures.throughput(speed):.1f}", f"{figures.throughput_rtfx(speed):.0f}"]
            )
            if "queries/s" in heads:
                rate = figures.sustained_rate(speed)
                cells.append("" if rate is None else f"{rate:.1f}")
            lines.append([*cells, megabytes(speed.peak_rss_bytes)])
    return _section("Scenarios", _table(heads, lines, sortable=True))


def worst(report: Report) -> str:
    """For each artifact the recordings with the largest loss, aligned with label and baseline."""
    blocks = []
    for row in report.rows:
        lost = [case for case in row.accuracy.worst if case.edits > case.baseline_edits] if row.accuracy else []
        if lost:
            cases = "".join(map(_case, lost[:3]))
            blocks.append(f"<details><summary>{escape(row.name)}: {len(lost)} recordings</summary>{cases}</details>")
    if not blocks:
        return ""
    return _section(
        "Worst recordings", "<p>Recordings with the largest loss against the baseline.</p>" + "".join(blocks)
    )


def environment(report: Report) -> str:
    """The machine and its software."""
    machine = report.environment
    lines = [
        ("processor", f"{machine.processor}, {machine.cores} cores"),
        ("CPU flags", " ".join(machine.flags) or "none of the relevant ones"),
        ("governor", machine.governor or "unknown"),
        ("memory", f"{machine.memory_bytes / 1e9:.1f} GB"),
        *(("GPU", f"{gpu.name}, driver {gpu.driver}, {gpu.memory_bytes / 1e9:.0f} GB") for gpu in machine.gpus),
        ("load average before", f"{machine.load_average:.2f}"),
        ("idle share", f"{percent(machine.idle_share, 0)} % of the cores' time"),
        ("system", machine.system),
        ("Python", machine.python),
        ("qasr", report.qasr_version),
        *machine.libraries.items(),
        *machine.variables.items(),
        ("data", f"{report.data.name}, SHA-256 {report.data.sha256[:16]}…"),
        ("took", f"{report.wall_seconds / 60:.1f} minutes"),
    ]
    body = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in lines)
    return _section("Environment", f'<div class="scroll"><table class="facts">{body}</table></div>')


def definitions() -> str:
    """Definitions of the figures."""
    return _section(
        "Definitions",
        "<dl>"
        + "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in _DEFINITIONS.items())
        + "</dl>",
    )


def _cards(report: Report) -> str:
    rows = [row for row in report.rows if row.failure is None]
    cards = []
    timed = [(figures.rtf(speed.queries), row, speed) for row in rows if (speed := figures.main_speed(row))]
    if timed:
        _, row, speed = min(timed, key=lambda entry: entry[0])
        cards.append(
            (
                "fastest",
                row,
                f"RTF {figures.rtf(speed.queries):.4f}, {times_baseline(speed, report)} the baseline's time",
            )
        )
    if rows:
        small = min(rows, key=lambda row: row.size_bytes)
        cards.append(("smallest", small, f"{megabytes(small.size_bytes)} MB"))
        lean = min(rows, key=figures.peak_rss_bytes)
        cards.append(("least memory", lean, f"{megabytes(figures.peak_rss_bytes(lean))} MB peak"))
        quick = min(rows, key=figures.warm_load_seconds)
        cards.append(("quickest start", quick, f"{figures.warm_load_seconds(quick):.2f} s to the first transcript"))
    parts = (
        f'<div class="card"><span>{escape(what)}</span><b>{escape(row.name)}</b><span>{escape(why)}</span></div>'
        for what, row, why in cards
    )
    return f'<div class="cards">{"".join(parts)}</div>'


def _warning(report: Report) -> str:
    share = report.environment.idle_share
    if share >= BUSY:
        return ""
    taken = percent(1 - share, 0)
    return f'<p class="warning">Other programs used {taken} % of the machine meanwhile: trust ratios, not times.</p>'


def _line(row: Row, report: Report, words: bool) -> list[str]:
    speed, accuracy = figures.main_speed(row), row.accuracy
    cold = figures.cold_load_seconds(row)
    cells = [
        row.name,
        megabytes(row.size_bytes),
        f"{figures.warm_load_seconds(row):.2f}",
        "" if cold is None else f"{cold:.2f}",
        megabytes(figures.peak_rss_bytes(row)),
    ]
    if speed is None:
        cells += [""] * 5
    else:
        cells += [f"{figures.rtf(speed.queries):.4f}", times_baseline(speed, report)]
        cells += [milliseconds(figures.latency(speed, rank)) for rank in (50, 90, 99)]
    if accuracy is None:
        cells += [""] * 7
    else:
        agreement = accuracy.argmax_agreement
        cells += [
            percent(accuracy.first.rate),
            points(accuracy.first_delta),
            percent(accuracy.mean, 3),
            points(accuracy.mean_delta),
            *agreement_cells(accuracy),
            "" if agreement is None else percent(agreement),
        ]
    cells += [] if report.settings.noise_db is None else noise_cells(row.noisy)
    if words:
        both = (accuracy.words, accuracy.characters) if accuracy else (None, None)
        cells += [percent(errors.rate) if errors else "" for errors in both]
    return [*cells, recipe(row)]


def _case(case: Worst) -> str:
    """Three aligned lines; tokens that differ from the reference are marked."""
    lines = []
    for who, tokens in (("label", case.reference), ("baseline", case.baseline), ("artifact", case.candidate)):
        cells = "".join(
            f"<td{'' if token == expected else ' class=wrong'}>{escape(token) or '&minus;'}</td>"
            for token, expected in zip(tokens, case.reference, strict=True)
        )
        lines.append(f'<tr><th dir="ltr">{who}</th>{cells}</tr>')
    title = f"{escape(case.recording)}, {escape(case.level)}: {case.edits} edits, the baseline {case.baseline_edits}"
    return f'<p>{title}</p><div class="scroll" dir="rtl"><table class="aligned">{"".join(lines)}</table></div>'


def _table(heads: Sequence[str], lines: Iterable[Sequence[str]], *, sortable: bool = False) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in lines)
    kind = ' class="sortable"' if sortable else ""
    return f'<div class="scroll"><table{kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"
