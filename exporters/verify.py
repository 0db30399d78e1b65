"""An artifact, loaded in a fresh process, against the torch model that it was made from and against fp32."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..artifacts import Fidelity, Manifest, Parity, Stride, output_lengths
from ..audio import LogMel
from ..data import AudioSet
from ..models import DeployableCTC
from .calibration import features_of
from .errors import ExportError, ParityError

_MAX_SECONDS = 15.0
_SQRT_TWO = 2**0.5

Logits = list[dict[str, NDArray[np.float32]]]
"""Per clip: level to (frames, vocabulary), valid frames only."""


@dataclass(frozen=True)
class Probe:
    """Inputs on which models are compared: all clips in one padded batch, and the longest alone."""

    name: str
    batches: tuple[tuple[Tensor, Tensor], ...]
    """(features (B, T, F), lengths (B,)) each."""

    @property
    def clips(self) -> int:
        """Number of different clips."""
        return int(self.batches[0][0].shape[0])

    @property
    def frames(self) -> int:
        """Valid frames of the padded batch."""
        return int(self.batches[0][1].sum())


def make_probe(audio: AudioSet, settings: LogMel) -> Probe:
    """Padded batch and single clip from real audio; clips are cut at 15 s."""
    clips = [features[0] for features in features_of(audio, settings, _MAX_SECONDS)]
    lengths = torch.tensor([clip.shape[0] for clip in clips])
    padded = nn.utils.rnn.pad_sequence(clips, batch_first=True, padding_value=settings.padding_value)
    longest = clips[int(lengths.argmax())]
    return Probe(audio.name, ((padded, lengths), (longest[None], lengths.amax()[None])))


def run_torch(model: DeployableCTC, probe: Probe) -> Logits:
    """Logits of a torch model on every batch."""
    found: Logits = []
    with torch.inference_mode():
        for features, lengths in probe.batches:
            outputs = dict(zip(model.levels, model(features, lengths), strict=True))
            found.extend(
                _valid(
                    {level: value.numpy() for level, value in outputs.items()},
                    lengths,
                    [Stride(*one) for one in model.subsampling],
                )
            )
    return found


@contextmanager
def in_bf16(model: nn.Module) -> Iterator[None]:
    """Within, the weights, inputs and outputs of the model's layers are rounded to bfloat16.

    So engines do that compute in it; they accumulate in float32, as the products do here. (torch's own autocast rounds
    at fewer places, and its depthwise convolution in bfloat16 takes minutes.)
    """
    stored: dict[nn.Module, dict[str, Tensor]] = {}

    def enter(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        stored[module] = {name: value.data for name, value in module.named_parameters()}
        for value in module.parameters():
            value.data = _to_bf16(value.data)
        return tuple(map(_to_bf16, inputs))

    def leave(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        for name, value in stored.pop(module).items():
            getattr(module, name).data = value
        return _to_bf16(output)

    leaves = [module for module in model.modules() if not any(module.children())]
    hooks = [leaf.register_forward_pre_hook(enter) for leaf in leaves]
    hooks += [leaf.register_forward_hook(leave) for leaf in leaves]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def run_artifact(folder: Path, manifest: Manifest, probe: Probe) -> tuple[Logits, dict[str, int]]:
    """Logits of the artifact, and the operators that its engine really executed, from a fresh process."""
    inputs = {f"inputs_{index}": features.numpy() for index, (features, _) in enumerate(probe.batches)}
    inputs |= {f"lengths_{index}": lengths.numpy() for index, (_, lengths) in enumerate(probe.batches)}
    with tempfile.TemporaryDirectory(prefix="qasr-") as scratch:
        input_file, output_file = Path(scratch) / "inputs.npz", Path(scratch) / "outputs.npz"
        np.savez(input_file, **inputs)  # type: ignore[arg-type]
        manifest_file = Path(scratch) / "manifest.json"
        manifest_file.write_bytes(manifest.encode())
        report = _probe(folder, input_file, output_file, manifest_file)
        found: Logits = []
        with np.load(output_file) as outputs:
            for index, (_, lengths) in enumerate(probe.batches):
                logits = {level: outputs[f"logits_{index}_{level}"] for level in manifest.levels}
                found.extend(_valid(logits, lengths, manifest.strides))
    return found, dict(sorted(report["kernels"].items()))


def compare(made: Logits, source: Logits, probe: Probe, tolerance: float) -> Parity:
    """Parity of an artifact with its torch model; ParityError beyond ``tolerance`` or where logits are not finite."""
    pairs = _pairs(made, source)
    if not all(np.isfinite(a).all() for a, _ in pairs):
        raise ParityError("the artifact's logits are not finite; the model's activations overflow this precision")
    parity = Parity(
        audio=probe.name,
        clips=probe.clips,
        frames=probe.frames,
        relative_error=error(made, source),
        tolerance=tolerance,
        max_abs_error=_rounded(max(float(np.abs(a - b).max()) for a, b in pairs)),
        argmax_agreement=_agreement(made, source),
    )
    if parity.relative_error > tolerance:
        raise ParityError(
            f"the artifact differs from its torch model: relative error {parity.relative_error:.2g} "
            f"over {parity.clips} clips, allowed {tolerance:g}"
        )
    return parity


def tolerance(least: float, *noises: float) -> float:
    """Relative error allowed between an artifact and its torch model, whose own errors against fp32 are ``noises``.

    A last-bit difference can round an activation to the neighbouring integer; through the layers that grows towards the
    rounding noise that the quantized model itself carries, and no further: two roundings of one model, each with noise
    e against fp32, lie √2 e apart when their noises have nothing in common. Independent noises (8-bit integers, bf16)
    add as squares. A wrong scale or layer lies far beyond.
    """
    return max(least, _rounded(_SQRT_TWO * math.hypot(*noises)))


def fidelity(made: Logits, original: Logits, blanks: dict[str, int]) -> Fidelity:
    """The artifact against fp32; ``blanks`` gives each level's blank id."""
    return Fidelity(
        relative_error=error(made, original),
        argmax_agreement=_agreement(made, original),
        disagreement={level: _disagreement(made, original, level, blank) for level, blank in blanks.items()},
    )


def greedy(logits: NDArray[np.float32], blank: int) -> list[int]:
    """Ids of the greedy CTC transcript of (frames, vocabulary) logits."""
    best = logits.argmax(-1)
    kept = best[np.concatenate(([True], best[1:] != best[:-1]))] if best.size else best
    return [int(index) for index in kept if index != blank]


def _probe(folder: Path, input_file: Path, output_file: Path, manifest: Path) -> dict[str, Any]:
    # By name and in its own process: the build half does not import the run half, and a load that works only
    # inside the exporting process is no load.
    command = [sys.executable, "-m", "qasr.runtimes.probe", str(folder), str(input_file), str(output_file)]
    command += ["--manifest", str(manifest)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ExportError(
            f"the artifact could not be loaded and run in a fresh process (exit {done.returncode}): {reason}"
        )
    report: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return report


def _valid(logits: dict[str, NDArray[np.float32]], lengths: Tensor, strides: list[Stride]) -> Logits:
    lengths = output_lengths(lengths, strides)
    return [
        {level: value[clip, :length] for level, value in logits.items()} for clip, length in enumerate(lengths.tolist())
    ]


def _to_bf16(value: Any) -> Any:
    return value.bfloat16().float() if isinstance(value, Tensor) and value.dtype == torch.float32 else value


def _pairs(made: Logits, source: Logits) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    pairs = []
    for left, right in zip(made, source, strict=True):
        for level in right:
            if left[level].shape != right[level].shape:
                raise ParityError(
                    f"the artifact gives {left[level].shape} logits for {level}, its model {right[level].shape}"
                )
            pairs.append((left[level], right[level]))
    return pairs


def error(made: Logits, source: Logits) -> float:
    """Relative error: root of the summed squared differences of all logits over that of ``source``."""
    pairs = _pairs(made, source)
    difference = sum(float(np.square(a - b, dtype=np.float64).sum()) for a, b in pairs)
    size = sum(float(np.square(b, dtype=np.float64).sum()) for _, b in pairs)
    return _rounded(math.sqrt(difference / size))


def _agreement(made: Logits, source: Logits) -> float:
    pairs = _pairs(made, source)
    equal = sum(int((a.argmax(-1) == b.argmax(-1)).sum()) for a, b in pairs)
    return round(equal / sum(len(b) for _, b in pairs), 6)


def _disagreement(made: Logits, original: Logits, level: str, blank: int) -> float:
    from rapidfuzz.distance import Levenshtein

    distance = length = 0
    for left, right in zip(made, original, strict=True):
        expected = greedy(right[level], blank)
        distance += Levenshtein.distance(greedy(left[level], blank), expected)
        length += len(expected)
    return round(distance / max(length, 1), 6)


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
