"""How an export shows what it is doing."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol


class Progress(Protocol):
    """How an export shows what it is doing."""

    def step(self, description: str) -> AbstractContextManager[Any]:
        """A stretch of work of unknown length."""

    def track(self, items: Iterable[Any], description: str, total: int) -> Iterable[Any]:
        """``items``, with a display of how many are done."""

    def warn(self, message: str) -> None:
        """Say what will work, but badly."""


class Silent:
    """No display; warnings go to the log."""

    def step(self, description: str) -> AbstractContextManager[Any]:
        """Nothing."""
        return nullcontext()

    def track(self, items: Iterable[Any], description: str, total: int) -> Iterable[Any]:
        """``items`` as they are."""
        return items

    def warn(self, message: str) -> None:
        """A line in the log called ``qasr``."""
        logging.getLogger("qasr").warning(message)
