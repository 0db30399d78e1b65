"""The benchmark's folder and files of predictions, and what is wrong with them in one line."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from qasr.data import DataError, load_data
from qasr.data.qdat_bench import ANNOTATIONS, read_annotations, read_predictions
from qasr.recitation.levels import LEVELS, SIFAT

from .qdat_samples import ROW, prediction


@pytest.fixture
def folder(tmp_path):
    def write(rows, *audio):
        (tmp_path / ANNOTATIONS).write_text(json.dumps(rows) if not isinstance(rows, str) else rows)
        for name in audio:
            soundfile.write(tmp_path / name, np.full(1600, 0.1), 16_000)
        return tmp_path

    return write


def test_recordings_have_labels_and_measures(folder):
    data = load_data(folder({"a": ROW, "b": ROW | {"original_id": "s2", "qalqalah": 0}}, "a.wav", "s2.flac"), folder)
    assert [(one.name, one.audio.name, one.seconds) for one in data.recordings] == [
        ("a", "a.wav", 0.1),
        ("b", "s2.flac", 0.1),
    ]
    labels = data.recordings[0].labels
    assert (labels["phonemes"], labels["shidda_or_rakhawa"]) == ("قَاالُۥۥ", "[شديد]")
    assert set(labels) == set(LEVELS)
    assert [one.measures["qalqalah"] for one in data.recordings] == [1, 0]
    assert data.recordings[0].measures["madd_aared_len"] == 4
    assert len(data.recordings[0].measures) == 9


@pytest.mark.parametrize(
    ("rows", "audio", "message"),
    [
        ({"a": ROW}, [], r"annotations without audio; .*qbench score predictions\.jsonl --data .+"),
        ({"a": ROW, "b": ROW, "c": ROW}, ["b.wav"], r"no audio of 2 of 3 annotated clips: a, c$"),
        ({"a": ROW}, ["a.wav", "b.wav"], r"no annotation of 1 recordings: b$"),
        ({"a": ROW}, ["a.wav", "a.flac"], r"a\.wav: a second recording called a"),
        ("[1, 2", [], r"json: not JSON"),
        ([], [], r"not an object of annotations by id$"),
        ({"a": 3}, [], r"json: a: not an object$"),
        ({"a": ROW | {"separate_madd": "4"}}, [], r"a: separate_madd is '4', not a number from 0 to 8$"),
        ({"a": {**ROW, "sifat": None}}, [], r"a: no phonetic_transcript, or no list of sifat$"),
        ({"a": {**ROW, "sifat": [{**ROW["sifat"][0], "itbaq": "?"}]}}, [], r"a: itbaq is '\?'; known are hams, jahr"),
    ],
)
def test_folders_that_are_wrong(folder, rows, audio, message):
    with pytest.raises(DataError, match=message) as error:
        load_data(folder(rows, *audio), folder)
    assert "\n" not in str(error.value)


def test_a_folder_without_annotations(tmp_path):
    with pytest.raises(DataError, match=f"no {ANNOTATIONS} in it"):
        read_annotations(tmp_path)


def test_predictions_are_in_the_order_of_the_annotations(folder):
    annotations = read_annotations(folder({"a": ROW, "b": ROW}))
    path = folder({"a": ROW, "b": ROW}) / "p.jsonl"
    path.write_text(prediction("b") + "\n" + prediction("a", phonemes="قَ"))
    first, second = read_predictions(path, annotations)
    assert (first.id, second.id) == ("a", "b")
    assert (first.tokens["phonemes"], second.tokens["phonemes"]) == (["ق", "َ"], ["ق", "َ", "ا"])
    assert second.tokens[SIFAT[0]] == ["[جهر]"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (prediction("a"), r"p\.jsonl: no prediction of 1 of 2 clips: b$"),
        (prediction("a") + prediction("z"), r"p\.jsonl, line 2: no annotation of 'z'$"),
        (prediction("a") + prediction("a"), r"p\.jsonl, line 2: a second prediction of 'a'$"),
        ("{broken\n", r"p\.jsonl, line 1: not a prediction \(JSON is malformed"),
        ('{"id": "a"}\n', r"p\.jsonl, line 1: not a prediction \(.*level_to_scripts"),
        ('{"id": "a", "level_to_scripts": {"phonemes": "x"}}\n', r"1: no transcript of hams_or_jahr, .* and 7 more$"),
    ],
)  # fmt: skip
def test_predictions_that_are_wrong(folder, content, message):
    path = folder({"a": ROW, "b": ROW}) / "p.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match=message) as error:
        read_predictions(path, read_annotations(path.parent))
    assert "\n" not in str(error.value)
