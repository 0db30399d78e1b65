"""The runtime on the bundled model: batches, windows and groups of real recitation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from qasr import reference
from qasr.artifacts import read
from qasr.runtimes import EngineOptions, Model, load, load_engine

EVALUATION = Path(reference.__file__).parent / "evaluation"


@pytest.fixture(scope="module")
def rows():
    lines = (EVALUATION / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def distance(left, right):
    return pytest.importorskip("rapidfuzz").distance.Levenshtein.distance(left, right) / len(right)


@pytest.mark.slow
def test_a_padded_batch_gives_what_each_clip_gives_alone(exported, rows):
    with load(exported("onnx-fp32").folder, threads=1) as model:
        paths = [EVALUATION / row["audio"] for row in rows[:12]]
        for together, path in zip(model.transcribe_batch(paths), paths, strict=True):
            alone = model.transcribe(path)
            assert together.text == alone.text
            assert together.levels["phonemes"].confidence == pytest.approx(
                alone.levels["phonemes"].confidence, abs=1e-3
            )


@pytest.mark.slow
def test_windows_have_the_transcript_of_the_whole(exported, rows):
    same_voice = [row for row in rows if row["voice"] == rows[0]["voice"]][:8]
    samples = np.concatenate([soundfile.read(EVALUATION / row["audio"], dtype="float32")[0] for row in same_voice])
    folder = exported("onnx-fp32").folder
    artifact = read(folder)
    engine = load_engine(artifact, EngineOptions(threads=1))
    whole = Model(artifact, engine, window_seconds=200).transcribe(samples, sample_rate=16_000)
    windowed = load(folder, threads=1, window_seconds=15).transcribe(samples, sample_rate=16_000)
    assert windowed.seconds == whole.seconds
    # Less context changes a few tokens, not only where windows are joined.
    assert distance(windowed.text, whole.text) < 0.05


@pytest.mark.slow
def test_sifat_tokens_are_assigned_to_groups(exported, rows):
    with load(exported("onnx-fp32").folder, threads=1) as model:
        for row in rows[:8]:
            result = model.transcribe(EVALUATION / row["audio"])
            assigned = possible = 0
            for level in model.levels[1:]:
                assigned += sum(group.sifat[level] is not None for group in result.groups)
                possible += min(len(result.groups), len(result.levels[level].tokens))
            assert possible > 0
            assert assigned / possible > 0.95
