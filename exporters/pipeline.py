"""From a request to a verified artifact: load, calibrate, quantize, write, verify, compile, publish."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch

from .. import reference
from ..artifacts import Artifact, InputLimits, Manifest, Source, Staging, create
from ..data import read_audio_set
from ..models import Checkpoint, CTCModel, open_checkpoint
from ..quantizers import Quantization
from ..quantizers import apply as techniques
from ..quantizers.calibration import CalibrationSet, Work
from ..quantizers.layers.quantized import Quantized
from ..quantizers.search.mixed import quantize_mixed
from ..quantizers.search.mixture import Mixture
from . import verification
from .calibration import calibrate
from .describe import describe, input_groups
from .mixed.mixture import check_map, check_size, mixture
from .plan import Plan, check_buildable, resolve
from .progress import Progress, Silent
from .request import MAP, Request
from .trained import Trained, find_trained


def export(request: Request, output: Path, *, force: bool = False, progress: Progress | None = None) -> Artifact:
    """Make the artifact that ``request`` describes at ``output``; ``force`` replaces an artifact there.

    It appears only once it has been loaded in a fresh process and compared with its torch model. Raises QasrError;
    nothing is left behind then.
    """
    progress = progress or Silent()
    plan = resolve(request)
    check_buildable(plan)
    check_map(plan)
    with (
        create(output, force=force) as staging,
        open_checkpoint(request.model, revision=request.revision, offline=request.offline) as checkpoint,
    ):
        trained = find_trained(plan, checkpoint)
        calibration = None if trained else calibrate(plan, checkpoint, progress)
        mix = None if plan.mixed is None or trained else mixture(plan, checkpoint, calibration, progress.warn)
        loaded = load(plan, checkpoint, trained, calibration, progress)
        work = Work(calibration=calibration, journal=plan.journal, track=progress.track)
        quantized = quantize(plan, loaded, work, trained, mix, progress)
        draft = write(plan, checkpoint, loaded, quantized, calibration, staging, progress)
        draft, kernels = verify(plan, loaded, quantized, draft, staging, progress)
        draft = finish(plan, loaded, quantized, draft, kernels, staging, progress)
        return publish(plan, draft, staging)


@dataclass
class Loaded:
    """A checkpoint's model, and what the float model computes."""

    model: CTCModel | None
    """None once the writer has consumed it: the fresh process needs the memory."""
    quantization: Quantization
    """The plan's, completed for this model."""
    source: Source
    probe: verification.Probe
    float_logits: verification.Logits
    execution_noise: list[float]
    """Relative errors that the engine's own float type brings."""
    blanks: dict[str, int]
    """Id of each level's CTC blank."""


@dataclass(frozen=True)
class QuantizedModel:
    """What is known of the quantized torch model after the writer has consumed it."""

    logits: verification.Logits
    method: str | None
    options: dict[str, Any]
    """What shaped its layers, for the manifest."""
    rounds_inputs: bool
    """Whether a last-bit difference can round an activation to another integer."""


def load(
    plan: Plan,
    checkpoint: Checkpoint,
    trained: Trained | None,
    calibration: CalibrationSet | None,
    progress: Progress,
) -> Loaded:
    """The checkpoint's deployable model, and its logits on the verification audio.

    Raises QuantizationError or ExportError, before the model is run, for layers that cannot be quantized as planned.
    """
    audio = read_audio_set(plan.request.verification.source or reference.EVALUATION, plan.request.verification.clips)
    probe = verification.make_probe(audio, checkpoint.front_end)
    with progress.step("Loading the checkpoint"):
        model = checkpoint.deployable()
        source = checkpoint.source(model)
    quantization = plan.for_model(model)
    if trained is not None:
        quantization = trained.quantization(plan, model, quantization)
    elif plan.method is not None and plan.mixed is None:
        techniques.check(plan.method, model, quantization, calibration)
    with progress.step("Running the fp32 model"):
        original = verification.run_torch(model, probe)
        noises = []
        if plan.target.rounds_to_bf16:
            with verification.in_bf16(model):
                noises.append(verification.relative_error(verification.run_torch(model, probe), original))
    blanks = {level: vocabulary.blank for level, vocabulary in checkpoint.levels.items()}
    return Loaded(model, quantization, source, probe, original, noises, blanks)


def quantize(
    plan: Plan, loaded: Loaded, work: Work, trained: Trained | None, mix: Mixture | None, progress: Progress
) -> QuantizedModel:
    """Quantize the model in place, and run it on the verification audio."""
    model, quantization = loaded.model, loaded.quantization
    assert model is not None
    options: dict[str, Any] = {}
    method = plan.method if trained is None else trained.method
    if trained is not None:
        trained.put_into(model, quantization)
        options = {"exclude": list(quantization.exclude), "weights": str(quantization.weight)}
    elif mix is not None:
        options = quantize_mixed(model, quantization, mix, work, by_map=method == MAP)
    elif method is not None:
        options = techniques.quantize(method, model, quantization, work)
    # Rounded here already, so that the torch model computes with the weights that the artifact holds.
    model.to(getattr(torch, plan.target.storage)).to(getattr(torch, plan.target.dtype))
    with progress.step("Running the torch model of the artifact"):
        logits = verification.run_torch(model, loaded.probe)
    rounds = any(layer.scheme.activation.mode != "none" for layer in model.modules() if isinstance(layer, Quantized))
    return QuantizedModel(logits, method, options, rounds)


def write(
    plan: Plan,
    checkpoint: Checkpoint,
    loaded: Loaded,
    quantized: QuantizedModel,
    calibration: CalibrationSet | None,
    staging: Staging,
    progress: Progress,
) -> Artifact:
    """Write the engine's files, which consumes the model, and draft the manifest."""
    model, loaded.model = loaded.model, None
    assert model is not None
    compiler = plan.target.compiler()
    limits = InputLimits() if compiler is None else compiler.limits(plan.engine, model.front_end)
    groups = input_groups(model)
    with progress.step(f"Writing {plan.target.name}"):
        checkpoint.copy_metadata(staging.folder)
        precision = plan.target.writer().write(model, plan.target, checkpoint, staging.folder)
    manifest = describe(
        plan,
        checkpoint,
        model,
        loaded.source,
        method=quantized.method,
        options=quantized.options,
        calibration=calibration,
        limits=limits,
        precision=precision,
        input_groups=groups,
    )
    return staging.draft(manifest)


def verify(
    plan: Plan, loaded: Loaded, quantized: QuantizedModel, draft: Artifact, staging: Staging, progress: Progress
) -> tuple[Artifact, dict[str, int]]:
    """Run the artifact in a fresh process and compare its logits; also what its engine executed. Raises ExportError."""
    with progress.step("Verifying in a fresh process"):
        logits, kernels = verification.run_artifact(draft, loaded.probe)
    noises = list(loaded.execution_noise)
    if quantized.rounds_inputs:
        noises.append(verification.relative_error(quantized.logits, loaded.float_logits))
    allowed = verification.tolerance(plan.target.tolerance, *noises)
    manifest = msgspec.structs.replace(
        draft.manifest,
        parity=verification.compare(logits, quantized.logits, loaded.probe, allowed),
        fidelity=verification.fidelity(logits, loaded.float_logits, loaded.blanks),
    )
    return staging.draft(manifest), kernels


def finish(
    plan: Plan,
    loaded: Loaded,
    quantized: QuantizedModel,
    draft: Artifact,
    kernels: dict[str, int],
    staging: Staging,
    progress: Progress,
) -> Artifact:
    """Compile the verified graph where the target has a compiler, and check what will be executed."""
    compiler, manifest = plan.target.compiler(), draft.manifest
    floats = kernels
    if compiler is None:
        manifest = _with_precision(plan, manifest, kernels)
    elif plan.stops_at_graph:
        build = {"build": compiler.command_line(plan.engine, manifest.front_end)}
        manifest = msgspec.structs.replace(
            manifest, target=f"{plan.target.name}-{manifest.engine}", execution=manifest.execution | build
        )
    else:
        with progress.step("Building the engine"):
            compiled = compiler.compile(plan.target, plan.engine, manifest.front_end, staging.folder)
        execution = manifest.execution | compiled.execution
        manifest = msgspec.structs.replace(manifest, engine=plan.target.engine, execution=execution)
        manifest = _with_precision(plan, manifest, compiled.kernels)
        floats = compiled.kernels or kernels
        if compiled.runs_here:
            draft, _ = verify(plan, loaded, quantized, staging.draft(manifest), staging, progress)
            manifest = draft.manifest
    execution = manifest.execution | verification.float_execution(plan.target, floats)
    return staging.draft(msgspec.structs.replace(manifest, execution=execution))


def publish(plan: Plan, draft: Artifact, staging: Staging) -> Artifact:
    """Write the manifest and move the folder to its output. Raises ExportError where it is over its budget."""
    check_size(draft, plan)
    return staging.publish(draft.manifest)


def _with_precision(plan: Plan, manifest: Manifest, kernels: dict[str, int]) -> Manifest:
    achieved = verification.achieved(plan.target, plan.target.writer(), manifest.precision, kernels)
    return msgspec.structs.replace(manifest, precision=achieved)
