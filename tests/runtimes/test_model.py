"""``load`` and ``transcribe`` with a model of tones, whose transcripts are known exactly."""

from __future__ import annotations

import io
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


@pytest.fixture
def model(toy):
    with load(toy.folder, threads=1) as loaded:
        yield loaded


def test_the_public_way(toy, write_audio, make_tones):
    path = write_audio("x.wav", make_tones("abcab"))
    found = qasr.load(toy.folder).transcribe(path)
    assert found.text == found.levels["letters"].text == "abcab"
    assert {token.text for token in found.levels["loud"].tokens} == {"[yes]"}
    assert found.audio == str(path)
    assert found.seconds == pytest.approx(1.6)
    assert qasr.load(str(toy.folder)).transcribe(str(path)) == found


def test_tokens_have_the_times_of_the_tones(model, make_tones):
    tokens = model.transcribe(make_tones("abc")).levels["letters"].tokens
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
    sources = [write_audio(f"{place}.wav", make_tones(text)) for place, text in enumerate(texts) if text]
    sources.insert(2, make_tones("ccc"))
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
    assert model.transcribe(make_tones("abc" * 10)).text == "abc" * 10
    assert max(frames for _, frames in engine.shapes) == 200
    model.transcribe_batch([make_tones("ab")] * 5)
    assert max(clips for clips, _ in engine.shapes) == 2


def test_a_recording_longer_than_its_header_states_is_transcribed_to_its_end(toy, write_audio, make_tones, monkeypatch):
    path = write_audio("x.wav", make_tones("abc" * 10))
    monkeypatch.setattr("qasr.runtimes.recordings.duration", lambda _: 1.0)
    found = load(toy.folder, window_seconds=4.0).transcribe_batch([path])[0]
    assert found.text == "abc" * 10
    assert found.seconds == pytest.approx(9.1)


def test_a_bad_file_does_not_stop_the_others(model, write_audio, make_tones, tmp_path):
    good = write_audio("good.wav", make_tones("abc"))
    empty = tmp_path / "empty.wav"
    empty.touch()
    nan = write_audio("nan.wav", np.full(16_000, np.nan, np.float32), subtype="FLOAT")
    short = write_audio("short.wav", np.zeros(100, np.float32))
    noise = tmp_path / "noise.wav"
    noise.write_bytes(b"no audio at all" * 100)
    sources = [empty, good, tmp_path / "none.wav", nan, short, noise, good]
    found = dict(model.transcribe_many(sources))
    assert sorted(found) == list(range(7))
    assert sorted(place for place in found if not isinstance(found[place], QasrError)) == [1, 6]
    assert found[1].text == found[6].text == "abc"
    for place, reason in (
        (0, "is empty"),
        (2, "no such file"),
        (3, "NaN or infinite"),
        (4, "lasts 6 ms"),
        (5, "not audio"),
    ):
        assert isinstance(found[place], AudioError)
        assert reason in str(found[place])
        assert str(found[place]).count(sources[place].name) == 1
    with pytest.raises(AudioError):
        model.transcribe_batch(sources)


def test_a_clip_that_the_engine_fails_on_does_not_take_its_batch_with_it(toy, make_tones):
    model = Model(toy, FailingOnLongInputs(load_engine(toy, EngineOptions()), longest=60))
    found = dict(model.transcribe_many([make_tones("abc"), make_tones("abcabc"), make_tones("cba")]))
    assert (found[0].text, found[2].text) == ("abc", "cba")
    assert isinstance(found[1], InferenceError)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.full(16_000, np.inf, np.float32), "samples 0: holds NaN or infinite samples"),
        (np.zeros(0, np.float32), "samples 0: lasts 0 ms"),
    ],
)
def test_samples_are_checked(model, samples, reason):
    with pytest.raises(AudioError, match=reason):
        model.transcribe(samples)


@pytest.mark.parametrize(
    ("source", "description"),
    [
        (np.zeros((100, 2), np.float32), "a 2-dimensional float32 array"),
        (np.zeros(16_000), "a 1-dimensional float64 array"),
        (np.zeros(16_000, np.int16), "a 1-dimensional int16 array"),
        ([0.0, 0.1], "a list"),
        (b"RIFF", "a bytes"),
        (None, "a NoneType"),
        (3, "an int"),
        (io.StringIO("x"), "a StringIO"),
        (torch.zeros(16_000), r"a torch tensor \(its .numpy\(\) works if it is float32\)"),
    ],
)
def test_what_is_no_recording(model, make_tones, source, description):
    expected = "a path, a binary file object, or a one-dimensional float32 numpy array of samples at 16000 Hz"
    with pytest.raises(TypeError, match=rf"^cannot transcribe {description}; give {expected}$") as caught:
        model.transcribe(source)
    assert isinstance(caught.value, RecordingTypeError)
    results = dict(model.transcribe_many([source, make_tones("abc")]))
    assert isinstance(results[0], RecordingTypeError)
    assert results[1].text == "abc"


@pytest.mark.parametrize("sources", ["x.wav", Path("x.wav"), b"x", np.zeros(16_000, np.float32), None, 3])
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


def test_silence_is_an_empty_transcript(model):
    assert model.transcribe(np.zeros(16_000, np.float32)).text == ""


class Recorder:
    """An engine that notes the shapes that it is given."""

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
