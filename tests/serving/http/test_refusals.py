"""Every refusal, and clients that misbehave or leave, in this process."""

from __future__ import annotations

import asyncio

import pytest

from qasr.errors import QasrError
from qasr.serving.http.keys import read_keys
from qasr.serving.http.options import HttpOptions

URL = "/v1/audio/transcriptions"
KEY = "a-key-of-the-tests"


@pytest.fixture
def clip(write_audio, make_tones):
    return write_audio("clip.wav", make_tones("abcab")).read_bytes()


def form(audio, name="clip.wav", **fields):
    return {"files": {"file": (name, audio)}, "data": {"model": "toy", **fields}}


def error(answer):
    return answer.status_code, answer.json()["error"]["code"]


async def request(app, path, chunks, headers=(), *, leave=False, stay=None):
    """Call the application as a server does, with a body in ``chunks``. Returns the messages that it sent.

    The client leaves after the body if ``leave``; otherwise it stays until ``stay`` is set, or for ever.
    """
    sent = []
    chunks = list(chunks)

    async def receive():
        if chunks:
            chunk = chunks.pop(0)
            if isinstance(chunk, asyncio.Event):
                await chunk.wait()
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}
        if not leave:
            await (stay or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers], "http_version": "1.1",
        "scheme": "http", "server": ("qserve", 80), "client": ("client", 1), "root_path": "",
    }  # fmt: skip
    await app(scope, receive, send)
    return sent


def multipart(audio, disposition='form-data; name="file"; filename="x.wav"', fields=(("model", "toy"),)):
    """A body in which the file has no content type."""
    parts = [f'--edge\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n'.encode() for n, v in fields]
    parts.append(f"--edge\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + audio + b"\r\n--edge--\r\n")
    return b"".join(parts)


FORM_TYPE = ("content-type", "multipart/form-data; boundary=edge")


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b"", {}, (415, "unsupported_body")),
        (b"{}", {"content-type": "application/json"}, (415, "unsupported_body")),
        (b"model=toy", {"content-type": "application/x-www-form-urlencoded"}, (415, "unsupported_body")),
        (b"x", {"content-type": "multipart/form-data"}, (400, "invalid_form")),
        (b"no form", {"content-type": "multipart/form-data; boundary=edge"}, (400, "invalid_form")),
        (b"--edge\r\n\r\nx\r\n--edge--", {"content-type": "multipart/form-data; boundary=edge"}, (400, "invalid_form")),
        (b"--edge--\r\n", {"content-type": "multipart/form-data; boundary=edge"}, (400, "missing_file")),
    ],
)
def test_bodies(run, serving, body, headers, expected):
    async def test():
        async with serving() as served:
            return await served.client.post(URL, content=body, headers=headers)

    assert error(run(test())) == expected


def test_forms_are_bounded(run, serving, clip):
    async def test():
        async with serving() as served:
            post = served.client.post
            files = [("file", ("a.wav", clip)), ("file", ("b.wav", clip))]
            return [
                await post(URL, files=files, data={"model": "toy"}),
                await post(URL, **form(clip, **{f"field{number}": "x" for number in range(70)})),
                await post(URL, **form(clip, prompt="x" * 70_000)),
                await post(URL, data={"model": "toy", "file": "text"}, files={"other": ("x", b"y")}),
            ]

    *forms, missing = run(test())
    assert [error(answer) for answer in forms] == [(400, "invalid_form")] * 3
    assert error(missing) == (400, "missing_file")


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (b"", "naïve ﷽.wav: is empty (0 bytes)"),
        (b"noise" * 100, "naïve ﷽.wav: is not audio that can be read"),
    ],
)
def test_bad_audio_is_named_by_its_upload(run, serving, audio, message):
    async def test():
        async with serving() as served:
            return await served.client.post(URL, **form(audio, name="../dir/naïve ﷽.wav"))

    answer = run(test())
    assert error(answer) == (422, "invalid_audio")
    assert answer.json()["error"]["message"].startswith(message)
    assert answer.headers["x-should-retry"] == "false"


def test_short_and_long_audio(run, serving, write_audio, make_tones):
    short = write_audio("short.wav", make_tones("a")[:100]).read_bytes()
    long = write_audio("long.wav", make_tones("abc" * 4)).read_bytes()

    async def test():
        async with serving(max_recording_seconds=2.0) as served:
            return [await served.client.post(URL, **form(audio)) for audio in (short, long)]

    first, second = run(test())
    assert error(first) == (422, "invalid_audio")
    assert error(second) == (413, "too_long")


@pytest.mark.parametrize(
    "disposition",
    [
        'form-data; name="file"; filename="تلاوة.wav"',
        "form-data; name=\"file\"; filename*=UTF-8''%D8%AA%D9%84%D8%A7%D9%88%D8%A9.wav",
        'form-data; name="file"; filename="C:\\Users\\x\\a.wav"',
        'form-data; name="file"; filename="../../etc/a.wav"',
        'form-data; name="file"; filename=""',
    ],
)
def test_names_of_files_and_missing_content_types(run, serving, clip, disposition):
    fields = (("model", "toy"), ("response_format", "qasr_json"))

    async def test():
        async with serving() as served:
            body = multipart(clip, disposition, fields)
            chunks = [body[start : start + 1_000] for start in range(0, len(body), 1_000)]  # no Content-Length
            return await request(served.app, URL, chunks, [FORM_TYPE])

    start, *rest = run(test())
    text = b"".join(message["body"] for message in rest).decode()
    assert start["status"] == 200
    assert '"text": "abcab"' in text
    assert ("تلاوة.wav" in text) == ("تلاوة" in disposition or "%D8" in disposition)
    assert "/" not in text.split('"audio": ')[1].split(",")[0]


def test_uploads_are_bounded_by_content_length_and_while_they_arrive(run, serving, clip):
    async def test():
        async with serving(http=HttpOptions(max_upload_bytes=20_000)) as served:
            stated = await request(served.app, URL, [asyncio.Event()], [FORM_TYPE, ("content-length", "20001")])
            body = multipart(clip)
            counted = await request(served.app, URL, [body[:15_000], body[15_000:], asyncio.Event()], [FORM_TYPE])
            refusals = await served.metric('qserve_refusals_total{reason="too large"}')
            return stated, counted, refusals

    stated, counted, refusals = run(test())
    for start, body in (stated, counted):
        assert start["status"] == 413
        assert b"larger than 0.02 MB" in body["body"]
    assert refusals == 2


def test_slow_clients_time_out(run, serving, clip):
    async def test():
        async with serving(http=HttpOptions(idle_seconds=0.05)) as served:
            return await request(served.app, URL, [b"--edge\r\n", asyncio.Event()], [FORM_TYPE])

    start, body = run(test())
    assert start["status"] == 408
    assert b"slow_client" in body["body"]


def test_a_client_that_leaves_while_it_sends(run, serving):
    async def test():
        async with serving() as served:
            gone = asyncio.Event()
            gone.set()
            await request(served.app, URL, [b"--edge\r\n", gone, b""], [FORM_TYPE])
            return served.models.requests

    assert run(test()) == 0


@pytest.mark.parametrize("stream", ["false", "true"])
def test_a_client_that_leaves_in_the_queue(run, serving, until, clip, stream):
    """Its window is dropped, and the engine runs only those of the others."""
    fields = (("model", "toy"), ("stream", stream))

    async def test():
        async with serving() as served:
            served.worker.gate.clear()
            first = asyncio.create_task(served.client.post(URL, **form(clip)))
            await until(lambda: served.worker.groups)
            stay = asyncio.Event()
            chunks = [multipart(clip, fields=fields)]
            second = asyncio.create_task(request(served.app, URL, chunks, [FORM_TYPE], stay=stay))
            await until(lambda: served.models.get("toy").waiting_seconds)
            stay.set()
            await second
            state = (served.models.requests, served.models.get("toy").waiting_seconds)
            served.worker.gate.set()
            done = await first
            gone = await served.metric('qserve_refusals_total{reason="client_gone"}')
            return state, done.json()["text"], served.worker.groups, gone

    assert run(test()) == ((1, 0.0), "abcab", [1], 1.0)


def test_a_client_that_leaves_between_windows(run, serving, until, write_audio, make_tones):
    long = write_audio("long.wav", make_tones("abc" * 60)).read_bytes()

    async def test():
        async with serving() as served:
            stay = asyncio.Event()
            task = asyncio.create_task(request(served.app, URL, [multipart(long)], [FORM_TYPE], stay=stay))
            await until(lambda: len(served.worker.groups) >= 3)
            served.worker.gate.clear()
            stay.set()
            await task
            served.worker.gate.set()
            assert (await served.client.post(URL, **form(long[:44] + long[-64_000:]))).status_code in (200, 422)
            return len(served.worker.groups), served.models.requests

    groups, requests = run(test())
    assert groups < 12  # 54 s in windows of 4 s, 2 s apart, would be 26
    assert requests == 0


def test_overload(run, serving, until, clip):
    """A full server refuses before the body, says when to come back, and does what it has admitted."""

    async def test():
        async with serving(max_requests=2) as served:
            served.worker.gate.clear()
            tasks = [asyncio.create_task(served.client.post(URL, **form(clip))) for _ in range(2)]
            await until(lambda: served.models.requests == 2)
            unread = await request(served.app, URL, [asyncio.Event()], [FORM_TYPE])
            refused = await served.client.post(URL, **form(clip))
            served.worker.gate.set()
            done = [answer.status_code for answer in await asyncio.gather(*tasks)]
            again = await served.client.post(URL, **form(clip))
            return unread, refused, done, again

    unread, refused, done, again = run(test())
    assert unread[0]["status"] == 429
    assert error(refused) == (429, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1
    assert "x-should-retry" not in refused.headers
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert (done, again.status_code) == ([200, 200], 200)


def test_a_wait_beyond_the_deadline_is_refused(run, serving, until, clip):
    async def test():
        async with serving(deadline_seconds=1.0) as served:
            served.worker.gate.clear()
            first = asyncio.create_task(served.client.post(URL, **form(clip)))
            await until(lambda: served.worker.groups)
            model = served.models.get("toy")
            model._dispatcher.throughput._audio = 0.1  # 1.6 s of audio now take 16 s
            refused = await served.client.post(URL, **form(clip))
            served.worker.gate.set()
            return refused, await first

    refused, first = run(test())
    assert error(refused) == (429, "overloaded")
    assert "and the deadline is 1 s" in refused.json()["error"]["message"]
    assert first.status_code == 200


def test_connections_are_bounded(run, serving, until, clip):
    async def test():
        async with serving(http=HttpOptions(max_connections=1)) as served:
            served.worker.gate.clear()
            first = asyncio.create_task(served.client.post(URL, **form(clip)))
            await until(lambda: served.worker.groups)
            refused = await served.client.post(URL, **form(clip))
            alive = await served.client.get("/livez")
            served.worker.gate.set()
            return refused, alive, await first

    refused, alive, first = run(test())
    assert (error(refused), alive.status_code, first.status_code) == ((429, "overloaded"), 200, 200)


def test_loading_and_draining(run, serving, clip):
    async def test():
        answers = []
        async with serving(loaded=False) as served:
            for reason in ("loading", "draining"):
                answers += [(reason, await served.client.get("/readyz"), await served.client.post(URL, **form(clip)))]
                alive = await served.client.get("/livez")
                assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
                served.models.draining = True
        return answers

    for reason, ready, answer in run(test()):
        assert ready.status_code == 503
        assert reason in ready.json()["reason"]
        assert error(answer) == (503, reason)
        assert int(answer.headers["retry-after"]) >= 1


def test_an_engine_that_dies_or_hangs(run, serving, until, clip):
    """Requests on it get 503, readiness falls, and the next engine serves what comes."""

    async def test():
        async with serving(stall_seconds=0.1) as served:
            served.worker.gate.clear()
            lost = await served.client.post(URL, **form(clip))
            await until(lambda: len(served.workers) == 2 and served.models.not_ready() is None)
            ready = await served.client.get("/readyz")
            done = await served.client.post(URL, **form(clip))
            return lost, ready, done, await served.metric('qserve_lost_workers_total{model="toy",reason="hang"}')

    lost, ready, done, count = run(test())
    assert error(lost) == (503, "engine")
    assert lost.headers["retry-after"] == "5"
    assert (ready.status_code, done.json()["text"], count) == (200, "abcab", 1.0)


def test_unready_while_an_engine_is_replaced(run, serving, until, clip):
    async def test():
        async with serving() as served:
            dispatcher = served.models.get("toy")._dispatcher
            gate, replace = asyncio.Event(), dispatcher._replace

            async def slowly():
                await gate.wait()
                return await replace()

            dispatcher._replace = slowly
            served.worker.gate.clear()
            task = asyncio.create_task(served.client.post(URL, **form(clip)))
            await until(lambda: served.worker.groups)
            served.worker.dead.set()
            first = await task
            second, ready = await served.client.post(URL, **form(clip)), await served.client.get("/readyz")
            gate.set()
            await until(lambda: served.models.not_ready() is None)
            return first, second, ready

    first, second, ready = run(test())
    assert (error(first), error(second), ready.status_code) == ((503, "engine"), (503, "engine"), 503)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong-key-of-the-tests"}, 401),
        ({"authorization": f"Basic {KEY}"}, 401),
        ({"authorization": f"Bearer {KEY}"}, 200),
        ({"authorization": "bearer another-key"}, 200),
        ({"x-api-key": KEY}, 200),
        ({"x-api-key": f"{KEY}x"}, 401),
    ],
)
def test_keys(run, serving, clip, headers, status):
    async def test():
        async with serving(http=HttpOptions(keys=(KEY, "another-key"))) as served:
            posted = await served.client.post(URL, **form(clip), headers=headers)
            listed = await served.client.get("/v1/models", headers=headers)
            metrics = await served.client.get("/metrics", headers=headers)
            ready = await served.client.get("/readyz")
            return [posted.status_code, listed.status_code, metrics.status_code, ready.status_code], posted

    codes, posted = run(test())
    assert codes == [status, status, status, 200]
    if status == 401:
        assert error(posted) == (401, "invalid_api_key")
        assert posted.headers["www-authenticate"] == "Bearer"


def test_keys_are_read_from_a_file_and_the_environment(tmp_path):
    file = tmp_path / "keys"
    file.write_text("# ours\nfirst-key  # laptop\n\nsecond-key\n")
    assert read_keys(file, " third-key, ,fourth-key") == ("first-key", "second-key", "third-key", "fourth-key")
    assert read_keys(None, None) == ()
    file.write_text("# nothing\n")
    for arguments, reason in (
        ((file, None), "holds no key"),
        ((tmp_path / "none", None), "the keys cannot be read"),
        ((None, "short"), "an API key is shorter than 8"),
    ):
        with pytest.raises(QasrError, match=reason) as raised:
            read_keys(*arguments)
        assert "short," not in str(raised.value)


def test_cors_is_off_unless_named(run, serving):
    asked = {"origin": "https://app.example", "access-control-request-method": "POST"}

    async def test():
        answers = []
        for origins in ((), ("https://app.example",), ("https://other.example",)):
            async with serving(http=HttpOptions(origins=origins, keys=(KEY,))) as served:
                preflight = await served.client.options(URL, headers=asked)
                refused = await served.client.post(URL, headers=asked)
                answers.append([one.headers.get("access-control-allow-origin") for one in (preflight, refused)])
        return answers

    assert run(test()) == [[None, None], ["https://app.example"] * 2, [None, None]]


def test_unknown_paths_methods_and_bugs(run, serving, clip):
    async def test():
        async with serving() as served:
            none, wrong = await served.client.get("/v3/none"), await served.client.get(URL)
            served.models.get("toy").transcribe = None  # a bug
            bug = await served.client.post(URL, **form(clip))
            labels = (await served.client.get("/metrics")).text
            return none, wrong, bug, labels

    none, wrong, bug, labels = run(test())
    assert [answer.status_code for answer in (none, wrong, bug)] == [404, 405, 500]
    assert all(set(answer.json()["error"]) == {"message", "type", "param", "code"} for answer in (none, wrong, bug))
    assert "NoneType" not in bug.text
    assert "none" not in labels.replace("reason", "")


def test_the_description(run, serving):
    async def test():
        async with serving(http=HttpOptions(keys=(KEY,))) as served:
            return await served.client.get("/openapi.json")

    described = run(test()).json()
    assert {"/v1/audio/transcriptions", "/v1/models", "/predict", "/readyz", "/metrics"} <= set(described["paths"])
    form_of = described["paths"][URL]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form_of["required"] == ["file", "model"]
