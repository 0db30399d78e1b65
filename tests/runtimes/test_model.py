"""``load`` and ``transcribe`` on a model that hears tones, so that every transcript is known."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

import qasr
from qasr.artifacts import Artifact, InputLimits
from qasr.audio import AudioError
from qasr.errors import QasrError
from qasr.runtimes import InferenceError, Model, load


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


def test_tokens_lie_where_the_tones_do(model, make_tones):
    tokens = model.transcribe(make_tones("abc")).levels["letters"].tokens
    for place, token in enumerate(tokens):
        assert token.start == pytest.approx(0.1 + 0.3 * place, abs=0.05)
        assert token.end == pytest.approx(0.3 + 0.3 * place, abs=0.05)
        assert 0.5 < token.confidence <= 1.0


@pytest.mark.parametrize(("name", "rate"), [("x.flac", 44_100), ("x.ogg", 48_000), ("x.mp3", 32_000), ("x.wav", 8_000)])
def test_any_format_and_rate(model, write_audio, make_tones, name, rate):
    samples = make_tones("abcba", rate)
    assert model.transcribe(write_audio(name, np.stack([samples, samples], axis=1), rate)).text == "abcba"


def test_a_batch_gives_what_each_recording_gives_alone(model, write_audio, make_tones):
    texts = ["a", "abcabcabc", "cb", "", "abc", "bbbbbbbbbbbbbb"]
    sources = [write_audio(f"{place}.wav", make_tones(text)) for place, text in enumerate(texts) if text]
    sources.insert(2, make_tones("ccc"))
    alone = [model.transcribe(source) for source in sources]
    for batch_seconds in (0.1, 4.0, 60.0):
        together = model.transcribe_batch(sources, batch_seconds)
        assert [one.text for one in together] == [one.text for one in alone]
        assert [one.seconds for one in together] == [one.seconds for one in alone]


def test_windows_give_what_the_whole_gives(toy, write_audio, make_tones):
    random = np.random.default_rng(0)
    text = "".join(random.choice(list("abc."), 150))
    path = write_audio("long.wav", make_tones(text))
    whole = load(toy.folder, window_seconds=1_000).transcribe(path)
    assert whole.text == text.replace(".", "")
    for seconds in (4.0, 7.0, 12.0, 30.0):
        assert load(toy.folder, window_seconds=seconds).transcribe(path) == whole


def test_a_window_obeys_the_limits_of_the_artifact(toy, make_tones):
    limited = msgspec.structs.replace(toy.manifest, limits=InputLimits(max_frames=200, max_batch=2))
    engine = Recorder(load(toy.folder)._engine)
    model = Model(Artifact(toy.folder, limited), engine)
    assert model.transcribe(make_tones("abc" * 10)).text == "abc" * 10
    assert max(frames for _, frames in engine.shapes) == 200
    model.transcribe_batch([make_tones("ab")] * 5)
    assert max(clips for clips, _ in engine.shapes) == 2


def test_a_recording_longer_than_its_header_says_is_heard_to_its_end(toy, write_audio, make_tones, monkeypatch):
    path = write_audio("x.wav", make_tones("abc" * 10))
    monkeypatch.setattr("qasr.runtimes.model.duration", lambda _: 1.0)
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
    model = Model(toy, Moody(load(toy.folder)._engine, longest=60))
    found = dict(model.transcribe_many([make_tones("abc"), make_tones("abcabc"), make_tones("cba")]))
    assert (found[0].text, found[2].text) == ("abc", "cba")
    assert isinstance(found[1], InferenceError)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros((100, 2), np.float32), "one-dimensional float32"),
        (np.zeros(16_000), "float64"),
        (np.full(16_000, np.inf, np.float32), "no numbers"),
        (np.zeros(0, np.float32), "lasts 0 ms"),
    ],
)
def test_samples_are_checked(model, samples, reason):
    with pytest.raises(AudioError, match=reason):
        model.transcribe(samples)


def test_silence_is_an_empty_transcript(model):
    assert model.transcribe(np.zeros(16_000, np.float32)).text == ""


class Recorder:
    """An engine that notes the shapes that it is given."""

    def __init__(self, engine):
        self.engine, self.shapes = engine, []

    def infer(self, features, lengths):
        self.shapes.append(features.shape[:2])
        return self.engine.infer(features, lengths)

    def close(self):
        self.engine.close()


class Moody(Recorder):
    """An engine that fails on long inputs."""

    def __init__(self, engine, longest):
        super().__init__(engine)
        self.longest = longest

    def infer(self, features, lengths):
        if features.shape[1] > self.longest:
            raise InferenceError("too long")
        return super().infer(features, lengths)
