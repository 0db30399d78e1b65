"""The tajweed measures of transcripts, and their differences from the baseline's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...recitation.tajweed import Measures, measure, metrics
from ..results import Figure
from .statistics import draws, interval

SHOWN = {
    "avg_madd_rmse": "madd RMSE, beats",
    "separate_madd_rmse": "separate madd",
    "madd_aared_len_rmse": "aared madd",
    "noon_moshaddadah_len_macro_f1": "noon moshaddadah F1",
    "noon_mokhfah_len_macro_f1": "noon mokhfah F1",
    "qalqalah_macro_f1": "qalqalah F1",
    "avg_tajweed_acc": "accuracy",
}
"""The figures of a table, and their heads; reports hold all of them."""


def measure_tajweed(
    transcripts: Sequence[str], expected: Sequence[Measures], baseline: Sequence[str] | None, seed: int
) -> dict[str, Figure]:
    """All figures of the transcripts, in phonetic script; ``baseline`` are its transcripts of the same recordings."""
    actual = list(map(measure, transcripts))
    values = metrics(expected, actual)
    if baseline is None:
        return {name: Figure(value=float(value[0])) for name, value in values.items()}
    other = list(map(measure, baseline))
    others = metrics(expected, other)
    drawn = draws(len(actual), seed).astype(np.float64)
    own_drawn, other_drawn = metrics(expected, actual, drawn), metrics(expected, other, drawn)
    return {
        name: Figure(
            value=float(value[0]),
            delta=interval(float(value[0] - others[name][0]), own_drawn[name] - other_drawn[name]),
        )
        for name, value in values.items()
    }
