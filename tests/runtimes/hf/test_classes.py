"""Classes of Hugging Face artifacts come from transformers and qasr: no code in an artifact is executed."""

from __future__ import annotations

import json
import shutil

import pytest

from qasr import load, reference
from qasr.artifacts import Artifact, create
from qasr.runtimes import RuntimeLoadError
from qasr.runtimes.hf.classes import model_class

CLIP = reference.EVALUATION.parent / "000-m3.flac"


@pytest.fixture
def make_artifact(tmp_path, make_manifest):
    """An artifact with a configuration and a Python file that nothing may execute."""

    def make(**config) -> Artifact:
        with create(tmp_path / "artifact") as staging:
            (staging.folder / "config.json").write_text(json.dumps(config))
            (staging.folder / "modeling_own.py").write_text("raise SystemExit('executed')")
            return staging.publish(make_manifest("hf-fp16", engine="hf"))

    return make


def test_the_file_of_an_artifact_is_not_executed(exported, tmp_path):
    artifact = exported("hf-fp16")
    (code,) = artifact.folder.glob("*.py")
    with create(tmp_path / "copy") as staging:
        for name in artifact.manifest.files:
            shutil.copy(artifact.folder / name, staging.folder / name)
        (staging.folder / code.name).write_text("raise SystemExit('executed')")
        copy = staging.publish(artifact.manifest)
    with load(artifact.folder) as model:
        expected = model.transcribe(CLIP)
    for verify in (True, False):
        with load(copy.folder, verify=verify) as model:
            assert model.transcribe(CLIP) == expected


def test_classes_by_model_type(make_artifact):
    auto_map = dict.fromkeys(("AutoConfig", "AutoModel", "AutoModelForCTC"), "modeling_own.Own")
    assert model_class(make_artifact(model_type="wav2vec2-bert", auto_map=auto_map)).__name__ == "Wav2Vec2BertForCTC"


def test_the_class_of_several_levels(make_artifact):
    kind = model_class(make_artifact(model_type="multi_level_ctc", auto_map={"AutoConfig": "modeling_own.Own"}))
    assert (kind.__module__, kind.__name__) == ("qasr.recitation.multilevel", "Wav2Vec2BertForMultilevelCTC")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "own", "auto_map": {"AutoConfig": "modeling_own.Own"}}, "config.json: transformers refuses it"),
        ({"model_type": "bert"}, "config.json: transformers has no CTC model of the type 'bert'"),
        (
            {"model_type": "wav2vec2-bert", "attn_implementation": "someone/kernels"},
            "config.json: attn_implementation 'someone/kernels' is code from elsewhere",
        ),
        (
            {"model_type": "wav2vec2-bert", "encoder": {"_attn_implementation": "someone/kernels"}},
            "_attn_implementation 'someone/kernels' is code from elsewhere",
        ),
    ],
)
def test_refused_configurations(make_artifact, config, message):
    with pytest.raises(RuntimeLoadError, match=message) as caught:
        model_class(make_artifact(**config))
    assert "\n" not in str(caught.value)
