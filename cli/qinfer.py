"""``qinfer``: transcribe audio with an artifact."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
from rich.console import Console
from rich.progress import Progress

from ..audio import AUDIO_SUFFIXES, AudioError, is_audio_name, spool
from ..errors import QasrError
from ..runtimes import (
    CACHE,
    Model,
    Transcript,
    UnknownLevelError,
    chosen_levels,
    load,
    select,
)
from ..runtimes.ctc.formats import SINGLE
from ..version import __version__
from .common import FAILED, OK, main, together, verbosity
from .qinfer_options import OPTIONS
from .qinfer_output import Output, refuse_clashes

EPILOG = """\b
Examples:
  qinfer audio.wav --artifact out/
  qinfer a.wav b.mp3 recordings/ --artifact out/ --format jsonl --levels all
  qinfer lecture.mp3 --artifact out/ --format srt > lecture.srt
  qinfer recordings/ --artifact out/ --format vtt --output-dir subtitles/
  qinfer - --artifact out/ < audio.flac

\b
Folders are searched for audio files. Results go to stdout, everything else to stderr.
Exit codes: 0 success, 1 a file failed (the others are transcribed and written), 2 wrong usage.
"""

STDIN = "-"
# Names of skipped files in a message.
_SHOWN = 3


@click.command(
    "qinfer", epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120}
)
@together(OPTIONS)
@verbosity
@click.version_option(__version__, prog_name="qinfer")
def command(
    audio: tuple[str, ...],
    artifact: Path,
    format_: str,
    levels: str,
    output_dir: Path | None,
    device: str,
    features: str,
    threads: int | None,
    streams: int | None,
    precision: str | None,
    batch_seconds: float,
    window_seconds: float,
    no_verify: bool,
    trust_code: bool,
    no_cache: bool,
    console: Console,
) -> int:
    """Transcribe AUDIO: files, folders, or - for stdin."""
    if audio.count(STDIN) > 1:
        raise click.UsageError("stdin (-) can be given once")
    with ExitStack() as stack:
        stdin = stack.enter_context(spool(sys.stdin.buffer)) if STDIN in audio else None
        inputs, failed = _inputs(audio, stdin, console)
        several = len(audio) > 1 or _is_folder(audio[0])
        if format_ in SINGLE and output_dir is None and several:
            raise click.UsageError(f"{format_} describes one recording; for several, add --output-dir DIR")
        if output_dir is not None:
            refuse_clashes([(one.name, one.output) for one in inputs])
        if not inputs:
            return FAILED
        with console.status("Loading"):
            model = load(
                artifact,
                device=device,
                features=features,
                threads=threads,
                streams=streams,
                precision=precision,
                cache=None if no_cache else CACHE,
                verify=not no_verify,
                trust_code=trust_code,
                window_seconds=window_seconds,
            )
        stack.enter_context(model)
        chosen = _levels(levels, model)
        output = Output(format_, output_dir, several=several)
        for index, result in _in_order(model, [one.source for one in inputs], batch_seconds, console):
            recording = inputs[index]
            if isinstance(result, QasrError):
                failed = True
                # The source of stdin is a temporary file.
                _report(result.named(recording.name) if isinstance(result, AudioError) else result)
                continue
            for note in result.notes:
                _note(console, f"{recording.name}: {note}")
            try:
                output.add(select(msgspec.structs.replace(result, audio=recording.name), chosen), recording.output)
            except QasrError as error:
                failed = True
                _report(error)
        output.finish()
    return FAILED if failed else OK


class _Input(NamedTuple):
    """A recording."""

    name: str
    """As the user wrote it."""
    source: Path
    output: Path
    """Path in --output-dir, without the suffix of the format."""


def _in_order(
    model: Model, sources: Sequence[Path], batch_seconds: float, console: Console
) -> Iterator[tuple[int, Transcript | QasrError]]:
    """Results in the order of ``sources``. The model returns them in the order of its batches."""
    ready: dict[int, Transcript | QasrError] = {}
    following = 0
    hidden = console.quiet or not console.is_terminal or len(sources) < 2
    with Progress(console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("Transcribing", total=len(sources))
        for index, result in model.transcribe_many(sources, batch_seconds):
            progress.advance(task)
            ready[index] = result
            while following in ready:
                yield following, ready.pop(following)
                following += 1


def _inputs(audio: Sequence[str], stdin: Path | None, console: Console) -> tuple[list[_Input], bool]:
    """The recordings that the arguments name, and whether an argument failed."""
    inputs: list[_Input] = []
    failed = False
    for name in audio:
        path = Path(name)
        if name == STDIN and stdin is not None:
            inputs.append(_Input("stdin", stdin, Path("stdin")))
        elif not _is_folder(name):
            inputs.append(_Input(name, path, _output(Path(path.name))))
        else:
            files, problems = _search(path, console)
            failed = failed or bool(problems)
            for problem in problems:
                _report(problem)
            inputs += [_Input(str(file), file, _output(file.relative_to(path))) for file in files]
    return inputs, failed


def _is_folder(name: str) -> bool:
    """Whether there is such a folder. ``Path.is_dir`` raises OSError for a name that is too long."""
    with suppress(OSError):
        return Path(name).is_dir()
    return False


def _search(folder: Path, console: Console) -> tuple[list[Path], list[str]]:
    """Audio files anywhere in ``folder``, in order, and what is wrong. Hidden files and folders are left out."""
    files: list[Path] = []
    skipped: list[str] = []
    problems: list[str] = []
    walk = os.walk(
        folder, onerror=lambda error: problems.append(f"{error.filename}: cannot be read ({error.strerror})")
    )
    for inside, folders, names in walk:
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(inside, name)
            if is_audio_name(path):
                files.append(path)
            elif not name.startswith("."):
                skipped.append(str(path.relative_to(folder)))
    if skipped:
        shown = ", ".join(sorted(skipped)[:_SHOWN]) + (" …" if len(skipped) > _SHOWN else "")
        count = "1 file" if len(skipped) == 1 else f"{len(skipped)} files"
        _note(console, f"{folder}: {count} skipped: {shown}")
    if not files and not problems:
        problems.append(f"{folder}: holds no audio files ({', '.join(sorted(AUDIO_SUFFIXES))})")
    return sorted(files), problems


def _output(path: Path) -> Path:
    """The path without its suffix, if it is one of audio: ``talk.1`` and ``talk.2`` are two recordings."""
    return path.with_suffix("") if is_audio_name(path) else path


def _levels(names: str, model: Model) -> list[str]:
    try:
        return chosen_levels(names, model.levels)
    except UnknownLevelError as error:
        raise click.UsageError(str(error)) from None


def _note(console: Console, text: str) -> None:
    """What users should know and is no error."""
    if not console.quiet:
        click.echo(f"qinfer: {' '.join(text.split())}", err=True)


def _report(error: QasrError | str) -> None:
    # Not on the console, which --quiet silences.
    click.echo(f"qinfer: error: {' '.join(str(error).split())}", err=True)


def run() -> None:
    """Entry point of ``qinfer``."""
    main(command)
