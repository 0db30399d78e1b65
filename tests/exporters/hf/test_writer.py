"""Checkpoints of 4 bits that stock transformers loads, where qasr is not."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from qasr import load, reference
from qasr.artifacts import read
from qasr.audio import LogMel, batch, extract
from qasr.audio import read as read_audio
from qasr.exporters import CalibrationRequest, ExportError, Request, find
from qasr.exporters.hf import writer as hf
from qasr.exporters.pipeline import export
from qasr.models import open_checkpoint
from qasr.quantizers import Quantization, WeightScheme
from qasr.quantizers.apply import quantize
from qasr.quantizers.calibration import Work
from qasr.runtimes import EngineOptions, OptionError, RuntimeLoadError, load_engine

from ...models.conftest import STOCK_VOCABULARY, write_stock

for library in ("compressed_tensors", "bitsandbytes", "optimum.quanto"):
    pytest.importorskip(library, reason=f"{library} is not installed: pip install 'qasr[lowbit]'")

# With None in its place, importing qasr fails as if it were not installed. One process loads all of the checkpoints,
# because imports take longer than that.
STRANGER = """
import json, sys
sys.modules["qasr"] = None
import numpy as np, torch, transformers
results = {}
for name, folder, kind in json.loads(sys.argv[3]):
    dtype = torch.float16 if kind == "bitsandbytes" else torch.float32
    if kind == "quanto":
        from optimum.quanto import requantize
        from safetensors.torch import load_file
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=True)
        model = transformers.AutoModelForCTC.from_config(config, trust_remote_code=True)
        with open(folder + "/quanto_qmap.json") as file:
            requantize(model, load_file(folder + "/model.safetensors"), json.load(file))
    elif kind == "one head":
        model = transformers.Wav2Vec2BertForCTC.from_pretrained(folder, dtype=dtype)
    else:
        model = transformers.AutoModelForCTC.from_pretrained(folder, trust_remote_code=True, dtype=dtype)
    features = torch.from_numpy(np.load(sys.argv[1])).to(dtype)
    with torch.inference_mode():
        logits = model.eval()(input_features=features).logits
    logits = logits if isinstance(logits, dict) else {"text": logits}
    np.savez(sys.argv[2] + "/" + name, **{level: values.float().numpy() for level, values in logits.items()})
    packed = sum(getattr(module, "quantization_scheme", None) is not None for module in model.modules())
    results[name] = [type(model).__name__, packed]
print(json.dumps(results))
"""
KINDS = {
    "hf-bnb-nf4": "bitsandbytes",
    "hf-bnb-int8": "bitsandbytes",
    # In 8 bits: with fewer, the library starts a C++ compiler.
    "hf-quanto-int8": "quanto",
    "hf-gptq": "compressed",
    "hf-awq": "compressed",
    "one-head": "one head",
}


@pytest.fixture(scope="module")
def one_head(tmp_path_factory):
    """The artifact of a random checkpoint with one head, whose class transformers has itself."""
    from transformers import Wav2Vec2BertConfig, Wav2Vec2BertForCTC

    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    model = Wav2Vec2BertForCTC(Wav2Vec2BertConfig(**sizes, vocab_size=8, initializer_range=0.2)).eval()
    folder = tmp_path_factory.mktemp("one_head")
    checkpoint = write_stock(folder / "stock", model, STOCK_VOCABULARY)
    calibration = CalibrationRequest(source=reference.CALIBRATION, clips=4)
    return export(Request(model=str(checkpoint), target="hf-gptq", calibration=calibration), folder / "out")


@pytest.fixture(scope="module")
def without_qasr(exported, one_head, features, tmp_path_factory):
    """By checkpoint: logits by level, the model's class, and its packed layers, where qasr is not installed."""
    folder = tmp_path_factory.mktemp("without_qasr")
    np.save(folder / "features.npy", features)
    artifacts = {name: one_head if name == "one-head" else exported(name) for name in KINDS}
    rows = [(name, str(artifacts[name].folder), kind) for name, kind in KINDS.items()]
    command = [sys.executable, "-I", "-c", STRANGER, str(folder / "features.npy"), str(folder), json.dumps(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    classes = json.loads(done.stdout.splitlines()[-1])
    return {name: (dict(np.load(folder / f"{name}.npz")), *classes[name]) for name in KINDS}


@pytest.fixture(scope="module")
def features():
    row = json.loads(reference.EVALUATION.read_text(encoding="utf-8").splitlines()[0])
    stored = (reference.CHECKPOINT / "preprocessor_config.json").read_text(encoding="utf-8")
    settings = LogMel.from_json(json.loads(stored))
    return batch([extract(read_audio(reference.EVALUATION.parent / row["audio"]), settings)], settings)[0]


@pytest.mark.parametrize("target", ["hf-bnb-nf4", "hf-bnb-int8"])
def test_stock_transformers_loads_what_bitsandbytes_made(exported, features, without_qasr, target):
    """In float16, as transformers reads it; the runtime computes in float32."""
    folder = exported(target).folder
    actual, kind, _ = without_qasr[target]
    assert kind == "Wav2Vec2BertForMultilevelCTC"
    expected = load_engine(read(folder), EngineOptions()).infer(features, np.array([2 * features.shape[1]]))
    for level, logits in expected.items():
        error = np.linalg.norm(actual[level] - logits) / np.linalg.norm(logits)
        assert error < 2e-2, level
        assert (actual[level].argmax(-1) == logits.argmax(-1)).mean() > 0.98


@pytest.mark.parametrize(
    ("target", "kernel", "megabytes"), [("hf-bnb-nf4", "Linear4bit", 3.0), ("hf-bnb-int8", "Linear8bitLt", 4.4)]
)
def test_bitsandbytes(exported, target, kernel, megabytes):
    manifest = exported(target).manifest
    assert manifest.precision.kernels == {kernel: 32, "float Linear": 12}
    assert manifest.precision.integer_kernels == 32
    assert manifest.parity.relative_error < 1e-2
    assert manifest.fidelity.relative_error < 3e-2
    assert manifest.fidelity.disagreement["phonemes"] < 5e-3
    assert sum(entry.bytes for entry in manifest.files.values()) < megabytes * 1e6
    config = json.loads(exported(target).path("config.json").read_text(encoding="utf-8"))
    assert config["quantization_config"]["quant_method"] == "bitsandbytes"
    assert "heads" not in config["quantization_config"]["llm_int8_skip_modules"]
    assert "level_to_lm_head.phonemes" in config["quantization_config"]["llm_int8_skip_modules"]


def test_quanto_loads_its_checkpoint(exported, features, without_qasr):
    folder = exported("hf-quanto-int8").folder
    actual, kind, _ = without_qasr["hf-quanto-int8"]
    assert kind == "Wav2Vec2BertForMultilevelCTC"
    expected = load_engine(read(folder), EngineOptions()).infer(features, np.array([2 * features.shape[1]]))
    for level, logits in expected.items():
        np.testing.assert_allclose(actual[level], logits, atol=1e-4)


@pytest.mark.parametrize(("bits", "megabytes", "error"), [(8, 4.2, 3e-3), (4, 2.9, 3e-2), (2, 2.2, 0.2)])
def test_quanto(exported, bits, megabytes, error):
    artifact = exported(f"hf-quanto-int{bits}")
    manifest = artifact.manifest
    assert manifest.precision.kernels == {"QLinear": 32, "float Linear": 12}
    assert manifest.precision.integer_kernels == 32
    assert manifest.parity.relative_error < 1e-5
    assert manifest.fidelity.relative_error < error
    assert sum(entry.bytes for entry in manifest.files.values()) < megabytes * 1e6
    layers = json.loads(artifact.path("quanto_qmap.json").read_text(encoding="utf-8"))
    assert len(layers) == 32
    assert layers["wav2vec2_bert.encoder.layers.3.self_attn.linear_q"] == {
        "weights": f"qint{bits}",
        "activations": "none",
    }


def test_quanto_misses_nothing_in_silence(exported, tmp_path):
    artifact = read(exported("hf-quanto-int4").folder)
    folder = tmp_path / "copy"
    shutil.copytree(artifact.folder, folder)
    tensors = load_file(folder / "model.safetensors")
    gone = "wav2vec2_bert.encoder.layers.0.ffn1_layer_norm.weight"
    save_file({name: tensor for name, tensor in tensors.items() if name != gone}, folder / "model.safetensors")
    with pytest.raises(RuntimeLoadError, match=f"tensors missing or unknown: {gone}"):
        load_engine(dataclasses.replace(artifact, folder=folder), EngineOptions())


def test_same_input_same_hashes(one_layer, tmp_path):
    request = Request(model=str(one_layer), target="hf-bnb-nf4")
    first, second = (export(request, tmp_path / name).manifest for name in ("first", "second"))
    assert second.files == first.files


@pytest.mark.parametrize("target", ["hf-awq", "hf-bnb-int8"])
def test_qinfer_says_the_transcript_and_nothing_else(exported, target):
    clip = reference.EVALUATION.parent / "000-m3.flac"
    command = [sys.executable, "-c", "from qasr.cli.qinfer import run; run()", str(clip), "--artifact"]
    done = subprocess.run([*command, str(exported(target).folder)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ءَااتِنَا")
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_stock_transformers_loads_the_multi_level_model(exported, features, without_qasr, method):
    folder = exported(f"hf-{method}").folder
    actual, kind, packed = without_qasr[f"hf-{method}"]
    assert (kind, packed) == ("Wav2Vec2BertForMultilevelCTC", 32)
    engine = load_engine(read(folder), EngineOptions())
    expected = engine.infer(features, np.array([2 * features.shape[1]]))
    assert set(actual) == set(expected)
    for level, logits in expected.items():
        np.testing.assert_allclose(actual[level], logits, atol=1e-4)


def test_stock_transformers_loads_a_single_level_model(one_head, features, without_qasr):
    folder = one_head.folder
    assert sorted(path.suffix for path in folder.iterdir()) == [".json"] * 4 + [".safetensors"]
    actual, kind, packed = without_qasr["one-head"]
    assert (kind, packed) == ("Wav2Vec2BertForCTC", 16)
    expected = load_engine(read(folder), EngineOptions()).infer(features, np.array([2 * features.shape[1]]))
    np.testing.assert_allclose(actual["text"], next(iter(expected.values())), atol=1e-4)


def test_spec_augment_is_left_behind(tmp_path):
    """Stock configurations ask for an embedding that only training uses; quanto would leave it as memory had it."""
    from transformers import Wav2Vec2BertConfig, Wav2Vec2BertForCTC

    sizes = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 128}
    model = Wav2Vec2BertForCTC(Wav2Vec2BertConfig(**sizes, vocab_size=8, mask_time_prob=0.05)).eval()
    assert "wav2vec2_bert.masked_spec_embed" in model.state_dict()
    checkpoint = write_stock(tmp_path / "stock", model, STOCK_VOCABULARY)
    made = export(Request(model=str(checkpoint), target="hf-quanto-int4"), tmp_path / "out")
    assert json.loads(made.path("config.json").read_text(encoding="utf-8"))["mask_time_prob"] == 0.0
    assert "wav2vec2_bert.masked_spec_embed" not in load_file(made.path("model.safetensors"))


def test_what_is_stored(exported):
    artifact = exported("hf-gptq")
    tensors = load_file(artifact.path("model.safetensors"))
    name = "wav2vec2_bert.encoder.layers.0.ffn1.intermediate_dense"
    assert tensors[f"{name}.weight_packed"].shape == (768, 192 // 8)
    assert tensors[f"{name}.weight_packed"].dtype == torch.int32
    assert tensors[f"{name}.weight_scale"].shape == (768, 3)
    scales = {tensor.dtype for name, tensor in tensors.items() if name.endswith("weight_scale")}
    # Heads have 64 channels: the factor 8 of q moves no bit.
    assert scales == {torch.float16}
    assert tensors[f"{name}.weight_shape"].tolist() == [768, 192]
    assert f"{name}.weight" not in tensors
    pointwise = tensors["wav2vec2_bert.encoder.layers.0.conv_module.pointwise_conv1.weight"]
    assert (pointwise.shape, pointwise.dtype) == ((384, 192, 1), torch.float16)
    with safe_open(artifact.path("model.safetensors"), "pt") as file:
        assert file.metadata() == {"format": "pt"}
    manifest = artifact.manifest
    assert manifest.parity.relative_error < 1e-5
    assert manifest.precision.kernels == {"WideningLinear": 32, "float Linear": 12}
    assert manifest.precision.quantized_layers == manifest.precision.integer_kernels == 32
    assert sum(entry.bytes for entry in manifest.files.values()) < 3.0e6


def test_codes_are_compressed_tensors_own(exported):
    """Unpacked by the library, a layer's weights are those of our layer."""
    from compressed_tensors.compressors.pack_quantized.helpers import unpack_from_int32

    tensors = load_file(exported("hf-gptq").path("model.safetensors"))
    name = "wav2vec2_bert.encoder.layers.3.self_attn.linear_q"
    codes = unpack_from_int32(tensors[f"{name}.weight_packed"], 4, torch.Size((192, 192)))
    assert (int(codes.min()), int(codes.max())) == (-8, 7)
    words = tensors[f"{name}.weight_packed"].view(torch.uint8)
    assert torch.equal(codes[:, 0].to(torch.int16) + 8, (words[:, 0] & 15).to(torch.int16))
    assert torch.equal(codes[:, 1].to(torch.int16) + 8, (words[:, 0] >> 4).to(torch.int16))


def test_a_padded_clip_has_the_logits_that_it_has_alone(exported, features):
    engine = load_engine(read(exported("hf-gptq").folder), EngineOptions())
    frames = features.shape[1]
    alone = engine.infer(features, np.array([frames]))
    padded = np.concatenate([np.pad(features, ((0, 0), (0, 40), (0, 0))), np.zeros((1, frames + 40, 160), np.float32)])
    together = engine.infer(padded.astype(np.float32), np.array([frames, frames + 40]))
    for level, logits in alone.items():
        np.testing.assert_allclose(together[level][:1, :frames], logits, atol=1e-3)


def test_transcribes(exported):
    row = json.loads(reference.EVALUATION.read_text(encoding="utf-8").splitlines()[0])
    with load(exported("hf-awq").folder) as model:
        result = model.transcribe(reference.EVALUATION.parent / row["audio"])
    assert len(result.levels) == 11
    assert result.text[:8] == row["phonemes"][:8]


def test_options_that_it_cannot_take(exported):
    artifact = read(exported("hf-gptq").folder)
    for options, message in (
        ({"precision": "fp32"}, "takes no precision"),
        ({"streams": 2}, "takes no streams"),
    ):
        with pytest.raises(OptionError, match=message):
            load_engine(artifact, dataclasses.replace(EngineOptions(), **options))


def test_weights_that_are_none(exported, tmp_path):
    artifact = read(exported("hf-gptq").folder)
    folder = tmp_path / "copy"
    shutil.copytree(artifact.folder, folder)
    (folder / "model.safetensors").write_bytes(b"no weights")
    broken = dataclasses.replace(artifact, folder=folder)
    with pytest.raises(RuntimeLoadError, match="transformers cannot load it") as error:
        load_engine(broken, EngineOptions())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("weight", "exclude", "message"),
    [
        (
            WeightScheme(4, False, 64),
            ("projection", "heads", "*.pointwise*"),
            "does not load zero points again, so it cannot hold uint4 in groups of 64",
        ),
        (
            WeightScheme(4, True, 64),
            ("projection", "heads"),
            r"no format here can hold .*pointwise_conv1, a convolution",
        ),
    ],
)
def test_layers_that_cannot_be_held(tmp_path, weight, exclude, message):
    with open_checkpoint("reference") as checkpoint:
        model = checkpoint.deployable()
        quantize("rtn", model, Quantization(weight=weight, exclude=exclude), Work())
        checkpoint.copy_metadata(tmp_path)
        with pytest.raises(ExportError, match=message):
            hf.write(model, find("hf-gptq"), checkpoint, tmp_path)
