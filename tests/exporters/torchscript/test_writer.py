"""TorchScript artifacts of the bundled model: the quantized model's own integers, in kernels that are really 8-bit."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from qasr.exporters import ExportError, Request, find
from qasr.exporters.pipeline import export
from qasr.exporters.torchscript import writer as exporter
from qasr.models import open_checkpoint
from qasr.quantizers import Quantization
from qasr.quantizers.apply import quantize
from qasr.quantizers.calibration import Work
from qasr.quantizers.layers.quantized import DynamicLinear, StaticLinear, WeightOnlyLinear
from qasr.runtimes import load

ROWS = [
    (f"torchscript-{engine}", method)
    for engine in ("fbgemm", "qnnpack")
    for method in ("dynamic", "static", "smoothquant")
]
LAYERS = 4 * 8
SMALL = {"calibration_clips": 4, "verification_clips": 2}


@pytest.fixture(params=ROWS, ids=[" ".join(row) for row in ROWS])
def artifact(request, exported):
    return exported(*request.param)


def test_every_layer_runs_in_8_bits(artifact):
    manifest = artifact.manifest
    precision = manifest.precision
    assert precision.quantized_layers == precision.integer_kernels == LAYERS
    expected = {
        ("fbgemm", "dynamic"): "quantized::linear_dynamic",
        ("fbgemm", "static"): "quantized::linear_with_input_q_dq_qweight_dq_output_fp32",
        ("qnnpack", "dynamic"): "quantized::linear_dynamic",
        ("qnnpack", "static"): "quantized::linear",
    }
    engine = manifest.execution["quantized_engine"]
    kind = expected[engine, "dynamic" if manifest.method == "dynamic" else "static"]
    assert precision.kernels[kind] == precision.operators[kind] == LAYERS
    assert precision.weight_bytes["int8"] == 3_391_488
    assert artifact.manifest.files["model.pt"].bytes < 4_700_000


def test_parity_and_fidelity(artifact):
    parity, fidelity = artifact.manifest.parity, artifact.manifest.fidelity
    assert parity.relative_error < 2e-2
    assert fidelity.relative_error < 2e-2
    assert fidelity.disagreement["phonemes"] < 0.02


def test_operators_that_arm_builds_have(artifact):
    """torch on ARM has aten's operators and QNNPACK's quantized ones; not those of FBGEMM, oneDNN or MKL."""
    allowed = {"quantized::linear", "quantized::linear_dynamic"}
    if artifact.manifest.execution["quantized_engine"] == "fbgemm":
        allowed.add("quantized::linear_with_input_q_dq_qweight_dq_output_fp32")
    foreign = {name for name in artifact.manifest.precision.operators if not name.startswith("aten::")}
    assert foreign <= allowed
    graph = torch.jit.load(str(artifact.path("model.pt"))).inlined_graph
    assert {node.kind().partition("::")[0] for node in graph.nodes()} <= {"aten", "quantized", "prim"}
    assert "aten::_convolution" in artifact.manifest.precision.operators


def test_same_input_same_hashes(one_layer, tmp_path):
    request = Request(model=str(one_layer), target="torchscript-fbgemm")
    first, second = (export(request, tmp_path / name).manifest for name in ("first", "second"))
    assert second.method == "dynamic"
    assert second.files == first.files


def test_file_is_anonymous(artifact):
    with zipfile.ZipFile(artifact.path("model.pt")) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".debug_pkl")]
        for name in archive.namelist():
            assert str(Path(__file__).parents[3]).encode() not in archive.read(name)


def test_trace_froze_no_shape(artifact):
    """One clip of every length alone and in a padded batch: the same logits, to rounding."""
    random = np.random.default_rng(0)
    lengths = np.array([211, 64, 17, 1])
    features = random.standard_normal((4, 211, 160)).astype(np.float32)
    for clip, length in enumerate(lengths):
        features[clip, length:] = 0
    with load(artifact.folder, threads=1, trust_code=True) as model:
        together = model._engine.infer(features, 2 * lengths)["phonemes"]
        assert together.shape == (4, 211, 43)
        for clip, length in enumerate(lengths):
            alone = model._engine.infer(features[clip : clip + 1, :length], 2 * lengths[clip : clip + 1])["phonemes"]
            assert alone.shape == (1, length, 43)
            error = np.linalg.norm(together[clip, :length] - alone[0]) / np.linalg.norm(alone)
            # Dynamic ranges are those of the whole batch.
            assert error < (0.2 if artifact.manifest.method == "dynamic" else 0.05)


@pytest.mark.parametrize("engine", ["fbgemm", "qnnpack"])
def test_packed_layers_compute_their_scheme(engine):
    torch.manual_seed(0)
    linear, values = nn.Linear(32, 24), torch.randn(3, 5, 32)
    both = (-4.0, 3.0) if engine == "qnnpack" else None
    for layer, step in ((DynamicLinear(linear), 1e-5), (StaticLinear(linear, (-3.0, 3.5), both), 7 / 255)):
        previous = torch.backends.quantized.engine
        torch.backends.quantized.engine = engine
        try:
            actual = exporter._packed("layer", layer, engine)(values)
        finally:
            torch.backends.quantized.engine = previous
        difference = (actual - layer(values)).abs()
        # Where the outputs are rounded too, a last bit can take one to its neighbour.
        assert difference.max() < (1.01 * step if both else 1e-5)
        assert (difference > 1e-5).float().mean() < 0.01


@pytest.mark.parametrize(
    ("engine", "layer", "scheme"),
    [
        ("fbgemm", WeightOnlyLinear(nn.Linear(4, 4)), "int8 weights, float input"),
        ("qnnpack", StaticLinear(nn.Linear(4, 4), (-1, 1)), "int8 weights, static uint8 input"),
        ("fbgemm", StaticLinear(nn.Linear(4, 4), (-1, 1), (-1, 1)), "static uint8 output"),
    ],
)
def test_a_scheme_that_the_kernels_do_not_compute(engine, layer, scheme):
    with pytest.raises(ExportError, match=f"layers.3: torch's {engine} kernels cannot compute .*{scheme}"):
        exporter._packed("layers.3", layer, engine)


def test_an_engine_that_torch_lacks(tmp_path, monkeypatch):
    monkeypatch.setattr(type(torch.backends.quantized), "supported_engines", ["none"], raising=False)
    monkeypatch.setattr(torch.backends.quantized.__class__, "supported_engines", ["none"], raising=False)
    with open_checkpoint("reference") as checkpoint:
        model = checkpoint.deployable()
        quantize("dynamic", model, Quantization(), Work())
        with pytest.raises(ExportError, match="this build of torch lacks the quantized engine fbgemm"):
            exporter.write(model, find("torchscript-fbgemm"), checkpoint, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_engine_of_the_process_is_put_back(exported):
    before = torch.backends.quantized.engine
    exported("torchscript-qnnpack", "dynamic")
    with load(exported("torchscript-qnnpack", "dynamic").folder, trust_code=True) as model:
        model.transcribe(np.zeros(16_000, np.float32), sample_rate=16_000)
    assert torch.backends.quantized.engine == before
