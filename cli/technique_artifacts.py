"""One artifact of a checkpoint for each technique: existing ones, and exports of the missing ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from ..artifacts import ArtifactError, Manifest, read
from ..bench.techniques import FLOAT, TRAINED, Recipe, preferred_recipes
from ..errors import QasrError
from ..exporters import TARGETS, CalibrationRequest, Request, resolve


def collect(
    model: str, folder: Path, calibration: Path | None, device: str, *, build: bool, console: Console
) -> tuple[list[Path], list[str]]:
    """Artifacts of ``model`` for the techniques of ``device``, the baseline first, and a line for each missing one.

    Artifacts in ``folder`` that come from another model are ignored, unless that was trained from this one. Raises
    QasrError if there is no baseline, or if artifacts come from different states of the model.
    """
    available = _available(model, folder)
    failures = []
    for recipe in preferred_recipes(device) if build else []:
        if recipe in available:
            continue
        if recipe[1] in TRAINED:
            failures.append(f"{_name(recipe)}: needs training: qtrain {model} -o DIR; qexport DIR --to {recipe[0]}")
            continue
        try:
            available[recipe] = _export(model, recipe, folder, calibration, console)
        except QasrError as error:
            failures.append(f"{_name(recipe)}: {error}")
    if FLOAT not in available:
        reason = failures[0] if failures else f"no {_name(FLOAT)} in {folder}"
        raise QasrError(f"no baseline: {reason}")
    sources = (read(path, verify=False).manifest.source for path in available.values())
    if len({source.trained_from or source.sha256 for source in sources}) > 1:
        raise QasrError(f"{folder}: its artifacts come from different states of {model}; use an empty folder")
    baseline = available.pop(FLOAT)
    return [baseline, *available.values()], failures


def _available(model: str, folder: Path) -> dict[Recipe, Path]:
    """The artifacts in ``folder`` that come from ``model``, or from a checkpoint that was trained from it."""
    artifacts: dict[Recipe, Path] = {}
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
            artifacts.setdefault((manifest.target, manifest.method), path)
            states.add(manifest.source.sha256)
    for manifest, path in trained:
        if manifest.source.trained_from in states:
            artifacts.setdefault((manifest.target, manifest.method), path)
    return artifacts


def _export(model: str, recipe: Recipe, folder: Path, calibration: Path | None, console: Console) -> Path:
    # Imported here, because torch takes seconds to import.
    from ..exporters.pipeline import export

    target, method = recipe
    request = Request(model=model, target=target, method=method)
    if resolve(request).needs_calibration:
        request = replace(request, calibration=CalibrationRequest(source=calibration))
    with console.status(f"exporting {_name(recipe)}"):
        artifact = export(request, folder / _name(recipe))
    return artifact.folder


def _name(recipe: Recipe) -> str:
    target, method = recipe
    return target if method is None or len(TARGETS[target].methods) == 1 else f"{target}-{method}"
