"""Files of predictions: scored against annotations, and written as they are read."""

from __future__ import annotations

import json

import msgspec
import pytest

from qasr.artifacts import LevelVocabulary
from qasr.bench.accuracy.predictions import Score, score, write, write_predictions
from qasr.bench.accuracy.tajweed import SHOWN, measure_tajweed
from qasr.bench.errors import BenchError
from qasr.bench.report.scores import score_table
from qasr.data.qdat_bench import Annotation, Prediction
from qasr.recitation.tajweed import measure

RIGHT = "قَاالُۥۥلَااعِلمَلَنَااااءِننننَكَءَںںںتَعَللَاامُلغُيُۥۥۥۥبڇ"
WRONG = RIGHT.replace("ڇ", "").replace("اااا", "اا")


@pytest.fixture
def annotations():
    tokens = {"phonemes": list(RIGHT), "ghonna": ["[مغن]", "[لا غنة]"]}
    return [Annotation(name, "", tokens, measure(RIGHT)) for name in "abcd"]


def predictions(*texts):
    return [
        Prediction(name, {"phonemes": list(text), "ghonna": ["[مغن]"]})
        for name, text in zip("abcd", texts, strict=True)
    ]


def test_score(annotations, tmp_path):
    files = [("first", predictions(RIGHT, RIGHT, RIGHT, RIGHT)), ("second", predictions(RIGHT, WRONG, RIGHT, RIGHT))]
    first, second = score(annotations, files)
    assert (first.speech["per_phonemes"].value, first.speech["per_ghonna"].value) == (0.0, 0.5)
    assert first.speech["average_per"].value == 0.25
    assert first.speech["per_phonemes"].delta is None
    assert second.speech["per_phonemes"].value == pytest.approx(3 / 4 / len(RIGHT))
    assert second.speech["per_phonemes"].delta.is_noise
    assert (first.tajweed["qalqalah_accuracy"].value, second.tajweed["qalqalah_accuracy"].value) == (1.0, 0.75)
    assert second.tajweed["qalqalah_accuracy"].delta.value == -0.25
    assert second.tajweed["qalqalah_accuracy"].delta.low == -0.75
    assert second.tajweed["separate_madd_rmse"].value == 1.0
    write([first, second], tmp_path / "scores.json")
    assert msgspec.json.decode((tmp_path / "scores.json").read_bytes(), type=list[Score]) == [first, second]
    with pytest.raises(BenchError, match=r"the scores cannot be written \(No such file"):
        write([first], tmp_path / "nowhere" / "scores.json")
    assert score_table([first, second]).row_count == 3 + len(SHOWN)


def test_deltas_are_paired():
    """Equal transcripts differ in no sample of the recordings."""
    expected = [measure(RIGHT)] * 4
    figures = measure_tajweed([WRONG, RIGHT, RIGHT, WRONG], expected, [WRONG, RIGHT, RIGHT, WRONG], 0)
    assert figures["qalqalah_macro_f1"].value < 0.5
    for figure in figures.values():
        assert (figure.delta.value, figure.delta.low, figure.delta.high) == (0.0, 0.0, 0.0)


def test_written_predictions(tmp_path):
    vocabularies = {
        "phonemes": LevelVocabulary(["[PAD]", "ق", "َ"], 0, [0]),
        "ghonna": LevelVocabulary(["[PAD]", "[مغن]"], 0, [0]),
    }
    transcripts = [{"phonemes": ["ق", "َ"], "ghonna": ["[مغن]", "[مغن]"]}, {"phonemes": [], "ghonna": []}]
    path = write_predictions(tmp_path / "new", "out/onnx int8", ["a", "b"], transcripts, vocabularies)
    assert path.name == "out-onnx-int8.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert rows == [
        {
            "id": "a",
            "levels_labels": {"phonemes": [1, 2], "ghonna": [1, 1]},
            "level_to_scripts": {"phonemes": "قَ", "ghonna": ["[مغن]", "[مغن]"]},
        },
        {
            "id": "b",
            "levels_labels": {"phonemes": [], "ghonna": []},
            "level_to_scripts": {"phonemes": "", "ghonna": []},
        },
    ]
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match="the predictions cannot be written"):
        write_predictions(tmp_path / "file", "x", [], [], vocabularies)
