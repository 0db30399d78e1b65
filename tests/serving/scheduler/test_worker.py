"""Worker processes: loading, groups, errors, death and hanging."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import msgspec
import numpy as np
import pytest

from qasr.artifacts import create
from qasr.runtimes import InferenceError, load
from qasr.serving.errors import WorkerError
from qasr.serving.scheduler.channel import Load
from qasr.serving.scheduler.worker import start


def run(test):
    return asyncio.run(asyncio.wait_for(test(), 120))


def test_a_worker_computes_what_the_model_computes(toy):
    windows = [np.random.default_rng(n).standard_normal((2 * n, 80)).astype(np.float32) for n in (50, 80)]

    async def test():
        worker = await start(Load(str(toy.folder), threads=1), 60)
        try:
            assert worker.digest == toy.manifest.digest
            assert worker.rate > 0
            return await asyncio.gather(worker.infer(windows), worker.infer(windows[:1]))
        finally:
            await worker.close()

    group, alone = run(test)
    with load(toy.folder) as model:
        expected = model.infer(windows)
    for frames, other in zip([*group, *alone], [*expected, expected[0]], strict=True):
        assert len(frames) in (50, 80)
        for name in ("best", "confidence", "blank"):
            np.testing.assert_array_equal(getattr(frames, name), getattr(other, name))


def test_an_inference_that_fails_leaves_the_worker_alive(toy):
    async def test():
        worker = await start(Load(str(toy.folder)), 60)
        try:
            with pytest.raises(InferenceError, match="not finite"):
                await worker.infer([np.full((100, 80), np.nan, np.float32)])
            with pytest.raises(InferenceError, match="ValueError"):
                await worker.infer([np.zeros((100, 7), np.float32)])
            assert len((await worker.infer([np.zeros((100, 80), np.float32)]))[0]) == 50
        finally:
            await worker.close()

    run(test)


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGSEGV])
def test_death_ends_what_runs(toy, death):
    async def test():
        worker = await start(Load(str(toy.folder)), 60)
        os.kill(worker.pid, signal.SIGSTOP)
        running = asyncio.create_task(worker.infer([np.zeros((100, 80), np.float32)]))
        await asyncio.sleep(0)
        os.kill(worker.pid, death)
        os.kill(worker.pid, signal.SIGCONT)
        with pytest.raises(WorkerError, match=f"the engine was killed by {death.name}"):
            await running
        with pytest.raises(WorkerError):
            await worker.infer([np.zeros((100, 80), np.float32)])
        await worker.close()

    run(test)


def test_a_worker_ends_with_its_server(toy):
    """The end of stdin is all that a killed server leaves."""

    async def test():
        worker = await start(Load(str(toy.folder)), 60)
        worker._process.stdin.close()
        assert await worker._process.wait() == 0
        await worker.close()

    run(test)


def test_loading_fails_in_one_line(toy, tmp_path):
    (toy.folder / "model.onnx").write_bytes(b"damaged")

    async def test(folder, **options):
        with pytest.raises(WorkerError) as error:
            await start(Load(str(folder), **options), 60)
        return str(error.value)

    assert "model.onnx" in run(lambda: test(toy.folder))
    assert str(tmp_path / "none") in run(lambda: test(tmp_path / "none"))


def test_code_is_not_run_without_trust(toy, tmp_path, make_manifest):
    with create(tmp_path / "code") as staging:
        (staging.folder / "model.onnx").write_bytes(b"x")
        artifact = staging.publish(msgspec.structs.replace(make_manifest(), engine="torchscript"))

    async def test():
        with pytest.raises(WorkerError, match="--trust-code"):
            await start(Load(str(artifact.folder)), 60)

    run(test)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import os; os._exit(3)", "the engine exited with code 3 while it was loaded"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was killed by SIGKILL while it was loaded"),
        ("import time; time.sleep(1000)", "was not ready after 0.5 s"),
        ("import os; os.write(1, bytes([1] + [0] * 7) + bytes([193]))", "sent a message that cannot be decoded"),
    ],
)
def test_a_process_that_does_not_get_ready(toy, program, reason):
    async def test():
        timeout = 0.5 if "time" in program else 60
        with pytest.raises(WorkerError, match=reason):
            await start(Load(str(toy.folder)), timeout, (sys.executable, "-c", program))

    run(test)
