"""A new family and a new engine: one folder (on each side) and one line in each table, in a copy of the package.

The files that are added and the lines that are edited are those that CONTRIBUTING.md names; nothing else differs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
SIZE, HOP = 64, 320
VOCABULARY = {"[PAD]": 0, "a": 1, "b": 2, "c": 3}
TONES_HZ = (400.0, 1_000.0, 2_500.0)

FAMILY = ("models/families.py", '"wav2vec2_bert",', '"wav2vec2_bert", "toy",')
EXPORTER = ("exporters/targets.py", '"torch")', '"torch", "toy")')
RUNTIME = (
    "runtimes/engine.py",
    "ENGINES: dict[str, EngineEntry] = {",
    'ENGINES: dict[str, EngineEntry] = {\n    "toy": EngineEntry(module="toy", library="onnx", extra="export"),',
)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The parent folder of a copy of the package with both toys in it."""
    parent = tmp_path_factory.mktemp("toys")
    copy = parent / "qasr"
    copy.mkdir()
    for path in ROOT.iterdir():
        if path.name in ("models", "exporters", "runtimes"):
            shutil.copytree(path, copy / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif path.suffix == ".py" or (path / "__init__.py").exists():
            (copy / path.name).symlink_to(path)
    shutil.copytree(HERE / "family", copy / "models/toy")
    shutil.copytree(HERE / "exporter", copy / "exporters/toy")
    shutil.copy(HERE / "runtime.py", copy / "runtimes/toy.py")
    for name, old, new in (FAMILY, EXPORTER, RUNTIME):
        file = copy / name
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, name
        file.write_text(text.replace(old, new), encoding="utf-8")
    return parent


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A model that transcribes tones: two channels of the convolution for each, small random blocks, one head."""
    folder = tmp_path_factory.mktemp("checkpoint") / "toy"
    folder.mkdir()
    random = torch.Generator().manual_seed(0)
    times = np.arange(HOP) / 16_000
    encoder = 0.001 * torch.randn(SIZE, 1, HOP, generator=random)
    head = torch.zeros(len(VOCABULARY), SIZE)
    for index, hertz in enumerate(TONES_HZ):
        for part, wave in enumerate((np.sin, np.cos)):
            encoder[2 * index + part, 0] = torch.from_numpy(wave(2 * np.pi * hertz * times) / HOP)
            head[index + 1, 2 * index + part] = 20.0
    tensors = {"encoder.weight": encoder, "encoder.bias": torch.zeros(SIZE), "head.weight": head}
    tensors["head.bias"] = torch.tensor([5.0, 0.0, 0.0, 0.0])
    for layer in ("layers.0", "layers.1"):
        tensors |= {f"{layer}.norm.weight": torch.ones(SIZE), f"{layer}.norm.bias": torch.zeros(SIZE)}
        for name, shape in (("up", (2 * SIZE, SIZE)), ("down", (SIZE, 2 * SIZE))):
            tensors[f"{layer}.{name}.weight"] = 0.005 * torch.randn(*shape, generator=random)
            tensors[f"{layer}.{name}.bias"] = torch.zeros(shape[0])
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = {"model_type": "toy", "hidden_size": SIZE, "vocab_size": len(VOCABULARY), "pad_token_id": 0}
    extractor = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "sampling_rate": 16_000, "do_normalize": True}
    for name, content in (
        ("config.json", config),
        ("vocab.json", VOCABULARY),
        ("preprocessor_config.json", extractor),
        ("tokenizer_config.json", {"word_delimiter_token": None}),
    ):
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """A folder of tones; the text of each is its name."""
    folder = tmp_path_factory.mktemp("recordings")
    random = np.random.default_rng(0)
    for text in ("abc", "cab", "bacab", "ccbb", "abcabc", "bca", "acbacb", "cba"):
        times = np.arange(4_800) / 16_000
        gap = np.zeros(3_200)
        parts = [gap]
        for letter in text:
            parts += [0.5 * np.sin(2 * np.pi * TONES_HZ["abc".index(letter)] * times), gap]
        samples = np.concatenate(parts)
        soundfile.write(folder / f"{text}.wav", samples + 1e-3 * random.standard_normal(samples.size), 16_000)
    return folder


def run(package: Path, program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(package)}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=package, env=environment)


def qexport(package: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return run(package, "from qasr.cli.qexport import run; run()", *arguments)


def transcribe(package: Path, artifact: Path, recordings: Path, *options: str) -> list[str]:
    program = "from qasr.cli.qinfer import run; run()"
    done = run(package, program, recordings, "--artifact", artifact, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("target", "method", "integer_layers"),
    [
        ("onnx-int8", "smoothquant", 4),
        ("openvino-int8", "static", 4),
        ("torchscript-fbgemm", "dynamic", 4),
        ("onnx-int4", "gptq", 4),
        ("toy-int8", "dynamic", 4),
        ("toy-fp32", None, 0),
    ],
)
def test_a_family_reaches_every_engine(package, checkpoint, recordings, tmp_path, target, method, integer_layers):
    arguments = [checkpoint, "--to", target, "-o", tmp_path / "out", "--verification", recordings]
    if method is not None:
        arguments += ["--method", method]
    if method not in (None, "dynamic"):
        arguments += ["--calibration", recordings]
    done = qexport(package, *arguments)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "out/manifest.json").read_text(encoding="utf-8"))
    assert manifest["front_end"] == {
        "kind": "waveform",
        "normalized": True,
        "padding_value": 0.0,
        "min_samples": HOP,
    }
    assert (manifest["frame_rate_hz"], manifest["source"]["architecture"]) == (50.0, "ToyStock")
    assert manifest["precision"]["quantized_layers"] == manifest["precision"]["integer_kernels"] == integer_layers
    options = ["--trust-code"] if target.startswith("torchscript") else []
    texts = transcribe(package, tmp_path / "out", recordings, *options)
    assert texts == [path.stem for path in sorted(recordings.iterdir())]


def test_a_new_engine_is_listed(package):
    listed = qexport(package, "--list").stdout.splitlines()
    assert [line.split()[0] for line in listed if line.strip().startswith("toy-")] == ["toy-fp32", "toy-int8"]


def test_contributing_names_these_files():
    """The walk through the toys names each of their files, and each line that they edit."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for name, _, _ in (FAMILY, EXPORTER, RUNTIME):
        assert f"`{name}`" in text
    for path in (*sorted((HERE / "family").glob("*.py")), *sorted((HERE / "exporter").glob("*.py"))):
        assert f"`{path.name}`" in text, path
