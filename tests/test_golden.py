"""Transcripts of the bundled model, and the error rates that the README states."""

from __future__ import annotations

import json

import pytest
from rapidfuzz.distance import Levenshtein

from qasr import exporters, load, reference
from qasr.bench.accuracy.score import measure_accuracy
from qasr.data import labelled_set, load_data

# Low-bit targets and those for GPUs run with their default method. Their other methods are compared by logits, in
# tests/quantizers, and so are the targets in LOGITS_ONLY, in tests/exporters and tests/runtimes.
LOGITS_ONLY = {
    "hf-fp16",
    "hf-bf16",
    "hf-quanto-int4",
    "hf-quanto-int2",
    "tensorrt-fp16",
    "tensorrt-mixed",
    "openvino-mixed",
}
TARGETS = [
    (target.name, method)
    for target in exporters.TARGETS.values()
    if target.name not in LOGITS_ONLY
    # Each method of a target of 8 bits; of others, and of those that are compiled or mixed, the default one.
    for method in target.methods[
        : None if target.layers.weight.bits == 8 and target.compiler() is None and not target.formats else 1
    ]
    or (None,)
]
NAMES = [f"{target} {method or ''}".strip() for target, method in TARGETS]
ROWS = [json.loads(line) for line in reference.EVALUATION.read_text(encoding="utf-8").splitlines()]

GOLDEN = {
    "000-m3.flac": "ءَااتِنَااغَضَااااءَنَاالَقَدڇلَقِۦۦنَاامِںںںسَفَرِنَاا",
    "001-annie.flac": "مِںںںقَبڇلُنَدڇعُۥۥهُءِننننَهُۥۥهُوَلبَرر",
    "002-m3.flac": "لَاايُسءَلُعَںںںذَ۾۾۾بِهِۦۦۦۦءِںںںس",
    "003-annie.flac": "ءِبڇرَااهِۦۦمَررَوعُوَجَااااءَتهُلبُشرَاا",
}


@pytest.fixture(scope="module")
def transcripts(exported):
    """Transcripts of the complete evaluation set, once for each artifact."""
    known = {}

    def get(target: str, method: str | None):
        if (target, method) not in known:
            with load(exported(target, method).folder, trust_code=True) as model:
                known[target, method] = model.transcribe_batch(
                    [reference.EVALUATION.parent / row["audio"] for row in ROWS]
                )
        return known[target, method]

    return get


@pytest.fixture(scope="module")
def error_rates(exported, transcripts, tmp_path_factory):
    """Level to error rate of an artifact, on the recordings of one voice or of all."""
    data = load_data(None, tmp_path_factory.mktemp("data"))

    def get(target: str, method: str | None, voice: str | None = None):
        by_name = dict(zip([row["audio"] for row in ROWS], transcripts(target, method), strict=True))
        chosen = [recording for recording in data.recordings if voice in (None, recording.labels["voice"])]
        tokens = [
            {level: [token.text for token in result.tokens] for level, result in by_name[recording.name].levels.items()}
            for recording in chosen
        ]
        levels = exported(target, method).manifest.levels
        actual = measure_accuracy(tokens, labelled_set("chosen", chosen), levels)
        return {level: errors.rate for level, errors in actual.levels.items()}

    return get


@pytest.mark.parametrize(("target", "method"), TARGETS, ids=NAMES)
def test_golden_transcripts(transcripts, target, method):
    """Two bits, or a budget, may change a phoneme in a hundred; all others equal fp32."""
    actual = {row["audio"]: transcript.text for row, transcript in zip(ROWS, transcripts(target, method), strict=True)}
    for name, expected in GOLDEN.items():
        if exporters.TARGETS[target].layers.weight.bits == 2 or exporters.TARGETS[target].formats:
            assert Levenshtein.distance(actual[name], expected) <= 1
        else:
            assert actual[name] == expected


@pytest.mark.parametrize(("voice", "limit"), [("m3", 0.025), ("Annie", 0.08)])
def test_phoneme_error_rate_of_fp32(error_rates, voice, limit):
    rates = error_rates("onnx-fp32", None, voice)
    assert len(rates) == 11
    assert rates["phonemes"] <= limit


@pytest.mark.parametrize(("target", "method"), TARGETS[1:], ids=NAMES[1:])
def test_deltas_to_fp32(error_rates, target, method):
    """Within 0.3 points (1.5 with two bits), phonemes and the mean of all levels, on the whole evaluation set."""
    allowed = 0.015 if exporters.TARGETS[target].layers.weight.bits == 2 else 0.003
    base, rates = error_rates("onnx-fp32", None), error_rates(target, method)
    assert abs(rates["phonemes"] - base["phonemes"]) <= allowed
    assert abs(sum(rates.values()) - sum(base.values())) / len(base) <= allowed
