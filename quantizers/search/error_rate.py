"""The error rate of an assignment of formats: the model as it will be exported, on all calibration audio."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from rapidfuzz.distance import Levenshtein

from ...models import CTCModel
from ...models.greedy import greedy
from ..calibration import Track
from ..errors import QuantizationError
from ..layers.rewrite import swapped
from .ledger import Ledger
from .mixture import Mixture
from .table import Ids

ALGORITHM_VERSION = 1
"""To be raised with every change of what is measured, so that no ledger returns the old values."""


@dataclass(frozen=True)
class Measured:
    """Error rates of the first level, in points (hundredths)."""

    points: float
    """Error rate less that of the float model: against labels, or the float model's own transcripts."""
    disagreement: float
    """Edit distance to the float model's transcripts over their length."""
    error: float
    """Standard error of ``points``: each of k symbols that differ may be a loss or a gain. √(k + 1) symbols, since
    none that differs in N may still be one in the next N."""

    @property
    def bound(self) -> float:
        """What a budget has to cover: on few clips a loss may show, or stay hidden, by chance."""
        return self.points + self.error


class ErrorRates:
    """Measures assignments on the calibration set, each clip alone, and keeps the results in a ledger.

    ``variants``: for each format a model whose Linears all have it. ``clips``: inputs and lengths of each.
    """

    def __init__(
        self,
        model: CTCModel,
        variants: Mapping[str, CTCModel],
        clips: Sequence[tuple[torch.Tensor, torch.Tensor]],
        mixture: Mixture,
        ledger: Ledger,
        track: Track,
    ) -> None:
        self._model, self._variants, self._ledger, self._track = model, variants, ledger, track
        self._clips = clips
        self._blank = mixture.blank
        self._labels = None if mixture.labels is None else [list(ids) for ids in mixture.labels]
        self._floats: list[Ids] | None = None

    @property
    def labelled(self) -> bool:
        """Whether error rates are against labels."""
        return self._labels is not None

    def check(self, points: float) -> None:
        """Raise QuantizationError where there is too little audio to measure a loss of ``points``."""
        symbols = max(sum(map(len, self._labels or self._float_transcripts())), 1)
        if 0 < points < 100 / symbols:
            texts = "the labels" if self.labelled else "the float model's transcripts"
            raise QuantizationError(
                f"{texts} of the calibration audio have {symbols} symbols, too few to see a loss of {points:g} "
                f"points; give more clips ({math.ceil(100 / points)} symbols), or ask for --budget-size"
            )

    def measure(self, formats: Mapping[str, str]) -> Measured:
        """With layers in ``formats``; layers that are not named are float."""
        key = repr(sorted(formats.items()))
        known = self._ledger.get(key)
        exact = not set(formats.values()) & set(self._variants)
        if known is None:
            transcripts = self._transcripts(formats, "Measuring a choice on all calibration audio")
            floats = self._float_transcripts()
            references = self._labels or floats
            symbols = max(sum(map(len, references)), 1)
            differing = _edits(transcripts, floats)
            lost = _edits(transcripts, references) - _edits(floats, references)
            error = 0.0 if exact else math.sqrt(differing + 1) / symbols
            known = [100 * lost / symbols, 100 * differing / max(sum(map(len, floats)), 1), 100 * error]
            self._ledger.put(key, known)
        return Measured(*known)

    def _float_transcripts(self) -> list[Ids]:
        if self._floats is None:
            self._floats = self._ledger.get("float")
            if self._floats is None:
                self._floats = self._transcripts({}, "Transcribing with the float model")
                self._ledger.put("float", self._floats)
        return self._floats

    @torch.inference_mode()
    def _transcripts(self, formats: Mapping[str, str], description: str) -> list[Ids]:
        transcripts: list[Ids] = []
        sources = {
            name: self._variants[format_name].get_submodule(name)
            for name, format_name in formats.items()
            if format_name in self._variants
        }
        with swapped(self._model, sources):
            for clip in self._track(self._clips, description, len(self._clips)):
                logits = self._model(*clip)[0]
                transcripts += greedy(logits, torch.tensor([logits.shape[1]]), self._blank)
        return transcripts


def _edits(transcripts: Sequence[Ids], expected: Sequence[Ids]) -> int:
    return sum(Levenshtein.distance(one, other) for one, other in zip(transcripts, expected, strict=True))
