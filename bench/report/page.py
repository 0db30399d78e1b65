"""A report as one HTML page that needs no network: tables, plots, and everything to repeat it."""

from __future__ import annotations

import shlex
from html import escape
from importlib.resources import files
from typing import Any

from ..results import Report
from . import sections
from .plots import plots

# Under each plot, how to read it.
_CAPTIONS = {
    "Accuracy against speed": "Lower and further left is better. The area of a point is its size on disk; bars are the "
    "95 % interval of the difference from the baseline. Named: on the front of errors and speed. Ringed: no other "
    "is at least as good in errors, speed and size.",
    "Load time": "Fresh processes, files and compiled models in the caches; medians. The mark: nothing cached.",
    "Peak memory": "Largest resident set of the process: interpreter, libraries, model, and what the engine keeps.",
    "Latency of single queries": "Every query of all rounds: median, quartiles, whiskers at 1.5 times their distance.",
    "Error rate against length of the recording": "Five bins of as many recordings. The baseline is the thick line.",
}


def page(report: Report) -> str:
    """The whole page. Everything that is not from this project is escaped."""
    # plotly is only needed here, and takes a second to import.
    from plotly.offline import get_plotlyjs

    title = f"qbench: {', '.join(dict.fromkeys(row.source for row in report.rows))}"
    body = [
        sections.headline(report, title),
        sections.failures(report),
        sections.main_table(report),
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
    # "<" would end the script early where a name holds a tag.
    data = figure.to_json().replace("<", "\\u003c")
    caption = f"<p>{escape(_CAPTIONS[name])}</p>" if name in _CAPTIONS else ""
    return _section(
        name,
        f'{caption}<div class="plot" id="plot{number}" style="height:{figure.layout.height}px"></div>'
        f'<script type="application/json" data-plot="plot{number}">{data}</script>',
    )


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"
