"""``qinfer``: transcribe audio with an artifact."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
from rich.console import Console
from rich.progress import Progress

from ..audio import AUDIO_SUFFIXES, AudioError, spool
from ..errors import QasrError
from ..runtimes import (
    CACHE,
    Model,
    Transcript,
    UnknownLevelError,
    check_levels,
    load,
    select,
)
from ..runtimes.ctc.formats import FORMATS, SINGLE, SUFFIXES, json_array
from ..version import __version__
from .common import FAILED, OK, main, together, verbosity
from .qinfer_options import OPTIONS

EPILOG = """\b
Examples:
  qinfer audio.wav --artifact out/
  qinfer a.wav b.mp3 recordings/ --artifact out/ --format jsonl --levels all
  qinfer lecture.mp3 --artifact out/ --format srt > lecture.srt
  qinfer recordings/ --artifact out/ --format vtt --output-dir subtitles/
  qinfer - --artifact out/ < audio.flac

\b
Folders are searched for audio files. Results go to stdout, everything else to stderr.
Exit codes: 0 success, 1 a file failed (the others are transcribed), 2 wrong usage.
"""

STDIN = "-"


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
        inputs, failed = _inputs(audio, stdin)
        several = len(audio) > 1 or Path(audio[0]).is_dir()
        if format_ in SINGLE and output_dir is None and several:
            raise click.UsageError(f"{format_} describes one recording; for several, add --output-dir DIR")
        if output_dir is not None:
            _refuse_clashes(inputs)
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
        output = _Output(format_, output_dir, several=several)
        for index, result in _in_order(model, [one.source for one in inputs], batch_seconds, console):
            recording = inputs[index]
            if isinstance(result, QasrError):
                failed = True
                # The source of stdin is a temporary file.
                _report(result.named(recording.name) if isinstance(result, AudioError) else result)
                continue
            output.add(select(msgspec.structs.replace(result, audio=recording.name), chosen), recording.output)
        output.finish()
    return FAILED if failed else OK


class _Input(NamedTuple):
    """A recording."""

    name: str
    """As the user wrote it."""
    source: Path
    output: Path
    """Path in --output-dir, without the suffix of the format."""


class _Output:
    """Writes results to stdout, or to a file for each recording."""

    def __init__(self, format_: str, folder: Path | None, *, several: bool) -> None:
        self._format = FORMATS[format_]
        self._suffix = SUFFIXES[format_]
        self._folder = folder
        # One JSON document of several recordings is written when all are transcribed.
        self._waiting: list[Transcript] | None = [] if format_ == "json" and several and folder is None else None

    def add(self, transcript: Transcript, path: Path) -> None:
        """Write a transcript, to ``path`` in --output-dir if there is one. Call in the order of the recordings."""
        if self._folder is not None:
            _write((self._folder / path).with_suffix(self._suffix), self._format([transcript]))
        elif self._waiting is not None:
            self._waiting.append(transcript)
        else:
            click.echo(self._format([transcript]), nl=False)

    def finish(self) -> None:
        """Write the transcripts that were held back."""
        if self._waiting is not None:
            click.echo(json_array(self._waiting), nl=False)


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


def _inputs(audio: Sequence[str], stdin: Path | None) -> tuple[list[_Input], bool]:
    """The recordings that the arguments name, and whether an argument failed."""
    inputs: list[_Input] = []
    failed = False
    for name in audio:
        path = Path(name)
        if name == STDIN and stdin is not None:
            inputs.append(_Input("stdin", stdin, Path("stdin")))
        elif not path.is_dir():
            inputs.append(_Input(name, path, Path(path.name)))
        else:
            files = sorted(file for file in path.rglob("*") if file.suffix.lower() in AUDIO_SUFFIXES and file.is_file())
            if not files:
                failed = True
                _report(f"{name}: holds no audio files ({', '.join(sorted(AUDIO_SUFFIXES))})")
            inputs += [_Input(str(file), file, file.relative_to(path)) for file in files]
    return inputs, failed


def _refuse_clashes(inputs: Sequence[_Input]) -> None:
    """Raise UsageError if two recordings would be written to one file."""
    names: dict[Path, str] = {}
    for one in inputs:
        path = one.output.with_suffix("")
        if path in names:
            raise click.UsageError(
                f"{names[path]} and {one.name} would be written to one file; name them in separate commands"
            )
        names[path] = one.name


def _levels(names: str, model: Model) -> list[str]:
    if not names:
        return model.levels[:1]
    if names == "all":
        return model.levels
    requested = [name.strip() for name in names.split(",")]
    try:
        check_levels(requested, model.levels)
    except UnknownLevelError as error:
        raise click.UsageError(str(error)) from None
    return [level for level in model.levels if level in requested]


def _write(path: Path, content: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(content, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise QasrError(f"{path}: cannot be written ({error.strerror})") from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _report(error: QasrError | str) -> None:
    # Not on the console, which --quiet silences.
    click.echo(f"qinfer: error: {' '.join(str(error).split())}", err=True)


def run() -> None:
    """Entry point of ``qinfer``."""
    main(command)
