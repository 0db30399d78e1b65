"""One artifact of a checkpoint for each technique: those that are there, and exports of those that are not."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from ..artifacts import ArtifactError, Manifest, read
from ..bench.techniques import FLOAT, TRAINED, Maker, makers
from ..errors import QasrError
from ..exporters import TARGETS


def collect(
    model: str, folder: Path, calibration: Path | None, device: str, *, build: bool, console: Console
) -> tuple[list[Path], list[str]]:
    """Artifacts that show what ``device`` can do, the float one first, and a line for each that could not be had.

    Artifacts in ``folder`` that come from another model are passed over, unless it was trained from this one. Raises
    QasrError where there is no float one to compare with, or where two were made from different states of the model.
    """
    there = _there(model, folder)
    failures = []
    for maker in makers(device) if build else []:
        if maker in there:
            continue
        if maker[1] in TRAINED:
            failures.append(f"{_name(maker)}: needs a training: qtrain {model} -o DIR; qexport DIR --to {maker[0]}")
            continue
        try:
            there[maker] = _export(model, maker, folder, calibration, console)
        except QasrError as error:
            failures.append(f"{_name(maker)}: {error}")
    if FLOAT not in there:
        reason = failures[0] if failures else f"no {_name(FLOAT)} in {folder}"
        raise QasrError(f"nothing to compare with: {reason}")
    sources = (read(path, verify=False).manifest.source for path in there.values())
    if len({source.trained_from or source.sha256 for source in sources}) > 1:
        raise QasrError(f"{folder}: its artifacts come from different states of {model}; begin with an empty folder")
    float_one = there.pop(FLOAT)
    return [float_one, *there.values()], failures


def _there(model: str, folder: Path) -> dict[Maker, Path]:
    """The artifacts in ``folder`` that come from ``model``, or from a checkpoint that was trained from it."""
    found: dict[Maker, Path] = {}
    trained: list[tuple[Manifest, Path]] = []
    states = set()
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        try:
            manifest = read(path, verify=False).manifest
        except ArtifactError:
            continue
        if manifest.source.trained_from is not None:
            trained.append((manifest, path))
        elif manifest.source.name in (model, Path(model).name):
            found.setdefault((manifest.target, manifest.method), path)
            states.add(manifest.source.sha256)
    for manifest, path in trained:
        if manifest.source.trained_from in states:
            found.setdefault((manifest.target, manifest.method), path)
    return found


def _export(model: str, maker: Maker, folder: Path, calibration: Path | None, console: Console) -> Path:
    # Only now: torch takes seconds to import.
    from ..exporters import CalibrationRequest, Request, resolve
    from ..exporters.pipeline import export

    target, method = maker
    with console.status(f"exporting {_name(maker)}"):
        artifact = export(model, target, folder / _name(maker), ExportOptions(method=method, calibration=calibration))
    return artifact.folder


def _name(maker: Maker) -> str:
    target, method = maker
    return target if method is None or len(TARGETS[target].methods) == 1 else f"{target}-{method}"
