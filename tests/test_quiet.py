"""Silence for libraries: only what was named, only within, and errors still come through."""

from __future__ import annotations

import logging
import os
import warnings

import pytest

from qasr.quiet import quiet


@pytest.fixture
def records():
    """Messages that reach the root logger's handlers."""
    messages: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record):
            messages.append(record.getMessage())

    handler = Handler()
    logging.root.addHandler(handler)
    yield messages
    logging.root.removeHandler(handler)


def test_only_named_loggers_and_those_under_them(records):
    with quiet("noisy"):
        for name in ("noisy", "noisy.part", "noisyother", "other"):
            logging.getLogger(name).warning("%s warns", name)
            logging.getLogger(name).error("%s fails", name)
    logging.getLogger("noisy").warning("after")
    assert records == [
        "noisy fails",
        "noisy.part fails",
        "noisyother warns",
        "noisyother fails",
        "other warns",
        "other fails",
        "after",
    ]


def test_a_library_that_sets_its_level_again_stays_silent(records):
    with quiet("noisy"):
        logging.getLogger("noisy").setLevel(logging.DEBUG)
        logging.getLogger("noisy.part").setLevel(logging.DEBUG)
        logging.getLogger("noisy").info("a step")
        logging.getLogger("noisy.part").warning("another step")
    assert records == []
    assert logging.getLogger("noisy").level == logging.NOTSET


def test_stdout_of_native_code_too(capfd):
    with quiet(stdout=True):
        print("from Python")
        os.write(1, b"from native code\n")
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "after\n"
    with quiet():
        print("kept")
    assert capfd.readouterr().out == "kept\n"


def test_warnings_and_exceptions():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(ValueError, match="wrong"), quiet(stdout=True):
            warnings.warn("hidden", stacklevel=1)
            raise ValueError("wrong")
        warnings.warn("seen", stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["seen"]
