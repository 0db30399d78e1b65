"""Jobs on disk: their state in an SQLite file, their uploads beside it."""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ...errors import QasrError
from ...runtimes import Transcript

_SCHEMA_VERSION = 1
_TABLE = """
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    created REAL NOT NULL,
    finished REAL,
    error TEXT,
    transcript BLOB
)
"""

QUEUED, RUNNING, DONE, FAILED = "queued", "running", "done", "failed"


class Job(msgspec.Struct, frozen=True):
    """One job, without its transcript."""

    id: str
    model: str
    name: str
    """The upload's name, for messages and the transcript."""
    state: str
    created: float
    """Seconds since 1970."""
    finished: float | None
    error: str | None
    """JSON of the error of a failed job, as clients get it."""


class JobStore:
    """All jobs of one folder. Methods may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        """Open or create the folder; jobs that ran when a server ended are queued again. Raises QasrError."""
        self._uploads = folder / "uploads"
        self._lock = threading.Lock()
        try:
            self._uploads.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(folder / "jobs.sqlite", check_same_thread=False)
            # One server a folder: a second one would run the same jobs.
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("PRAGMA busy_timeout = 0")
            self._prepare(folder)
        except (OSError, sqlite3.Error) as error:
            raise QasrError(f"{folder}: jobs cannot be kept there ({error}); does another server use it?") from None

    def upload(self, job: str) -> Path:
        """Where a job's audio is."""
        return self._uploads / job

    def add(self, model: str, name: str) -> Job:
        """A new job, which is not in the store yet: first write its upload, then call ``enqueue``."""
        return Job(secrets.token_urlsafe(16), model, name, QUEUED, time.time(), None, None)

    def enqueue(self, job: Job) -> None:
        """Put a job into the store."""
        with self._transaction() as database:
            database.execute(
                "INSERT INTO jobs (id, model, name, state, created) VALUES (?, ?, ?, ?, ?)",
                (job.id, job.model, job.name, job.state, job.created),
            )

    def get(self, job: str) -> Job | None:
        """A job; None if there is none."""
        with self._lock:
            row = self._database.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (job,)).fetchone()  # noqa: S608
        return None if row is None else Job(*row)

    def transcript(self, job: str) -> Transcript | None:
        """The transcript of a job that is done."""
        with self._lock:
            row = self._database.execute("SELECT transcript FROM jobs WHERE id = ?", (job,)).fetchone()
        return None if row is None or row[0] is None else msgspec.msgpack.decode(row[0], type=Transcript)

    def count(self) -> int:
        """Number of jobs, finished or not."""
        with self._lock:
            return int(self._database.execute("SELECT count(*) FROM jobs").fetchone()[0])

    def next(self) -> Job | None:
        """The oldest queued job, which now runs."""
        with self._transaction() as database:
            query = f"SELECT {_COLUMNS} FROM jobs WHERE state = ? ORDER BY created, rowid LIMIT 1"  # noqa: S608
            row = database.execute(query, (QUEUED,)).fetchone()
            if row is None:
                return None
            database.execute("UPDATE jobs SET state = ? WHERE id = ?", (RUNNING, row[0]))
        return msgspec.structs.replace(Job(*row), state=RUNNING)

    def requeue(self, job: str) -> None:
        """A job that was interrupted waits again."""
        with self._transaction() as database:
            database.execute("UPDATE jobs SET state = ? WHERE id = ? AND state = ?", (QUEUED, job, RUNNING))

    def finish(self, job: str, outcome: Transcript | str) -> None:
        """Store a job's transcript, or its error as JSON, and delete its audio."""
        failed = isinstance(outcome, str)
        values = (
            FAILED if failed else DONE,
            time.time(),
            outcome if failed else None,
            None if failed else msgspec.msgpack.encode(outcome),
            job,
        )
        with self._transaction() as database:
            database.execute("UPDATE jobs SET state = ?, finished = ?, error = ?, transcript = ? WHERE id = ?", values)
        self.upload(job).unlink(missing_ok=True)

    def delete(self, job: str) -> bool:
        """Delete a job and its audio; False if there is none."""
        with self._transaction() as database:
            deleted = database.execute("DELETE FROM jobs WHERE id = ?", (job,)).rowcount > 0
        if deleted:
            self.upload(job).unlink(missing_ok=True)
        return deleted

    def expire(self, seconds: float) -> int:
        """Delete the jobs that have been finished for longer than ``seconds``; returns their number."""
        with self._transaction() as database:
            return database.execute("DELETE FROM jobs WHERE finished < ?", (time.time() - seconds,)).rowcount

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _prepare(self, folder: Path) -> None:
        with self._transaction() as database:
            database.execute("BEGIN IMMEDIATE")
            version = int(database.execute("PRAGMA user_version").fetchone()[0])
            if version == 0:
                database.execute(_TABLE)
                database.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
            elif version != _SCHEMA_VERSION:
                raise QasrError(f"{folder}: its jobs were written by another qasr; name another folder")
            database.execute("UPDATE jobs SET state = ? WHERE state = ?", (QUEUED, RUNNING))
            known = {row[0] for row in database.execute("SELECT id FROM jobs")}
        for path in self._uploads.iterdir():
            if path.name not in known:  # a server ended while it was written
                path.unlink()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._database as database:
            yield database


_COLUMNS = ", ".join(Job.__struct_fields__)
