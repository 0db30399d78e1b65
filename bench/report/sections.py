"""The parts of the page that are text and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from .. import figures
from ..results import Report, Row, Worst
from .terminal import BUSY
from .wording import clip, megabytes, milliseconds, percent, points, technique, times_baseline

_DEFINITIONS = {
    "load": "from the start of a process to its first transcript: interpreter, imports, reading (hashes verified), "
    "compiling, first inference",
    "RTF": "Σ computing seconds / Σ audio seconds, features and decoding included; RTFx is its inverse",
    "time": "computing time over the baseline's for the same audio in the same round; median over the rounds",
    "p50, p90, p99": "latency that so many of the queries did not exceed (nearest rank)",
    "samples/s": "clips over wall time",
    "error rate": "edits over tokens of the labels",
    "delta": "error rate minus the baseline's, in percentage points; ~ where the 95 % interval of a paired bootstrap "
    "over the recordings holds zero",
    "disagreement": "edits between an artifact's and the baseline's transcripts, over the length of the baseline's",
    "scenarios": "as MLPerf Inference names them: single-stream, multi-stream, offline, server",
}


def headline(report: Report, title: str) -> str:
    """What was measured, and which artifact is best at what."""
    data, settings = report.data, report.settings
    facts = (
        f"{len(report.rows)} artifacts on {escape(data.name)} ({len(data.recordings)} recordings, "
        f"{sum(data.seconds) / 60:.1f} minutes), {settings.rounds} rounds of fresh processes, "
        f"{escape(report.started.replace('T', ' '))}, baseline <b>{escape(report.baseline)}</b>."
    )
    return f"<header><h1>{escape(title)}</h1><p>{facts}</p>{_cards(report)}{_warning(report)}</header>"


def failures(report: Report) -> str:
    """Artifacts without figures, and why."""
    lines = [
        f"<li><b>{escape(row.name)}</b>: {escape(row.failure)}</li>" for row in report.rows if row.failure is not None
    ]
    return f'<section class="failed"><h2>Failed</h2><ul>{"".join(lines)}</ul></section>' if lines else ""


def main_table(report: Report) -> str:
    """One line an artifact."""
    rows = [row for row in report.rows if row.failure is None]
    if not rows:
        return ""
    level = next((next(iter(row.accuracy.levels)) for row in rows if row.accuracy), "")
    heads = ["artifact", "MB", "load s", "cold s", "peak MB", "RTF", "time", "p50 ms", "p90 ms", "p99 ms"]
    heads += [f"{level} %", "delta", "levels %", "delta", "agreement %"]
    words = any(row.accuracy and row.accuracy.words for row in rows)
    heads += [*(["WER %", "CER %"] if words else []), "technique"]
    return _section("Figures", _table(heads, [_line(row, report, words) for row in rows], sortable=True))


def scenarios(report: Report) -> str:
    """Every scenario, clip length, thread count and batch, where there are several."""
    keys = {figures.key(speed) for row in report.rows for speed in row.speeds}
    if len(keys) < 2:
        return ""
    heads = ["artifact", "scenario", "clips", "threads", "batch", "RTF", "time", "p50 ms", "p90 ms", "p99 ms"]
    heads += [
        "samples/s",
        "RTFx",
        *(["queries/s held"] if any(key.scenario == "server" for key in keys) else []),
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
            if "queries/s held" in heads:
                rate = figures.sustained_rate(speed)
                cells.append("" if rate is None else f"{rate:.1f}")
            lines.append([*cells, megabytes(speed.peak_rss_bytes)])
    return _section("Scenarios", _table(heads, lines, sortable=True))


def worst(report: Report) -> str:
    """For each artifact that lost something, the recordings where it lost most, aligned with label and baseline."""
    blocks = []
    for row in report.rows:
        lost = [case for case in row.accuracy.worst if case.edits > case.baseline_edits] if row.accuracy else []
        if lost:
            cases = "".join(map(_case, lost[:3]))
            blocks.append(f"<details><summary>{escape(row.name)}: {len(lost)} of the worst</summary>{cases}</details>")
    if not blocks:
        return ""
    return _section("Worst recordings", "<p>Where an artifact loses most against the baseline.</p>" + "".join(blocks))


def environment(report: Report) -> str:
    """Where it was measured."""
    found = report.environment
    lines = [
        ("processor", f"{found.processor}, {found.cores} cores"),
        ("CPU flags", " ".join(found.flags) or "none of those that matter"),
        ("governor", found.governor or "unknown"),
        ("memory", f"{found.memory_bytes / 1e9:.1f} GB"),
        *(("GPU", f"{gpu.name}, driver {gpu.driver}, {gpu.memory_bytes / 1e9:.0f} GB") for gpu in found.gpus),
        ("load average before", f"{found.load_average:.2f}"),
        ("left by others", f"{percent(found.idle_share, 0)} % of the cores' time"),
        ("system", found.system),
        ("Python", found.python),
        ("qasr", report.qasr_version),
        *found.libraries.items(),
        *found.variables.items(),
        ("data", f"{report.data.name}, SHA-256 {report.data.sha256[:16]}…"),
        ("took", f"{report.wall_seconds / 60:.1f} minutes"),
    ]
    body = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in lines)
    return _section("Environment", f'<div class="scroll"><table class="facts">{body}</table></div>')


def definitions() -> str:
    """What the figures mean."""
    return _section(
        "What the figures are",
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
    return f'<p class="warning">Others took {taken} % of the machine while this ran: trust ratios, not times.</p>'


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
        cells += [""] * 5
    else:
        agreement = accuracy.argmax_agreement
        cells += [
            percent(accuracy.first.rate),
            points(accuracy.first_delta),
            percent(accuracy.mean, 3),
            points(accuracy.mean_delta),
            "" if agreement is None else percent(agreement),
        ]
    if words:
        both = (accuracy.words, accuracy.characters) if accuracy else (None, None)
        cells += [percent(errors.rate) if errors else "" for errors in both]
    return [*cells, technique(row)]


def _case(case: Worst) -> str:
    """Three aligned lines; a token that is not the reference's is marked."""
    lines = []
    for who, tokens in (("label", case.reference), ("baseline", case.baseline), ("artifact", case.candidate)):
        cells = "".join(
            f"<td{'' if token == due else ' class=wrong'}>{escape(token) or '&minus;'}</td>"
            for token, due in zip(tokens, case.reference, strict=True)
        )
        lines.append(f'<tr><th dir="ltr">{who}</th>{cells}</tr>')
    said = f"{escape(case.recording)}, {escape(case.level)}: {case.edits} edits, the baseline {case.baseline_edits}"
    return f'<p>{said}</p><div class="scroll" dir="rtl"><table class="aligned">{"".join(lines)}</table></div>'


def _table(heads: Sequence[str], lines: Iterable[Sequence[str]], *, sortable: bool = False) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in lines)
    kind = ' class="sortable"' if sortable else ""
    return f'<div class="scroll"><table{kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"
