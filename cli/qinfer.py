"""``qinfer``: audio and an artifact in, transcripts out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
from rich.console import Console
from rich.progress import Progress

from ..audio import AUDIO_SUFFIXES, WINDOW_SECONDS, spool
from ..errors import QasrError
from ..runtimes import CACHE, PRECISIONS, Model, Transcript, load, select
from ..runtimes.ctc.formats import FORMATS, SINGLE, SUFFIXES, json_array
from ..version import __version__
from .common import FAILED, OK, main, verbosity

EPILOG = """\b
Examples:
  qinfer audio.wav --artifact out/
  qinfer a.wav b.mp3 recordings/ --artifact out/ --format jsonl --levels all
  qinfer lecture.mp3 --artifact out/ --format srt > lecture.srt
  qinfer recordings/ --artifact out/ --format vtt --output-dir subtitles/
  qinfer - --artifact out/ < audio.flac

\b
Folders are searched for audio files. Results go to stdout, everything else to stderr.
Exit codes: 0 all done, 1 a file failed (the others are transcribed), 2 wrong usage.
"""

STDIN = "-"


@click.command(
    "qinfer", epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120}
)
@click.argument("audio", nargs=-1, required=True)
@click.option("--artifact", required=True, type=click.Path(path_type=Path), help="Folder that qexport wrote.")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="text", show_default=True)
@click.option(
    "--levels", default="", metavar="NAMES", help="Levels to give: all, or names with commas.  [default: the first]"
)
@click.option(
    "--output-dir", type=click.Path(path_type=Path, file_okay=False), help="Write one file per recording here."
)
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    help="cpu; cuda (TensorRT, ONNX Runtime, transformers), rtx (ONNX Runtime), gpu or npu (OpenVINO).",
)
@click.option(
    "--features", default="cpu", show_default=True, help="Where audio becomes features: cpu, or cuda (needs torch)."
)
@click.option("--threads", type=click.IntRange(1), help="Threads to compute with.  [default: the engine's choice]")
@click.option(
    "--streams", type=click.IntRange(1), help="Batches side by side, where the engine can (OpenVINO, TensorRT)."
)
@click.option(
    "--precision",
    metavar="|".join(PRECISIONS),
    help="Compute float operators in it, where the engine can (OpenVINO, hf-gptq, hf-awq).  [default: as exported]",
)
@click.option("--batch-seconds", type=click.FloatRange(0, min_open=True), default=60.0, show_default=True)
@click.option(
    "--window-seconds",
    type=click.FloatRange(2, 60),
    default=WINDOW_SECONDS,
    show_default=True,
    help="Longer audio is heard in windows of this length.",
)
@click.option("--no-verify", is_flag=True, help="Do not check the artifact's hashes.")
@click.option("--no-cache", is_flag=True, help="Keep no compiled model for the next start (OpenVINO).")
@verbosity
@click.version_option(__version__, prog_name="qinfer")
def command(
    audio: tuple[str, ...],
    artifact: Path,
    form: str,
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
        if form in SINGLE and output_dir is None and several:
            raise click.UsageError(f"{form} describes one recording; with several, say --output-dir DIR")
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
                window_seconds=window_seconds,
            )
        stack.enter_context(model)
        chosen = _levels(levels, model)
        written = _Output(form, output_dir, several=several)
        for place, result in _in_order(model, [given.source for given in inputs], batch_seconds, console):
            given = inputs[place]
            if isinstance(result, QasrError):
                failed = True
                _complain(str(result).replace(str(given.source), given.name))
                continue
            written.add(select(msgspec.structs.replace(result, audio=given.name), chosen), given.place)
        written.finish()
    return FAILED if failed else OK


class _Input(NamedTuple):
    """A recording: as the user named it, where it lies, and its place under --output-dir."""

    name: str
    source: Path
    place: Path


class _Output:
    """Where results go: stdout, or a file per recording."""

    def __init__(self, form: str, folder: Path | None, *, several: bool) -> None:
        self._format = FORMATS[form]
        self._suffix = SUFFIXES[form]
        self._folder = folder
        # One JSON document for all recordings has to wait for the last of them.
        self._waiting: list[Transcript] | None = [] if form == "json" and several and folder is None else None

    def add(self, transcript: Transcript, place: Path) -> None:
        """Take in a result, in the order in which the recordings were named."""
        if self._folder is not None:
            _write((self._folder / place).with_suffix(self._suffix), self._format([transcript]))
        elif self._waiting is not None:
            self._waiting.append(transcript)
        else:
            click.echo(self._format([transcript]), nl=False)

    def finish(self) -> None:
        """Give what was held back."""
        if self._waiting is not None:
            click.echo(json_array(self._waiting), nl=False)


def _in_order(
    model: Model, sources: Sequence[Path], batch_seconds: float, console: Console
) -> Iterator[tuple[int, Transcript | QasrError]]:
    """Results in the order of ``sources``, though batches are formed by length."""
    ready: dict[int, Transcript | QasrError] = {}
    shown = 0
    hidden = console.quiet or not console.is_terminal or len(sources) < 2
    with Progress(console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("Transcribing", total=len(sources))
        for place, result in model.transcribe_many(sources, batch_seconds):
            progress.advance(task)
            ready[place] = result
            while shown in ready:
                yield shown, ready.pop(shown)
                shown += 1


def _inputs(audio: Sequence[str], stdin: Path | None) -> tuple[list[_Input], bool]:
    """The recordings that the arguments mean, and whether one of the arguments failed."""
    inputs: list[_Input] = []
    failed = False
    for name in audio:
        path = Path(name)
        if name == STDIN and stdin is not None:
            inputs.append(_Input("stdin", stdin, Path("stdin")))
        elif not path.is_dir():
            inputs.append(_Input(name, path, Path(path.name)))
        else:
            found = sorted(file for file in path.rglob("*") if file.suffix.lower() in AUDIO_SUFFIXES and file.is_file())
            if not found:
                failed = True
                _complain(f"{name}: holds no audio files ({', '.join(sorted(AUDIO_SUFFIXES))})")
            inputs += [_Input(str(file), file, file.relative_to(path)) for file in found]
    return inputs, failed


def _refuse_clashes(inputs: Sequence[_Input]) -> None:
    """UsageError where two recordings would be written to one file."""
    taken: dict[Path, str] = {}
    for given in inputs:
        place = given.place.with_suffix("")
        if place in taken:
            raise click.UsageError(
                f"{taken[place]} and {given.name} would be written to one file; name them in separate commands"
            )
        taken[place] = given.name


def _levels(names: str, model: Model) -> list[str]:
    if not names:
        return model.levels[:1]
    if names == "all":
        return model.levels
    wanted = [name.strip() for name in names.split(",")]
    unknown = [name for name in wanted if name not in model.levels]
    if unknown:
        near = get_close_matches(unknown[0], model.levels, n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(model.levels)}"
        raise click.UsageError(f"no level {unknown[0]!r}; {hint}")
    return [level for level in model.levels if level in wanted]


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


def _complain(message: str) -> None:
    # Not through the console: it is silent under --quiet, and errors are not.
    click.echo(f"qinfer: error: {' '.join(message.split())}", err=True)


def run() -> None:
    """Entry point of ``qinfer``."""
    main(command)
