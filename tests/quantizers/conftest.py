"""The bundled model, its calibration audio as inputs, and the error of logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from qasr import reference
from qasr.audio import batch, clip_inputs
from qasr.data import read_audio_set
from qasr.models import CTCModel, open_checkpoint
from qasr.quantizers import Quantization
from qasr.quantizers.apply import quantize
from qasr.quantizers.calibration import CalibrationSet, Work

CLIPS = 12


@pytest.fixture
def make_model() -> Callable[[], CTCModel]:
    """A fresh deployable model: methods change it in place."""

    def make() -> CTCModel:
        with open_checkpoint("reference") as checkpoint:
            return checkpoint.deployable()

    return make


@pytest.fixture(scope="session")
def real_clips() -> list[torch.Tensor]:
    """Inputs (1, T, 160) of bundled calibration clips."""
    with open_checkpoint("reference") as checkpoint:
        front_end = checkpoint.front_end
    files = read_audio_set(reference.CALIBRATION, CLIPS).files
    return [torch.from_numpy(batch([clip_inputs(file, front_end)], front_end)[0]) for file in files]


def calibration_set(clips: Sequence[torch.Tensor], seconds: float = 1.0, name: str = "bundled") -> CalibrationSet:
    """A calibration set of inputs (1, T, F)."""
    alone = [(clip, torch.tensor([2 * clip.shape[1]])) for clip in clips]
    return CalibrationSet(name, "0" * 64, seconds, len(alone), lambda: iter(alone))


@pytest.fixture(scope="session")
def calibration_of() -> Callable[..., CalibrationSet]:
    return calibration_set


@pytest.fixture(scope="session")
def real_calibration(real_clips: list[torch.Tensor]) -> CalibrationSet:
    return calibration_set(real_clips)


class Runner:
    """Quantizes a model in place and returns it; ``notes`` is what the last call would put into a manifest."""

    notes: dict[str, Any]

    def __call__(
        self,
        method: str,
        model: CTCModel,
        quantization: Quantization | None = None,
        calibration: CalibrationSet | None = None,
        journal: Path | None = None,
    ) -> CTCModel:
        quantization = with_defaults(quantization or Quantization(), model)
        self.notes = quantize(method, model, quantization, Work(calibration=calibration, journal=journal))
        return model


def with_defaults(quantization: Quantization, model: CTCModel) -> Quantization:
    """Without an ``exclude`` of its own, the family's float layers stay float."""
    return quantization if quantization.exclude else replace(quantization, exclude=model.float_layers)


@pytest.fixture
def quantized() -> Runner:
    return Runner()


@pytest.fixture
def logits_of(real_clips: list[torch.Tensor]) -> Callable[[CTCModel], torch.Tensor]:
    """All levels' logits of the first clips, side by side (frames, V)."""

    def run(model: CTCModel) -> torch.Tensor:
        with torch.inference_mode():
            outputs = [model(clip, torch.tensor([2 * clip.shape[1]])) for clip in real_clips[:6]]
        return torch.cat([torch.cat(output, dim=-1)[0] for output in outputs])

    return run


@pytest.fixture
def error_of(logits_of: Callable[[CTCModel], torch.Tensor]) -> Callable[[CTCModel, torch.Tensor], float]:
    """Relative error of a model's logits."""

    def error(model: CTCModel, expected: torch.Tensor) -> float:
        return float((logits_of(model) - expected).norm() / expected.norm())

    return error
