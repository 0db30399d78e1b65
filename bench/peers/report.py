"""A comparison as a table in the terminal and as Markdown."""

from __future__ import annotations

from statistics import median

from rapidfuzz.distance import Levenshtein
from rich.console import Console
from rich.table import Table

from .candidates import BASELINE
from .engines import LEVEL
from .floor import ALL_LAYERS
from .results import Entry, Results

_SPINNING = 0.1


def print_report(results: Results, console: Console) -> None:
    """Print the table, the ratios and the floor."""
    header, *rows = cells(results)
    table = Table(*header, box=None)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    for line in _lines(results):
        console.print(line)


def markdown(results: Results) -> str:
    """The report as Markdown, with how each candidate was built and the machine."""
    header, *rows = cells(results)
    lines = [f"`{results.command}`", ""]
    lines += [_row(header), _row(["---"] + ["---:"] * (len(header) - 1)), *map(_row, rows), ""]
    lines += _items(_lines(results))
    lines += ["", "How the candidates were built:", ""]
    lines += _items([f"{entry.candidate.name}: {_built(entry)}" for entry in results.entries])
    lines += ["", "The machine:", ""]
    lines += _items([f"{name}: {value}" for name, value in results.environment.items()])
    return "\n".join(lines) + "\n"


def _lines(results: Results) -> list[str]:
    return [*ratio_lines(results), *floor_lines(results), *remarks(results)]


def cells(results: Results) -> list[list[str]]:
    """The header, and one row per candidate; speed-ups are over the baseline."""
    header = ["candidate"]
    for clip in results.clips:
        header += [f"{clip} s clip", "RTF", "speed-up"]
    longest = max(results.durations)
    header += [f"peak MB, {longest} s", "load s", "MB on disk", "edit distance"]
    baseline = next((entry for entry in results.alive() if entry.candidate.name == BASELINE), None)
    return [header, *(_cells(results, entry, baseline, len(header)) for entry in results.entries)]


def _cells(results: Results, entry: Entry, baseline: Entry | None, width: int) -> list[str]:
    name, outcome = entry.candidate.name, entry.outcome
    if outcome.error is not None:
        return [name, "failed"] + [""] * (width - 2)
    row = [name]
    for clip in results.clips:
        seconds, speedup = results.seconds(name, clip), results.speedup(name, BASELINE, clip)
        row += [f"{seconds:.3f} s", f"{seconds / float(clip):.4f}", _number(speedup, "{:.2f}")]
    distance = None
    if baseline is not None:
        reference = baseline.outcome.ids
        distance = 100 * Levenshtein.distance(outcome.ids, reference) / max(len(reference), 1)
    return [
        *row,
        f"{outcome.peak_bytes / 1e6:.0f}",
        f"{median(outcome.load_seconds):.2f}",
        f"{entry.bytes / 1e6:.0f}",
        _number(distance, "{:.1f} %"),
    ]


def ratio_lines(results: Results) -> list[str]:
    """The main ratios, and the load time of the fastest artifact."""
    lines = [f"{ratio.name}: {ratio.value:.2f} {ratio.what}, against {ratio.against}" for ratio in results.ratios()]
    ours = results.fastest(results.clips[0], ours=True)
    if ours is not None:
        seconds = median(ours.outcome.load_seconds)
        lines.append(f"{ours.candidate.name}: first result {seconds:.2f} s after its process was started")
    return lines


def floor_lines(results: Results) -> list[str]:
    """The floor and the rates of the libraries."""
    rates = results.floor_rates()
    if not rates:
        return ["no floor: " + "; ".join(f"{name}: {reason}" for name, reason in results.floor_missing.items())]
    (best, rate), *_ = rates.items()
    times = ", ".join(f"{results.floor_seconds(clip):.3f} s for {clip} s" for clip in results.clips)
    by_library: dict[str, float] = {}
    for product, value in rates.items():
        if product == ALL_LAYERS:
            continue
        by_library.setdefault(product.rpartition(" ")[0], value)
    others = ", ".join(f"{name} {value / 1e12:.2f}" for name, value in by_library.items())
    lines = [
        f"int8 floor: 2 * {results.parameters / 1e6:.1f} M parameters * frames at {rate / 1e12:.2f} TOP/s ({best}): "
        f"{times}",
        f"best TOP/s by library: {others}",
    ]
    alone = results.layers_seconds()
    if alone is not None:
        lines.append(
            f"the model's matrix products alone: all layers in sequence, each with its own weights "
            f"({ALL_LAYERS}): {rates[ALL_LAYERS] / 1e12:.2f} TOP/s, {alone:.3f} s for {results.clips[0]} s"
        )
    return lines + [f"not in the floor: {name} ({reason})" for name, reason in results.floor_missing.items()]


def remarks(results: Results) -> list[str]:
    """How to read the table, reasons of failures, and warnings."""
    lines = [
        f"speed-up: over {BASELINE}, median of the ratios within {results.rounds} rounds; peak MB: of a process that "
        "loads and transcribes one clip; load s: from start to first result, files in the page cache; edit distance: "
        f"of the {LEVEL} to those of {BASELINE}, over their length, which random weights exaggerate"
    ]
    for entry in results.entries:
        name, outcome = entry.candidate.name, entry.outcome
        if outcome.error is not None:
            lines.append(f"{name} failed: {outcome.error}")
        elif outcome.idle_share > _SPINNING:
            lines.append(f"warning: {name} used {outcome.idle_share:.0%} of a core while others were measured")
    return lines


def _built(entry: Entry) -> str:
    execution = entry.outcome.execution
    return f"{entry.candidate.built} ({execution})" if execution else entry.candidate.built


def _number(value: float | None, template: str) -> str:
    return "-" if value is None else template.format(value)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _items(lines: list[str]) -> list[str]:
    return [f"- {line}" for line in lines]
