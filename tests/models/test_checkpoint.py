"""Checkpoints of both classes, in every stored form; everything wrong with one is named at once."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Wav2Vec2BertModel

from qasr.audio import LogMel
from qasr.models import CheckpointError, CheckpointNotFoundError, UnsupportedModelError, open_checkpoint
from qasr.recitation.multilevel import Wav2Vec2BertForMultilevelCTC

LEVELS = [
    *("phonemes", "hams_or_jahr", "shidda_or_rakhawa", "tafkheem_or_taqeeq", "itbaq", "safeer", "qalqla"),
    *("tikraar", "tafashie", "istitala", "ghonna"),
]


def load(folder):
    with open_checkpoint(str(folder)) as checkpoint:
        return checkpoint, checkpoint.stock()


def problem(folder) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_reference():
    with open_checkpoint("reference") as checkpoint:
        assert list(checkpoint.levels) == LEVELS
        assert [len(level.tokens) for level in checkpoint.levels.values()] == [43, 3, 4, 4, 3, 3, 3, 3, 3, 3, 3]
        assert all(level.blank == 0 and level.tokens[0] == "[PAD]" for level in checkpoint.levels.values())
        model = checkpoint.deployable()
        source = checkpoint.source(model)
    assert source.architecture == "Wav2Vec2BertForMultilevelCTC"
    assert source.name == "reference"
    assert source.parameters == 3_499_659
    assert model.projection.weight.dtype == torch.float32


def test_stock_checkpoint(stock_checkpoint, small_model):
    checkpoint, model = load(stock_checkpoint)
    assert list(checkpoint.levels) == ["text"]
    level = checkpoint.levels["text"]
    assert level.tokens == ["[PAD]", "|", "a", "b", "c", "d", "e", "[UNK]"]
    assert (level.blank, level.specials, level.word_delimiter) == (0, [0, 7], "|")
    features = torch.randn(1, 40, 160)
    with torch.inference_mode():
        assert torch.equal(model(features).logits, small_model()(features).logits)


def test_tokens_added_by_the_tokenizer(stock_checkpoint):
    vocabulary = {"|": 0, "a": 1, "b": 2, "c": 3, "[UNK]": 4, "[PAD]": 5}
    (stock_checkpoint / "vocab.json").write_text(json.dumps(vocabulary))
    (stock_checkpoint / "added_tokens.json").write_text('{"<s>": 6, "</s>": 7}')
    change_config(stock_checkpoint, pad_token_id=5)
    level = load(stock_checkpoint)[0].levels["text"]
    assert level.tokens[6:] == ["<s>", "</s>"]
    assert (level.blank, level.specials) == (5, [4, 5, 6, 7])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_weights_are_widened_exactly(stock_checkpoint, dtype):
    file = stock_checkpoint / "model.safetensors"
    halved = {name: tensor.to(dtype) for name, tensor in load_file(file).items()}
    save_file(halved, file, metadata={"format": "pt"})
    model = load(stock_checkpoint)[1]
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, halved[name].to(torch.float32))


def test_shards(tmp_path, stock_checkpoint, small_model):
    small_model().save_pretrained(tmp_path / "sharded", max_shard_size="200KB")
    for name in ("vocab.json", "preprocessor_config.json"):
        shutil.copy(stock_checkpoint / name, tmp_path / "sharded" / name)
    assert len(list((tmp_path / "sharded").glob("model-*.safetensors"))) > 1
    whole, parts = load(stock_checkpoint)[1].state_dict(), load(tmp_path / "sharded")[1].state_dict()
    assert all(torch.equal(tensor, parts[name]) for name, tensor in whole.items())
    next((tmp_path / "sharded").glob("model-*.safetensors")).unlink()
    assert "shards missing: model-" in problem(tmp_path / "sharded")


def test_same_content_same_hash(stock_checkpoint, tmp_path):
    shutil.copytree(stock_checkpoint, tmp_path / "copy")
    hashes = set()
    for folder in (stock_checkpoint, tmp_path / "copy"):
        with open_checkpoint(str(folder)) as checkpoint:
            hashes.add(checkpoint.source(checkpoint.deployable()).sha256)
    assert len(hashes) == 1


def test_missing_and_surplus_weights_and_shapes_are_all_named(reference_copy):
    file = reference_copy / "model.safetensors"
    weights = load_file(file)
    weights.pop("level_to_lm_head.ghonna.bias")
    weights.pop("wav2vec2_bert.encoder.layers.1.ffn1.output_dense.weight")
    weights["lm_head.weight"] = torch.zeros(2, 2)
    weights["wav2vec2_bert.encoder.layers.0.ffn1.output_dense.bias"] = torch.zeros(7)
    save_file(weights, file, metadata={"format": "pt"})
    message = problem(reference_copy)
    assert "missing: level_to_lm_head.ghonna.bias, wav2vec2_bert.encoder.layers.1.ffn1.output_dense.weight" in message
    assert "surplus: lm_head.weight" in message
    assert "wav2vec2_bert.encoder.layers.0.ffn1.output_dense.bias is (7,), not (192,)" in message


def test_training_only_weight_may_be_absent(tmp_path, small_model, stock_checkpoint):
    file = stock_checkpoint / "model.safetensors"
    weights = load_file(file)
    assert weights.pop("wav2vec2_bert.masked_spec_embed") is not None
    save_file(weights, file, metadata={"format": "pt"})
    load(stock_checkpoint)


def test_damaged_weights(reference_copy):
    file = reference_copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    assert "model.safetensors: not a sound safetensors file" in problem(reference_copy)


def test_integer_weights(stock_checkpoint):
    file = stock_checkpoint / "model.safetensors"
    weights = load_file(file)
    weights["lm_head.bias"] = weights["lm_head.bias"].to(torch.int32)
    save_file(weights, file, metadata={"format": "pt"})
    assert "lm_head.bias is I32; qasr reads F32, F16 and BF16 weights" in problem(stock_checkpoint)


def test_vocabulary_that_does_not_match_its_heads(reference_copy):
    path = reference_copy / "vocab.json"
    vocabulary = json.loads(path.read_text())
    vocabulary["phonemes"].pop("ؙ")
    vocabulary.pop("safeer")
    vocabulary["extra"] = {"[PAD]": 0}
    path.write_text(json.dumps(vocabulary))
    message = problem(reference_copy)
    assert "phonemes: 42 tokens for a head of 43 logits" in message
    assert "safeer: absent" in message
    assert "without a head: extra" in message


def test_flat_and_nested_vocabularies_are_not_mixed_up(reference_copy, stock_checkpoint):
    flat, nested = (stock_checkpoint / "vocab.json").read_text(), (reference_copy / "vocab.json").read_text()
    (reference_copy / "vocab.json").write_text(flat)
    (stock_checkpoint / "vocab.json").write_text(nested)
    assert "is flat, but the model has the heads" in problem(reference_copy)
    assert "is nested by level, but the model has one head" in problem(stock_checkpoint)


@pytest.mark.parametrize("name", ["config.json", "vocab.json", "preprocessor_config.json"])
def test_missing_files(reference_copy, name):
    (reference_copy / name).unlink()
    assert f"no {name} in the checkpoint" in problem(reference_copy)


@pytest.mark.parametrize("name", ["config.json", "vocab.json", "preprocessor_config.json"])
def test_files_that_are_no_json(reference_copy, name):
    (reference_copy / name).write_text("{")
    assert f"{name}: cannot be read as JSON" in problem(reference_copy)


def test_missing_weights_name_what_is_there_instead(reference_copy):
    (reference_copy / "model.safetensors").rename(reference_copy / "pytorch_model.bin")
    message = problem(reference_copy)
    assert "no model.safetensors" in message
    assert "pytorch_model.bin cannot be used: save it as safetensors" in message


def test_other_architectures(reference_copy):
    change_config(reference_copy, model_type="whisper", architectures=["WhisperForConditionalGeneration"])
    with pytest.raises(
        UnsupportedModelError,
        match=r"config.json: model_type 'whisper' is not supported; qasr deploys multi_level_ctc, wav2vec2-bert$",
    ):
        load(reference_copy)


def test_another_class_of_the_same_type(stock_checkpoint):
    change_config(stock_checkpoint, architectures=["Wav2Vec2BertForAudioFrameClassification"])
    with pytest.raises(UnsupportedModelError, match=r"'Wav2Vec2BertForAudioFrame.*qasr deploys Wav2Vec2BertForCTC$"):
        load(stock_checkpoint)


@pytest.mark.parametrize("positions", ["rotary", "relative"])
def test_other_positions(reference_copy, positions):
    change_config(reference_copy, position_embeddings_type=positions)
    with pytest.raises(UnsupportedModelError, match=f"position_embeddings_type '{positions}' is not supported"):
        load(reference_copy)


def test_features_of_another_width(reference_copy):
    path = reference_copy / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_mel_bins": 40}))
    assert "the feature settings give 80 values a frame, the model takes 160" in problem(reference_copy)


def test_names_that_mean_nothing(tmp_path, monkeypatch):
    with pytest.raises(CheckpointNotFoundError, match=r"nonsense: no such folder, and not a Hub id \(owner/model\)"):
        load("nonsense")
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="is a file; name the checkpoint's folder"):
        load(tmp_path / "file")


def test_random_full_is_the_full_size_architecture():
    with open_checkpoint("random:full") as checkpoint:
        assert checkpoint.is_random
        config = checkpoint.config
        assert (config.hidden_size, config.num_hidden_layers, config.intermediate_size) == (1024, 24, 4096)
        assert (config.num_adapter_layers, config.adapter_kernel_size, config.adapter_stride) == (1, 3, 2)
        with torch.device("meta"):
            encoder, complete = Wav2Vec2BertModel(config), Wav2Vec2BertForMultilevelCTC(config)
        # With the ``masked_spec_embed`` (1,024) that only training uses; the heads have 76,875.
        assert sum(parameter.numel() for parameter in encoder.parameters()) == 605_678_400
        assert sum(parameter.numel() for parameter in complete.parameters()) == 605_755_275
        assert checkpoint.front_end.keeps_partial
        assert list(checkpoint.levels) == LEVELS
        folder = checkpoint.folder
    assert not folder.exists()


def test_no_other_random_model():
    with pytest.raises(CheckpointNotFoundError, match=r"built in are reference and random:full"):
        load("random:small")


def test_front_end(stock_checkpoint):
    checkpoint = load(stock_checkpoint)[0]
    assert checkpoint.front_end == LogMel(num_mel_bins=80, stride=2, padding_value=1.0)
    path = stock_checkpoint / "preprocessor_config.json"
    path.rename(path.with_name("other.json"))
    stored = json.loads(path.with_name("other.json").read_text())
    (stock_checkpoint / "processor_config.json").write_text(json.dumps({"feature_extractor": stored}))
    assert load(stock_checkpoint)[0].front_end == checkpoint.front_end
