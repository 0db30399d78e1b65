"""What a whole assignment loses: the model as it will be exported, on all calibration audio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from rapidfuzz.distance import Levenshtein

from ...models import DeployableCTC
from ..technique import CalibrationSet, Track
from .ledger import Ledger
from .mixture import Mixture
from .table import Ids, swapped, transcripts


@dataclass(frozen=True)
class Measured:
    """Error rates of the first level, in points (hundredths)."""

    points: float
    """Error rate less that of the float model: against labels, or the float model's own transcripts."""
    disagreement: float
    """Edit distance to the float model's transcripts over their length."""


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

    def measure(self, formats: Mapping[str, str]) -> Measured:
        """With layers in ``formats``; those not named are float."""
        key = repr(sorted(formats.items()))
        known = self._ledger.get(key)
        if known is None:
            found = self._transcripts(formats, "Measuring a choice on all calibration audio")
            floats = self._float_transcripts()
            references = self._labels or floats
            measured = Measured(
                100 * (_rate(found, references) - _rate(floats, references)), 100 * _rate(found, floats)
            )
            known = [measured.points, measured.disagreement]
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
                found += transcripts(logits, torch.tensor([logits.shape[1]]), self._blank)
        return found


def _rate(found: Sequence[Ids], expected: Sequence[Ids]) -> float:
    edits = sum(Levenshtein.distance(one, other) for one, other in zip(found, expected, strict=True))
    return edits / max(sum(map(len, expected)), 1)
