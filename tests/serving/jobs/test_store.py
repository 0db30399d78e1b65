"""Jobs on disk."""

from __future__ import annotations

import sqlite3

import pytest

from qasr.errors import QasrError
from qasr.runtimes import Transcript
from qasr.serving.jobs.store import JobStore

TRANSCRIPT = Transcript("x.wav", "abc", 1.0, {}, [], [])


def add(store, name="x.wav"):
    job = store.add("toy", name)
    store.upload(job.id).write_bytes(b"audio")
    store.enqueue(job)
    return job.id


def test_jobs_go_in_order_and_keep_their_outcome(tmp_path):
    store = JobStore(tmp_path / "jobs")
    first, second = add(store, "naïve ﷽.wav"), add(store)
    assert (store.count(), first == second, len(first) > 20) == (2, False, True)
    assert store.get(first).state == "queued"
    running = store.next()
    assert (running.id, running.name, running.state) == (first, "naïve ﷽.wav", "running")
    store.finish(first, TRANSCRIPT)
    assert (store.get(first).state, store.transcript(first)) == ("done", TRANSCRIPT)
    assert not store.upload(first).exists()
    assert store.next().id == second
    store.finish(second, '{"message": "no"}')
    assert (store.get(second).state, store.get(second).error) == ("failed", '{"message": "no"}')
    assert (store.transcript(second), store.next(), store.get("none")) == (None, None, None)
    store.close()


def test_a_restart_queues_again_what_ran(tmp_path):
    store = JobStore(tmp_path)
    job, done = add(store), add(store)
    store.next()
    store.finish(done, TRANSCRIPT)
    (tmp_path / "uploads" / "half-written").touch()
    store.close()
    store = JobStore(tmp_path)
    assert store.next().id == job
    assert store.transcript(done) == TRANSCRIPT
    assert [path.name for path in (tmp_path / "uploads").iterdir()] == [job]
    store.requeue(job)
    assert store.get(job).state == "queued"
    store.requeue(done)
    assert store.get(done).state == "done"
    store.close()


def test_deletion_and_expiry(tmp_path):
    store = JobStore(tmp_path)
    deleted, kept, old = add(store), add(store), add(store)
    assert (store.delete(deleted), store.delete(deleted), store.upload(deleted).exists()) == (True, False, False)
    store.finish(old, TRANSCRIPT)
    assert store.expire(3_600) == 0
    assert store.expire(-1) == 1
    assert (store.get(old), store.get(kept).state) == (None, "queued")
    store.close()


def test_one_server_a_folder(tmp_path):
    store = JobStore(tmp_path)
    with pytest.raises(QasrError, match="does another server use it"):
        JobStore(tmp_path)
    store.close()
    with sqlite3.connect(tmp_path / "jobs.sqlite") as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(QasrError, match="written by another qasr"):
        JobStore(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(QasrError, match="jobs cannot be kept there"):
        JobStore(tmp_path / "file")
