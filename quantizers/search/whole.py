"""What a whole assignment loses: the model as it will be exported, on all calibration audio."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from rapidfuzz.distance import Levenshtein

from ...models import DeployableCTC
from ...models.greedy import greedy
from ..technique import CalibrationSet, QuantizationError, Track
from .ledger import Ledger
from .mixture import Mixture
from .table import Ids, swapped


@dataclass(frozen=True)
class Measured:
    """Error rates of the first level, in points (hundredths)."""

    points: float
    """Error rate less that of the float model: against labels, or the float model's own transcripts."""
    disagreement: float
    """Edit distance to the float model's transcripts over their length."""
    error: float
    """Standard error of ``points``: of k symbols that differ, each may as well have been lost as won. √(k + 1) symbols,
    since none that differs in N may still be one in the next N."""

    @property
    def bound(self) -> float:
        """What a budget has to cover: few clips show a loss by chance alone, or by chance none."""
        return self.points + self.error


class Whole:
    """Measures assignments on the calibration set, each clip alone; keeps what it has found."""

    def __init__(
        self,
        model: DeployableCTC,
        twins: Mapping[str, DeployableCTC],
        calibration: CalibrationSet,
        mixture: Mixture,
        ledger: Ledger,
        track: Track,
    ) -> None:
        self._model, self._twins, self._ledger, self._track = model, twins, ledger, track
        self._clips = list(calibration.features())
        self._blank = mixture.blank
        self._labels = None if mixture.labels is None else [list(ids) for ids in mixture.labels]
        self._floats: list[Ids] | None = None

    @property
    def labelled(self) -> bool:
        """Whether error rates are against labels."""
        return self._labels is not None

    def check(self, points: float) -> None:
        """Raise QuantizationError where there is too little audio to see a loss of so many ``points``."""
        symbols = max(sum(map(len, self._labels or self._float_transcripts())), 1)
        if 0 < points < 100 / symbols:
            what = "the labels" if self.labelled else "the float model's transcripts"
            raise QuantizationError(
                f"{what} of the calibration audio have {symbols} symbols, too few to see a loss of {points:g} "
                f"points; give more clips ({math.ceil(100 / points)} symbols), or ask for --budget-size"
            )

    def measure(self, formats: Mapping[str, str]) -> Measured:
        """With layers in ``formats``; those not named are float."""
        key = repr(sorted(formats.items()))
        known = self._ledger.get(key)
        exact = not set(formats.values()) & set(self._twins)
        if known is None:
            found = self._transcripts(formats, "Measuring a choice on all calibration audio")
            floats = self._float_transcripts()
            references = self._labels or floats
            symbols = max(sum(map(len, references)), 1)
            differing, lost = _edits(found, floats), _edits(found, references) - _edits(floats, references)
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
        found: list[Ids] = []
        with swapped(self._model, {name: self._twins[form] for name, form in formats.items() if form in self._twins}):
            for clip in self._track(self._clips, description, len(self._clips)):
                logits = self._model(clip, torch.tensor([clip.shape[1]]))[0]
                found += greedy(logits, torch.tensor([logits.shape[1]]), self._blank)
        return found


def _edits(found: Sequence[Ids], expected: Sequence[Ids]) -> int:
    return sum(Levenshtein.distance(one, other) for one, other in zip(found, expected, strict=True))
