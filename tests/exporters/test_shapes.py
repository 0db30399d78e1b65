"""Small random checkpoints of all shapes, exported to the targets.

Every shape meets a target of each engine here; with `make shapes` every target meets the recitation model's shape and
another.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from qasr.artifacts import Artifact, Manifest
from qasr.exporters import (
    TARGETS,
    CalibrationRequest,
    MixingRequest,
    Request,
    VerificationRequest,
    find,
    resolve,
    verification,
)
from qasr.exporters.pipeline import export
from qasr.exporters.tensorrt.options import TensorRTOptions
from qasr.runtimes import load
from qasr.runtimes.engine import Engine, load_engine
from qasr.runtimes.options import EngineOptions

from ..toys.checkpoints import SHAPES, Shape

OTHERS = [shape for shape in SHAPES if shape != "recitation"]
SHORT = {
    "recitation": (
        *("onnx-int8", "onnx-int4", "openvino-int8", "openvino-w4a8", "openvino-mixed", "tensorrt-int8"),
        *("torchscript-qnnpack", "torch-amp-int8", "hf-gptq", "hf-bnb-nf4"),
    ),
    # One whose graph is traced, and the quick ones; `make shapes` has the others.
    "no adapter": ("openvino-w4a8", "torchscript-qnnpack", "hf-quanto-int4"),
    "two adapters": ("tensorrt-int8", "torchscript-fbgemm", "hf-awq"),
    "words": ("onnx-int4", "torchscript-fbgemm", "hf-gptq"),
    "no positions": ("onnx-int8", "torchscript-fbgemm", "hf-fp16"),
}
# Every target with the recitation model's shape and another, so that each engine meets all of them.
LONG = {
    "recitation": tuple(TARGETS),
    **{shape: tuple(TARGETS)[index :: len(OTHERS)] for index, shape in enumerate(OTHERS)},
}
MATRIX = [
    (shape, target)
    for shape, targets in (LONG if "QASR_ALL_SHAPES" in os.environ else SHORT).items()
    for target in targets
]


@pytest.fixture(scope="session")
def checkpoint_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The checkpoint of a shape, made once."""
    folders: dict[str, Path] = {}

    def get(shape: str) -> Path:
        if shape not in folders:
            torch.manual_seed(0)
            folders[shape] = tmp_path_factory.mktemp("shape")
            SHAPES[shape].write(folders[shape])
        return folders[shape]

    return get


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory, write_clips: Callable[..., Path]) -> Path:
    return write_clips(tmp_path_factory.mktemp("clips"), count=20, labels=False)


@pytest.fixture(autouse=True)
def same_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run artifacts in this process: fresh ones, which other tests have, import everything again for each row."""

    def run(draft: Artifact, probe: verification.Probe) -> tuple[verification.Logits, dict[str, int]]:
        artifact = Artifact(draft.folder, draft.manifest, verified=True)
        engine = load_engine(artifact, EngineOptions(profile=True, trust_code=True))
        logits: verification.Logits = []
        for inputs, lengths in probe.batches:
            levels = engine.infer(inputs.numpy(), lengths.numpy())
            for clip, frames in enumerate(draft.manifest.output_lengths(lengths).tolist()):
                logits.append({level: values[clip, :frames] for level, values in levels.items()})
        kernels = engine.kernels()
        engine.close()
        return logits, kernels

    monkeypatch.setattr(verification, "run_artifact", run)


def request_of(target: str, shape: Shape, checkpoint: Path, clips: Path, folder: Path) -> Request:
    row = find(target)
    request = Request(model=str(checkpoint), target=target, verification=VerificationRequest(source=clips, clips=2))
    if row.engine == "tensorrt":
        request = replace(request, engine=TensorRTOptions(onnx_only=True))
    if row.formats:
        # The lowest format for strided convolutions, and for one layer of every shape.
        formats = {"projection": "float", "heads": "float", "*.attention.qkv": row.formats[-1], "*": "int8"}
        if shape.adapters:
            formats = {"*_convolution.linear": row.formats[-1], **formats}
        path = folder / "map.yaml"
        path.write_text(yaml.safe_dump(formats, sort_keys=False), encoding="utf-8")
        request = replace(request, mixing=MixingRequest(precision_map=str(path)))
    if resolve(request).needs_calibration:
        # GPTQ needs as many frames as a layer has inputs: up to 384 here, and two adapter layers leave 12.5 a second.
        count = 20 if shape.adapters > 1 and row.formats else 6
        request = replace(request, calibration=CalibrationRequest(source=clips, clips=count))
    return request


@pytest.mark.parametrize(("shape", "target"), MATRIX)
def test_matrix(shape, target, checkpoint_of, clips, tmp_path):
    row, expected = find(target), SHAPES[shape]
    request = request_of(target, expected, checkpoint_of(shape), clips, tmp_path)
    manifest = export(request, tmp_path / "artifact").manifest
    precision = manifest.precision
    assert manifest.parity.clips == 2
    assert manifest.frame_rate_hz == expected.frame_rate_hz
    layers = expected.layers if row.methods else 0
    if layers and row.engine == "hf":
        # Counted in the stock module, whose q, k and v are three layers and whose convolutions no format here holds.
        layers += 2 * expected.attentions - expected.convolutions
    assert precision.quantized_layers == layers
    if row.engine == "tensorrt":
        assert precision.operators.get("QuantizeLinear", 0) == layers
    else:
        # OpenVINO multiplies each half of a gated layer by itself, where weights have 8 bits.
        split = target in ("openvino-int8", "openvino-int8-weights", "openvino-w4a8", "openvino-mixed")
        assert precision.integer_kernels == layers + (expected.gates if split else 0)
    clip = json.loads(clips.read_text(encoding="utf-8").splitlines()[0])["audio"]
    with load(tmp_path / "artifact", trust_code=True) as model:
        transcript = model.transcribe(clip)
    assert list(transcript.levels) == list(manifest.levels)


class Recorder:
    """An engine that keeps each clip's logits, by its raw frames."""

    def __init__(self, engine: Engine, manifest: Manifest) -> None:
        self.engine, self.manifest, self.logits = engine, manifest, {}

    def infer(self, inputs: np.ndarray, lengths: np.ndarray) -> dict[str, np.ndarray]:
        outputs = self.engine.infer(inputs, lengths)
        for clip, (raw, frames) in enumerate(zip(lengths, self.manifest.output_lengths(lengths), strict=True)):
            self.logits[int(raw)] = {level: values[clip, :frames] for level, values in outputs.items()}
        return outputs

    def close(self) -> None:
        self.engine.close()


@pytest.mark.parametrize(
    ("shape", "target"), [("recitation", "onnx-fp32"), ("two adapters", "openvino-fp16"), ("recitation", "hf-fp16")]
)
def test_logits_are_those_of_the_stock_model(shape, target, checkpoint_of, clips, tmp_path):
    """From samples to logits: transformers' extractor and model on each clip alone, and ours alone and in a batch."""
    from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertForCTC

    from qasr.recitation.multilevel import Wav2Vec2BertForMultilevelCTC

    checkpoint = checkpoint_of(shape)
    export(request_of(target, SHAPES[shape], checkpoint, clips, tmp_path), tmp_path / "artifact")
    stock_class = Wav2Vec2BertForMultilevelCTC if shape == "recitation" else Wav2Vec2BertForCTC
    # Formats of transformers hold the rounded weights.
    stored = tmp_path / "artifact" if target.startswith("hf") else checkpoint
    stock = stock_class.from_pretrained(stored, dtype=torch.float32).eval()
    extractor = SeamlessM4TFeatureExtractor.from_pretrained(checkpoint)
    random = np.random.default_rng(0)
    waves = {
        raw: (0.1 * random.standard_normal(400 + 160 * (raw - 1))).astype(np.float32) for raw in (*range(80, 88), 119)
    }
    # Weights rounded to FP16 move these random logits by 0.002.
    tolerance = 4e-3 if target == "openvino-fp16" else 1e-4
    with load(tmp_path / "artifact", threads=1) as model:
        recorder = Recorder(model._engine, model.manifest)
        model._engine = recorder
        runs = []
        for wave in waves.values():
            model.transcribe(wave, sample_rate=16_000)
        runs.append(dict(recorder.logits))
        model.transcribe_batch(list(waves.values()), sample_rate=16_000)
        runs.append(dict(recorder.logits))
        model._engine = recorder.engine
    for raw, wave in waves.items():
        inputs = extractor(wave, sampling_rate=16_000, return_tensors="pt")
        with torch.inference_mode():
            outputs = stock(**inputs).logits
        by_level = outputs if isinstance(outputs, dict) else {"text": outputs}
        frames = int(stock._get_feat_extract_output_lengths(inputs["attention_mask"].sum()))
        for actual in runs:
            assert set(actual[raw]) == set(by_level)
            for level, logits in by_level.items():
                np.testing.assert_allclose(actual[raw][level], logits[0, :frames].numpy(), atol=tolerance)
