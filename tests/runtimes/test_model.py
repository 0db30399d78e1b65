"""``load`` and ``transcribe`` with a model of tones, whose transcripts are known exactly."""

from __future__ import annotations

import array
import io
import os
import tempfile
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

import qasr
from qasr.artifacts import Artifact, InputLimits
from qasr.audio import AudioError
from qasr.errors import QasrError
from qasr.runtimes import (
    EngineOptions,
    InferenceError,
    Model,
    OptionError,
    RecordingTypeError,
    load,
    load_engine,
)
from qasr.runtimes.steps import NO_SPEECH

RATE = 16_000


@pytest.fixture
def model(toy):
    with load(toy.folder, threads=1) as loaded:
        yield loaded


def test_the_public_way(toy, write_audio, make_tones):
    path = write_audio("x.wav", make_tones("abcab"))
    result = qasr.load(toy.folder).transcribe(path)
    assert result.text == result.levels["letters"].text == "abcab"
    assert {token.text for token in result.levels["loud"].tokens} == {"[yes]"}
    assert result.audio == str(path)
    assert result.seconds == pytest.approx(1.6)
    assert qasr.load(str(toy.folder)).transcribe(str(path)) == result


def test_tokens_have_the_times_of_the_tones(model, make_tones):
    tokens = model.transcribe(make_tones("abc"), sample_rate=RATE).levels["letters"].tokens
    for index, token in enumerate(tokens):
        assert token.start == pytest.approx(0.1 + 0.3 * index, abs=0.05)
        assert token.end == pytest.approx(0.3 + 0.3 * index, abs=0.05)
        assert 0.5 < token.confidence <= 1.0


@pytest.mark.parametrize(("name", "rate"), [("x.flac", 44_100), ("x.ogg", 48_000), ("x.mp3", 32_000), ("x.wav", 8_000)])
def test_any_format_and_rate(model, write_audio, make_tones, name, rate):
    samples = make_tones("abcba", rate)
    assert model.transcribe(write_audio(name, np.stack([samples, samples], axis=1), rate)).text == "abcba"


def test_a_batch_has_the_transcripts_of_its_recordings(model, write_audio, make_tones):
    texts = ["a", "abcabcabc", "cb", "", "abc", "bbbbbbbbbbbbbb"]
    sources = [write_audio(f"{position}.wav", make_tones(text)) for position, text in enumerate(texts) if text]
    sources.insert(2, (make_tones("ccc"), RATE))
    alone = [model.transcribe(source) for source in sources]
    for batch_seconds in (0.1, 4.0, 60.0):
        together = model.transcribe_batch(sources, batch_seconds)
        assert [one.text for one in together] == [one.text for one in alone]
        assert [one.seconds for one in together] == [one.seconds for one in alone]


def test_windows_have_the_transcript_of_the_whole(toy, write_audio, make_tones):
    random = np.random.default_rng(0)
    text = "".join(random.choice(list("abc."), 150))
    path = write_audio("long.wav", make_tones(text))
    whole = Model(toy, load_engine(toy, EngineOptions()), window_seconds=1_000).transcribe(path)
    assert whole.text == text.replace(".", "")
    for seconds in (4.0, 7.0, 12.0, 30.0):
        assert load(toy.folder, window_seconds=seconds).transcribe(path) == whole


def test_a_window_obeys_the_limits_of_the_artifact(toy, make_tones):
    limited = msgspec.structs.replace(toy.manifest, limits=InputLimits(max_frames=200, max_batch=2))
    engine = Recorder(load_engine(toy, EngineOptions()))
    model = Model(Artifact(toy.folder, limited), engine)
    assert model.transcribe(make_tones("abc" * 10), sample_rate=RATE).text == "abc" * 10
    assert max(frames for _, frames in engine.shapes) == 200
    model.transcribe_batch([make_tones("ab")] * 5, sample_rate=RATE)
    assert max(clips for clips, _ in engine.shapes) == 2


def test_a_recording_longer_than_its_header_states_is_transcribed_to_its_end(toy, write_audio, make_tones, monkeypatch):
    path = write_audio("x.wav", make_tones("abc" * 10))
    monkeypatch.setattr("qasr.audio.Audio.seconds", lambda _: 1.0)
    result = load(toy.folder, window_seconds=4.0).transcribe_batch([path])[0]
    assert result.text == "abc" * 10
    assert result.seconds == pytest.approx(9.1)


def test_a_bad_file_does_not_stop_the_others(model, write_audio, make_tones, tmp_path):
    good = write_audio("good.wav", make_tones("abc"))
    empty = tmp_path / "empty.wav"
    empty.touch()
    nan = write_audio("nan.wav", np.full(16_000, np.nan, np.float32), subtype="FLOAT")
    short = write_audio("short.wav", np.zeros(100, np.float32))
    noise = tmp_path / "noise.wav"
    noise.write_bytes(b"no audio at all" * 100)
    sources = [empty, good, tmp_path / "none.wav", nan, short, noise, good]
    result = dict(model.transcribe_many(sources))
    assert sorted(result) == list(range(7))
    assert sorted(position for position in result if not isinstance(result[position], QasrError)) == [1, 6]
    assert result[1].text == result[6].text == "abc"
    for position, reason in (
        (0, "is empty"),
        (2, "no such file"),
        (3, "NaN or infinite"),
        (4, "lasts 6 ms"),
        (5, "not audio"),
    ):
        assert isinstance(result[position], AudioError)
        assert reason in str(result[position])
        assert str(result[position]).count(sources[position].name) == 1
    with pytest.raises(AudioError):
        model.transcribe_batch(sources)


def test_a_clip_that_the_engine_fails_on_does_not_take_its_batch_with_it(toy, make_tones):
    model = Model(toy, FailingOnLongInputs(load_engine(toy, EngineOptions()), longest=60))
    recordings = [make_tones("abc"), make_tones("abcabc"), make_tones("cba")]
    result = dict(model.transcribe_many(recordings, sample_rate=RATE))
    assert (result[0].text, result[2].text) == ("abc", "cba")
    assert isinstance(result[1], InferenceError)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.full(16_000, np.inf, np.float32), "samples 0: holds NaN or infinite samples"),
        (np.zeros(0, np.float32), r"samples 0: holds no sound \(zero samples\)"),
    ],
)
def test_samples_are_checked(model, samples, reason):
    with pytest.raises(AudioError, match=reason):
        model.transcribe(samples, sample_rate=RATE)


@pytest.mark.parametrize(
    ("source", "description"),
    [
        (None, "a NoneType"),
        (3, "an int"),
        (io.StringIO("x"), "a StringIO"),
        ({"path": "x.wav"}, "a dict"),
        (np.zeros((2, 3, 100)), "a 3-dimensional float64 array, which has the shape (2, 3, 100)"),
        (np.zeros((100, 100)), "a 2-dimensional float64 array, which has the shape (100, 100)"),
        (np.float32(3), "a float32"),
        (np.array(["a", "b"]), "a 1-dimensional <U1 array, which is an array of <U1, not of numbers"),
        (np.zeros(99, complex), "a 1-dimensional complex128 array, which is an array of complex128"),
        (np.zeros(99, bool), "a 1-dimensional bool array, which is an array of bool"),
        ([[0.0, 0.1], [0.2]], "a list, which is no array of numbers"),
        (["a", "b"], "a list, which is an array of <U1"),
    ],
)
def test_what_is_no_recording(model, make_tones, source, description):
    with pytest.raises(TypeError) as caught:
        model.transcribe(source, sample_rate=RATE)
    assert isinstance(caught.value, RecordingTypeError)
    assert str(caught.value).startswith(f"cannot transcribe {description}")
    assert "; give a path, the bytes of an audio file, a binary file object, samples with sample_rate=" in str(
        caught.value
    )
    results = dict(model.transcribe_many([source, make_tones("abc")], sample_rate=RATE))
    assert isinstance(results[0], RecordingTypeError)
    assert results[1].text == "abc"


class Foreign:
    """An array of another library."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values


def stereo(samples):
    return np.stack([samples, samples], axis=1)


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize(
    "convert",
    [
        lambda x: x,
        lambda x: x.astype(np.float64),
        lambda x: x.astype(np.float16),
        lambda x: x.astype(">f4"),
        lambda x: (x * 32_767).astype(np.int16),
        lambda x: (x * 2_147_483_520).astype(np.int32),
        lambda x: (x * 127 + 128).astype(np.uint8),
        lambda x: (x * 32_767).astype(np.int64),
        lambda x: (x * 32_767).astype(int).tolist(),
        lambda x: x.tolist(),
        lambda x: stereo(x),
        lambda x: stereo(x).T,
        lambda x: x[None],
        lambda x: x[:, None],
        lambda x: np.asfortranarray(stereo(x)),
        lambda x: x[::-1].copy()[::-1],
        lambda x: array.array("f", x),
        lambda x: Foreign(x),
        lambda x: torch.from_numpy(x),
        lambda x: torch.from_numpy(x).to(torch.bfloat16).requires_grad_(),
        lambda x: torch.from_numpy(x)[None, None],
    ],
)
def test_samples_of_any_type_shape_and_rate(model, make_tones, rate, convert):
    samples = convert(make_tones("abcab", rate))
    result = model.transcribe(samples, sample_rate=rate)
    assert result.text == "abcab"
    assert result.seconds == pytest.approx(1.6, abs=1e-3)
    assert result.audio == "samples 0"


def test_samples_come_with_their_rate(model, make_tones):
    samples = make_tones("abcab", 44_100)
    pairs = [
        (samples, 44_100),
        (44_100, samples),
        (samples, np.int64(44_100)),
        (stereo(samples).T, 44_100.0),
        {"array": samples, "sampling_rate": 44_100, "path": "x.wav"},
        {"array": samples, "sample_rate": 44_100},
    ]
    assert [model.transcribe(pair).text for pair in pairs] == ["abcab"] * len(pairs)
    assert [one.text for one in model.transcribe_batch(pairs)] == ["abcab"] * len(pairs)
    mixed = dict(model.transcribe_many([pairs[0], make_tones("cba", 8_000 * 2)], sample_rate=16_000))
    assert [mixed[0].text, mixed[1].text] == ["abcab", "cba"]


@pytest.mark.parametrize("samples", [np.zeros(44_100, np.float32), [0.0] * 44_100, torch.zeros(2, 44_100)])
def test_samples_without_their_rate(model, make_tones, samples):
    with pytest.raises(
        OptionError, match=r"^samples 0: samples need their rate: transcribe\(samples, sample_rate=16000\)"
    ):
        model.transcribe(samples)
    results = dict(model.transcribe_many([samples, (make_tones("abc"), RATE)]))
    assert isinstance(results[0], OptionError)
    assert results[1].text == "abc"


@pytest.mark.parametrize("rate", [0, 1, -16_000, 3_999, 768_001, float("nan"), float("inf"), "16000", True, [16_000]])
def test_rates_that_are_none(model, rate):
    with pytest.raises(OptionError, match=r"sample_rate must be a number from 4000 to 768000, in Hz, not "):
        model.transcribe(np.zeros(16_000, np.float32), sample_rate=rate)


def test_a_rate_that_would_do_nothing(model, write_audio, make_tones):
    path = write_audio("x.wav", make_tones("abc"))
    for source in (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes())):
        with pytest.raises(OptionError, match="sample_rate is for samples; an audio file states its own"):
            model.transcribe(source, sample_rate=RATE)
    with pytest.raises(OptionError, match="sample_rate is given twice"):
        model.transcribe((make_tones("abc"), RATE), sample_rate=RATE)
    # Beside files, the rate is that of the samples among the recordings.
    results = model.transcribe_batch([path, make_tones("cab", 44_100)], sample_rate=44_100)
    assert [result.text for result in results] == ["abc", "cab"]


def test_samples_are_not_changed(model, make_tones):
    samples = make_tones("abc")
    before = samples.copy()
    model.transcribe(samples, sample_rate=RATE)
    np.testing.assert_array_equal(samples, before)


def test_content_of_files(model, write_audio, make_tones):
    path = write_audio("x.flac", make_tones("abcab", 44_100), 44_100)
    data = path.read_bytes()
    for source in (data, bytearray(data), memoryview(data)):
        result = model.transcribe(source)
        assert (result.text, result.audio) == ("abcab", "audio 0")
    assert model.transcribe(os.fsencode(path)[:0] + data).text == "abcab"
    with pytest.raises(AudioError, match=r"^audio 0: is not audio that can be read"):
        model.transcribe(b"no audio at all")
    with pytest.raises(AudioError, match=r"^audio 0: is empty \(0 bytes\)"):
        model.transcribe(b"")


@pytest.mark.parametrize(
    "sources",
    [
        "x.wav", Path("x.wav"), b"x", np.zeros(16_000, np.float32), None, 3, [0.0, 0.1], (0.0, 0.1),
        (np.zeros(16_000, np.float32), 16_000), {"array": [0.0], "sampling_rate": 16_000}, io.BytesIO(b"x"),
        torch.zeros(16_000),
    ],
)  # fmt: skip
def test_many_recordings_are_a_sequence(model, sources):
    with pytest.raises(RecordingTypeError, match="as several recordings; give a list of recordings"):
        model.transcribe_many(sources)


def test_binary_files(model, write_audio, make_tones, tmp_path, monkeypatch):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    path = write_audio("x.flac", make_tones("abcab"))
    assert model.transcribe(io.BytesIO(path.read_bytes())).text == "abcab"
    with path.open("rb") as file:
        transcript = model.transcribe(file)
    assert (transcript.text, transcript.audio) == ("abcab", str(path))
    many = [io.BytesIO(path.read_bytes()), path, io.BytesIO(b"no audio"), io.BytesIO(path.read_bytes())]
    results = dict(model.transcribe_many(many))
    assert [results[index].text for index in (0, 1, 3)] == ["abcab"] * 3
    assert results[3].audio == "audio 3"
    assert str(results[2]).startswith("audio 2: is not audio that can be read")
    assert results[2].source == "audio 2"
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 1.9, 60.1, "30", True, None])
def test_windows_of_load_have_limits(toy, seconds):
    with pytest.raises(OptionError, match="window_seconds must be a number from 2 to 60, not"):
        load(toy.folder, window_seconds=seconds)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "6", True, None])
@pytest.mark.parametrize("name", ["window_seconds", "overlap_seconds", "batch_seconds"])
def test_seconds_are_positive_numbers(toy, make_tones, name, value):
    with pytest.raises(OptionError, match=rf"^{name} must be a number above 0, not "):
        if name == "batch_seconds":
            load(toy.folder).transcribe_many([make_tones("a")], value)
        else:
            Model(toy, None, **{name: value})


@pytest.mark.parametrize("value", [0, -1, 10_000, 1.0, "1", True])
@pytest.mark.parametrize("name", ["threads", "streams"])
def test_threads_and_streams_have_limits(toy, name, value):
    with pytest.raises(OptionError, match=rf"^{name} must be a whole number from 1 to \d+, the cores of this machine"):
        load(toy.folder, **{name: value})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": 0}, "device must be a string, not 0"),
        ({"features": None}, "features must be a string, not None"),
        ({"precision": "fp8"}, "no precision 'fp8'; available are fp32, bf16, fp16"),
        ({"precision": ["fp16"]}, "no precision"),
        ({"verify": "yes"}, "verify must be True or False, not 'yes'"),
        ({"trust_code": "no"}, "trust_code must be True or False, not 'no'"),
        ({"cache": 3}, "cache must be a path or None, not 3"),
    ],
)
def test_options_of_the_wrong_type(toy, options, message):
    with pytest.raises(OptionError, match=message):
        load(toy.folder, **options)


@pytest.mark.parametrize("folder", [None, 3, b"out"])
def test_an_artifact_is_named_by_a_path(folder):
    with pytest.raises(OptionError, match="an artifact is named by the path of its folder, not by"):
        load(folder)


@pytest.mark.parametrize("level", [0.0, 1e-5, 0.05])
def test_sound_without_speech_gives_no_tokens(model, level):
    samples = level * np.random.default_rng(0).standard_normal(48_000).astype(np.float32)
    result = model.transcribe(samples, sample_rate=RATE)
    assert (result.text, result.notes) == ("", [NO_SPEECH])
    assert [one.tokens for one in result.levels.values()] == [[], []]


def test_a_stretch_without_speech_gives_no_tokens(model, make_tones):
    """The toy takes a tone for a letter, as models do with noise."""
    tone = (0.4 * np.sin(2 * np.pi * 1_000 * np.arange(30 * RATE) / RATE)).astype(np.float32)
    speech = make_tones("acacac")
    tokens = model.transcribe(np.concatenate([speech, tone, speech]), sample_rate=RATE).levels["letters"].tokens
    end = speech.size / RATE
    assert not [token for token in tokens if token.end > end + 11 and token.start < end + 19]
    assert len([token for token in tokens if token.start < end]) >= 6


def test_inverted_channels(model, make_tones):
    samples = make_tones("abcab")
    result = model.transcribe(np.stack([samples, -samples]), sample_rate=RATE)
    assert (result.text, result.channel) == ("abcab", "1")
    assert result.notes == ["channel 1 of 2 is transcribed, because speech would suffer in the mix"]
    plain = model.transcribe(np.stack([samples, samples]), sample_rate=RATE)
    assert (plain.text, plain.channel, plain.notes) == ("abcab", "mix", [])
    assert model.transcribe(samples, sample_rate=RATE).channel is None


class Recorder:
    """An engine that records the shapes of its inputs."""

    def __init__(self, engine):
        self.engine, self.shapes = engine, []

    def infer(self, inputs, lengths):
        self.shapes.append(inputs.shape[:2])
        return self.engine.infer(inputs, lengths)

    def close(self):
        self.engine.close()


class FailingOnLongInputs(Recorder):
    """An engine that fails on long inputs."""

    def __init__(self, engine, longest):
        super().__init__(engine)
        self.longest = longest

    def infer(self, inputs, lengths):
        if inputs.shape[1] > self.longest:
            raise InferenceError("too long")
        return super().infer(inputs, lengths)
