"""``/v1/jobs``, in this process."""

from __future__ import annotations

import asyncio
import json

import pytest

from qasr.serving.jobs.runner import JobOptions

URL = "/v1/jobs"


@pytest.fixture
def long(write_audio, make_tones):
    return write_audio("long ﷽.wav", make_tones("abc" * 20))


async def submit(served, path, **fields):
    answer = await served.client.post(URL, files={"file": (path.name, path.read_bytes())}, data=fields)
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert answer.headers["location"] == f"{URL}/{job['id']}"
    return job


async def finished(served, job):
    """All events of a job."""
    answer = await served.client.get(f"{URL}/{job['id']}/events")
    return [json.loads(part.removeprefix("data: ")) for part in answer.text.split("\n\n") if part]


def test_a_job(run, serving, long, tmp_path):
    async def test():
        async with serving(folder=tmp_path / "jobs") as served:
            job = await submit(served, long, model="toy")
            events = await finished(served, job)
            get = served.client.get
            state = (await get(f"{URL}/{job['id']}")).json()
            texts = [
                await get(f"{URL}/{job['id']}/result", params={"response_format": layout, "levels": "all"})
                for layout in ("json", "text", "qasr_json", "srt")
            ]
            wrong = await get(f"{URL}/{job['id']}/result", params={"response_format": "xml"})
            gone = (await served.client.delete(f"{URL}/{job['id']}")).status_code
            return job, events, state, texts, wrong, [gone, (await get(f"{URL}/{job['id']}")).status_code]

    job, events, state, texts, wrong, after = run(test())
    assert (job["status"], job["model"], job["file"]) == ("queued", "toy", "long ﷽.wav")
    assert [event["status"] for event in events][-1] == "done"
    assert {event["id"] for event in events} == {job["id"]}
    assert (state["status"], state["error"]) == ("done", None)
    assert texts[0].json()["text"] == "abc" * 20
    assert texts[1].text.startswith("letters: " + "abc" * 20)
    assert json.loads(texts[2].text)["audio"] == "long ﷽.wav"
    assert texts[3].text.startswith("1\n00:00:00")
    assert wrong.status_code == 400
    assert after == [204, 404]
    assert list((tmp_path / "jobs" / "uploads").iterdir()) == []


def test_a_failed_job(run, serving, tmp_path):
    (bad := tmp_path / "bad.wav").write_bytes(b"noise" * 100)

    async def test():
        async with serving(folder=tmp_path / "jobs") as served:
            job = await submit(served, bad)
            last = (await finished(served, job))[-1]
            return last, await served.client.get(f"{URL}/{job['id']}/result")

    last, result = run(test())
    assert (last["status"], last["error"]["code"]) == ("failed", "invalid_audio")
    assert last["error"]["message"].startswith("bad.wav: is not audio")
    assert (result.status_code, result.json()["error"]["code"]) == (422, "invalid_audio")


def test_refusals(run, serving, until, long, tmp_path):
    async def test():
        async with serving(folder=tmp_path / "jobs", kept=JobOptions(max_jobs=1)) as served:
            files = {"file": (long.name, long.read_bytes())}
            unknown = await served.client.post(URL, files=files, data={"model": "other"})
            served.worker.gate.clear()
            job = await submit(served, long)
            early = await served.client.get(f"{URL}/{job['id']}/result")
            full = await served.client.post(URL, files=files)
            none = [await served.client.get(f"{URL}/none{end}") for end in ("", "/events", "/result")]
            none.append(await served.client.delete(f"{URL}/none"))
            served.worker.gate.set()
            await finished(served, job)
        async with serving() as served:
            without = await served.client.post(URL, files=files)
        return unknown, early, full, none, without

    unknown, early, full, none, without = run(test())
    assert (unknown.status_code, early.status_code, full.status_code, without.status_code) == (404, 409, 429, 404)
    assert early.json()["error"]["code"] == "not_finished"
    assert full.headers["retry-after"] == "60"
    assert [answer.json()["error"]["code"] for answer in none] == ["job_not_found"] * 4


def test_cancellation_while_it_runs(run, serving, until, long, tmp_path):
    async def test():
        async with serving(folder=tmp_path / "jobs") as served:
            served.worker.gate.clear()
            job = await submit(served, long)
            await until(lambda: served.worker.groups)
            watching = asyncio.create_task(finished(served, job))
            assert (await served.client.delete(f"{URL}/{job['id']}")).status_code == 204
            await watching
            await until(lambda: served.models.requests == 0)
            served.worker.gate.set()
            other = await submit(served, long)
            return (await finished(served, other))[-1]["status"], len(served.worker.groups)

    status, groups = run(test())
    assert status == "done"
    assert groups < 14


def test_a_job_survives_a_restart_and_a_lost_engine(run, serving, until, long, tmp_path):
    async def test():
        async with serving(folder=tmp_path / "jobs") as served:
            served.worker.gate.clear()
            job = await submit(served, long)
            await until(lambda: served.worker.groups)
            await served.app.state.jobs.stop()
            stopping = await served.client.get(f"{URL}/{job['id']}/events")
            assert (stopping.status_code, stopping.json()["error"]["code"]) == (503, "draining")
        async with serving(folder=tmp_path / "jobs", kept=JobOptions(retry_seconds=0.01)) as served:
            served.worker.gate.clear()
            await until(lambda: served.worker.groups)
            served.worker.dead.set()
            last = (await finished(served, job))[-1]
            return last["status"], (await served.client.get(f"{URL}/{job['id']}/result")).json()["text"]

    assert run(test()) == ("done", "abc" * 20)


def test_clients_that_wait_go_before_jobs(run, serving, until, long, write_audio, make_tones, tmp_path):
    short = write_audio("short.wav", make_tones("abc"))

    async def test():
        async with serving(folder=tmp_path / "jobs") as served:
            served.worker.gate.clear()
            job = await submit(served, long)
            await until(lambda: served.worker.groups)
            files = {"file": (short.name, short.read_bytes())}
            task = asyncio.create_task(served.client.post("/predict", files=files))
            await until(lambda: served.models.requests == 2)
            served.worker.gate.set()
            answer = await task
            state = (await served.client.get(f"{URL}/{job['id']}")).json()["status"]
            await finished(served, job)
            return answer.json(), state

    assert run(test()) == ({"phonemes": "abc"}, "running")


def test_finished_jobs_expire(run, serving, until, long, tmp_path, monkeypatch):
    monkeypatch.setattr("qasr.serving.jobs.runner._EXPIRE_EVERY_SECONDS", 0.01)

    async def test():
        async with serving(folder=tmp_path / "jobs", kept=JobOptions(keep_seconds=0.0)) as served:
            job = await submit(served, long)
            while (await served.client.get(f"{URL}/{job['id']}")).status_code != 404:
                await asyncio.sleep(0.01)

    run(test())
