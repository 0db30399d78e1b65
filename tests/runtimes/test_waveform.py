"""A model whose input is samples: its front end, lengths, windows and times, through every part of the runtime."""

from __future__ import annotations

import numpy as np
import pytest

from qasr.artifacts import Artifact, InputLimits, LevelVocabulary, Stride, create
from qasr.audio import AudioError, Waveform
from qasr.runtimes import EngineOptions, Model, load, load_engine

TONES_HZ = (400.0, 1_000.0, 2_500.0)
KERNEL, STRIDE = 400, 320


def waveform_onnx() -> bytes:
    """A convolution over samples: each letter's logit is the power of one tone, the blank's is constant."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    phases = 2 * np.pi * np.outer(TONES_HZ, np.arange(KERNEL) / 16_000)
    filters = np.concatenate([np.sin(phases), np.cos(phases)])[:, None] * (2 / KERNEL)
    sums = np.zeros((6, 4))
    sums[range(6), [1, 2, 3, 1, 2, 3]] = 4.0
    constants = {"filters": filters, "sums": sums, "blank": np.array([2.0, 0, 0, 0])}
    nodes = [
        helper.make_node("Unsqueeze", ["samples", "axis"], ["channels"]),
        helper.make_node("Conv", ["channels", "filters"], ["amplitudes"], strides=[STRIDE]),
        helper.make_node("Mul", ["amplitudes", "amplitudes"], ["powers"]),
        helper.make_node("Transpose", ["powers"], ["frames"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["frames", "sums"], ["tones"]),
        helper.make_node("Add", ["tones", "blank"], ["letters"]),
    ]
    initializers = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()]
    graph = helper.make_graph(
        nodes,
        "waveform",
        [
            helper.make_tensor_value_info("samples", TensorProto.FLOAT, ["batch", "frames"]),
            helper.make_tensor_value_info("lengths", TensorProto.INT64, ["batch"]),
        ],
        [helper.make_tensor_value_info("letters", TensorProto.FLOAT, ["batch", "output_frames", 4])],
        [*initializers, numpy_helper.from_array(np.array([1]), "axis")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


@pytest.fixture
def artifact(tmp_path, make_manifest) -> Artifact:
    with create(tmp_path / "waveform") as staging:
        (staging.folder / "model.onnx").write_bytes(waveform_onnx())
        return staging.publish(
            make_manifest(
                levels={"letters": LevelVocabulary(["[PAD]", "a", "b", "c"], 0, [0])},
                front_end=Waveform(min_samples=KERNEL),
                strides=[Stride(KERNEL, STRIDE)],
                limits=InputLimits(KERNEL),
                frame_rate_hz=50.0,
            )
        )


def test_transcripts_and_times(artifact, write_audio, make_tones):
    with load(artifact.folder) as model:
        transcript = model.transcribe(write_audio("x.flac", make_tones("abc", 44_100), 44_100))
        assert transcript.text == "abc"
        for index, token in enumerate(transcript.levels["letters"].tokens):
            assert token.start == pytest.approx(0.1 + 0.3 * index, abs=0.05)
            assert token.end == pytest.approx(0.3 + 0.3 * index, abs=0.05)


def test_batches_and_windows(artifact, make_tones):
    texts = ["abc", "cab" * 9, "b", "abcab" * 3]
    recordings = [make_tones(text) for text in texts]
    engine = load_engine(artifact, EngineOptions())
    whole = [Model(artifact, engine, 60.0).transcribe(recording, sample_rate=16_000) for recording in recordings]
    assert [transcript.text for transcript in whole] == texts
    windowed = Model(artifact, engine, 2.5, 1.0)
    many = windowed.transcribe_batch(recordings, sample_rate=16_000)
    assert [transcript.text for transcript in many] == texts
    for transcript, recording in zip(whole, recordings, strict=True):
        tokens = windowed.transcribe(recording, sample_rate=16_000).levels["letters"].tokens
        for token, expected in zip(tokens, transcript.levels["letters"].tokens, strict=True):
            assert token.start == pytest.approx(expected.start, abs=0.021)


def test_too_short(artifact):
    with load(artifact.folder) as model, pytest.raises(AudioError, match=r"samples 0: lasts 25 ms, .* needs 25 ms"):
        model.transcribe(np.zeros(KERNEL - 1, np.float32), sample_rate=16_000)
