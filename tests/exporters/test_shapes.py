"""Small random checkpoints of other shapes than the bundled model's, exported to the targets.

Each way of writing layers meets an adapter here. `make shapes` exports the recitation model's shape to every target.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import yaml

from qasr import reference
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

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SIZES = {
    "hidden_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    # Larger random weights amplify rounding as no trained ones do.
    "initializer_range": 0.05,
    "pad_token_id": 0,
}
WORDS = {"[PAD]": 0, "|": 1, "a": 2, "b": 3, "c": 4, "d": 5, "e": 6, "[UNK]": 7}


@dataclass(frozen=True)
class Shape:
    write: Callable[[Path], None]
    """Writes a checkpoint into a folder."""
    frame_rate_hz: float
    layers: int
    """Linears but for the first and the last, which stay float."""
    gates: int
    """Of these, those in front of a gated linear unit."""
    convolutions: int
    """Of these, those that are convolutions in the stock module."""
    attentions: int
    """Layers with a fused q, k and v, which are three in the stock module."""


def save(model: PreTrainedModel, folder: Path) -> None:
    """Save it with norms that differ. As they are made, two norms of one input compute the same, which graphs merge."""
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            torch.nn.init.normal_(module.weight, mean=1.0, std=0.1)
    model.save_pretrained(folder)


def write_recitation(folder: Path) -> None:
    """Several heads and an adapter of stride 2, as the model of recitations has them."""
    from qasr.recitation.multilevel import MultiLevelCTCConfig, Wav2Vec2BertForMultilevelCTC

    stored = json.loads((reference.CHECKPOINT / "config.json").read_text(encoding="utf-8"))
    levels = {name: stored[name] for name in ("level_to_vocab_size", "level_to_loss_weight")}
    config = MultiLevelCTCConfig(**SIZES, **levels, add_adapter=True)
    save(Wav2Vec2BertForMultilevelCTC(config), folder)
    for name in ("vocab.json", "preprocessor_config.json"):
        shutil.copy(reference.CHECKPOINT / name, folder / name)


def write_words(folder: Path, **changes: object) -> None:
    """One head, whose blank between words is a token of its own."""
    from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertForCTC

    save(Wav2Vec2BertForCTC(Wav2Vec2BertConfig(**SIZES, vocab_size=len(WORDS), **changes)), folder)
    SeamlessM4TFeatureExtractor(feature_size=80, num_mel_bins=80, stride=2, padding_value=1).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(WORDS), encoding="utf-8")


def write_two_adapter_layers(folder: Path) -> None:
    write_words(folder, add_adapter=True, num_adapter_layers=2, output_hidden_size=128)


# A conformer layer has 8 Linears, an adapter layer 6, and there is one more where the adapter has another width.
SHAPES = {
    "recitation": Shape(write_recitation, 25.0, layers=8 + 6, gates=1 + 2, convolutions=2 + 2, attentions=2),
    "adapters": Shape(
        write_two_adapter_layers, 12.5, layers=8 + 1 + 2 * 6, gates=1 + 4, convolutions=2 + 4, attentions=3
    ),
    "words": Shape(write_words, 50.0, layers=8, gates=1, convolutions=2, attentions=1),
}
SHORT = (
    *("onnx-int8", "onnx-int4", "openvino-int8", "openvino-w4a8", "openvino-mixed", "tensorrt-int8"),
    *("torchscript-qnnpack", "torch-amp-int8", "hf-gptq", "hf-bnb-nf4"),
)
MATRIX = {
    "recitation": tuple(TARGETS) if "QASR_ALL_SHAPES" in os.environ else SHORT,
    "adapters": ("onnx-int8", "openvino-int8", "torchscript-fbgemm"),
    "words": ("torchscript-fbgemm", "hf-gptq"),
}


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
    return write_clips(tmp_path_factory.mktemp("clips"), count=12, labels=False)


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


def request_of(target: str, checkpoint: Path, clips: Path, folder: Path) -> Request:
    row = find(target)
    request = Request(model=str(checkpoint), target=target, verification=VerificationRequest(source=clips, clips=2))
    if row.engine == "tensorrt":
        request = replace(request, engine=TensorRTOptions(onnx_only=True))
    if row.formats:
        # The lowest format for strided convolutions.
        formats = {"projection": "float", "heads": "float", "*_convolution.linear": row.formats[-1], "*": "int8"}
        path = folder / "map.yaml"
        path.write_text(yaml.safe_dump(formats, sort_keys=False), encoding="utf-8")
        request = replace(request, mixing=MixingRequest(precision_map=str(path)))
    if resolve(request).needs_calibration:
        request = replace(request, calibration=CalibrationRequest(source=clips, clips=6))
    return request


@pytest.mark.parametrize(("shape", "target"), [(shape, target) for shape, row in MATRIX.items() for target in row])
def test_matrix(shape, target, checkpoint_of, clips, tmp_path):
    row, expected = find(target), SHAPES[shape]
    request = request_of(target, checkpoint_of(shape), clips, tmp_path)
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


@pytest.mark.parametrize(
    ("shape", "target"), [("recitation", "onnx-fp32"), ("adapters", "openvino-fp16"), ("recitation", "hf-fp16")]
)
def test_logits_are_those_of_the_stock_model(shape, target, checkpoint_of, clips, tmp_path):
    """From samples to logits: transformers' extractor and model on each clip alone, and ours alone and in a batch."""
    from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertForCTC

    from qasr.recitation.multilevel import Wav2Vec2BertForMultilevelCTC

    checkpoint = checkpoint_of(shape)
    export(request_of(target, checkpoint, clips, tmp_path), tmp_path / "artifact")
    stock_class = Wav2Vec2BertForMultilevelCTC if shape == "recitation" else Wav2Vec2BertForCTC
    # Formats of transformers hold the rounded weights.
    stored = tmp_path / "artifact" if target.startswith("hf") else checkpoint
    stock = stock_class.from_pretrained(stored, dtype=torch.float32).eval()
    extractor = SeamlessM4TFeatureExtractor.from_pretrained(checkpoint)
    random = np.random.default_rng(0)
    waves = {
        raw: (0.1 * random.standard_normal(400 + 160 * (raw - 1))).astype(np.float32) for raw in (*range(80, 88), 119)
    }
    tolerance = 2e-3 if target == "openvino-fp16" else 1e-4
    with load(tmp_path / "artifact", threads=1) as model:
        recorder = Recorder(model._engine, model.manifest)
        model._engine = recorder
        runs = []
        for wave in waves.values():
            model.transcribe(wave)
        runs.append(dict(recorder.logits))
        model.transcribe_batch(list(waves.values()))
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
