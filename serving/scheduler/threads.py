"""Threads of front ends and of decoding."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from ...runtimes import available_cores

_MOST_FRONT_ENDS = 4


class Threads:
    """The threads that all models of a server share."""

    def __init__(self) -> None:
        # A long recording is read completely before its first window, which short ones must not wait for.
        self.short = ThreadPoolExecutor(min(_MOST_FRONT_ENDS, available_cores()), "front-end")
        self.long = ThreadPoolExecutor(1, "front-end-long")
        self.decoding = ThreadPoolExecutor(1, "decoding")

    def close(self) -> None:
        """Wait for the running steps, and drop the others."""
        for pool in (self.short, self.long, self.decoding):
            pool.shutdown(cancel_futures=True)
