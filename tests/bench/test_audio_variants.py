"""The short form of ``qasr.bench.audio_variants``, with the bundled model."""

from __future__ import annotations

import pytest

from qasr import load, reference
from qasr.audio import read
from qasr.bench.audio_variants import differences, is_limited

pytest.importorskip("av", reason="PyAV, which writes the compressed formats, is not installed")


def test_transcripts_stay_those_of_the_clean_clip(exported):
    samples = read(reference.EVALUATION.parent / "000-m3.flac")
    with load(exported("onnx-int8").folder, threads=1) as model:
        results = list(differences(model, samples, short=True))
    assert len({variant.kind for variant, _ in results}) == 11
    far = {variant.name: distance for variant, distance in results if is_limited(variant) and distance > 1}
    assert far == {}
