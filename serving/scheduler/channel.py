"""Messages between the server and a worker process: MessagePack, each with its length before it."""

from __future__ import annotations

import struct
from typing import BinaryIO

import msgspec
import numpy as np

from ...audio import Floats
from ...runtimes.ctc.decoding import Frames

LENGTH = struct.Struct("<Q")


class Load(msgspec.Struct, tag=True, frozen=True):
    """To the worker, first: the artifact and how to load it; see ``runtimes.load``."""

    folder: str
    device: str = "cpu"
    threads: int | None = None
    streams: int | None = None
    precision: str | None = None
    cache: str | None = None
    verify: bool = True
    trust_code: bool = False


class Infer(msgspec.Struct, tag=True, frozen=True):
    """To the worker: a group of windows, float32 each."""

    id: int
    shapes: list[tuple[int, ...]]
    windows: list[bytes]


class Ready(msgspec.Struct, tag=True, frozen=True):
    """From the worker: the artifact is verified, loaded and warm."""

    digest: str
    rate: float
    """Seconds of audio that it transcribed per second."""


class Done(msgspec.Struct, tag=True, frozen=True):
    """From the worker: the frames of a group's windows."""

    id: int
    windows: list[tuple[int, bytes, bytes, bytes]]
    """Levels; best (int32), confidence and blank (float32), see ``Frames``."""


class Failed(msgspec.Struct, tag=True, frozen=True):
    """From the worker: why it could not load (no id), or why the engine failed on a group."""

    message: str
    id: int | None = None


Message = Load | Infer | Ready | Done | Failed

_DECODER: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """The bytes of a message, with their length before them."""
    body = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(body)) + body


def decode(body: bytes) -> Message:
    """A message from its bytes. Raises msgspec.DecodeError."""
    return _DECODER.decode(body)


def read(stream: BinaryIO) -> Message | None:
    """The next message of a blocking stream; None at its end."""
    header = stream.read(LENGTH.size)
    if len(header) < LENGTH.size:
        return None
    (size,) = LENGTH.unpack(header)
    body = stream.read(size)
    return decode(body) if len(body) == size else None


def group_message(number: int, windows: list[Floats]) -> Infer:
    """A group of windows as a message."""
    return Infer(number, [one.shape for one in windows], [np.ascontiguousarray(one).tobytes() for one in windows])


def group_windows(message: Infer) -> list[Floats]:
    """The windows of a message."""
    return [
        np.frombuffer(data, np.float32).reshape(shape)
        for data, shape in zip(message.windows, message.shapes, strict=True)
    ]


def frames_message(number: int, frames: list[Frames]) -> Done:
    """Frames of windows as a message."""
    return Done(
        number, [(len(one.best), one.best.tobytes(), one.confidence.tobytes(), one.blank.tobytes()) for one in frames]
    )


def frames_of(message: Done) -> list[Frames]:
    """The frames in a message."""
    return [
        Frames(
            np.frombuffer(best, np.int32).reshape(levels, -1),
            np.frombuffer(confidence, np.float32).reshape(levels, -1),
            np.frombuffer(blank, np.float32),
        )
        for levels, best, confidence, blank in message.windows
    ]
