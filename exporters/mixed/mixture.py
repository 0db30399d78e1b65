"""A plan's mixture: the formats of the target, what layers cost there, and labels of the calibration audio."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ... import reference
from ...artifacts import Artifact, LevelVocabulary, token_ids
from ...audio import duration
from ...caches import cache_folder
from ...data import DataError, read_audio_set
from ...models import Checkpoint
from ...quantizers.calibration import CalibrationSet
from ...quantizers.search.formats import check_formats
from ...quantizers.search.mixture import FLOAT, Mixture
from ...quantizers.search.precision_map import parse_map
from ..errors import ExportError
from ..plan import Plan
from .costs import TargetCosts


def check_map(plan: Plan) -> None:
    """Raise QuantizationError for a map that cannot be read, or names a format that the target lacks."""
    if plan.mixed is not None and plan.mixed.precision_map is not None:
        check_formats(parse_map(plan.mixed.precision_map).values(), (*plan.target.formats, FLOAT))


def mixture(
    plan: Plan, checkpoint: Checkpoint, calibration: CalibrationSet | None, warn: Callable[[str], None]
) -> Mixture:
    """The mixture of a plan for a …-mixed target; ``warn`` is called where labels cannot be used.

    Raises DataError, or QuantizationError for a bad map.
    """
    mixed = plan.mixed
    assert mixed is not None
    first, vocabulary = next(iter(checkpoint.levels.items()))
    cache = plan.journal or cache_folder("mixed")
    return Mixture(
        formats=plan.target.formats,
        budget_points=mixed.budget_points,
        budget_bytes=mixed.budget_bytes,
        layers=None if mixed.precision_map is None else parse_map(mixed.precision_map),
        blank=vocabulary.blank,
        labels=None if calibration is None else _labels(plan, first, checkpoint.levels, warn),
        costs=TargetCosts(plan, checkpoint.metadata, cache),
        cache=cache,
    )


def check_size(artifact: Artifact, plan: Plan) -> None:
    """Raise ExportError where an artifact is larger than its budget, because its graph takes more than estimated."""
    budget = None if plan.mixed is None else plan.mixed.budget_bytes
    size = sum(entry.bytes for entry in artifact.manifest.files.values())
    if budget is not None and size > budget:
        less = (2 * budget - size) / 1e6
        raise ExportError(
            f"the artifact takes {size / 1e6:.2f} MB, over the budget of {budget / 1e6:.2f} MB; its graph is "
            f"larger than estimated, so {f'request {less:.2f}MB' if less > 0 else 'allow more'}"
        )


def _labels(
    plan: Plan, level: str, levels: Mapping[str, LevelVocabulary], warn: Callable[[str], None]
) -> tuple[tuple[int, ...], ...] | None:
    """Ids of what is said in each calibration clip; None where they are not labelled, or only a part of one counts."""
    audio = read_audio_set(plan.request.calibration.source or reference.CALIBRATION, plan.calibration_clips)
    texts = audio.labels(level, list(levels))
    if texts is None:
        return None
    if any(duration(file) > plan.calibration_seconds for file in audio.files):
        warn(
            f"{audio.name}: of clips longer than {plan.calibration_seconds:g} s only the beginning counts, so error "
            "rates are against the float model's transcripts instead of the labels"
        )
        return None
    return tuple(_ids(file, text, level, levels[level]) for file, text in zip(audio.files, texts, strict=True))


def _ids(file: Path, text: str, level: str, vocabulary: LevelVocabulary) -> tuple[int, ...]:
    """Raises DataError for a symbol that the vocabulary lacks."""
    ids, unknown = token_ids(text, vocabulary)
    if unknown:
        symbols = ", ".join(map(repr, dict.fromkeys(unknown)))
        raise DataError(f"{file}: its label of {level} has {symbols}, which the checkpoint's vocabulary lacks")
    return ids
