"""From a checkpoint's name to a verified artifact: load, quantize, write, verify, publish."""

from __future__ import annotations

import dataclasses
import platform
from pathlib import Path
from typing import Any

import msgspec
import torch

from .. import reference
from ..artifacts import Artifact, Calibration, InputLimits, Manifest, Precision, Staging, Stride, create
from ..audio import LogMel
from ..data import DataError, read_audio_set
from ..models import Checkpoint, DeployableCTC, open_checkpoint
from ..quantizers import NEED_CALIBRATION, CalibrationSet, Options, Quantized, WeightScheme, check, quantize
from ..quantizers.layers.stored import Stored
from ..version import __version__, version_of
from . import floats, mixing, targets, trained, verify
from .asked import method as asked_method
from .build import BuildOptions, Compiled, Shapes
from .calibration import calibration_set, warnings
from .errors import ExportError
from .options import ExportOptions
from .progress import Progress, Silent
from .target import Exporter, Target

_TOOLCHAIN = ("torch", "transformers", "numpy")
_GRAPH_ENGINE = "onnx"


def export(model: str, target: str, output: Path, options: ExportOptions, progress: Progress | None = None) -> Artifact:
    """Make an artifact at ``output`` of the checkpoint ``model``; see ``open_checkpoint`` for what names one.

    The artifact appears only once it has been loaded in a fresh process and found to compute what its torch model
    computes. Raises QasrError of some kind; nothing is left behind then.
    """
    progress = progress or Silent()
    goal = targets.find(target)
    method = asked_method(goal, options.method, options.mixing)
    mixing.check(goal, options.mixing)
    exporter = goal.exporter()
    quantization = for_target(goal, options.quantization)
    hindrance = goal.cannot_compile(options.build)
    if hindrance is not None:
        raise ExportError(f"{goal.name}: {hindrance}")
    with (
        create(output, force=options.force) as staging,
        open_checkpoint(model, revision=options.revision, offline=options.offline) as checkpoint,
    ):
        stored = trained.find(checkpoint, goal, options.method, options.quantization)
        if stored is not None:
            method = stored.method
        settings = LogMel.from_json(checkpoint.features)
        shapes = None if goal.compiler is None else _shapes(settings, options.build)
        calibration = find_calibration(checkpoint, goal, method, settings, options, progress)
        probe = _probe(settings, options)
        with progress.step("Loading the checkpoint"):
            deployable = checkpoint.deployable()
        if goal.formats:
            mixture = mixing.mixture(goal, checkpoint, options, calibration, progress.warn)
            quantization = dataclasses.replace(quantization, mixture=mixture)
        if stored is not None:
            quantization = trained.options_of(stored, deployable, quantization)
        elif method is not None:
            check(method, deployable, quantization, calibration)
        source = checkpoint.source(deployable)
        with progress.step("Running the fp32 model"):
            original = verify.run_torch(deployable, probe)
            noises = _execution_noise(goal, deployable, probe, original)
        _prepare(deployable, goal, method, quantization, calibration, stored)
        with progress.step("Running the torch model of the artifact"):
            expected = verify.run_torch(deployable, probe)
        rounds_inputs, input_groups = _rounds_inputs(deployable), _input_groups(deployable)
        with progress.step(f"Writing {goal.name}"):
            checkpoint.copy_metadata(staging.folder)
            precision = exporter.write(deployable, goal, staging.folder)
        artifact = staging.draft(
            Manifest(
                qasr_version=__version__,
                target=goal.name,
                # What is compiled later is verified as the graph that it is made of.
                engine=goal.engine if shapes is None else _GRAPH_ENGINE,
                method=method,
                source=source,
                precision=precision,
                front_end=settings,
                levels=checkpoint.levels,
                frame_rate_hz=checkpoint.frame_rate_hz(deployable),
                strides=[Stride(*geometry) for geometry in deployable.subsampling],
                limits=_limits(deployable, shapes),
                calibration=_record(calibration, deployable.notes.pop("observer", _observer(options))),
                options=_chosen(quantization, deployable) if method else {},
                execution={**goal.execution, **input_groups},
                toolchain=_toolchain(goal),
            )
        )
        del deployable  # the fresh processes need the memory
        with progress.step("Verifying in a fresh process"):
            made, kernels = verify.run_artifact(staging.folder, artifact.manifest, probe)
        if shapes is None:
            precision = _achieved(goal, exporter, precision, kernels)
        elif options.build.onnx_only:
            execution = artifact.manifest.execution | {"build": goal.command_line(shapes)}
            graph = msgspec.structs.replace(artifact.manifest, target=f"{goal.name}-onnx", execution=execution)
            artifact = staging.draft(graph)
        else:
            with progress.step("Building the engine"):
                compiled = goal.compile(options.build, shapes, staging.folder)
            precision = _achieved(goal, exporter, precision, compiled.kernels)
            artifact = _engine(goal, compiled, staging, artifact.manifest)
            if compiled.runs_here:
                with progress.step("Verifying on the GPU"):
                    made, _ = verify.run_artifact(staging.folder, artifact.manifest, probe)
        mixing.check_size(artifact, options.mixing.budget_bytes)
        if rounds_inputs:
            noises.append(verify.error(expected, original))
        allowed = verify.tolerance(goal.tolerance, *noises)
        blanks = {level: vocabulary.blank for level, vocabulary in checkpoint.levels.items()}
        execution = artifact.manifest.execution | floats.executed(goal, precision.kernels or kernels)
        return staging.publish(
            msgspec.structs.replace(
                artifact.manifest,
                precision=precision,
                execution=execution,
                parity=verify.compare(made, expected, probe, allowed),
                fidelity=verify.fidelity(made, original, blanks),
            )
        )


def _engine(goal: Target, compiled: Compiled, staging: Staging, graph: Manifest) -> Artifact:
    """The artifact with the engine in the place of its graph."""
    verified = "the engine, on this GPU" if compiled.runs_here else "its graph, under ONNX Runtime on a CPU"
    execution = graph.execution | compiled.execution | {"verified": verified}
    return staging.draft(msgspec.structs.replace(graph, engine=goal.engine, execution=execution))


def _prepare(
    model: DeployableCTC,
    goal: Target,
    method: str | None,
    options: Options,
    calibration: CalibrationSet | None,
    stored: Stored | None,
) -> None:
    """Quantize or convert the model in place."""
    if stored is not None:
        trained.put_into(stored, model, options)
    elif method is not None:
        quantize(method, model, options, calibration)
    # Rounded here already, so that the torch model computes with the weights that the artifact holds.
    model.to(getattr(torch, goal.storage)).to(getattr(torch, goal.dtype))


def for_target(goal: Target, options: Options) -> Options:
    """``options`` with what the target fixes, and its defaults for what the user has not said.

    Raises ExportError for zero points where the target cannot hold them.
    """
    if goal.symmetric and options.symmetric is False:
        able = (other for other in targets.TARGETS.values() if other.bits == goal.bits and not other.symmetric)
        raise ExportError(
            f"{goal.name} cannot hold zero points; leave --asymmetric out, or use "
            f"{' or '.join(other.name for other in able)}"
        )
    symmetric = goal.symmetric if options.symmetric is None else options.symmetric
    scheme = WeightScheme(goal.bits, symmetric, options.group_size or goal.group_size, goal.two_level, goal.values)
    exclude = (*options.exclude, *goal.exclude)
    return dataclasses.replace(
        options,
        outputs=goal.outputs,
        activation=goal.activation,
        scheme=scheme,
        exclude=exclude,
        symmetric_inputs=goal.symmetric_inputs,
    )


def _shapes(settings: LogMel, build: BuildOptions) -> Shapes:
    """The optimization profile in frames. Raises ExportError for lengths that are out of order."""
    seconds = (build.min_seconds, build.opt_seconds, build.max_seconds)
    if not 0 < seconds[0] <= seconds[1] <= seconds[2]:
        said = ", ".join(f"{value:g}" for value in seconds)
        raise ExportError(f"clips of {said} seconds are no shortest, typical and longest clip; they must not shrink")
    least, typical, most = (max(1, round(value * settings.frames_per_second)) for value in seconds)
    return Shapes(least, typical, most, build.max_batch, settings.feature_size)


def _limits(model: DeployableCTC, shapes: Shapes | None) -> InputLimits:
    if shapes is None:
        return InputLimits()
    return InputLimits(shapes.min_frames, shapes.max_frames, shapes.max_batch)


def _rounds_inputs(model: DeployableCTC) -> bool:
    """Whether a last-bit difference can round an activation to another integer."""
    return any(layer.scheme.activation.mode != "none" for layer in model.modules() if isinstance(layer, Quantized))


def _chosen(options: Options, model: DeployableCTC) -> dict[str, Any]:
    """What the manifest says of the quantization."""
    return {"exclude": list(options.exclude), "weights": str(options.scheme), **model.notes}


def _input_groups(model: DeployableCTC) -> dict[str, str]:
    """How the engine has to be set up where it rounds inputs group by group."""
    schemes = [layer.scheme for layer in model.modules() if isinstance(layer, Quantized)]
    sizes = {scheme.weight.group_size for scheme in schemes if scheme.activation.mode == "grouped"}
    return {"input_group_size": str(sizes.pop())} if sizes else {}


def _execution_noise(goal: Target, model: DeployableCTC, probe: verify.Probe, original: verify.Logits) -> list[float]:
    """What an engine that rounds to bf16 may be off by: the torch model's own error when it does so."""
    if not goal.rounds_to_bf16:
        return []
    with verify.in_bf16(model):
        return [verify.error(verify.run_torch(model, probe), original)]


def find_calibration(
    checkpoint: Checkpoint,
    goal: Target,
    method: str | None,
    settings: LogMel,
    options: ExportOptions,
    progress: Progress,
) -> CalibrationSet | None:
    """The audio that ``method`` for ``goal`` calibrates with, None where none is needed. Raises DataError."""
    place = options.calibration
    budget = options.quantization.bits_budget
    if method not in NEED_CALIBRATION and goal.activation != "static" and budget is None:
        if place is not None:
            raise DataError(f"{place}: nothing here needs calibration audio; leave it out, or choose another method")
        return None
    if place is None:
        # Somebody's own model calibrated on our synthetic voices would be wrong without a word.
        if not checkpoint.is_bundled:
            raise DataError(
                f"{checkpoint.name}: {method} quantization needs audio like that which the model will hear; "
                "add --calibration recitations.jsonl (or a folder of audio), or use --method dynamic"
            )
        place = reference.CALIBRATION
    audio = read_audio_set(place, options.calibration_clips)
    for message in warnings(audio, options.calibration_seconds):
        progress.warn(message)
    return calibration_set(audio, settings, options.calibration_seconds, progress.track)


def _probe(settings: LogMel, options: ExportOptions) -> verify.Probe:
    place = options.verification or reference.EVALUATION
    return verify.make_probe(read_audio_set(place, options.verification_clips), settings)


def _record(calibration: CalibrationSet | None, observer: str) -> Calibration | None:
    if calibration is None:
        return None
    return Calibration(calibration.name, calibration.sha256, calibration.clips, calibration.seconds, observer)


def _observer(options: ExportOptions) -> str:
    quantization = options.quantization
    return f"percentile {quantization.percentile:g}" if quantization.observer == "percentile" else quantization.observer


def _toolchain(goal: Target) -> dict[str, str]:
    libraries = dict.fromkeys((*_TOOLCHAIN, *goal.libraries))
    return {"python": platform.python_version(), **{name: version_of(name) for name in libraries}}


def _achieved(goal: Target, exporter: Exporter, precision: Precision, kernels: dict[str, int]) -> Precision:
    """``precision`` with what was executed. No silent fallback: layers that were to run in integers and do not."""
    integer = exporter.integer_kernels(kernels)
    if goal.integer and integer < precision.quantized_layers:
        raise ExportError(
            f"{goal.name}: the engine executed {integer} kernels with integer weights for {precision.quantized_layers} "
            f"quantized layers ({', '.join(kernels)}); the rest ran in float"
        )
    return msgspec.structs.replace(precision, kernels=kernels, integer_kernels=integer)
