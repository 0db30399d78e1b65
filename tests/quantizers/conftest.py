"""The bundled model, its calibration audio as features, and the error of logits."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from qasr import reference
from qasr.audio import LogMel
from qasr.data import read_audio_set
from qasr.exporters.calibration import features_of
from qasr.models import DeployableCTC, open_checkpoint
from qasr.quantizers import CalibrationSet

CLIPS = 12


@pytest.fixture
def make_model() -> Callable[[], DeployableCTC]:
    """A fresh deployable model: techniques change it in place."""

    def make() -> DeployableCTC:
        with open_checkpoint("reference") as checkpoint:
            return checkpoint.deployable()

    return make


@pytest.fixture(scope="session")
def real_clips() -> list[torch.Tensor]:
    """Features (1, T, 160) of bundled calibration clips."""
    with open_checkpoint("reference") as checkpoint:
        settings = LogMel.from_json(checkpoint.features)
    return list(features_of(read_audio_set(reference.CALIBRATION, CLIPS), settings))


@pytest.fixture(scope="session")
def real_calibration(real_clips: list[torch.Tensor]) -> CalibrationSet:
    return CalibrationSet("bundled", "0" * 64, 1.0, len(real_clips), lambda: iter(real_clips))


@pytest.fixture
def logits_of(real_clips: list[torch.Tensor]) -> Callable[[DeployableCTC], torch.Tensor]:
    """All levels' logits of the first clips, side by side (frames, V)."""

    def run(model: DeployableCTC) -> torch.Tensor:
        with torch.inference_mode():
            outputs = [model(clip, torch.tensor([clip.shape[1]])) for clip in real_clips[:6]]
        return torch.cat([torch.cat(output, dim=-1)[0] for output in outputs])

    return run


@pytest.fixture
def error_of(logits_of: Callable[[DeployableCTC], torch.Tensor]) -> Callable[[DeployableCTC, torch.Tensor], float]:
    """Relative error of a model's logits."""

    def error(model: DeployableCTC, expected: torch.Tensor) -> float:
        return float((logits_of(model) - expected).norm() / expected.norm())

    return error
