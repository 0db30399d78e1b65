"""Served models with real workers: transcripts, long recordings, exchange, drain, replacement."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal

import msgspec
import pytest

from qasr.artifacts import create
from qasr.audio import AudioError
from qasr.errors import QasrError
from qasr.runtimes import load
from qasr.runtimes.ctc.formats import json
from qasr.serving.errors import OverloadedError, TooLargeError, UnavailableError, UnknownModelError
from qasr.serving.models import ModelOptions, Models
from qasr.serving.scheduler.model import _grouping
from qasr.serving.scheduler.observer import Silent
from qasr.serving.scheduler.options import SchedulerOptions


class Opened:
    """Models in a block, which is drained and closed at its end."""

    def __init__(self, *folders, window_seconds=4.0, **options):
        named = {
            folder.name: ModelOptions(folder=folder, threads=1, cache=None, window_seconds=window_seconds)
            for folder in folders
        }
        self.models = Models(named, SchedulerOptions(**options), lambda _: Silent())

    async def __aenter__(self):
        await self.models.load()
        return self.models

    async def __aexit__(self, *_):
        await self.models.close()


async def transcribe(models, source, name="x", on_progress=None, model=None):
    served = models.get(model)
    with served.ticket() as ticket:
        return await served.transcribe(source, name, ticket, on_progress)


def run(test):
    return asyncio.run(asyncio.wait_for(test(), 120))


def test_transcripts_are_those_of_qinfer(toy, write_audio, make_tones):
    """Also of recordings that are served together, and of one that needs several windows."""
    texts = ["abc", "abcabcabc" * 4, "cab" * 5, "abc" * 30, "acb"]
    paths = [write_audio(f"{index}.wav", make_tones(text)) for index, text in enumerate(texts)]

    async def test():
        async with Opened(toy.folder) as models:
            return await asyncio.gather(*(transcribe(models, path, str(path)) for path in paths))

    served = run(test)
    with load(toy.folder, window_seconds=4.0) as model:
        assert [json([one]) for one in served] == [json([model.transcribe(path)]) for path in paths]
    assert [one.text for one in served] == texts


def test_a_file_object_and_progress(toy, write_audio, make_tones):
    path = write_audio("x.flac", make_tones("abc" * 12))
    seen = []

    async def test():
        async with Opened(toy.folder) as models:
            with path.open("rb") as file:
                return await transcribe(models, file, "naïve ﷽.flac", seen.append)

    result = run(test)
    assert (result.audio, result.text) == ("naïve ﷽.flac", "abc" * 12)
    assert len(seen) > 1
    assert [one.seconds for one in seen] == sorted(one.seconds for one in seen)
    for before, after in zip(seen, [*seen[1:], None], strict=True):
        assert (after.text if after else result.text).startswith(before.text)
    assert len(seen[-1].text) > 20


def test_refusals(toy, write_audio, make_tones, tmp_path):
    (noise := tmp_path / "noise.wav").write_bytes(b"noise" * 99)
    long = write_audio("long.wav", make_tones("abc" * 4))

    async def test():
        async with Opened(toy.folder, max_recording_seconds=3.0, max_requests=1) as models:
            with pytest.raises(UnknownModelError, match="no model 'other'; available are toy"):
                models.get("other")
            with pytest.raises(AudioError, match="noise: is not audio"):
                await transcribe(models, noise, "noise")
            with pytest.raises(TooLargeError, match="lasts 4 s; this server takes 3 s"):
                await transcribe(models, long)
            served = models.get("toy")
            with served.ticket(), pytest.raises(OverloadedError):
                await transcribe(models, long)
            assert served.admission.requests == 0
            assert (await transcribe(models, (make_tones("abc"), 16_000))).text == "abc"

    run(test)


def test_a_header_that_states_too_little(toy, write_audio, make_tones, monkeypatch):
    monkeypatch.setattr("qasr.runtimes.Recording.stated_seconds", lambda _: 1.0)
    long = write_audio("long.wav", make_tones("abc" * 20))

    async def test():
        async with Opened(toy.folder, max_recording_seconds=12.0) as models:
            with pytest.raises(AudioError, match="x: lasts more than 12 s, which its header does not state"):
                await transcribe(models, long)

    run(test)


def test_a_client_that_left(toy, write_audio, make_tones):
    """Its admission ends, its temporary copy is deleted, and no further window is computed."""
    path = write_audio("x.wav", make_tones("abc" * 60))

    async def test():
        async with Opened(toy.folder) as models:
            first = asyncio.Event()
            with path.open("rb") as file:
                task = asyncio.create_task(transcribe(models, file, on_progress=lambda _: first.set()))
                await first.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            served = models.get("toy")
            assert (served.admission.requests, served.waiting_seconds) == (0, 0)
            assert (await transcribe(models, (make_tones("abc"), 16_000))).text == "abc"

    run(test)


def test_exchange_under_load(toy, make_tones):
    """No request fails; the old engine ends with its last request; a failed load keeps the old one."""
    tones = (make_tones("abc" * 6), 16_000)

    async def test():
        async with Opened(toy.folder) as models:
            old = models.get("toy")
            stop = asyncio.Event()

            async def client():
                texts = []
                while not stop.is_set():
                    texts.append((await transcribe(models, tones)).text)
                return texts

            clients = [asyncio.create_task(client()) for _ in range(3)]
            await models.reload()
            assert models.get("toy") is old  # nothing has changed
            changed = msgspec.structs.replace(old.manifest, options={"seed": 1})
            data = old.artifact.path("model.onnx").read_bytes()
            shutil.rmtree(toy.folder)
            with create(toy.folder) as staging:
                (staging.folder / "model.onnx").write_bytes(data)
                digest = staging.publish(changed).manifest.digest
            await models.reload()
            new = models.get("toy")
            assert (new is old, new.manifest.digest) == (False, digest)
            await asyncio.sleep(0)
            (toy.folder / "model.onnx").write_bytes(data[:-1] + b"x")  # only the worker sees it
            with pytest.raises(QasrError, match=r"model\.onnx"):
                await models.swap("toy")
            assert models.get("toy") is new
            stop.set()
            results = await asyncio.gather(*clients)
            await models.drain()
            assert not old.is_ready
            return results

    results = run(test)
    assert all(results)
    assert {text for texts in results for text in texts} == {"abc" * 6}


def test_drain_refuses_new_requests_and_ends_the_admitted(toy, make_tones):
    async def test():
        async with Opened(toy.folder) as models:
            assert models.not_ready() is None
            task = asyncio.create_task(transcribe(models, (make_tones("abc" * 20), 16_000)))
            while not models.requests:
                await asyncio.sleep(0)
            await models.drain()
            assert models.not_ready() == "draining"
            with pytest.raises(UnavailableError, match="stopping") as refused:
                models.get("toy")
            assert refused.value.reason == "draining"
            assert task.done() or models.requests == 0
            return await task

    assert run(test).text == "abc" * 20


def test_a_model_that_loads_is_unavailable(toy):
    async def test():
        models = Opened(toy.folder).models
        assert models.not_ready() == "toy is loading"
        with pytest.raises(UnavailableError, match="toy is loading"):
            models.get(None)
        await models.close()

    run(test)


def test_an_engine_that_hangs_is_replaced(toy, make_tones):
    async def test():
        async with Opened(toy.folder, stall_seconds=1.0) as models:
            served = models.get("toy")
            stopped = served._dispatcher._worker.pid
            os.kill(stopped, signal.SIGSTOP)
            with pytest.raises(UnavailableError, match="the engine was lost"):
                await transcribe(models, (make_tones("abc"), 16_000))
            assert models.not_ready() == "the engine of toy is being replaced"
            with pytest.raises(UnavailableError), served.ticket():
                pass
            while models.not_ready():
                await asyncio.sleep(0.01)
            with pytest.raises(ProcessLookupError):
                os.kill(stopped, 0)
            assert (await transcribe(models, (make_tones("abc"), 16_000))).text == "abc"

    run(test)


def test_no_process_is_left(toy):
    async def test():
        async with Opened(toy.folder) as models:
            return models.get(None)._dispatcher._worker.pid

    with pytest.raises(ProcessLookupError):
        os.kill(run(test), 0)


def test_ranges_that_depend_on_the_batch_go_alone(toy):
    for method, expected in (("dynamic", 1), ("static", None)):
        manifest = msgspec.structs.replace(toy.manifest, method=method)
        artifact = type(toy)(toy.folder, manifest)
        assert _grouping(artifact, SchedulerOptions()).max_windows == expected
