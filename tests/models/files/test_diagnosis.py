"""Folders that people take for checkpoints, and damaged weights: one line that says what to do."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from qasr.models import CheckpointError, open_checkpoint

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1300\n"


def problem(folder) -> str:
    with pytest.raises(CheckpointError) as caught, open_checkpoint(str(folder)) as checkpoint:
        checkpoint.stock()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change_weights(folder, change):
    file = folder / "model.safetensors"
    weights = load_file(file)
    save_file(change(weights) or weights, file, metadata={"format": "pt"})


def test_lora(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "someone/base", "peft_type": "LORA"}')
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    message = problem(tmp_path)
    assert f"{tmp_path}: is a LoRA adapter of someone/base, not a model; merge it first: " in message
    (tmp_path / "adapter_config.json").write_text("{")
    assert f"{tmp_path}: is a LoRA adapter, not a model" in problem(tmp_path)


def test_state_of_a_training(tmp_path):
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"):
        (tmp_path / name).write_text("{}")
    message = problem(tmp_path)
    assert (
        "state of a training (optimizer.pt, rng_state.pth, scheduler.pt and 1 more) and no model; name the" in message
    )


def test_state_of_a_training_beside_a_configuration(stock_checkpoint):
    (stock_checkpoint / "model.safetensors").unlink()
    for name in ("optimizer.pt", "training_args.bin"):
        (stock_checkpoint / name).write_text("")
    assert problem(stock_checkpoint).endswith("(optimizer.pt: the state of a training, not a model)")


def test_folder_of_checkpoints(stock_checkpoint):
    for step in (500, 1000):
        shutil.copytree(stock_checkpoint, stock_checkpoint.parent / "run" / f"checkpoint-{step}")
    run = stock_checkpoint.parent / "run"
    expected = f"did you mean a folder inside: {run / 'checkpoint-1000'}, {run / 'checkpoint-500'}"
    assert problem(run).endswith(expected)


def test_trainer_without_vocabulary(stock_checkpoint):
    vocabulary = (stock_checkpoint / "vocab.json").rename(stock_checkpoint / "kept")
    (stock_checkpoint / "trainer_state.json").write_text("{}")
    message = problem(stock_checkpoint)
    assert "no vocab.json, because the Trainer saved no tokenizer; copy vocab.json, tokenizer_config.json" in message
    assert message.endswith("from the folder of the processor with which it was trained")
    vocabulary.rename(stock_checkpoint.parent / "vocab.json")
    assert problem(stock_checkpoint).endswith(f"from {stock_checkpoint.parent}")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "vocab.json"])
def test_lfs_pointers(stock_checkpoint, name):
    (stock_checkpoint / name).write_text(POINTER)
    expected = f"{stock_checkpoint / name}: is a Git LFS pointer, not the file itself; fetch it again: git lfs pull"
    assert problem(stock_checkpoint) == expected


def test_truncated_weights(stock_checkpoint):
    file = stock_checkpoint / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    message = problem(stock_checkpoint)
    assert message.startswith(f"{file}: not a sound safetensors file (")
    assert message.endswith("if it was cut short on its way here, fetch it again")


def test_shards(stock_checkpoint):
    file = stock_checkpoint / "model.safetensors"
    index = stock_checkpoint / "model.safetensors.index.json"
    file.rename(stock_checkpoint / "model-00001-of-00002.safetensors")
    assert problem(stock_checkpoint).endswith("(model-00001-of-00002.safetensors: shards without their index)")
    index.write_text(json.dumps({"weight_map": {"lm_head.bias": "model-00002-of-00002.safetensors"}}))
    assert problem(stock_checkpoint).endswith("shards missing: model-00002-of-00002.safetensors")
    for content in ("[]", '{"weight_map": []}', "{}"):
        index.write_text(content)
        assert str(index) in problem(stock_checkpoint)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module."])
def test_prefixes_of_training_are_accepted(stock_checkpoint, prefix):
    with open_checkpoint(str(stock_checkpoint)) as checkpoint:
        expected = checkpoint.stock().state_dict()
    change_weights(stock_checkpoint, lambda weights: {prefix + name: value for name, value in weights.items()})
    with open_checkpoint(str(stock_checkpoint)) as checkpoint:
        state = checkpoint.stock().state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], value) for name, value in expected.items())


def test_prefixes_inside_names_and_of_some_weights(stock_checkpoint):
    """What torch.compile leaves where only the encoder was compiled."""
    change_weights(
        stock_checkpoint,
        lambda weights: {name.replace(".encoder.", ".encoder._orig_mod."): weights[name] for name in weights},
    )
    with open_checkpoint(str(stock_checkpoint)) as checkpoint:
        checkpoint.stock()


def test_one_weight_under_two_names(stock_checkpoint):
    change_weights(
        stock_checkpoint, lambda weights: weights.update({"module.lm_head.bias": weights["lm_head.bias"] + 1})
    )
    assert "has lm_head.bias and module.lm_head.bias, which are the same" in problem(stock_checkpoint)


def test_weights_that_are_not_finite(stock_checkpoint):
    def change(weights):
        weights["lm_head.bias"][3] = torch.nan
        weights["wav2vec2_bert.feature_projection.projection.weight"][0, 0] = torch.inf

    change_weights(stock_checkpoint, change)
    message = problem(stock_checkpoint)
    assert "weights that are not finite: " in message
    assert "lm_head.bias (NaN)" in message
    assert "wav2vec2_bert.feature_projection.projection.weight (inf)" in message


def test_what_only_training_reads_may_be_nan(stock_checkpoint):
    def change(weights):
        weights["wav2vec2_bert.masked_spec_embed"].fill_(torch.nan)

    change_weights(stock_checkpoint, change)
    with open_checkpoint(str(stock_checkpoint)) as checkpoint:
        checkpoint.stock()
