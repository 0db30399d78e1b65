"""The worker process: loads an artifact, then runs groups of windows that arrive on stdin, until stdin ends."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import numpy as np

from ...audio import SAMPLE_RATE
from ...errors import QasrError, first_line
from ...runtimes import Model, load
from .channel import Failed, Infer, Load, Message, Ready, encode, frames_message, group_windows, read

_WARM_UP_SECONDS = 4.0


def main() -> None:
    """Serve until stdin ends."""
    channel = _claim_stdout()
    lock = threading.Lock()

    def send(message: Message) -> None:
        with lock:
            channel.write(encode(message))
            channel.flush()

    first = read(sys.stdin.buffer)
    if not isinstance(first, Load):
        return
    try:
        model = _load(first)
        rate = _warm_up(model) * (first.streams or 1)
    except Exception as error:
        send(Failed(_described(error)))
        return
    send(Ready(model.manifest.digest, rate))
    pool = ThreadPoolExecutor(first.streams or 1)
    while isinstance(message := read(sys.stdin.buffer), Infer):
        pool.submit(_run, model, message, send)
    # An engine that hangs would keep the interpreter from ending.
    os._exit(0)


def _run(model: Model, message: Infer, send: Callable[[Message], None]) -> None:
    try:
        send(frames_message(message.id, model.infer(group_windows(message))))
    except Exception as error:
        send(Failed(_described(error), message.id))


def _load(message: Load) -> Model:
    return load(
        message.folder,
        device=message.device,
        threads=message.threads,
        streams=message.streams,
        precision=message.precision,
        cache=message.cache,
        verify=message.verify,
        trust_code=message.trust_code,
    )


def _warm_up(model: Model) -> float:
    """Run twice, since the first run allocates and compiles; returns seconds of audio per second of the second run."""
    manifest = model.manifest
    frames = max(round(_WARM_UP_SECONDS * manifest.front_end.frames_per_second), manifest.limits.min_frames)
    frames = min(frames, manifest.limits.max_frames or frames)
    front_end = manifest.front_end
    samples = np.random.default_rng(0).standard_normal(round(frames / front_end.frames_per_second * SAMPLE_RATE))
    noise = front_end.normalize(np.concatenate(list(front_end.raw(iter([samples.astype(np.float32)])))))
    model.infer([noise])
    started = time.perf_counter()
    model.infer([noise])
    return frames / manifest.front_end.frames_per_second / (time.perf_counter() - started)


def _described(error: Exception) -> str:
    line = first_line(error)
    return line if isinstance(error, QasrError) else f"{type(error).__name__}: {line}"


def _claim_stdout() -> BinaryIO:
    """The real stdout. What libraries print to stdout goes to stderr instead."""
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return channel


if __name__ == "__main__":
    main()
