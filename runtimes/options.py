"""Options of loading and transcribing, and their limits, for Python and for the command line."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from .cores import available_cores
from .errors import OptionError

PRECISIONS = ("fp32", "bf16", "fp16")
"""Precisions of float operators that engines may be asked for."""

MIN_WINDOW_SECONDS, MAX_WINDOW_SECONDS = 2.0, 60.0


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Where and how an engine runs. An engine raises OptionError for an option that it does not support."""

    device: str = "cpu"
    threads: int | None = None
    """Threads of one inference; None leaves the number to the engine."""
    streams: int | None = None
    """Inferences at the same time, which share the threads; None leaves the number to the engine."""
    precision: str | None = None
    """Precision of float operators, one of ``PRECISIONS``; None means the artifact's own."""
    cache: Path | None = None
    """Folder for compiled models; None keeps none."""
    trust_code: bool = False
    """Run code in the artifact: TorchScript and programs of torch.export."""
    profile: bool = False
    """Collect what ``Engine.kernels`` reports, which takes time."""


def check(options: EngineOptions) -> None:
    """Raise OptionError for options that no engine on this machine supports."""
    check_text("device", options.device)
    check_count("threads", options.threads)
    check_count("streams", options.streams)
    check_precision(options.precision)
    check_flag("trust_code", options.trust_code)
    check_flag("profile", options.profile)
    if not isinstance(options.cache, Path | None):
        raise OptionError(f"cache must be a path or None, not {options.cache!r}")


def check_count(name: str, value: Any) -> None:
    """Raise OptionError unless ``value`` is None or a whole number from 1 to the number of cores."""
    cores = available_cores()
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if value is not None and not (whole and 1 <= value <= cores):
        raise OptionError(f"{name} must be a whole number from 1 to {cores}, the cores of this machine, not {value!r}")


def check_precision(value: Any) -> None:
    """Raise OptionError unless ``value`` is None or one of ``PRECISIONS``."""
    if value is not None and value not in PRECISIONS:
        raise OptionError(f"no precision {value!r}; available are {', '.join(PRECISIONS)}")


def check_window_seconds(value: Any) -> None:
    """Raise OptionError unless ``value`` is a length of windows, in seconds, that users may choose."""
    low, high = MIN_WINDOW_SECONDS, MAX_WINDOW_SECONDS
    if not (_is_number(value) and low <= value <= high):
        raise OptionError(f"window_seconds must be a number from {low:g} to {high:g}, not {value!r}")


def check_seconds(name: str, value: Any) -> None:
    """Raise OptionError unless ``value`` is a positive, finite number."""
    if not (_is_number(value) and isfinite(value) and value > 0):
        raise OptionError(f"{name} must be a number above 0, not {value!r}")


def check_flag(name: str, value: Any) -> None:
    """Raise OptionError unless ``value`` is True or False."""
    if not isinstance(value, bool):
        raise OptionError(f"{name} must be True or False, not {value!r}")


def check_text(name: str, value: Any) -> None:
    """Raise OptionError unless ``value`` is a string."""
    if not isinstance(value, str):
        raise OptionError(f"{name} must be a string, not {value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
