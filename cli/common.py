"""Shared by all commands: errors as one line, exit codes, verbosity, and clean-up after Ctrl-C and ``kill``."""

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

from ..errors import QasrError, first_line
from ..sizes import parse_size

OK, FAILED, USAGE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143

_VERBOSE = "QASR_VERBOSE"
# What a group without arguments raises to print its help, since click 8.2.
_HELP: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())


def together(options: Iterable[Callable[..., Any]]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """One decorator for several options, which help lists in the order of ``options``."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(list(options)):
            function = option(function)
        return function

    return decorate


def checked(check: Callable[[str, Any], None]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A callback that checks an option as ``load`` does, so that both have the same limits and messages."""

    def callback(_context: click.Context, option: click.Parameter, value: Any) -> Any:
        try:
            check(option.name or "", value)
        except QasrError as error:
            raise click.BadParameter(str(error)) from None
        return value

    return callback


def size_in_bytes(_context: click.Context, _option: click.Parameter, value: str | None) -> int | None:
    """A callback for options that take a size, such as 1.5GB."""
    try:
        return None if value is None else parse_size(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


device_options = (
    click.option(
        "--device",
        default="cpu",
        show_default=True,
        help="cpu; cuda (TensorRT, ONNX Runtime, transformers), rtx (ONNX Runtime), gpu or npu (OpenVINO).",
    ),
    click.option(
        "--features",
        default="cpu",
        show_default=True,
        help="Device that computes features: cpu, or cuda (needs torch).",
    ),
)
"""Where the model and its features are computed."""


def group_size_option(help_text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--group-size`` with ``help_text``: one of the sizes that engines support, as a number."""
    return click.option(
        "--group-size",
        type=click.Choice(["16", "32", "64", "128", "256"]),
        callback=lambda _context, _option, value: None if value is None else int(value),
        help=help_text,
    )


def refuse_idle(values: Mapping[str, Any], applies: Mapping[str, tuple[bool, str]]) -> None:
    """Raise click.UsageError for an option that has a value and would have no effect.

    ``applies`` has, by option, whether it has an effect, and what it applies to.
    """
    for name, (does, where) in applies.items():
        if values[name] not in (None, False) and not does:
            raise click.UsageError(f"--{name.replace('_', '-')} applies only to {where}")


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

    ``interrupted`` is the message after Ctrl-C.
    """
    # torch's native code prints warnings about deprecations, which users of these commands can do nothing about.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    # OpenMP threads that spin while they wait make low-bit exports seven times slower where others use the cores too.
    # torch reads this when it is loaded, which no command does before this line.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # SIGTERM raises an exception, so that `kill` runs the same clean-up as Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        code = command.main(prog_name=_name(command), standalone_mode=False)
    except click.ClickException as error:
        if isinstance(error, _HELP):
            error.show()
        else:
            # click's own messages do not say what is right instead.
            hint = "" if type(error) is click.UsageError else f"; see {_name(command)} --help"
            _print(command, f"error: {error.format_message().rstrip('.')}{hint}")
        code = USAGE
    except (click.Abort, KeyboardInterrupt):
        _print(command, interrupted)
        code = INTERRUPTED
    except QasrError as error:
        _print(command, f"error: {error}")
        code = FAILED
    except BrokenPipeError:
        # The reader of stdout has ended (`| head`): prevent a second error when Python flushes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    except Exception as error:
        if os.environ.get(_VERBOSE):
            traceback.print_exc()
        _print(
            command,
            f"unexpected {type(error).__name__}: {first_line(error)} (a bug of qasr: please report it; -v shows where)",
        )
        code = FAILED
    sys.exit(code if isinstance(code, int) else OK)


def _print(command: click.Command, message: str) -> None:
    click.echo(f"{_name(command)}: {' '.join(message.split())}", err=True)


def _name(command: click.Command) -> str:
    return command.name or "qasr"
