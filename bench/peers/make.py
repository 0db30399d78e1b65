"""Builds missing peers and exports missing artifacts, each in its own process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from rich.console import Console

from ...artifacts import ArtifactError, read
from ...errors import last_line
from .candidates import PEERS, Candidate
from .errors import CandidateError

TARGETS = ("onnx-int8", "openvino-int8")
"""Targets of qasr that are compared if no artifacts are named."""

# Steps whose output the other steps need.
_FOUNDATIONS = ("stock", "onnx")
_QEXPORT = "from qasr.cli.qexport import run; run()"


def make_peers(
    work: Path, model: str, names: Collection[str], console: Console
) -> tuple[list[Candidate], dict[str, str]]:
    """The peers with the given names, and the reasons by name for those that could not be built."""
    chosen = [peer for peer in PEERS if peer.name in names]
    reasons: dict[str, str] = {}
    for step in dict.fromkeys([*_FOUNDATIONS, *(peer.step for peer in chosen)]):
        missing = next((base for base in _FOUNDATIONS if base in reasons), None)
        if missing is not None:
            reasons[step] = reasons[missing]
        elif not (work / step).is_dir():
            command = ["-m", "qasr.bench.peers.build", step, str(work), model]
            try:
                _run(command, f"Building the peer {step}", work, console)
            except CandidateError as error:
                reasons[step] = str(error)
    failed = {peer.name: f"not built: {reasons[peer.step]}" for peer in chosen if peer.step in reasons}
    return [peer.candidate(work) for peer in chosen], failed


def make_artifacts(work: Path, model: str, console: Console) -> tuple[list[Path], dict[str, str]]:
    """Folders of ``TARGETS``, and the reasons by target for those that could not be exported."""
    folders: list[Path] = []
    failed: dict[str, str] = {}
    for target in TARGETS:
        folder = work / target
        try:
            read(folder, verify=False)
        except ArtifactError:
            # Missing, damaged, or exported by an older qasr.
            command = ["-c", _QEXPORT, model, "--to", target, "-o", str(folder), "--force"]
            try:
                _run(command, f"Exporting {target}", work, console)
            except CandidateError as error:
                failed[target] = f"not exported: {error}"
                continue
        folders.append(folder)
    return folders, failed


def _run(arguments: Sequence[str], description: str, work: Path, console: Console) -> None:
    """Run Python with ``arguments``; its output goes to ``build.log``. Raises CandidateError with its last line."""
    console.print(f"{description} …")
    # -P keeps the current folder off sys.path, where a folder of it could shadow an installed package.
    with (work / "build.log").open("a+", encoding="utf-8") as log:
        start = log.tell()
        code = subprocess.run([sys.executable, "-P", *arguments], stdout=log, stderr=log, check=False).returncode
        if code:
            log.seek(start)
            raise CandidateError(f"exit {code}: {last_line(log.read().strip() or 'no message')}")
