"""The tajweed measures of qdat_bench: what a learner's recitation of verse 5:109 says of madd, ghunna and qalqala.

The benchmark (https://github.com/obadx/qdat_bench) annotates each recording with the lengths that were recited. A
transcript is measured by the symbols that stand for them in phonetic script: two ``ا`` are a madd of two beats.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]
Figures = dict[str, NDArray[np.float64]]
Measures = Mapping[str, int]
"""By measure: a length in beats, or the number of a class."""


@dataclass(frozen=True)
class Madd:
    """A vowel whose length in beats is measured."""

    name: str
    pattern: re.Pattern[str]
    """Its group is the vowel; the rest is the context in the verse."""

    def measure(self, phonemes: str) -> int:
        """Beats, at most eight; 0 where the context is not in the transcript."""
        match = self.pattern.search(phonemes)
        return len(match[1]) if match else 0


@dataclass(frozen=True)
class Rule:
    """A sound that is recited in one of several ways."""

    name: str
    pattern: re.Pattern[str]
    """Its group is the sound; the rest is the context in the verse."""
    classes: tuple[str, ...]
    """Names of the ways, as the benchmark's figures call them; their order is their number."""
    beats: tuple[int, ...]
    """For each class but the first: the fewest symbols of the sound."""

    def measure(self, phonemes: str) -> int:
        """Number of the class; 0 where the sound is not in the transcript."""
        match = self.pattern.search(phonemes)
        return sum(len(match[1]) >= beats for beats in self.beats) if match else 0


MADDS = (
    Madd("qalo_alif_len", re.compile("قَ(ا{1,8})لُ")),
    Madd("qalo_waw_len", re.compile("لُ(ۥ{1,8})")),
    Madd("laa_alif_len", re.compile("لَ(ا{1,8})ع")),
    Madd("separate_madd", re.compile("لَنَ(ا{1,8})")),
    Madd("allam_alif_len", re.compile("لَ(ا{1,8})م")),
    # The last one, before the consonant on which the recitation stops and its qalqala.
    Madd("madd_aared_len", re.compile("(ۥ{1,8}).?.?ڇ?$")),
)
RULES = (
    Rule("noon_moshaddadah_len", re.compile("ءِ(ن{1,8})َك"), ("PARTIAL", "COMPLETE"), (4,)),
    Rule("noon_mokhfah_len", re.compile("(ں{1,8})"), ("NOON", "PARTIAL", "COMPLETE"), (1, 3)),
    Rule("qalqalah", re.compile("ب(ڇ)"), ("NO_QALQALH", "HAS_QALQALAH"), (1,)),
)
NORMAL_MADDS = ("qalo_alif_len", "qalo_waw_len", "laa_alif_len", "allam_alif_len")
"""Those that every reciter holds for two beats."""

NAMES = tuple(one.name for one in (*MADDS, *RULES))


def measure(phonemes: str) -> dict[str, int]:
    """All measures of a transcript in phonetic script; spaces do not count."""
    script = "".join(phonemes.split())
    return {one.name: one.measure(script) for one in (*MADDS, *RULES)}


def metrics(expected: Sequence[Measures], actual: Sequence[Measures], weights: Weights | None = None) -> Figures:
    """The benchmark's figures under its names: RMSE of lengths in beats; recall, precision, F1, accuracy of classes.

    ``expected`` are the annotations and ``actual`` the measured transcripts of n recordings; ``weights`` (R, n) says
    how often each counts in each of R samples, and is once without. Each figure is an array (R,). A class that no
    recording has counts as 0 in the averages over classes, as in the published figures.
    """
    counts = np.ones((1, len(expected))) if weights is None else weights
    total = counts.sum(axis=1)
    figures: dict[str, NDArray[np.float64]] = {}
    for madd in MADDS:
        difference = _column(actual, madd.name) - _column(expected, madd.name)
        figures[f"{madd.name}_rmse"] = np.sqrt(counts @ difference**2 / total)
    for rule in RULES:
        right, other = _column(expected, rule.name), _column(actual, rule.name)
        of_classes = _of_classes(rule.classes, right, other, counts)
        figures |= {f"{rule.name}_{name}": value for name, value in of_classes.items()}
        figures[f"{rule.name}_accuracy"] = counts @ (right == other) / total
    return figures | {
        "avg_tajweed_f1": _mean(figures[f"{rule.name}_macro_f1"] for rule in RULES),
        "avg_tajweed_acc": _mean(figures[f"{rule.name}_accuracy"] for rule in RULES),
        "avg_madd_rmse": _mean(figures[f"{madd.name}_rmse"] for madd in MADDS),
        "avg_normal_madd_rmse": _mean(figures[f"{name}_rmse"] for name in NORMAL_MADDS),
    }


def _of_classes(
    classes: Sequence[str], expected: NDArray[np.int64], actual: NDArray[np.int64], counts: Weights
) -> dict[str, NDArray[np.float64]]:
    """Recall, precision and F1 of one rule, by class and averaged over classes."""
    by_kind: dict[str, list[NDArray[np.float64]]] = {"recall": [], "precision": [], "f1": []}
    for number in range(len(classes)):
        both = counts @ ((expected == number) & (actual == number))
        right, other = counts @ (expected == number), counts @ (actual == number)
        by_kind["recall"].append(_ratio(both, right))
        by_kind["precision"].append(_ratio(both, other))
        by_kind["f1"].append(_ratio(2 * both, right + other))
    figures: dict[str, NDArray[np.float64]] = {}
    for kind, average in (("recall", "avg_recall"), ("precision", "avg_precision"), ("f1", "macro_f1")):
        figures |= {f"{kind}_{name}": values for name, values in zip(classes, by_kind[kind], strict=True)}
        figures[average] = _mean(by_kind[kind])
    return figures


def _column(measured: Sequence[Measures], name: str) -> NDArray[np.int64]:
    return np.array([one[name] for one in measured], dtype=np.int64)


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """``part / whole``, and 0 where there is nothing."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _mean(values: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
    each = list(values)
    return np.asarray(sum(each) / len(each))
