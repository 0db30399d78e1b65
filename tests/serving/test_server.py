"""A real server with the bundled model, and the official client of OpenAI."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

import httpx2
import msgspec
import openai
import pytest

from qasr import load, reference
from qasr.runtimes.ctc.formats import json as qinfer_json

QSERVE = [sys.executable, "-c", "from qasr.cli.qserve import run; run()"]
CLIPS = sorted(reference.EVALUATION.parent.glob("*.flac"))[:6]
URL = "/v1/audio/transcriptions"


@pytest.fixture(scope="module")
def transcripts(server):
    with load(server[1].folder, threads=1) as model:
        return {path.name: model.transcribe(path) for path in CLIPS}


@pytest.fixture
def client(server):
    with openai.OpenAI(base_url=f"{server[0]}/v1", api_key="unused", max_retries=0) as made:
        yield made


def named(transcript, name):
    return msgspec.structs.replace(transcript, audio=name)


def test_the_server_answers_what_qinfer_writes(server, transcripts):
    for path in CLIPS[:3]:
        data = {"model": "onnx-int8", "response_format": "qasr_json", "levels": "all"}
        answer = httpx2.post(server[0] + URL, files={"file": (path.name, path.read_bytes())}, data=data)
        assert answer.text == qinfer_json([named(transcripts[path.name], path.name)])


def test_openai_client(client, clip, transcripts):
    expected = transcripts[clip.name]
    create = client.audio.transcriptions.create
    with clip.open("rb") as file:
        assert create(model="onnx-int8", file=file).text == expected.text
    assert create(model="onnx-int8", file=clip, response_format="text") == expected.text + "\n"
    subtitles = create(model="onnx-int8", file=clip, response_format="srt")
    assert subtitles.startswith("1\n00:00:0")
    verbose = create(
        model="onnx-int8", file=clip, response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert [segment.text for segment in verbose.segments] == [segment.text for segment in expected.segments]
    assert [word.word for word in verbose.words] == [group.text for group in expected.groups]
    assert float(verbose.duration) == expected.seconds
    log = create(model="onnx-int8", file=clip, include=["logprobs"]).logprobs
    assert "".join(token.token for token in log) == expected.text


def test_openai_client_streams(client, clip, transcripts):
    events = list(client.audio.transcriptions.create(model="onnx-int8", file=clip, stream=True))
    assert "".join(event.delta for event in events[:-1]) == transcripts[clip.name].text
    assert (events[-1].type, events[-1].text) == ("transcript.text.done", transcripts[clip.name].text)


def test_openai_client_raises_its_own_errors(client, clip):
    create = client.audio.transcriptions.create
    with pytest.raises(openai.NotFoundError, match="no model 'whisper-1'; available are onnx-int8"):
        create(model="whisper-1", file=clip)
    with pytest.raises(openai.BadRequestError) as wrong:
        create(model="onnx-int8", file=clip, extra_body={"levels": "all,none"})
    assert (wrong.value.param, wrong.value.code) == ("levels", "unknown_level")
    with pytest.raises(openai.UnprocessableEntityError, match=r"x\.wav: is not audio"):
        create(model="onnx-int8", file=("x.wav", b"noise" * 100))


def test_openai_client_lists_models(client, server):
    (model,) = client.models.list().data
    assert (model.id, model.object, model.owned_by) == ("onnx-int8", "model", "qasr")
    assert client.models.retrieve("onnx-int8").digest == server[1].manifest.digest
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("none")


def test_many_clients_at_once(server, transcripts):
    async def test():
        async with openai.AsyncOpenAI(base_url=f"{server[0]}/v1", api_key="x", max_retries=0) as client:
            create = client.audio.transcriptions.create
            return await asyncio.gather(*(create(model="onnx-int8", file=path) for path in CLIPS * 4))

    texts = [one.text for one in asyncio.run(test())]
    assert texts == [transcripts[path.name].text for path in CLIPS * 4]


def test_chunked_bodies(server, clip, transcripts):
    head = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.flac"\r\n\r\n'
    data = head + clip.read_bytes() + b"\r\n--edge--\r\n"
    chunks = (data[start : start + 4_096] for start in range(0, len(data), 4_096))
    headers = {"content-type": "multipart/form-data; boundary=edge"}
    answer = httpx2.post(server[0] + "/predict", content=chunks, headers=headers)
    assert "content-length" not in answer.request.headers
    assert answer.json() == {"phonemes": transcripts[clip.name].text}


def test_a_refused_upload_leaves_the_connection_usable(server):
    with httpx2.Client(base_url=server[0]) as client:
        for _ in range(2):
            answer = client.post(URL, files={"file": ("x", b"x" * 1_000_000)}, headers={"content-type": "text/plain"})
            assert answer.status_code == 415
        answer = client.post(URL, files={"file": ("x", b"x" * 100_000_001)}, data={"model": "onnx-int8"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
        assert client.get("/livez").status_code == 200


def test_a_client_that_hangs_up_ends_its_request(server):
    host, port = server[0].removeprefix("http://").split(":")

    def gone():
        lines = httpx2.get(f"{server[0]}/metrics").text.splitlines()
        return next((line for line in lines if line.startswith('qserve_refusals_total{reason="client_gone"}')), "")

    before = gone()
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=edge\r\n"
            b"Content-Length: 1000\r\n\r\n--edge\r\n"
        )
    while gone() == before:
        time.sleep(0.02)
    assert httpx2.get(f"{server[0]}/readyz").status_code == 200


@contextlib.contextmanager
def started(*arguments, **environment):
    """A server of its own; ``process.address`` is set once it is ready."""
    process = subprocess.Popen(
        [*QSERVE, *map(str, arguments), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def address_of(process):
    for line in process.stderr:
        if " serves " in line:
            return line.split()[1]
    raise AssertionError("it ended")


def test_life_of_a_server(toy, write_audio, make_tones):
    """Two models, keys that stay out of the log, SIGHUP, and SIGTERM that ends what runs."""
    path = write_audio("secret-name.wav", make_tones("abc" * 30))
    key = "key-that-nobody-sees"
    options = ["--access-log", "--window-seconds", "2", "--threads", "1"]
    with started(toy.folder, f"other={toy.folder}", *options, QSERVE_API_KEYS=key) as process:
        address = address_of(process)
        headers = {"authorization": f"Bearer {key}"}
        assert httpx2.get(f"{address}/v1/models").status_code == 401
        listed = httpx2.get(f"{address}/v1/models", headers=headers).json()["data"]
        assert [model["id"] for model in listed] == ["toy", "other"]
        process.send_signal(signal.SIGHUP)
        form = {"files": {"file": (path.name, path.read_bytes())}, "data": {"model": "other", "stream": "true"}}
        with httpx2.stream("POST", address + URL, headers=headers, **form) as answer:
            lines = answer.iter_lines()
            first = next(lines)
            process.send_signal(signal.SIGTERM)
            events = [json.loads(line[6:]) for line in [first, *lines] if line.startswith("data: {")]
        assert (events[-1]["type"], events[-1]["text"]) == ("transcript.text.done", "abc" * 30)
        assert process.wait(60) == 0
        log = process.stderr.read()
        assert key not in log
        assert "abcabc" not in log
        assert "secret-name" not in log
        assert f'"POST {URL} HTTP/1.1" 200' in log


def test_slow_heads_are_closed(toy, monkeypatch):
    from qasr.serving.http.protocol import PatientProtocol

    monkeypatch.setattr(PatientProtocol, "head_seconds", 0.05)
    import uvicorn

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def test():
        server = uvicorn.Server(uvicorn.Config(app, port=0, http=PatientProtocol, lifespan="off", log_config=None))
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        ends = []
        for sent in (b"", b"GET / HTTP/1.1\r\nHost:"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            ends.append(await reader.read())
            writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        ends.append((await reader.readline()).strip())
        writer.close()
        server.should_exit = True
        await task
        return ends

    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert asyncio.run(test()) == [b"", b"", b"HTTP/1.1 200 OK"]
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
