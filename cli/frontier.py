"""``qexport --explain`` of mixed precision: the frontier, and which layers kept more bits and why."""

from __future__ import annotations

import math
import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from ..errors import MissingExtraError, QasrError

if TYPE_CHECKING:
    from ..quantizers.search.mixed import MixtureSearch, Point

_WIDTH, _HEIGHT = 72, 14


def check_plot(plot: Path | None) -> None:
    """Raise MissingExtraError or QasrError where a requested plot cannot be drawn or written."""
    if plot is None:
        return
    if find_spec("plotly") is None:
        raise MissingExtraError("plotly", "bench")
    existed = os.path.lexists(plot)
    try:
        # Tried, since more than permissions decides: the search before it takes minutes.
        plot.open("ab").close()
    except FileNotFoundError:
        raise QasrError(f"{plot}: no folder {plot.parent} to write it to; make it first") from None
    except OSError as error:
        raise QasrError(f"{plot}: cannot be written ({error.strerror}); choose another path for --plot") from None
    if not existed:
        plot.unlink()


def show_mixture(search: MixtureSearch, plot: Path | None) -> None:
    """Print it on stdout, and write the page to ``plot``."""
    console = Console(highlight=False, markup=False)
    console = console if console.is_terminal else Console(width=200, highlight=False, markup=False)
    console.print(_frontier_table(search))
    console.print(_text_plot(search))
    console.print(_layer_table(search))
    console.print(_reason(search))
    if plot is not None:
        _write_page(search, plot)


def _frontier_table(search: MixtureSearch) -> Table:
    table = Table(
        "", "size, MB", "KL predicted", "points lost", "± error", "disagreement, %", *search.formats, box=None
    )
    if search.timed:
        table.add_column("products, ms")
    for point in _shown(search):
        measured = point.measured
        counts = [str(point.choice.formats.count(index)) for index in range(len(search.formats))]
        table.add_row(
            "→" if point.choice == search.chosen.choice else "",
            f"{point.bytes / 1e6:.2f}",
            f"{point.choice.loss:.1e}",
            f"{measured.points:+.3f}" if measured else "",
            f"{measured.error:.3f}" if measured else "",
            f"{measured.disagreement:.3f}" if measured else "",
            *counts,
            *([f"{1e3 * point.choice.seconds:.2f}"] if search.timed else []),
        )
    return table


def _shown(search: MixtureSearch) -> list[Point]:
    """Measured points, the chosen one, and every fourth of the others, the largest first."""
    points = [point for index, point in enumerate(search.points) if point.measured is not None or index % 4 == 0]
    if all(point.choice != search.chosen.choice for point in points):
        points.append(search.chosen)
    return sorted(points, key=lambda point: -point.bytes)


def _text_plot(search: MixtureSearch) -> str:
    """Predicted KL (logarithmic, upwards) over size."""
    points = [
        (point.bytes, math.log10(point.choice.loss), "o" if point.measured else "·") for point in _visible(search)
    ]
    if not points:
        return ""
    points.append((search.chosen.bytes, math.log10(max(search.chosen.choice.loss, 1e-12)), "#"))
    xs, ys = [point[0] for point in points], [point[1] for point in points]
    left, right, low, high = min(xs), max(xs), min(ys), max(ys)
    rows = [[" "] * _WIDTH for _ in range(_HEIGHT)]
    for x, y, sign in points:
        column = round((x - left) / max(right - left, 1) * (_WIDTH - 1))
        row = round((high - min(max(y, low), high)) / max(high - low, 1e-9) * (_HEIGHT - 1))
        rows[row][column] = sign
    labels = [f"{10**high:8.1e} ", *[" " * 9] * (_HEIGHT - 2), f"{10**low:8.1e} "]
    lines = [f"{label}|{''.join(row)}" for label, row in zip(labels, rows, strict=True)]
    axis = f"{left / 1e6:.2f} MB".ljust(_WIDTH - 12) + f"{right / 1e6:.2f} MB".rjust(12)
    return "\n".join(
        ["", "KL predicted (nats a frame, all levels) over size; o measured, # chosen", *lines, " " * 10 + axis, ""]
    )


def _visible(search: MixtureSearch) -> list[Point]:
    """Points that a logarithmic axis can show."""
    return [point for point in search.points if point.choice.loss > 0]


def _layer_table(search: MixtureSearch) -> Table:
    """Units from the dearest to the cheapest step down."""
    table = Table("layer", "format", box=None)
    for title in ("KL alone", "edits, %", "one step down", "KL it adds", "kB it saves", "KL a MB"):
        table.add_column(title, justify="right")
    rows = []
    for index, unit in enumerate(search.units):
        own = search.chosen.choice.formats[index]
        loss = search.losses.get((unit.name, search.formats[own]))
        alone = (f"{loss.divergence:.1e}", f"{100 * loss.disagreement:.2f}") if loss else ("0", "0")
        step = _step_down(search, index)
        figures = (
            (search.formats[own + 1], f"{step[0]:.1e}", f"{step[1] / 1e3:.1f}", f"{_price(step):.2g}")
            if step
            else ("-", "", "", "")
        )
        rows.append((_price(step) if step else -1.0, (unit.name, search.formats[own], *alone, *figures)))
    for _, cells in sorted(rows, key=lambda row: -row[0]):
        table.add_row(*cells)
    return table


def _step_down(search: MixtureSearch, index: int) -> tuple[float, float] | None:
    """What a unit would lose and save with the next format; None for the last."""
    own, problem = search.chosen.choice.formats[index], search.problem
    if own + 1 == len(search.formats):
        return None
    return (
        float(problem.losses[index, own + 1] - problem.losses[index, own]),
        float(problem.bytes[index, own] - problem.bytes[index, own + 1]),
    )


def _price(step: tuple[float, float]) -> float:
    return 1e6 * step[0] / max(step[1], 1.0)


def _reason(search: MixtureSearch) -> str:
    high = [unit for index, unit in enumerate(search.units) if _step_down(search, index)]
    measured = search.chosen.measured
    against = "labels" if search.labelled else "the float model's transcripts"
    lost = f"{measured.points:+.3f} ± {measured.error:.3f} points against {against}" if measured else "not measured"
    text = f"Chosen: {search.chosen.bytes / 1e6:.2f} MB, {lost} on the calibration audio."
    smaller = [point for point in search.points if point.bytes < search.chosen.bytes]
    if not high or not smaller:
        return f"{text} Every layer has the lowest format."
    following = smaller[0].measured
    return (
        f"{text} {len(high)} of {len(search.units)} stay above {search.formats[-1]}, the first rows, where a step down "
        f"adds most KL for what it saves. The frontier's next point, {smaller[0].bytes / 1e6:.2f} MB, "
        + (f"loses {following.points:+.3f} ± {following.error:.3f} points." if following else "was not measured.")
    )


def _write_page(search: MixtureSearch, path: Path) -> None:
    import plotly.graph_objects as go

    figure = go.Figure()
    for name, points in (
        ("frontier", _visible(search)),
        ("measured", [point for point in _visible(search) if point.measured]),
        ("chosen", [search.chosen]),
    ):
        figure.add_scatter(
            x=[point.bytes / 1e6 for point in points],
            y=[point.choice.loss for point in points],
            mode="lines+markers" if name == "frontier" else "markers",
            marker={"size": 6 if name == "frontier" else 12},
            name=name,
            text=[f"{point.measured.points:+.3f} points" if point.measured else "not measured" for point in points],
            hovertemplate="%{x:.2f} MB<br>KL %{y:.1e}<br>%{text}<extra></extra>",
        )
    figure.update_xaxes(title="size of the artifact, MB")
    figure.update_yaxes(title="KL divergence predicted, nats a frame", type="log")
    figure.update_layout(title="Formats by layer: size and loss")
    figure.write_html(path, include_plotlyjs=True)
