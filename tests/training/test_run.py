"""Trainings from end to end: a checkpoint that stock transformers loads, a state to go on from, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from qasr import reference
from qasr.models import open_checkpoint
from qasr.quantizers import QuantizationError, TooFewFramesError
from qasr.quantizers.layers import stored
from qasr.quantizers.layers.grouped import GroupedLinear
from qasr.quantizers.layers.quantized import StaticLinear
from qasr.training import DivergedError, TrainingError, TrainingOptions
from qasr.training import trainer as trainers
from qasr.training.run import train

QUICK = TrainingOptions(epochs=4, batch_seconds=20.0, held_out=0.2, evaluations=2, learning_rate=1e-4)


class Recorder:
    """Keeps what a training reports."""

    def __init__(self) -> None:
        self.steps = self.done = 0
        self.losses: list[float] = []
        self.reported: list[tuple[str, int, float]] = []

    def track(self, items, description, total):
        return items

    def started(self, steps, done):
        self.steps, self.done = steps, done

    def stepped(self, loss):
        self.losses.append(loss)

    def evaluated(self, evaluation, *, what):
        self.reported.append((what, evaluation.step, evaluation.loss))


def test_full(make_data, tmp_path):
    recorder = Recorder()
    outcome = train("reference", make_data(), tmp_path / "tuned", QUICK, recorder)
    assert len(outcome.layers) == 34  # the first and the last Linear too
    assert len(recorder.losses) == recorder.steps
    assert [what for what, *_ in recorder.reported] == ["fp32", "int8", "int8"]
    assert recorder.losses[-1] < 0.05
    assert outcome.best.loss < 1.5 * outcome.original.loss + 0.01
    assert not (tmp_path / "tuned.training").exists()

    record = json.loads((tmp_path / "tuned" / "training.json").read_text())
    with open_checkpoint("reference") as checkpoint:
        assert record["parent"]["sha256"] == checkpoint.source(checkpoint.deployable()).sha256
    assert record["training"]["utterances"] + record["held_out"]["utterances"] == 12
    assert record["best_step"] in [one["step"] for one in record["history"]]

    with open_checkpoint(str(tmp_path / "tuned")) as tuned:
        found = stored.load(tuned.trained)
        assert found.method == "qat"
        assert all(isinstance(layer, StaticLinear) for layer in found.layers.values())
        assert {int(layer.input_zero_point) for layer in found.layers.values()} == {128}
        assert tuned.source(outcome.model).trained_from == record["parent"]["sha256"]
        # The checkpoint of these has no place for a bias.
        assert not found.layers["layers.0.convolution.pointwise1"].bias.any()
        assert found.layers["layers.0.attention.qkv"].bias.any()
        # Stock weights are the rounded ones: what other programs load has been trained too.
        model = tuned.deployable()
        layer = found.layers["layers.1.attention.qkv"]
        weight = (layer.weight.float() * layer.weight_scale).t()
        assert torch.allclose(model.layers[1].attention.qkv.weight, weight, rtol=1e-6, atol=0)
        stock = type(tuned.stock()).from_pretrained(tmp_path / "tuned")
        assert torch.equal(
            stock.state_dict()["lm_head.bias" if len(model.levels) == 1 else "level_to_lm_head.phonemes.bias"],
            model.heads.bias[:43],
        )


def test_same_seed_same_bytes(make_data, tmp_path):
    options = replace(QUICK, epochs=1, evaluations=1, scheme="int2", partial=True, group_size=32, start="mse")
    for name in ("a", "b"):
        train("reference", make_data(count=6), tmp_path / name, options, Recorder())
    for file in ("model.safetensors", "quantization.safetensors", "training.json", "config.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    layers = stored.load(tmp_path / "a" / "quantization.safetensors").layers
    assert len(layers) == 4 * 6
    assert all(isinstance(layer, GroupedLinear) and layer.scheme.weight.bits == 2 for layer in layers.values())


def test_distillation_needs_no_labels(make_data, tmp_path):
    options = replace(QUICK, scheme="int4", distill=True, ctc=False, bf16=True, gradient_checkpointing=True)
    recorder = Recorder()
    outcome = train("reference", make_data(labels=False), tmp_path / "tuned", options, recorder)
    assert recorder.reported[0] == ("fp32", 0, 0.0)  # no divergence from itself
    assert recorder.reported[0][2] < recorder.reported[-1][2] < 0.01
    assert outcome.original.mean == 0.0
    assert len(outcome.layers) == 32


def test_goes_on_after_an_interruption(make_data, tmp_path, monkeypatch):
    options = replace(QUICK, scheme="int2", start="mse", epochs=3, evaluations=4)
    whole = Recorder()
    train("reference", make_data(), tmp_path / "whole", options, whole)

    class Killed(Recorder):
        def stepped(self, loss):
            super().stepped(loss)
            if len(self.losses) == whole.steps // 2 + 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("reference", make_data(), tmp_path / "parts", options, Killed())
    assert not (tmp_path / "parts").exists()
    with pytest.raises(
        TrainingError, match="is the state of a training of another checkpoint, or with other options or data; leave"
    ):
        train("reference", make_data(), tmp_path / "parts", replace(options, seed=1), Recorder(), resume=True)
    another = shutil.copytree(reference.CHECKPOINT, tmp_path / "another")
    weights = load_file(another / "model.safetensors")
    save_file(weights | {name: 2 * weights[name] for name in list(weights)[:1]}, another / "model.safetensors")
    with pytest.raises(TrainingError, match="is the state of a training of another checkpoint"):
        train(str(another), make_data(), tmp_path / "parts", options, Recorder(), resume=True)
    (tmp_path / "cut.training").mkdir()
    (tmp_path / "cut.training" / "state.pt").write_bytes(b"no archive")
    with pytest.raises(TrainingError, match=r"cut.training/state.pt: not a sound state \(.*\); leave --resume out"):
        train("reference", make_data(), tmp_path / "cut", options, Recorder(), resume=True)
    rest = Recorder()
    train("reference", make_data(), tmp_path / "parts", options, rest, resume=True)
    assert rest.done > 0
    assert rest.losses == whole.losses[rest.done :]
    files = ("model.safetensors", "quantization.safetensors", "training.json")
    assert all((tmp_path / "whole" / f).read_bytes() == (tmp_path / "parts" / f).read_bytes() for f in files)


def test_a_loss_that_is_no_number(make_data, tmp_path, monkeypatch):
    steps = 0

    def broken(*arguments):
        nonlocal steps
        steps += torch.is_grad_enabled()
        return original(*arguments) * (float("nan") if steps > 2 else 1.0)

    original = trainers.losses.ctc
    monkeypatch.setattr(trainers.losses, "ctc", broken)
    options = replace(QUICK, evaluations=100)
    with pytest.raises(
        DivergedError,
        match=r"the loss became nan at step 3; the state of step 2 is kept in .*: continue from it with --resume and",
    ):
        train("reference", make_data(), tmp_path / "tuned", options, Recorder())
    assert (tmp_path / "tuned.training" / "best.pt").is_file()
    assert not (tmp_path / "tuned").exists()
    monkeypatch.setattr(trainers.losses, "ctc", original)
    rest = Recorder()
    train("reference", make_data(), tmp_path / "tuned", replace(options, learning_rate=1e-5), rest, resume=True)
    assert (rest.done, len(rest.losses)) == (2, rest.steps - 2)


def test_early_stopping(make_data, tmp_path):
    """With so high a rate every trial is worse than the first."""
    options = replace(QUICK, evaluations=8, patience=1, learning_rate=0.3, epochs=8)
    recorder = Recorder()
    train("reference", make_data(), tmp_path / "tuned", options, recorder)
    assert len(recorder.losses) < recorder.steps


def test_refusals(make_data, tmp_path):
    with pytest.raises(QuantizationError, match=r"groups of 100 do not divide the 192 inputs of layers\.0"):
        train("reference", make_data(), tmp_path / "t", replace(QUICK, scheme="int4", group_size=100), Recorder())
    with pytest.raises(QuantizationError, match=r"no layer matches the excluded layers.9.\*; layers are named like"):
        train("reference", make_data(), tmp_path / "t", replace(QUICK, exclude=("layers.9.*",)), Recorder())
    with pytest.raises(TooFewFramesError, match=r"too few for the Hessian .* s of audio, or use --start mse"):
        train("reference", make_data(count=4), tmp_path / "t", replace(QUICK, scheme="int4"), Recorder())
    with pytest.raises(TrainingError, match=r"t.training: has no state to resume; leave --resume out"):
        train("reference", make_data(), tmp_path / "t", QUICK, Recorder(), resume=True)
    (tmp_path / "t").mkdir()
    with pytest.raises(TrainingError, match="exists already; choose another folder, or add --force"):
        train("reference", make_data(), tmp_path / "t", QUICK, Recorder())
    with pytest.raises(TrainingError, match="is no trained checkpoint, so --force does not replace it"):
        train("reference", make_data(), tmp_path / "t", QUICK, Recorder(), force=True)
    (tmp_path / "u.training").write_text("")
    with pytest.raises(
        TrainingError, match=r"u\.training: is a file, but must be the folder of the training's state; move"
    ):
        train("reference", make_data(), tmp_path / "u", QUICK, Recorder())
    with pytest.raises(TrainingError, match=r"t.txt/tuned: cannot write there \(.*\); choose another folder"):
        (tmp_path / "t.txt").write_text("")
        train("reference", make_data(), tmp_path / "t.txt" / "tuned", QUICK, Recorder())


def write_stock(folder, **changes):
    """A small random checkpoint with one head that writes words."""
    from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertForCTC

    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    fixed = {"vocab_size": 5, "conformer_conv_dropout": 0.0, "pad_token_id": 0}
    Wav2Vec2BertForCTC(Wav2Vec2BertConfig(**sizes, **fixed, **changes)).save_pretrained(folder)
    SeamlessM4TFeatureExtractor(feature_size=80, num_mel_bins=80, stride=2, padding_value=1).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({"[PAD]": 0, "|": 1, "a": 2, "b": 3, "[UNK]": 4}), encoding="utf-8")
    return folder


@pytest.fixture
def words(tmp_path, write_audio, speechlike):
    """Six recordings of different lengths, labelled with the same two words."""
    rows = [
        {"audio": str(write_audio(f"{index}.wav", speechlike(1.0 + 0.1 * index, seed=index))), "text": "ab  ba"}
        for index in range(6)
    ]
    data = tmp_path / "words.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return data


def test_a_model_that_writes_words(tmp_path, words):
    """One head, whose blank between words is a token of its own."""
    from transformers import Wav2Vec2BertForCTC

    folder = write_stock(tmp_path / "stock")
    outcome = train(str(folder), words, tmp_path / "tuned", replace(QUICK, epochs=1, evaluations=1), Recorder())
    assert len(outcome.layers) == 2 * 8 + 2
    assert list(outcome.best.error_rates) == ["text"]
    back = Wav2Vec2BertForCTC.from_pretrained(tmp_path / "tuned")
    assert torch.equal(back.lm_head.bias, outcome.model.heads.bias)


@pytest.mark.parametrize("scheme", ["int8", "int4"])
def test_a_model_with_an_adapter(tmp_path, words, scheme):
    """Frames of logits are half as many, in losses, in transcripts and in activation ranges; all comes back."""
    folder = write_stock(tmp_path / "stock", add_adapter=True, output_hidden_size=128)
    options = replace(QUICK, scheme=scheme, start="mse", epochs=2, distill=True, gradient_checkpointing=True)
    recorder = Recorder()
    outcome = train(str(folder), words, tmp_path / "tuned", options, recorder)
    assert "adapter.layers.0.feedforward.output" in outcome.layers
    assert outcome.model.frames_per_second == 25.0
    assert recorder.reported[0][2] > 0
    with open_checkpoint(str(tmp_path / "tuned")) as tuned:
        model = tuned.deployable()
    trained = outcome.model.get_submodule("adapter.layers.0.feedforward.output")
    weight = (trained.weight.float() * trained.weight_scale).t() if scheme == "int8" else trained.weight
    assert torch.allclose(model.adapter.layers[0].feedforward.output.weight, weight, rtol=1e-6, atol=0)
    strided = outcome.model.get_submodule("adapter.layers.0.residual_convolution.linear")
    weight = (strided.weight.float() * strided.weight_scale).t() if scheme == "int8" else strided.weight
    assert torch.allclose(model.adapter.layers[0].residual_convolution.linear.weight, weight, rtol=1e-6, atol=0)


def test_losses_count_frames_of_logits(tmp_path, words):
    """A clip has half the frames behind an adapter of stride 2; counting input frames would read padding."""
    from qasr.training.data import labelled

    folder = write_stock(tmp_path / "stock", add_adapter=True)
    (tmp_path / "scratch").mkdir()
    with open_checkpoint(str(folder)) as checkpoint:
        data = labelled(words, checkpoint.levels, tmp_path / "scratch", checkpoint.front_end)
        model = checkpoint.deployable()
        front_end = checkpoint.front_end
    together = data.batch([0, 5], front_end)
    alone = [data.batch([index], front_end) for index in (0, 5)]

    def loss(batch):
        logits = dict(zip(model.levels, model(batch.inputs, batch.lengths), strict=True))
        lengths = model.output_lengths(batch.lengths)
        return float(trainers.losses.ctc(logits, lengths, batch.ids, 0, {"text": 1.0}))

    assert loss(together) == pytest.approx(sum(loss(batch) for batch in alone) / 2, rel=1e-4)
