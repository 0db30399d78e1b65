"""OpenAI's transcription and list of models, in this process."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest

from qasr.runtimes import load, select
from qasr.runtimes.ctc import formats

URL = "/v1/audio/transcriptions"


@pytest.fixture
def clip(write_audio, make_tones):
    return write_audio("clip.wav", make_tones("abcab"))


@pytest.fixture
def expected(toy, clip):
    with load(toy.folder, threads=1, window_seconds=4.0) as model:
        return model.transcribe(clip)


def upload(path, **fields):
    return {"files": {"file": (path.name, path.read_bytes())}, "data": {"model": "toy", **fields}}


def answers(run, serving, path, *requests, **options):
    """The answers to several requests of one application."""

    async def test():
        async with serving(**options) as served:
            return [await served.client.post(URL, **upload(path, **fields)) for fields in requests]

    return run(test())


def test_json(run, serving, clip):
    (answer,) = answers(run, serving, clip, {})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {"text": "abcab", "usage": {"type": "duration", "seconds": 2}}
    assert "x-qasr-ignored" not in answer.headers


@pytest.mark.parametrize(
    ("layout", "kind"),
    [
        ("text", "text/plain; charset=utf-8"),
        ("srt", "application/x-subrip"),
        ("vtt", "text/vtt; charset=utf-8"),
        ("qasr_json", "application/json"),
    ],
)
@pytest.mark.parametrize("levels", ["", "all", "loud", "loud,letters"])
def test_formats_of_qinfer(run, serving, clip, expected, layout, kind, levels):
    fields = {"response_format": layout} | ({"levels": levels} if levels else {})
    (answer,) = answers(run, serving, clip, fields)
    chosen = {"": ["letters"], "loud": ["loud"]}.get(levels, ["letters", "loud"])
    transcript = select(msgspec.structs.replace(expected, audio="clip.wav"), chosen)
    write = formats.FORMATS["json" if layout == "qasr_json" else layout]
    assert answer.text == write([transcript])
    assert answer.headers["content-type"] == kind


def test_verbose_json(run, serving, clip, expected):
    fields = {"response_format": "verbose_json", "language": "ar"}
    segments, words, both = answers(
        run,
        serving,
        clip,
        fields,
        fields | {"timestamp_granularities[]": "word"},
        fields | {"timestamp_granularities": ["word", "segment"], "levels": "all"},
    )
    one = segments.json()
    assert {key: one[key] for key in ("text", "task", "language", "duration")} == {
        "text": "abcab", "task": "transcribe", "language": "ar", "duration": 1.6,
    }  # fmt: skip
    (segment,) = one["segments"]
    assert (segment["id"], segment["text"], segment["start"], segment["end"]) == (
        0, "abcab", expected.segments[0].start, expected.segments[0].end,
    )  # fmt: skip
    assert segment["tokens"] == [1, 2, 3, 1, 2]
    assert -0.7 < segment["avg_logprob"] < 0
    assert "words" not in one
    assert [word["word"] for word in words.json()["words"]] == list("abcab")
    assert "segments" not in words.json()
    assert {"words", "segments"} <= set(both.json())
    assert both.json()["levels"] == {level: result.text for level, result in expected.levels.items()}


def test_logprobs(run, serving, clip):
    first, second = answers(run, serving, clip, {"include[]": "logprobs"}, {"include": "logprobs"})
    assert first.json() == second.json()
    tokens = first.json()["logprobs"]
    assert [token["token"] for token in tokens] == list("abcab")
    assert all(token["logprob"] <= 0 and bytes(token["bytes"]).decode() == token["token"] for token in tokens)


def test_what_is_ignored_is_said(run, serving, clip):
    fields = {"prompt": "x", "temperature": "0.5", "language": "ar", "bad\r\nname": "y", "chunking_strategy": "auto"}
    (answer,) = answers(run, serving, clip, fields)
    assert answer.status_code == 200
    assert answer.headers["x-qasr-ignored"] == "chunking_strategy, language, prompt, temperature"


@pytest.mark.parametrize(
    ("fields", "status", "param", "message"),
    [
        ({"model": ""}, 400, "model", "model is missing; available are toy"),
        ({"model": "whisper-1"}, 404, "model", "no model 'whisper-1'; available are toy"),
        ({"model": ["toy", "toy"]}, 400, "model", "model is given 2 times"),
        ({"response_format": "xml"}, 400, "response_format", "response_format must be json, text, srt"),
        ({"temperature": "hot"}, 400, "temperature", "temperature must be a number from 0 to 1, not 'hot'"),
        ({"temperature": "nan"}, 400, "temperature", "temperature must be a number from 0 to 1, not 'nan'"),
        ({"stream": "maybe"}, 400, "stream", "stream must be true, false"),
        ({"stream": "true", "response_format": "srt"}, 400, "stream", "stream needs response_format json or text"),
        ({"timestamp_granularities[]": "word"}, 400, "timestamp_granularities", "needs response_format verbose_json"),
        ({"include[]": "all"}, 400, "include", "include must be logprobs"),
        ({"include[]": "logprobs", "response_format": "text"}, 400, "include", "needs response_format json"),
        ({"levels": "letter"}, 400, "levels", "did you mean letters?"),
    ],
)
def test_wrong_parameters(run, serving, clip, fields, status, param, message):
    (answer,) = answers(run, serving, clip, fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (status, param)
    assert message in error["message"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], answer.headers["x-should-retry"]) == ("invalid_request_error", "false")
    assert "retry-after" not in answer.headers


def events(answer):
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = answer.text.split("\n\n")
    assert (lines.pop(), lines.pop()) == ("", "data: [DONE]")
    return [json.loads(line.removeprefix("data: ")) for line in lines]


@pytest.mark.parametrize("text", ["abc", "abc" * 20])
def test_stream(run, serving, write_audio, make_tones, text):
    path = write_audio("x.wav", make_tones(text))
    (answer,) = answers(run, serving, path, {"stream": "true", "include[]": "logprobs"})
    *deltas, done = events(answer)
    assert {event["type"] for event in deltas} == {"transcript.text.delta"}
    assert "".join(event["delta"] for event in deltas) == text
    assert len(deltas) > 1 if len(text) > 3 else len(deltas) == 1
    assert (done["type"], done["text"], done["usage"]["type"]) == ("transcript.text.done", text, "duration")
    assert [token["token"] for token in done["logprobs"]] == list(text)


def test_what_is_refused_before_the_first_text_has_its_status(run, serving, tmp_path):
    (bad := tmp_path / "bad.wav").write_bytes(b"noise" * 100)
    (answer,) = answers(run, serving, bad, {"stream": "true"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_audio")


def test_an_engine_lost_in_a_stream_is_an_event(run, serving, write_audio, make_tones):
    path = write_audio("x.wav", make_tones("abc" * 20))

    async def test():
        async with serving() as served:
            infer = served.worker.infer

            async def dying(windows):
                if len(served.worker.groups) == 3:
                    served.worker.dead.set()
                return await infer(windows)

            served.worker.infer = dying
            return await served.client.post(URL, **upload(path, stream="true"))

    answer = run(test())
    *deltas, error = [json.loads(part.removeprefix("data: ")) for part in answer.text.split("\n\n")[:-1]]
    assert answer.status_code == 200
    assert all(event["type"] == "transcript.text.delta" for event in deltas)
    assert error["error"]["code"] == "engine"


def test_models(run, serving, toy):
    async def test():
        async with serving() as served:
            listed = (await served.client.get("/v1/models")).json()
            one = await served.client.get("/v1/models/toy")
            none = await served.client.get("/v1/models/other")
            return listed, one, none

    listed, one, none = run(test())
    assert listed == {"object": "list", "data": [one.json()]}
    described = one.json()
    assert {key: described[key] for key in ("id", "object", "owned_by", "target", "levels", "digest")} == {
        "id": "toy", "object": "model", "owned_by": "qasr", "target": "onnx-fp32", "levels": ["letters", "loud"],
        "digest": toy.manifest.digest,
    }  # fmt: skip
    assert isinstance(described["created"], int)
    assert (none.status_code, none.json()["error"]["code"]) == (404, "model_not_found")


def test_predict(run, serving, clip):
    """The incumbent's interface."""

    async def test():
        async with serving() as served:
            files = {"file": (clip.name, clip.read_bytes())}
            good = await served.client.post("/predict", files=files)
            bad = await served.client.post("/predict", data={"x": "y"})
            return good, bad

    good, bad = run(test())
    assert (good.status_code, good.json()) == (200, {"phonemes": "abcab"})
    assert (bad.status_code, bad.json()["error"]["code"]) == (415, "unsupported_body")


def test_requests_side_by_side_are_grouped(run, serving, until, write_audio, make_tones):
    texts = ["abc", "cab", "bca", "abcabc", "bcabca"]
    paths = [write_audio(f"{index}.wav", make_tones(text)) for index, text in enumerate(texts)]

    async def test():
        async with serving() as served:
            served.worker.gate.clear()
            tasks = [asyncio.create_task(served.client.post(URL, **upload(path))) for path in [paths[0], *paths]]
            queue = served.models.get("toy")._dispatcher.queue
            await until(lambda: sum(served.worker.groups) + len(queue) == 6)
            served.worker.gate.set()
            done = [answer.json()["text"] for answer in await asyncio.gather(*tasks)]
            return done, served.worker.groups

    done, groups = run(test())
    assert done == [texts[0], *texts]
    assert sum(groups) == 6
    assert len(groups) < 6
