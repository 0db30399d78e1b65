"""What quantization does to a model, layer by layer: load, calibrate, quantize, measure. No artifact is made."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from .. import reference
from ..audio import LogMel
from ..data import read_audio_set
from ..models import Checkpoint, open_checkpoint
from ..quantizers import quantize
from ..quantizers.search import SENSITIVITY, Found, find_mixture
from ..quantizers.search.sensitivity import Sensitivity, float_twin, sensitivity
from . import mixing, targets
from .asked import method as asked_method
from .calibration import features_of
from .errors import ExportError, UnknownTargetError
from .options import ExportOptions
from .pipeline import find_calibration, for_target
from .progress import Progress, Silent

# Each clip costs a pass per layer. On the reference model 4 clips rank the layers as 32 do (correlation 0.99).
_CLIPS = 4
_SECONDS = 10.0


@dataclass(frozen=True)
class Explanation:
    """The sensitivity report and what it was made of."""

    method: str
    audio: str
    clips: int
    report: Sensitivity
    strengths: dict[str, float]
    """By layer: how much smoothing moved into the weights; empty for methods that smooth nothing."""


def explain(model: str, target: str, options: ExportOptions, progress: Progress | None = None) -> Explanation:
    """Quantize ``model`` as for ``target`` and measure what each layer alone costs.

    The audio is the calibration set's, or the verification set's where the method needs no calibration. Raises
    UnknownTargetError for a target that quantizes nothing, and what ``pipeline.export`` raises up to the quantization.
    """
    progress = progress or Silent()
    goal = targets.find(target)
    method = goal.method(options.method)
    if method is None:
        raise UnknownTargetError(f"{goal.name} quantizes nothing, so there is nothing to explain")
    with open_checkpoint(model, revision=options.revision, offline=options.offline) as checkpoint:
        _refuse_trained(checkpoint)
        settings = LogMel.from_json(checkpoint.features)
        calibration = find_calibration(checkpoint, goal, method, settings, options, progress)
        bundled = reference.EVALUATION if calibration is None else reference.CALIBRATION
        place = (options.verification if calibration is None else options.calibration) or bundled
        audio = read_audio_set(place, _CLIPS)
        clips = list(features_of(audio, settings, _SECONDS))
        with progress.step("Loading the checkpoint"):
            original = checkpoint.deployable()
    quantized = quantize(method, float_twin(original), for_target(goal, options.quantization), calibration)
    report = sensitivity(original, quantized, clips, progress.track)
    return Explanation(method, audio.name, len(clips), report, quantized.notes.get("strengths", {}))


def explain_mixture(model: str, target: str, options: ExportOptions, progress: Progress | None = None) -> Found:
    """What each layer loses in each format of ``target``, the frontier, and the choice for the budget asked for.

    Raises UnknownTargetError for a map, which leaves nothing to choose, and what ``pipeline.export`` raises up to the
    quantization.
    """
    progress = progress or Silent()
    goal = targets.find(target)
    method = asked_method(goal, options.method, options.mixing)
    if method != SENSITIVITY:
        raise UnknownTargetError("a precision map leaves nothing to choose, so there is nothing to explain")
    with open_checkpoint(model, revision=options.revision, offline=options.offline) as checkpoint:
        _refuse_trained(checkpoint)
        settings = LogMel.from_json(checkpoint.features)
        calibration = find_calibration(checkpoint, goal, method, settings, options, progress)
        with progress.step("Loading the checkpoint"):
            deployable = checkpoint.deployable()
        mixture = mixing.mixture(goal, checkpoint, options, calibration, progress.warn)
        told = dataclasses.replace(for_target(goal, options.quantization), mixture=mixture)
        return find_mixture(deployable, told, calibration)


def _refuse_trained(checkpoint: Checkpoint) -> None:
    if checkpoint.trained is not None:
        raise ExportError(
            f"{checkpoint.name}: was trained while quantized, so there is no float model to compare its layers with"
        )
