"""The channel of a child process: messages as lines of JSON on its stdout."""

from __future__ import annotations

import os
from typing import TextIO

import msgspec

from ..errors import QasrError, first_line


def claim_stdout() -> TextIO:
    """A channel on the real stdout. Everything that libraries print to stdout goes to stderr instead."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return channel


def send(channel: TextIO, message: msgspec.Struct) -> None:
    """Write one message."""
    channel.write(msgspec.json.encode(message).decode() + "\n")
    channel.flush()


def describe_error(error: Exception) -> str:
    """An exception as one line; an exception of a library with its type."""
    line = first_line(error)
    name = type(error).__name__
    return line if isinstance(error, QasrError) or line == name else f"{name}: {line}"
