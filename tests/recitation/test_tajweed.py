"""Measures of transcripts of verse 5:109, and figures over recordings."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qasr.recitation import tajweed

# As a reciter with madds of 2 and 4 beats says it.
RIGHT = "قَاالُۥۥلَااعِلمَلَنَااااءِننننَكَءَںںںتَعَللَاامُلغُيُۥۥۥۥبڇ"


def test_measures_of_a_right_recitation():
    assert tajweed.measure(RIGHT) == {
        "qalo_alif_len": 2,
        "qalo_waw_len": 2,
        "laa_alif_len": 2,
        "separate_madd": 4,
        "allam_alif_len": 2,
        "madd_aared_len": 4,
        "noon_moshaddadah_len": 1,
        "noon_mokhfah_len": 2,
        "qalqalah": 1,
    }
    assert tajweed.measure(RIGHT.replace("لُۥۥلَ", "لُۥۥ لَ")) == tajweed.measure(RIGHT)


@pytest.mark.parametrize(
    ("old", "new", "measure", "value"),
    [
        ("قَاا", "قَا", "qalo_alif_len", 1),
        ("قَاا", "قَ", "qalo_alif_len", 0),
        ("لُۥۥ", "لُ", "qalo_waw_len", 4),  # the next one of its kind, in the last word, counts
        ("لَنَاااا", "لَنَاا", "separate_madd", 2),
        ("ننننَك", "ننَك", "noon_moshaddadah_len", 0),
        ("ننننَك", "نننننَك", "noon_moshaddadah_len", 1),
        ("ںںں", "ںں", "noon_mokhfah_len", 1),
        ("ںںں", "ننن", "noon_mokhfah_len", 0),
        ("بڇ", "ب", "qalqalah", 0),
        ("بڇ", "م", "madd_aared_len", 4),
        ("يُۥۥۥۥبڇ", "يُب", "madd_aared_len", 0),
    ],
)
def test_measures_of_faults(old, new, measure, value):
    assert old in RIGHT
    text = RIGHT.replace(old, new)
    if (measure, value) == ("qalo_waw_len", 4):
        text = text.replace("يُۥۥۥۥ", "يلُۥۥۥۥ")
    assert tajweed.measure(text)[measure] == value


def annotated(**changes):
    return tajweed.measure(RIGHT) | changes


def test_figures_by_hand():
    expected = [annotated(), annotated(qalqalah=0), annotated(separate_madd=2), annotated(noon_mokhfah_len=0)]
    actual = [annotated(), annotated(), annotated(separate_madd=5), annotated(noon_mokhfah_len=1)]
    figures = {name: float(value[0]) for name, value in tajweed.metrics(expected, actual).items()}
    assert figures["separate_madd_rmse"] == pytest.approx(math.sqrt(9 / 4))
    assert figures["qalo_alif_len_rmse"] == 0.0
    assert figures["avg_madd_rmse"] == pytest.approx(1.5 / 6)
    assert figures["avg_normal_madd_rmse"] == 0.0
    assert (figures["qalqalah_recall_HAS_QALQALAH"], figures["qalqalah_precision_HAS_QALQALAH"]) == (1.0, 0.75)
    assert (figures["qalqalah_recall_NO_QALQALH"], figures["qalqalah_f1_NO_QALQALH"]) == (0.0, 0.0)
    assert figures["qalqalah_macro_f1"] == pytest.approx((6 / 7 + 0) / 2)
    # NOON is never measured, PARTIAL never annotated: both count as zero in the average.
    assert figures["noon_mokhfah_len_macro_f1"] == pytest.approx(1 / 3)
    assert figures["noon_mokhfah_len_accuracy"] == figures["qalqalah_accuracy"] == 0.75
    assert figures["avg_tajweed_acc"] == pytest.approx((0.75 + 0.75 + 1.0) / 3)


def test_weights_are_repetitions():
    expected = [annotated(), annotated(separate_madd=2), annotated(qalqalah=0)]
    actual = [annotated(separate_madd=3), annotated(), annotated()]
    weighted = tajweed.metrics(expected, actual, np.array([[2.0, 0.0, 1.0], [1.0, 1.0, 1.0]]))
    repeated = tajweed.metrics([expected[0], *expected[::2]], [actual[0], *actual[::2]])
    plain = tajweed.metrics(expected, actual)
    for name, values in weighted.items():
        assert values.tolist() == pytest.approx([repeated[name][0], plain[name][0]])
