"""Inputs on which models are compared, and the logits of a torch model and of an artifact in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...artifacts import Artifact
from ...audio import batch, clip_inputs
from ...audio.frontends import FrontEnd
from ...data import AudioSet
from ...models import CTCModel
from ..errors import ExportError

_MAX_SECONDS = 15.0

Logits = list[dict[str, NDArray[np.float32]]]
"""Per clip: level to (frames, vocabulary), valid frames only."""


@dataclass(frozen=True)
class Probe:
    """All clips in one padded batch, and the longest alone."""

    name: str
    batches: tuple[tuple[Tensor, Tensor], ...]
    """(inputs (B, T, …), lengths (B,) in raw frames) each."""

    @property
    def clips(self) -> int:
        """Number of different clips."""
        return int(self.batches[0][0].shape[0])

    @property
    def frames(self) -> int:
        """Raw frames of the padded batch."""
        return int(self.batches[0][1].sum())


def make_probe(audio: AudioSet, front_end: FrontEnd) -> Probe:
    """Padded batch and single clip from real audio; clips are cut at 15 s. Raises AudioError."""
    clips = [clip_inputs(file, front_end, _MAX_SECONDS) for file in audio.files]
    batches = [batch(chosen, front_end) for chosen in (clips, [max(clips, key=len)])]
    return Probe(
        audio.name, tuple((torch.from_numpy(inputs), torch.from_numpy(lengths)) for inputs, lengths in batches)
    )


def run_torch(model: CTCModel, probe: Probe) -> Logits:
    """Logits of a torch model on every batch."""
    logits: Logits = []
    with torch.inference_mode():
        for inputs, lengths in probe.batches:
            outputs = dict(zip(model.levels, model(inputs, lengths), strict=True))
            by_level = {level: value.numpy() for level, value in outputs.items()}
            logits.extend(_valid(by_level, model.output_lengths(lengths)))
    return logits


def run_artifact(draft: Artifact, probe: Probe) -> tuple[Logits, dict[str, int]]:
    """Logits of an artifact that has no manifest file yet, and the kernels that its engine executed.

    It runs in a fresh process: a load that works only inside the exporting one is no load. Raises ExportError.
    """
    arrays = {f"inputs_{index}": inputs.numpy() for index, (inputs, _) in enumerate(probe.batches)}
    arrays |= {f"lengths_{index}": lengths.numpy() for index, (_, lengths) in enumerate(probe.batches)}
    manifest = draft.manifest
    with tempfile.TemporaryDirectory(prefix="qasr-") as scratch:
        input_file, output_file, manifest_file = (
            Path(scratch) / name for name in ("inputs.npz", "outputs.npz", "manifest.json")
        )
        np.savez(input_file, **arrays)  # type: ignore[arg-type]
        manifest_file.write_bytes(manifest.encode())
        report = _run(draft.folder, input_file, output_file, manifest_file)
        logits: Logits = []
        with np.load(output_file) as outputs:
            for index, (_, lengths) in enumerate(probe.batches):
                by_level = {level: outputs[f"logits_{index}_{level}"] for level in manifest.levels}
                logits.extend(_valid(by_level, manifest.output_lengths(lengths)))
    return logits, dict(sorted(report["kernels"].items()))


def _run(folder: Path, input_file: Path, output_file: Path, manifest_file: Path) -> dict[str, Any]:
    # By name: the build half does not import the run half.
    command = [sys.executable, "-P", "-m", "qasr.runtimes.probe", *map(str, (folder, input_file, output_file))]
    done = subprocess.run([*command, "--manifest", manifest_file], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ExportError(
            f"the artifact could not be loaded and run in a fresh process (exit {done.returncode}): {reason}"
        )
    report: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return report


def _valid(logits: dict[str, NDArray[np.float32]], lengths: Tensor) -> Logits:
    return [
        {level: value[clip, :length] for level, value in logits.items()} for clip, length in enumerate(lengths.tolist())
    ]
