"""One artifact of a checkpoint for each technique: those that are there, and exports of those that are not."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from ..artifacts import ArtifactError, read
from ..bench.techniques import FLOAT, Maker, makers
from ..errors import QasrError
from ..exporters import TARGETS


def collect(
    model: str, folder: Path, calibration: Path | None, device: str, *, build: bool, console: Console
) -> tuple[list[Path], list[str]]:
    """Artifacts that show what ``device`` can do, the float one first, and a line for each that could not be had.

    Artifacts in ``folder`` that come from another model are passed over. Raises QasrError where there is no float one
    to compare with, or where two were made from different states of the model.
    """
    there: dict[Maker, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        try:
            manifest = read(path, verify=False).manifest
        except ArtifactError:
            continue
        if manifest.source.name in (model, Path(model).name):
            there.setdefault((manifest.target, manifest.method), path)
    failures = []
    for maker in makers(device) if build else []:
        if maker in there:
            continue
        try:
            there[maker] = _export(model, maker, folder, calibration, console)
        except QasrError as error:
            failures.append(f"{_name(maker)}: {error}")
    if FLOAT not in there:
        reason = failures[0] if failures else f"no {_name(FLOAT)} in {folder}"
        raise QasrError(f"nothing to compare with: {reason}")
    if len({read(path, verify=False).manifest.source.sha256 for path in there.values()}) > 1:
        raise QasrError(f"{folder}: its artifacts come from different states of {model}; begin with an empty folder")
    float_one = there.pop(FLOAT)
    return [float_one, *there.values()], failures


def _export(model: str, maker: Maker, folder: Path, calibration: Path | None, console: Console) -> Path:
    # Only now: torch takes seconds to import.
    from ..exporters.pipeline import ExportOptions, export

    target, method = maker
    with console.status(f"exporting {_name(maker)}"):
        artifact = export(model, target, folder / _name(maker), ExportOptions(method=method, calibration=calibration))
    return artifact.folder


def _name(maker: Maker) -> str:
    target, method = maker
    return target if method is None or len(TARGETS[target].methods) == 1 else f"{target}-{method}"
