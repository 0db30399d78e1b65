"""What mixed precision is told by its target: formats, what layers cost there, and labels of the calibration audio."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from .. import reference
from ..artifacts import Artifact, LevelVocabulary, token_ids
from ..audio import duration
from ..data import DataError, read_audio_set
from ..models import Checkpoint
from ..quantizers import CalibrationSet
from ..quantizers.search import FLOAT, Mixture, check_formats, parse_map
from .asked import Mixing
from .costs import EngineCosts
from .errors import ExportError
from .options import ExportOptions
from .target import Target

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qasr" / "mixed"
"""Where measurements are kept, unless told otherwise."""

_POINTS = 0.1


def check(goal: Target, asked: Mixing) -> None:
    """Raise QuantizationError for a map that cannot be read, or names a format that ``goal`` lacks."""
    if asked.precision_map is not None:
        check_formats(parse_map(asked.precision_map).values(), (*goal.formats, FLOAT))


def mixture(
    goal: Target,
    checkpoint: Checkpoint,
    options: ExportOptions,
    calibration: CalibrationSet | None,
    warn: Callable[[str], None],
) -> Mixture:
    """The formats of ``goal``, and what decides among them; ``warn`` is told where labels cannot serve.

    Raises DataError, or QuantizationError for a bad map.
    """
    wanted = options.mixing
    compiled = goal.compiler is not None and not options.build.onnx_only
    first, vocabulary = next(iter(checkpoint.levels.items()))
    quantization = options.quantization
    groups, cache = quantization.group_size or goal.group_size or 0, quantization.journal or CACHE
    return Mixture(
        formats=goal.formats,
        budget_points=_POINTS if not wanted.said else wanted.budget_points,
        budget_bytes=wanted.budget_bytes,
        layers=None if wanted.precision_map is None else parse_map(wanted.precision_map),
        blank=vocabulary.blank,
        labels=None if calibration is None else _labels(options, first, checkpoint.levels, warn),
        costs=EngineCosts(goal, checkpoint, groups, bool(quantization.symmetric), cache, compiled=compiled),
        cache=cache,
    )


def check_size(artifact: Artifact, budget: int | None) -> None:
    """Raise ExportError where an artifact is larger than what was allowed, though less was reckoned."""
    size = sum(entry.bytes for entry in artifact.manifest.files.values())
    if budget is not None and size > budget:
        less = (2 * budget - size) / 1e6
        raise ExportError(
            f"the artifact takes {size / 1e6:.2f} MB, over the {budget / 1e6:.2f} MB that were allowed; its graph is "
            f"larger than reckoned, so {f'ask for {less:.2f}MB' if less > 0 else 'allow more'}"
        )


def _labels(
    options: ExportOptions, level: str, levels: Mapping[str, LevelVocabulary], warn: Callable[[str], None]
) -> tuple[tuple[int, ...], ...] | None:
    """Ids of what is said in each calibration clip; None where they are not labelled, or only a part of one counts."""
    audio = read_audio_set(options.calibration or reference.CALIBRATION, options.calibration_clips)
    texts = audio.labels(level, list(levels))
    if texts is None:
        return None
    if any(duration(file) > options.calibration_seconds for file in audio.files):
        warn(
            f"{audio.name}: of clips longer than {options.calibration_seconds:g} s only the beginning counts, so error "
            "rates are against the float model's transcripts instead of the labels"
        )
        return None
    return tuple(_ids(file, text, level, levels[level]) for file, text in zip(audio.files, texts, strict=True))


def _ids(file: Path, text: str, level: str, vocabulary: LevelVocabulary) -> tuple[int, ...]:
    """Of what is said. Raises DataError for a symbol that the vocabulary lacks."""
    ids, unknown = token_ids(text, vocabulary)
    if unknown:
        symbols = ", ".join(map(repr, dict.fromkeys(unknown)))
        raise DataError(f"{file}: its label of {level} has {symbols}, which the checkpoint's vocabulary lacks")
    return ids
