"""``qinfer``: audio and an artifact in, transcripts out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from difflib import get_close_matches
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import Progress

from ..audio import AUDIO_SUFFIXES, WINDOW_SECONDS, AudioError, spool
from ..errors import QasrError
from ..runtimes import Model, Transcript, load, select
from ..runtimes.formats import FORMATS, SINGLE, SUFFIXES
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
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option("--threads", type=click.IntRange(1), help="Threads to compute with.  [default: the engine's choice]")
@click.option("--batch-seconds", type=click.FloatRange(0, min_open=True), default=60.0, show_default=True)
@click.option(
    "--window-seconds",
    type=click.FloatRange(2),
    default=WINDOW_SECONDS,
    show_default=True,
    help="Longer audio is heard in windows of this length.",
)
@click.option("--no-verify", is_flag=True, help="Do not check the artifact's hashes.")
@verbosity
@click.version_option(__version__, prog_name="qinfer")
def command(
    audio: tuple[str, ...],
    artifact: Path,
    form: str,
    levels: str,
    output_dir: Path | None,
    device: str,
    threads: int | None,
    batch_seconds: float,
    window_seconds: float,
    no_verify: bool,
    console: Console,
) -> int:
    """Transcribe AUDIO: files, folders, or - for stdin."""
    if audio.count(STDIN) > 1:
        raise click.UsageError("stdin (-) can be given once")
    with ExitStack() as stack:
        stdin = stack.enter_context(spool(sys.stdin.buffer)) if STDIN in audio else None
        files, failed = _files(audio, console)
        if form in SINGLE and output_dir is None and len(files) > 1:
            raise click.UsageError(f"{form} describes one recording; with several, say --output-dir DIR")
        if not files:
            return FAILED
        model = stack.enter_context(
            load(artifact, device=device, threads=threads, verify=not no_verify, window_seconds=window_seconds)
        )
        chosen = _levels(levels, model)
        sources = [stdin if file == STDIN and stdin else Path(file) for file in files]
        written = _Output(form, output_dir)
        for place, result in _in_order(model, sources, batch_seconds, console):
            if isinstance(result, QasrError):
                failed = True
                message = str(result).replace(str(stdin), "stdin") if stdin else str(result)
                console.print(f"qinfer: {message}", markup=False)
                continue
            name = "stdin" if sources[place] == stdin else files[place]
            written.add(select(msgspec.structs.replace(result, audio=name), chosen))
        written.finish()
    return FAILED if failed else OK


class _Output:
    """Where results go: stdout, or a file per recording."""

    def __init__(self, form: str, folder: Path | None) -> None:
        self._format = FORMATS[form]
        self._suffix = SUFFIXES[form]
        self._folder = folder
        # One JSON document for all recordings has to wait for the last of them.
        self._waits = form == "json"
        self._waiting: list[Transcript] = []

    def add(self, transcript: Transcript) -> None:
        """Take in a result, in the order in which the recordings were named."""
        if self._folder is not None:
            _write(self._folder / (Path(transcript.audio).stem + self._suffix), self._format([transcript]))
        elif self._waits:
            self._waiting.append(transcript)
        else:
            click.echo(self._format([transcript]), nl=False)

    def finish(self) -> None:
        """Give what was held back."""
        if self._waiting:
            click.echo(self._format(self._waiting), nl=False)


def _in_order(
    model: Model, sources: Sequence[Path], batch_seconds: float, console: Console
) -> Iterator[tuple[int, Transcript | QasrError]]:
    """Results in the order of ``sources``, though batches are formed by length."""
    ready: dict[int, Transcript | QasrError] = {}
    shown = 0
    with Progress(console=console, transient=True, disable=not console.is_terminal or len(sources) < 2) as progress:
        task = progress.add_task("Transcribing", total=len(sources))
        for place, result in model.transcribe_many(sources, batch_seconds):
            progress.advance(task)
            ready[place] = result
            while shown in ready:
                yield shown, ready.pop(shown)
                shown += 1


def _files(audio: Sequence[str], console: Console) -> tuple[list[str], bool]:
    """Files that the arguments mean, and whether one of the arguments failed."""
    files: list[str] = []
    failed = False
    for name in audio:
        path = Path(name)
        if name == STDIN or not path.is_dir():
            files.append(name)
            continue
        found = sorted(
            str(file) for file in path.rglob("*") if file.suffix.lower() in AUDIO_SUFFIXES and file.is_file()
        )
        if not found:
            failed = True
            console.print(f"qinfer: {name}: holds no audio files ({', '.join(sorted(AUDIO_SUFFIXES))})", markup=False)
        files += found
    return files, failed


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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(content, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise AudioError(f"{path}: cannot be written ({error.strerror})") from None


def run() -> None:
    """Entry point of ``qinfer``."""
    main(command)
