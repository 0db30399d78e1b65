"""The bundled data and model: sizes, labels and completeness."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile
from safetensors import safe_open

from qasr import reference

MEBIBYTE = 1 << 20
LEVELS = {
    "phonemes": 43,
    "hams_or_jahr": 3,
    "shidda_or_rakhawa": 4,
    "tafkheem_or_taqeeq": 4,
    "itbaq": 3,
    "safeer": 3,
    "qalqla": 3,
    "tikraar": 3,
    "tafashie": 3,
    "istitala": 3,
    "ghonna": 3,
}
SETS = {"evaluation": reference.EVALUATION, "calibration": reference.CALIBRATION}


def rows(manifest: Path) -> list[dict]:
    return [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


@pytest.mark.parametrize(
    ("name", "count", "limit"), [("evaluation", 160, 12 * MEBIBYTE), ("calibration", 64, 5 * MEBIBYTE)]
)
def test_sets_are_complete(name, count, limit):
    manifest = SETS[name]
    listed = rows(manifest)
    assert len(listed) == count
    assert {row["audio"] for row in listed} == {file.name for file in manifest.parent.glob("*.flac")}
    assert size(manifest.parent) <= limit
    assert 2.5 <= sum(row["seconds"] for row in listed) / count <= 4


@pytest.mark.parametrize("name", SETS)
def test_audio_matches_the_manifest(name):
    for row in rows(SETS[name]):
        info = soundfile.info(SETS[name].parent / row["audio"])
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16"), row["audio"]
        assert info.frames / 16_000 == pytest.approx(row["seconds"], abs=1e-3)


@pytest.mark.parametrize("name", SETS)
def test_labels_are_in_the_vocabulary(name):
    vocabulary = json.loads((reference.CHECKPOINT / "vocab.json").read_text(encoding="utf-8"))
    assert {level: len(tokens) for level, tokens in vocabulary.items()} == LEVELS
    for row in rows(SETS[name]):
        assert set(row["phonemes"]) <= set(vocabulary["phonemes"])
        assert list(row["levels"]) == list(LEVELS)[1:]
        lengths = set()
        for level, text in row["levels"].items():
            tokens = text.strip("[]").split("][")
            assert {f"[{token}]" for token in tokens} <= set(vocabulary[level]) - {"[PAD]"}
            lengths.add(len(tokens))
        assert len(lengths) == 1, "the sifat levels label the same groups of phonemes"


def test_checkpoint_is_small_half_precision_and_complete():
    weights = reference.CHECKPOINT / "model.safetensors"
    assert weights.stat().st_size <= 10_000_000
    config = json.loads((reference.CHECKPOINT / "config.json").read_text(encoding="utf-8"))
    assert config["level_to_vocab_size"] == LEVELS
    assert sum(config["level_to_loss_weight"].values()) <= 1, "quran-muaalem refuses more"
    with safe_open(weights, "pt") as stored:
        assert {stored.get_slice(key).get_dtype() for key in stored.keys()} == {"F16"}  # noqa: SIM118
        for level, tokens in LEVELS.items():
            assert stored.get_slice(f"level_to_lm_head.{level}.bias").get_shape() == [tokens]
