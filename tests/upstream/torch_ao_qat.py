"""Quantization-aware training by torch.ao's eager mode beside qtrain's: error rates and time per step.

    OMP_NUM_THREADS=1 python tests/upstream/torch_ao_qat.py train.jsonl --epochs 1

Both begin with the bundled model, see the same batches in the same order with the same loss, rates and seed, and take
their steps in turn, so that the times compare. torch.ao quantizes the same Linears: weights per channel to INT8, inputs
and outputs per tensor to UINT8 (its Linear has no float output), all eight bits (its default for FBGEMM uses seven).
Error rates are those of the bundled evaluation set: torch.ao's of the converted INT8 modules, qtrain's of the finished
layers.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn
from torch.ao import quantization as ao
from torch.ao.quantization.fake_quantize import FakeQuantize

from qasr import reference
from qasr.models import open_checkpoint
from qasr.quantizers.layers.rewrite import quantizable, replace
from qasr.recitation.multilevel import loss_weights
from qasr.training import TrainingOptions, losses
from qasr.training import trainer as trainers
from qasr.training.data import labelled
from qasr.training.evaluation import evaluate

EXCLUDE = ("projection", "heads")
SILENT = SimpleNamespace(track=lambda items, *_: items)


def qconfig() -> ao.QConfig:
    activation = FakeQuantize.with_args(
        observer=ao.MovingAverageMinMaxObserver, quant_min=0, quant_max=255, dtype=torch.quint8, reduce_range=False
    )
    weight = FakeQuantize.with_args(
        observer=ao.MovingAveragePerChannelMinMaxObserver, quant_min=-128, quant_max=127, dtype=torch.qint8,
        qscheme=torch.per_channel_symmetric, reduce_range=False, ch_axis=0,
    )  # fmt: skip
    return ao.QConfig(activation, weight)


def prepare_ao(model: nn.Module) -> nn.Module:
    model = copy.deepcopy(model).requires_grad_(True)
    for name, linear in quantizable(model, EXCLUDE):
        if linear.bias is None:
            linear.bias = nn.Parameter(torch.zeros(linear.out_features))
        wrapped = ao.QuantWrapper(linear)
        wrapped.qconfig = wrapped.module.qconfig = wrapped.quant.qconfig = qconfig()
        replace(model, name, wrapped)
    return ao.prepare_qat(model.train())


class AoTraining:
    def __init__(self, model: nn.Module, options: TrainingOptions, steps: int) -> None:
        self.model, self.options, self.steps = prepare_ao(model), options, steps
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=options.learning_rate, weight_decay=0.0, betas=(0.9, 0.98)
        )
        self.step = 0

    def take(self, batch, loss) -> None:
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.learning_rate * trainers.rate(self.step, self.steps)
        if self.step == round(self.options.watch_share * self.steps):
            self.model.apply(ao.disable_observer)
        loss(batch, self.run(batch)).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1

    def run(self, batch, model: nn.Module | None = None):
        model = model or self.model
        return dict(zip(self.model.levels, model(batch.inputs, batch.lengths), strict=True))

    def converted(self) -> nn.Module:
        torch.backends.quantized.engine = "fbgemm"
        return ao.convert(copy.deepcopy(self.model).eval())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    options = TrainingOptions(epochs=given.epochs, learning_rate=given.learning_rate, exclude=EXCLUDE)
    with open_checkpoint("reference") as checkpoint, tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "a").mkdir()
        training = labelled(given.data, checkpoint.levels, Path(scratch) / "a", checkpoint.front_end)
        test = labelled(reference.EVALUATION, checkpoint.levels, Path(scratch), checkpoint.front_end)
        front_end = checkpoint.front_end
        ours = trainers.Trainer(checkpoint, training, test, options, Path(scratch), SILENT)
        theirs = AoTraining(checkpoint.deployable(), options, ours.steps)
        weights = loss_weights(checkpoint.config, list(ours.model.levels))

    def loss(batch, logits):
        return losses.ctc(logits, ours.model.output_lengths(batch.lengths), batch.ids, 0, weights)

    def figures(run) -> str:
        batches = test.batches(options.batch_seconds, front_end)
        expected = lambda batch: [{level: list(ids) for level, ids in one.items()} for one in batch.ids]  # noqa: E731
        actual = evaluate(run, batches, loss, expected, ours.model.output_lengths, blank=0, step=0)
        return f"PER {actual.first:.3%}, mean of levels {actual.mean:.3%}"

    print("fp32:", figures(ours._run_teacher))
    times: dict[str, list[float]] = {"qtrain": [], "torch.ao": []}
    epoch = done = 0
    while done < ours.steps:
        for places in training.groups(options.batch_seconds, np.random.default_rng((options.seed, epoch))):
            if done == ours.steps:
                break
            batch = training.batch(places, front_end)
            for name, take in (
                ("qtrain", lambda batch: ours._take_step([batch])),
                ("torch.ao", lambda batch: theirs.take(batch, loss)),
            ):
                started = time.perf_counter()
                take(batch)
                times[name].append(time.perf_counter() - started)
            done += 1
        epoch += 1
    ours.model.eval()
    finished = trainers.fake.finished(ours.model)
    print("qtrain:", figures(lambda batch: theirs.run(batch, finished)))
    print("torch.ao, fake:", figures(lambda batch: theirs.run(batch, theirs.model.eval())))
    print("torch.ao, INT8:", figures(lambda batch: theirs.run(batch, theirs.converted())))
    watched = ours._watched
    for name, samples in times.items():
        print(
            f"{name}: median step {statistics.median(samples[watched:]):.3f} s once ranges are frozen, "
            f"{statistics.median(samples[:watched]):.3f} s while they are watched ({len(samples)} steps)"
        )
    ratios = [own / other for own, other in zip(times["qtrain"][watched:], times["torch.ao"][watched:], strict=True)]
    print(f"qtrain / torch.ao: median of ratios {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
