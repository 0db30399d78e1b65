"""What the commands share: one-line errors, exit codes, verbosity, and an end that leaves nothing behind."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, NoReturn

import click
from rich.console import Console

from ..errors import QasrError

OK, FAILED, USAGE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143

_VERBOSE = "QASR_VERBOSE"


def together(options: Iterable[Callable[..., Any]]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """One decorator for several options, which a command shows in the order given."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(list(options)):
            function = option(function)
        return function

    return decorate


def group_size_option(said: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--group-size`` with the help ``said``: one of the sizes that engines know, as a number."""
    return click.option(
        "--group-size",
        type=click.Choice(["16", "32", "64", "128", "256"]),
        callback=lambda _context, _option, value: None if value is None else int(value),
        help=said,
    )


def refuse_idle(given: Mapping[str, Any], applies: Mapping[str, tuple[bool, str]]) -> None:
    """Raise click.UsageError for an option that was given and would do nothing; ``applies``: whether it does, where."""
    for name, (does, where) in applies.items():
        if given[name] not in (None, False) and not does:
            raise click.UsageError(f"--{name.replace('_', '-')} is for {where} alone")


def verbosity(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``-v`` and ``-q``, and pass ``console``, a rich console on stderr (stdout carries results only)."""

    @click.option("-v", "--verbose", is_flag=True, help="Show where an unexpected error came from.")
    @click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
    @wraps(function)
    def wrapped(*args: Any, verbose: bool, quiet: bool, **kwargs: Any) -> Any:
        if verbose:
            os.environ[_VERBOSE] = "1"
        return function(*args, console=Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True), **kwargs)

    return wrapped


def main(command: click.Command, *, interrupted: str = "interrupted; nothing was left behind") -> NoReturn:
    """Run a command and leave with its exit code: 0 done, 1 failed, 2 wrong usage, 130 Ctrl-C, 143 terminated.

    ``interrupted`` is said after Ctrl-C.
    """
    # As an exception, so that a `kill` runs the same clean-up as Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        code = command.main(prog_name=_name(command), standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = USAGE
    except (click.Abort, KeyboardInterrupt):
        _say(command, interrupted)
        code = INTERRUPTED
    except QasrError as error:
        _say(command, f"error: {error}")
        code = FAILED
    except BrokenPipeError:
        # The reader went away (`| head`); keep Python from complaining when it flushes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    except Exception as error:
        if os.environ.get(_VERBOSE):
            traceback.print_exc()
        reason = (str(error).strip().splitlines() or [""])[0]
        _say(command, f"unexpected {type(error).__name__}: {reason} (a bug of qasr: please report it; -v shows where)")
        code = FAILED
    sys.exit(code if isinstance(code, int) else OK)


def _say(command: click.Command, message: str) -> None:
    click.echo(f"{_name(command)}: {' '.join(message.split())}", err=True)


def _name(command: click.Command) -> str:
    return command.name or "qasr"
