"""A report as one self-contained HTML page: tables, plots, environment and command. It needs no network."""

from __future__ import annotations

import shlex
from html import escape
from importlib.resources import files
from typing import Any

from ..results import Report
from . import sections
from .plots import plots

# Explanations above the plots.
_CAPTIONS = {
    "Accuracy against speed": "Lower and further left is better. The area of a point is its size on disk; bars are the "
    "95 % interval of the difference from the baseline. Points with a name are Pareto-optimal in errors and speed, "
    "points with a ring in errors, speed and size.",
    "Load time": "Fresh processes with files and compiled models cached; medians. The mark is the time without caches.",
    "Peak memory": "Largest resident set of the process: interpreter, libraries, model and the engine's own memory.",
    "Latency of single queries": "All queries of all rounds: median, quartiles, whiskers at 1.5 times their distance.",
    "Error rate against length of the recording": "Five bins with equal numbers of recordings. The thick line is the "
    "baseline.",
}


def page(report: Report) -> str:
    """The page. All text from outside this project is escaped."""
    # Imported here, because plotly takes a second to import.
    from plotly.offline import get_plotlyjs

    title = f"qbench: {', '.join(dict.fromkeys(row.source for row in report.rows if row.source))}"
    body = [
        sections.headline(report, title),
        sections.failures(report),
        sections.main_table(report),
        sections.tajweed(report),
        *(_plot(number, name, figure) for number, (name, figure) in enumerate(plots(report).items())),
        sections.scenarios(report),
        sections.worst(report),
        sections.environment(report),
        _section("Command", f'<pre class="copy">{escape(shlex.join(report.command))}</pre>'),
        sections.definitions(),
    ]
    assets = files(__package__) / "assets"
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>{(assets / 'page.css').read_text(encoding='utf-8')}</style>",
            f"</head><body><main>{''.join(body)}</main>",
            f"<script>{get_plotlyjs()}</script>",
            f"<script>{(assets / 'page.js').read_text(encoding='utf-8')}</script>",
            "</body></html>",
        ]
    )


def _plot(number: int, name: str, figure: Any) -> str:
    # A name that contains a tag would end the script element, so "<" is escaped.
    data = figure.to_json().replace("<", "\\u003c")
    caption = f"<p>{escape(_CAPTIONS[name])}</p>" if name in _CAPTIONS else ""
    return _section(
        name,
        f'{caption}<div class="plot" id="plot{number}" style="height:{figure.layout.height}px"></div>'
        f'<script type="application/json" data-plot="plot{number}">{data}</script>',
    )


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"
