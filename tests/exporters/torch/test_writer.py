"""Intel Neural Compressor's row: a torch.export program whose quantized layers run in oneDNN's 8-bit kernels."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from qasr.exporters import CalibrationRequest, ExportError, Request, find
from qasr.exporters.pipeline import export
from qasr.exporters.torch import writer as exporter
from qasr.models import open_checkpoint
from qasr.quantizers import Quantization
from qasr.quantizers.apply import quantize
from qasr.quantizers.calibration import Work
from qasr.runtimes import load

LAYERS = 4 * 8


@pytest.fixture
def artifact(exported):
    return exported("torch-inc-int8")


def test_every_layer_runs_in_8_bits(artifact):
    manifest = artifact.manifest
    precision = manifest.precision
    assert manifest.method == "inc"
    assert manifest.calibration.observer == "Neural Compressor's moving average of minmax"
    assert manifest.toolchain["neural_compressor"].startswith("3.")
    assert precision.quantized_layers == precision.integer_kernels == LAYERS
    assert precision.kernels["onednn::qlinear_pointwise"] == LAYERS
    assert precision.operators["quantized_decomposed.quantize_per_tensor.default"] == LAYERS
    assert precision.operators["quantized_decomposed.dequantize_per_channel.default"] == LAYERS
    assert precision.weight_bytes["int8"] == 3_391_488
    assert manifest.files["model.pt2"].bytes < 5_000_000


def test_parity_and_fidelity(artifact):
    assert artifact.manifest.parity.relative_error < 1.5e-2
    assert artifact.manifest.fidelity.relative_error < 2e-2
    assert artifact.manifest.fidelity.disagreement["phonemes"] < 0.02


def test_same_input_same_hashes(artifact, tmp_path):
    calibration = CalibrationRequest(clips=artifact.manifest.calibration.utterances)
    again = export(Request(target="torch-inc-int8", calibration=calibration), tmp_path / "again")
    assert again.manifest.files == artifact.manifest.files


def test_file_is_anonymous(artifact):
    with zipfile.ZipFile(artifact.path("model.pt2")) as archive:
        for name in archive.namelist():
            assert str(Path(__file__).parents[3]).encode() not in archive.read(name)


def test_program_froze_no_shape(artifact):
    random = np.random.default_rng(0)
    lengths = np.array([211, 64, 17, 2])
    features = random.standard_normal((4, 211, 160)).astype(np.float32)
    with load(artifact.folder, threads=1, trust_code=True) as model:
        together = model._engine.infer(features, 2 * lengths)["phonemes"]
        assert together.shape == (4, 211, 43)
        for clip, length in enumerate(lengths):
            alone = model._engine.infer(features[clip : clip + 1, :length], 2 * lengths[clip : clip + 1])["phonemes"]
            assert alone.shape == (1, length, 43)
            assert np.linalg.norm(together[clip, :length] - alone[0]) < 0.05 * np.linalg.norm(alone)


def test_a_scheme_that_the_kernels_do_not_compute(tmp_path):
    with open_checkpoint("reference") as checkpoint:
        model = checkpoint.deployable()
        quantize("rtn", model, Quantization(exclude=("projection", "heads")), Work())
        message = r"layers.0.* torch's 8-bit kernels cannot compute int8 weights, float input"
        with pytest.raises(ExportError, match=message):
            exporter.write(model, find("torch-inc-int8"), checkpoint, tmp_path)
    assert isinstance(model.projection, nn.Linear)
    assert list(tmp_path.iterdir()) == []
