"""The command of the package. It runs on Linux only, because memory and CPU time are read from /proc."""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

import click
import msgspec
import numpy as np
from rich.console import Console

from ... import reference
from ...audio import SAMPLE_RATE, read
from ...errors import QasrError
from .candidates import BASELINE, PEERS, Candidate, artifact_candidates
from .environment import environment
from .errors import PeersError
from .make import make_artifacts, make_peers
from .measure import Bench, Options
from .report import markdown, print_report
from .results import Entry, Outcome, Results


def clip(seconds: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Bundled speech of exactly that length (mono float32 at 16 kHz): utterances of the evaluation set, joined."""
    rows = [json.loads(line) for line in reference.EVALUATION.read_text(encoding="utf-8").splitlines()]
    size = seconds * SAMPLE_RATE
    parts: list[np.ndarray[tuple[int], np.dtype[np.float32]]] = []
    while sum(part.size for part in parts) < size:
        parts.append(read(reference.EVALUATION.parent / rows[len(parts) % len(rows)]["audio"]))
    return np.concatenate(parts)[:size]


def compare(
    artifacts: tuple[Path, ...],
    peers: Collection[str],
    work: Path,
    model: str,
    durations: list[int],
    options: Options,
    console: Console,
) -> Results:
    """Build missing peers and artifacts in ``work``, then measure. Raises QasrError."""
    if not Path("/proc/self/status").exists():
        raise PeersError("memory and idle time are read from /proc, which only Linux has")
    chosen = artifact_candidates(artifacts, model)
    work.mkdir(parents=True, exist_ok=True)
    candidates, failed = make_peers(work, model, {BASELINE, *peers}, console)
    if not (work / "stock").is_dir():
        raise PeersError(f"the stock model is missing, {next(iter(failed.values()))}; see {work / 'build.log'}")
    if not artifacts:
        folders, reasons = make_artifacts(work, model, console)
        chosen = artifact_candidates(folders, model)
        failed |= reasons
    candidates += chosen
    machine = environment()
    with tempfile.TemporaryDirectory(prefix="qasr-") as scratch:
        clips = {str(seconds): Path(scratch) / f"{seconds}.npy" for seconds in durations}
        for seconds, file in zip(durations, clips.values(), strict=True):
            np.save(file, clip(seconds))
        bench = Bench(work / "stock", clips, Path(scratch), options, console)
        bench.run([candidate for candidate in candidates if candidate.name not in failed])
    outcomes = bench.outcomes | {name: Outcome(error=reason) for name, reason in failed.items()}
    # A target that could not be exported gets a failed row.
    candidates += [Candidate(name, "qasr", "", "", ours=True) for name in failed if name not in _names(candidates)]
    return Results(
        command=f"python -m qasr.bench.peers {shlex.join(sys.argv[1:])}",
        environment=machine,
        model=model,
        parameters=json.loads((work / "stock" / "parameters.json").read_text(encoding="utf-8")),
        durations=durations,
        rounds=options.rounds,
        threads=options.threads,
        entries=[Entry(one, outcomes[one.name], _bytes(one.path)) for one in candidates],
        samples=bench.samples,
        floor_missing=bench.floor_missing,
    )


def _names(candidates: list[Candidate]) -> set[str]:
    return {candidate.name for candidate in candidates}


def _bytes(path: str) -> int:
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    return sum(file.stat().st_size for file in folder.glob("*") if file.is_file()) if path else 0


class _Durations(click.ParamType):  # type: ignore[type-arg]
    name = "seconds,…"

    def convert(self, value: str, param: click.Parameter | None, context: click.Context | None) -> list[int]:
        """Different whole numbers of seconds, from 1 to 60."""
        parts = value.split(",")
        if not all(part.isdecimal() and 1 <= int(part) <= 60 for part in parts) or len(set(parts)) < len(parts):
            self.fail(f"{value!r} is not a list of different whole seconds from 1 to 60", param, context)
        return [int(part) for part in parts]


@click.command("peers", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.argument("artifacts", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--work", type=click.Path(path_type=Path), required=True, help="Folder for the built peers, which are reused."
)
@click.option("--model", type=click.Choice(["random:full", "reference"]), default="random:full", show_default=True)
@click.option(
    "--peer",
    "peers",
    multiple=True,
    type=click.Choice([peer.name for peer in PEERS]),
    help=f"Compare with this peer only (may be repeated); {BASELINE} is always included.  [default: all]",
)
@click.option("--durations", type=_Durations(), default="10,30", show_default=True, help="Seconds of the clips.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option(
    "--loads", type=click.IntRange(1), default=3, show_default=True, help="Processes started to measure the load time."
)
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True)
@click.option("--markdown", "markdown_file", type=click.Path(path_type=Path), help="Also write the report here.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write all samples here.")
def command(
    artifacts: tuple[Path, ...],
    work: Path,
    model: str,
    peers: tuple[str, ...],
    durations: list[int],
    rounds: int,
    loads: int,
    threads: int,
    markdown_file: Path | None,
    json_file: Path | None,
) -> None:
    """Compare ARTIFACTS with builds of the same model by other tools, one clip at a time.

    Without ARTIFACTS, qasr's INT8 targets are exported into the work folder first. Missing peers are built there too.
    """
    options = Options(rounds=rounds, loads=loads, threads=threads)
    folder = work / model.replace(":", "-")
    chosen = peers or [peer.name for peer in PEERS]
    progress = Console(stderr=True, highlight=False)
    results = compare(artifacts, chosen, folder, model, durations, options, progress)
    print_report(results, Console(width=160, highlight=False))
    if markdown_file is not None:
        markdown_file.write_text(markdown(results), encoding="utf-8")
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))


if __name__ == "__main__":
    try:
        command()
    except QasrError as error:
        raise SystemExit(f"error: {error}") from None
