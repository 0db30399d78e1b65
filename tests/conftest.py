"""Fixtures shared by all rooms: audio files, a hand-made ONNX artifact, and artifacts of the bundled model."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from filelock import FileLock

from qasr import reference
from qasr.artifacts import Artifact, InputLimits, LevelVocabulary, Manifest, Precision, Source, create, read
from qasr.audio import LogMel

# Two workers share the cores: threads of torch must not compete for them, nor keep them busy while they wait.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

FEW_CLIPS = 16
"""Calibration clips where each takes most of a second."""

TONES_HZ = {"a": 400.0, "b": 1_000.0, "c": 2_500.0}


@pytest.fixture
def write_audio(tmp_path: Path) -> Callable[..., Path]:
    """Write samples to a file of any format that soundfile knows."""

    def write(name: str, samples: np.ndarray, rate: int = 16_000, **options: object) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, rate, **options)
        return path

    return write


@pytest.fixture
def speechlike() -> Callable[..., np.ndarray]:
    """Harmonics with a slow envelope and a little noise, float32."""

    def make(seconds: float, rate: int = 16_000, seed: int = 0) -> np.ndarray:
        times = np.arange(round(seconds * rate)) / rate
        voice = sum(np.sin(2 * np.pi * 140 * k * times) / k for k in range(1, 8))
        envelope = 0.55 + 0.45 * np.sin(2 * np.pi * 1.3 * times)
        noise = np.random.default_rng(seed).standard_normal(times.size)
        return (0.1 * voice * envelope + 0.003 * noise).astype(np.float32)

    return make


def labelled_clips(folder: Path, *, count: int = 12, labels: bool = True) -> Path:
    """JSON lines in ``folder`` that name the ``count`` shortest bundled calibration clips."""
    rows = [json.loads(line) for line in reference.CALIBRATION.read_text(encoding="utf-8").splitlines()]
    rows = sorted(rows, key=lambda row: row["seconds"])[:count]
    kept = ("audio", "phonemes", "levels") if labels else ("audio",)
    chosen = [{key: row[key] for key in kept} for row in rows]
    for row in chosen:
        row["audio"] = str(reference.CALIBRATION.parent / row["audio"])
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in chosen), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def write_clips() -> Callable[..., Path]:
    return labelled_clips


@pytest.fixture
def make_data(tmp_path: Path) -> Callable[..., Path]:
    """Labelled clips in the test's own folder."""
    return lambda **options: labelled_clips(tmp_path, **options)


def manifest(target: str = "onnx-fp32", **changes: object) -> Manifest:
    """A valid manifest of a model with the levels ``letters`` and ``loud``."""
    fields: dict[str, object] = {
        "qasr_version": "0",
        "target": target,
        "engine": "onnx",
        "method": None,
        "source": Source("toy", None, "0" * 64, "Toy", 1),
        "precision": Precision("fp32", {}, {}, {}),
        "levels": {
            "letters": LevelVocabulary(["[PAD]", "a", "b", "c"], 0, [0]),
            "loud": LevelVocabulary(["[PAD]", "[yes]"], 0, [0]),
        },
        "front_end": LogMel(padding_value=1.0),
        "frame_rate_hz": 50.0,
        "limits": InputLimits(),
        "toolchain": {},
    }
    return Manifest(**(fields | changes))  # type: ignore[arg-type]


@pytest.fixture
def make_manifest() -> Callable[..., Manifest]:
    return manifest


def toy_onnx() -> bytes:
    """A model of tones: each letter's logit is the energy of one mel band, the blank's is constant."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = {"letters": np.zeros((160, 4), np.float32), "loud": np.zeros((160, 2), np.float32)}
    for column, hertz in enumerate(TONES_HZ.values(), 1):
        mel = 1127 * np.log1p(np.array([20.0, hertz, 8_000.0]) / 700)
        band = round((mel[1] - mel[0]) / (mel[2] - mel[0]) * 81) - 1
        weights["letters"][[band, 80 + band], column] = 2.0
        weights["loud"][[band, 80 + band], 1] = 1.0
    biases = {"letters": np.array([4.0, 0, 0, 0], np.float32), "loud": np.array([2.0, 0], np.float32)}
    nodes, initializers = [], []
    for level in weights:
        initializers += [numpy_helper.from_array(weights[level], f"w_{level}")]
        initializers += [numpy_helper.from_array(biases[level], f"b_{level}")]
        nodes.append(helper.make_node("MatMul", ["features", f"w_{level}"], [f"p_{level}"]))
        nodes.append(helper.make_node("Add", [f"p_{level}", f"b_{level}"], [level]))
    graph = helper.make_graph(
        nodes,
        "toy",
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", "frames", 160]),
            helper.make_tensor_value_info("lengths", TensorProto.INT64, ["batch"]),
        ],
        [
            helper.make_tensor_value_info("letters", TensorProto.FLOAT, ["batch", "frames", 4]),
            helper.make_tensor_value_info("loud", TensorProto.FLOAT, ["batch", "frames", 2]),
        ],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


@pytest.fixture
def toy(tmp_path: Path) -> Artifact:
    """An artifact whose transcripts of tones are known exactly."""
    with create(tmp_path / "toy") as staging:
        (staging.folder / "model.onnx").write_bytes(toy_onnx())
        return staging.publish(manifest())


def tones(text: str, rate: int = 16_000, seconds: float = 0.2) -> np.ndarray:
    """A tone for each letter, with silence around it; ``.`` is a second of silence. The toy transcribes them."""
    times = np.arange(round(seconds * rate)) / rate
    gap = np.zeros(round(0.1 * rate))
    parts = [gap]
    for letter in text:
        parts += [np.zeros(rate)] if letter == "." else [0.5 * np.sin(2 * np.pi * TONES_HZ[letter] * times), gap]
    noise = 1e-3 * np.random.default_rng(0).standard_normal(sum(map(len, parts)))
    return (np.concatenate(parts) + noise).astype(np.float32)


@pytest.fixture
def make_tones() -> Callable[..., np.ndarray]:
    return tones


@pytest.fixture(scope="session")
def one_layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled checkpoint with the first of its encoder layers alone: exported in a third of the time."""
    from safetensors.numpy import load_file, save_file

    folder = tmp_path_factory.mktemp("one_layer") / "checkpoint"
    shutil.copytree(reference.CHECKPOINT, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8")) | {"num_hidden_layers": 1}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    others = re.compile(r"encoder\.layers\.(?!0\.)")
    kept = {name: tensor for name, tensor in load_file(folder / "model.safetensors").items() if not others.search(name)}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Artifact]:
    """Artifacts of the bundled model, each exported once in a session, for all workers.

    For engines that need a GPU, the typed graph, which runs anywhere.
    """
    from qasr.exporters import CalibrationRequest, MixingRequest, QuantizationRequest, Request, find, resolve
    from qasr.exporters.pipeline import export
    from qasr.exporters.tensorrt.options import TensorRTOptions

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "artifacts"
    folder.mkdir(exist_ok=True)
    artifacts: dict[str, Artifact] = {}

    def get(target: str, method: str | None = None) -> Artifact:
        method = resolve(Request(target=target, method=method)).method
        name = f"{target}-{method}" if method else target
        if name not in artifacts:
            mixed = find(target).formats != ()
            request = Request(target=target, method=method)
            if find(target).engine == "tensorrt":
                request = replace(request, engine=TensorRTOptions(onnx_only=True))
            if method in ("gptq", "inc") or mixed:
                request = replace(request, calibration=CalibrationRequest(clips=FEW_CLIPS))
            # Low-bit targets with the same weights quantize them once. The journal is kept in the tests' folder.
            if method == "gptq" or mixed:
                request = replace(request, quantization=QuantizationRequest(journal=folder / "kept"))
            if mixed:
                request = replace(request, mixing=MixingRequest(budget_points=0.2))
            with FileLock(folder / f"{name}.lock"):
                exists = (folder / name).exists()
                artifacts[name] = read(folder / name) if exists else export(request, folder / name)
        return artifacts[name]

    return get
