"""Faults of an artifact, its engine or its device: each is an error of one line."""

from __future__ import annotations

import importlib.util
import json

import msgspec
import numpy as np
import pytest

from qasr.artifacts import Artifact, ArtifactError, ArtifactNotFoundError, create
from qasr.errors import MissingExtraError, QasrError
from qasr.runtimes import ENGINES, EngineOptions, InferenceError, RuntimeLoadError, load, load_engine


def publish(folder, manifest, model: bytes) -> Artifact:
    with create(folder) as staging:
        (staging.folder / "model.onnx").write_bytes(model)
        return staging.publish(manifest)


def constant_model(levels, value=0.0, inputs=("features", "lengths")) -> bytes:
    """A model of the same interface whose logits are all ``value``."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, initializers, outputs = [], [], []
    for level, width in levels.items():
        initializers += [numpy_helper.from_array(np.zeros((160, width), np.float32), f"w_{level}")]
        initializers += [numpy_helper.from_array(np.full(width, value, np.float32), f"b_{level}")]
        nodes += [helper.make_node("MatMul", [inputs[0], f"w_{level}"], [f"p_{level}"])]
        nodes += [helper.make_node("Add", [f"p_{level}", f"b_{level}"], [level])]
        outputs += [helper.make_tensor_value_info(level, TensorProto.FLOAT, ["batch", "frames", width])]
    graph_inputs = [helper.make_tensor_value_info(inputs[0], TensorProto.FLOAT, ["batch", "frames", 160])]
    graph_inputs += [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch"]) for name in inputs[1:]]
    graph = helper.make_graph(nodes, "constant", graph_inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()


def one_line(error) -> str:
    message = str(error.value)
    assert isinstance(error.value, QasrError)
    assert "\n" not in message
    return message


LEVELS = {"letters": 4, "loud": 2}


def test_a_sound_artifact_loads(tmp_path, make_manifest):
    with load(publish(tmp_path / "a", make_manifest(), constant_model(LEVELS)).folder) as model:
        assert model.levels == list(LEVELS)


def test_a_changed_byte(toy):
    path = toy.folder / "model.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1  # among the weights
    path.write_bytes(data)
    with pytest.raises(ArtifactError) as error:
        load(toy.folder)
    assert "model.onnx: changed since it was exported" in one_line(error)
    load(toy.folder, verify=False)


def test_a_missing_file(toy):
    (toy.folder / "model.onnx").unlink()
    with pytest.raises(ArtifactNotFoundError) as error:
        load(toy.folder)
    assert "model.onnx: missing from the artifact" in one_line(error)


def test_no_artifact_at_all(tmp_path):
    with pytest.raises(ArtifactNotFoundError) as error:
        load(tmp_path / "none")
    assert "no such folder; make one with qexport" in one_line(error)


def test_an_unknown_schema_version(toy):
    path = toy.folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 99}))
    with pytest.raises(ArtifactError) as error:
        load(toy.folder)
    assert "was written by a newer qasr (schema 99, and this one reads 3)" in one_line(error)


def test_a_path_that_leaves_the_folder(toy):
    entry = next(iter(toy.manifest.files.values()))
    sealed = msgspec.structs.replace(toy.manifest, files={"../model.onnx": entry}).sealed()
    (toy.folder / "manifest.json").write_bytes(sealed.encode())
    with pytest.raises(ArtifactError) as error:
        load(toy.folder)
    assert "leaves the folder" in one_line(error)


@pytest.mark.parametrize(
    "levels", [{"letters": 4}, {"letters": 5, "loud": 2}, {"letters": 4, "other": 2}, {"letters": 4, "loud": 2, "x": 1}]
)
def test_a_model_file_swapped_for_another(tmp_path, make_manifest, levels):
    artifact = publish(tmp_path / "a", make_manifest(), constant_model(levels))
    with pytest.raises(RuntimeLoadError) as error:
        load(artifact.folder)
    assert "are not the manifest's levels (letters 4, loud 2); export it again" in one_line(error)


def test_a_model_with_other_inputs(tmp_path, make_manifest):
    artifact = publish(tmp_path / "a", make_manifest(), constant_model(LEVELS, inputs=("input_features",)))
    with pytest.raises(RuntimeLoadError) as error:
        load(artifact.folder)
    assert "takes input_features, not features and lengths" in one_line(error)


def test_a_model_file_that_is_no_model(tmp_path, make_manifest):
    artifact = publish(tmp_path / "a", make_manifest(), b"not a model")
    with pytest.raises(RuntimeLoadError) as error:
        load(artifact.folder)
    assert "model.onnx: ONNX Runtime cannot load it" in one_line(error)


def test_logits_that_are_not_finite(tmp_path, make_manifest):
    artifact = publish(tmp_path / "a", make_manifest(), constant_model(LEVELS, np.nan))
    with pytest.raises(InferenceError) as error:
        load(artifact.folder).transcribe(np.zeros(16_000, np.float32), sample_rate=16_000)
    assert "logits for letters that are not finite" in one_line(error)


def test_features_that_the_model_cannot_take(toy):
    engine = load_engine(toy, EngineOptions())
    with pytest.raises(InferenceError) as error:
        engine.infer(np.zeros((1, 5, 7), np.float32), np.array([5]))
    assert "ONNX Runtime failed on (1, 5, 7)" in one_line(error)


def test_an_unknown_engine(tmp_path, make_manifest):
    artifact = publish(tmp_path / "a", make_manifest(engine="abacus"), constant_model(LEVELS))
    with pytest.raises(RuntimeLoadError) as error:
        load(artifact.folder)
    assert "needs the engine 'abacus'; this qasr has onnx" in one_line(error)


@pytest.mark.parametrize("engine", list(ENGINES))
def test_an_engine_that_is_not_installed(tmp_path, make_manifest, monkeypatch, engine):
    find = importlib.util.find_spec
    library = ENGINES[engine].library
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == library else find(name, *rest))
    artifact = publish(tmp_path / "a", make_manifest(engine=engine), constant_model(LEVELS))
    with pytest.raises(MissingExtraError) as error:
        load(artifact.folder, trust_code=True)
    assert one_line(error) == f"{library} is not installed; type: pip install 'qasr[{ENGINES[engine].extra}]'"
