"""Labels as ids, batches of like length, and data that cannot be trained on."""

from __future__ import annotations

import json

import numpy as np
import pytest

from qasr import reference
from qasr.artifacts import LevelVocabulary
from qasr.audio import AudioError, LogMel
from qasr.data import DataError
from qasr.models import open_checkpoint
from qasr.training import TrainingError
from qasr.training.data import labelled, unlabelled

LETTERS = {"text": LevelVocabulary(["[PAD]", "a", "b", "|"], 0, [0], "|")}


@pytest.fixture(scope="module")
def checkpoint():
    with open_checkpoint("reference") as opened:
        yield opened


@pytest.fixture
def write(tmp_path, write_audio, speechlike):
    def rows(*rows: dict) -> object:
        for number, row in enumerate(rows):
            row["audio"] = str(write_audio(f"{number}.wav", speechlike(0.5 + 0.1 * number)))
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return rows


def test_bundled_labels(checkpoint, make_data, tmp_path):
    data = labelled(make_data(), checkpoint.levels, tmp_path, LogMel())
    assert len(data.utterances) == 12
    first = data.utterances[0]
    assert set(first.ids) == set(checkpoint.levels)
    row = json.loads(next(line for line in reference.CALIBRATION.read_text().splitlines() if first.audio.name in line))
    vocabulary = checkpoint.levels["phonemes"]
    assert "".join(vocabulary.tokens[index] for index in first.ids["phonemes"]) == row["phonemes"]
    assert all(0 not in ids for ids in first.ids.values())


def test_words(write, tmp_path):
    data = labelled(write({"text": "ab  a"}), LETTERS, tmp_path, LogMel())
    assert data.utterances[0].ids == {"text": (1, 2, 3, 1)}


def test_batches(checkpoint, make_data, tmp_path):
    data = labelled(make_data(), checkpoint.levels, tmp_path, LogMel())
    groups = data.groups(8.0)
    assert sorted(number for group in groups for number in group) == list(range(12))
    for group in groups:
        longest = max(data.utterances[number].seconds for number in group)
        assert len(group) == 1 or longest * len(group) <= 8.0
    shuffled = data.groups(8.0, np.random.default_rng(3))
    assert shuffled == data.groups(8.0, np.random.default_rng(3))
    assert shuffled != data.groups(8.0, np.random.default_rng(4))
    batch = data.batch([0, 5], checkpoint.front_end)
    assert batch.inputs.shape == (2, int(batch.lengths.max()) // 2, 160)
    assert batch.ids == (data.utterances[0].ids, data.utterances[5].ids)


def test_split(checkpoint, make_data, tmp_path):
    data = labelled(make_data(), checkpoint.levels, tmp_path, LogMel())
    training, held_out = data.split(0.25, seed=0)
    assert (len(training.utterances), len(held_out.utterances)) == (9, 3)
    assert {utterance.audio for utterance in training.utterances}.isdisjoint(u.audio for u in held_out.utterances)
    assert data.split(0.25, seed=0) == (training, held_out)
    with pytest.raises(TrainingError, match=r"train.jsonl: 1 recordings are too few to hold out 10%"):
        labelled(make_data(count=1), checkpoint.levels, tmp_path, LogMel()).split(0.1, 0)


def test_refuses_audio_without_labels(checkpoint, make_data, tmp_path):
    with pytest.raises(TrainingError, match=r"line 1: no label .*; without labels, train with --distill"):
        labelled(make_data(labels=False), checkpoint.levels, tmp_path, LogMel())
    assert len(unlabelled(make_data(labels=False), LogMel()).utterances) == 12
    assert unlabelled(make_data(labels=False), LogMel()).utterances[0].ids == {}


def test_lists_symbols_outside_the_vocabulary(write, tmp_path):
    path = write({"text": "abz z"}, {"text": "a?"})
    with pytest.raises(TrainingError, match=r"lacks: 'z' in text \(2 times\), '\?' in text \(1 times\)"):
        labelled(path, LETTERS, tmp_path, LogMel())


def test_refuses_labels_of_some_recordings(write, tmp_path):
    path = write({"text": "a", "letters": "a"}, {"text": "b"})
    vocabularies = {"letters": LETTERS["text"]}
    with pytest.raises(DataError, match=r"no label of letters for .*1\.wav; label all recordings or none"):
        labelled(path, vocabularies, tmp_path, LogMel())


def test_refuses_labels_of_other_levels(write, tmp_path, checkpoint):
    levels = {name: checkpoint.levels[name] for name in ("phonemes", "ghonna")}
    with pytest.raises(
        TrainingError, match=r"labelled in words, and in no level of the checkpoint \(phonemes, ghonna\)"
    ):
        labelled(write({"words": "a"}), levels, tmp_path, LogMel())


def test_refuses_recordings_that_are_too_short(write, write_audio, speechlike, tmp_path):
    path = write({"text": "a"}, {"text": "b"}, {"text": "a"})
    first = write_audio("0.wav", speechlike(0.012))
    message = rf"^rows.jsonl: {first} lasts 12 ms, and the model needs 35 ms at least"
    with pytest.raises(TrainingError, match=rf"{message}; leave it out$"):
        labelled(path, LETTERS, tmp_path, LogMel())
    write_audio("2.wav", speechlike(0.0349))
    with pytest.raises(TrainingError, match=rf"{message} \(1 more are too short\); leave them out$"):
        unlabelled(path, LogMel())
    for name in ("0.wav", "2.wav"):
        write_audio(name, speechlike(0.035))
    assert (
        len(unlabelled(path, LogMel()).utterances) == len(labelled(path, LETTERS, tmp_path, LogMel()).utterances) == 3
    )


def test_audio_that_was_replaced_is_named(write, write_audio, speechlike, tmp_path):
    """After loading, in the middle of a training."""
    data = unlabelled(write({"text": "a"}), LogMel())
    path = write_audio("0.wav", speechlike(0.012))
    with pytest.raises(AudioError, match=rf"^{path}: lasts 12 ms, and the model needs 35 ms at least$"):
        data.batch([0], LogMel())
    path.write_bytes(b"no audio")
    with pytest.raises(AudioError, match=rf"^{path}: is not audio that can be read"):
        data.batch([0], LogMel())
