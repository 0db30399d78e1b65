"""A norm in front of several Linears: methods share its scales among them, found by the fold alone."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from qasr.audio import LogMel
from qasr.models import CTCModel, Fold
from qasr.models.architecture import FoldedLayers
from qasr.models.stages import linear_stages
from qasr.quantizers import Quantization, SmoothQuantOptions, WeightScheme
from qasr.quantizers.calibration import CalibrationSet, Work
from qasr.quantizers.layers.fold import fold
from qasr.quantizers.layers.grouped import GroupedLinear
from qasr.quantizers.layers.quantized import StaticLinear
from qasr.quantizers.layers.rewrite import replace, shallow_copy
from qasr.quantizers.search.formats import in_format
from qasr.quantizers.search.sensitivity import sensitivity
from qasr.quantizers.search.table import FloatPass, windows
from qasr.quantizers.search.units import units

SIZE = 32
LINEARS = ("one", "two", "three")


class State(NamedTuple):
    hidden: Tensor
    lengths: Tensor


class Block(nn.Module):
    """A norm in front of three Linears, without bias in the second; values and a mean over all frames behind them."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.LayerNorm(SIZE)
        self.one, self.two, self.three = (nn.Linear(SIZE, SIZE, bias=bias) for bias in (True, False, True))
        self.out = nn.Linear(SIZE, SIZE)

    def forward(self, state: State) -> State:
        normed = self.before(state.hidden)
        mixed = self.out(self.three(normed).cumsum(1) / 50)
        return state._replace(
            hidden=state.hidden + torch.sigmoid(self.one(normed)) * torch.tanh(self.two(normed)) + mixed
        )


class Toy(CTCModel):
    """Names that no family has: everything has to come from the folds."""

    folds = (Fold("stack.*", "before", LINEARS), Fold("stack.*", "three", ("out",)))
    float_layers = ("entry", "exit")

    def __init__(self) -> None:
        super().__init__({"text": 5}, LogMel())
        self.entry, self.exit = nn.Linear(160, SIZE), nn.Linear(SIZE, 5)
        self.stack = nn.ModuleList([Block(), Block()])

    @property
    def blocks(self) -> list[nn.Module]:
        return list(self.stack)

    def begin(self, inputs: Tensor, lengths: Tensor) -> State:
        return State(self.entry(inputs), lengths)

    def finish(self, state: State) -> dict[str, Tensor]:
        return {"text": self.exit(state.hidden)}


@pytest.fixture
def make_toy():
    def make(outliers: bool = True) -> Toy:
        torch.manual_seed(0)
        toy = Toy().eval().requires_grad_(False)
        for block in toy.stack:
            block.before.bias.normal_()
            if outliers:
                block.before.weight[3:5] = 40.0
                block.before.bias[3] = 0.0
                for name in LINEARS:
                    block.get_submodule(name).weight[:, 3:5] /= 40.0
        return toy

    return make


@pytest.fixture
def clips():
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(1, frames, 160, generator=generator), torch.tensor([2 * frames])) for frames in (90, 60, 75, 80)
    ]


@pytest.fixture
def calibration(clips):
    return CalibrationSet("noise", "0" * 64, 60.0, len(clips), lambda: iter(clips))


@torch.inference_mode()
def error(model, original, clips):
    pairs = [(model(*clip)[0], original(*clip)[0]) for clip in clips]
    return float(sum((a - b).square().sum() for a, b in pairs) / sum(b.square().sum() for _, b in pairs)) ** 0.5


def test_folds_and_stages_of_a_model_with_other_names(make_toy):
    toy = make_toy()
    assert [fold.source for fold in toy.find_folds()] == [f"stack.{i}.{s}" for s in ("before", "three") for i in (0, 1)]
    stages = {name: linear.stage for name, linear in linear_stages(toy).items()}
    assert (stages["entry"], stages["exit"]) == (0, 3)
    assert {name: stage for name, stage in stages.items() if stage == 2} == {
        f"stack.1.{name}": 2 for name in (*LINEARS, "out")
    }


@pytest.mark.parametrize("index", [0, 2])
def test_folding_is_exact_in_float(make_toy, clips, index):
    toy = make_toy()
    folded = list(toy.find_folds())[index]
    assert fold(toy, folded, 2.0 ** torch.randint(-3, 4, (SIZE,), generator=torch.Generator().manual_seed(0)))
    assert error(toy, make_toy(), clips) < 1e-6
    assert not torch.equal(toy.stack[0].out.weight, make_toy().stack[0].out.weight) or index == 0


def test_a_fold_into_a_part_of_a_linears_rows(make_toy):
    toy = make_toy()
    toy.stack[0].one = nn.Linear(SIZE, 3 * SIZE).requires_grad_(False)
    before, scales = toy.stack[0].one, torch.arange(1.0, SIZE + 1)
    assert fold(toy, FoldedLayers("stack.0.one", ("stack.0.out",), (1, 3)), scales)
    ratio = before.weight / toy.stack[0].one.weight
    assert torch.allclose(ratio[:SIZE], torch.ones(SIZE, SIZE))
    assert torch.allclose(ratio[SIZE : 2 * SIZE], scales[:, None].expand(SIZE, SIZE))
    assert torch.allclose(before.bias[SIZE : 2 * SIZE], toy.stack[0].one.bias[SIZE : 2 * SIZE] * scales)
    assert torch.equal(before.bias[2 * SIZE :], toy.stack[0].one.bias[2 * SIZE :])


@pytest.mark.parametrize("options", [SmoothQuantOptions(), SmoothQuantOptions(strength=0.5)])
def test_smoothquant_shares_scales_over_all_linears_of_a_norm(quantized, make_toy, clips, calibration, options):
    plain = quantized("static", make_toy(), None, calibration)
    smoothed = quantized("smoothquant", make_toy(), Quantization(smoothquant=options), calibration)
    strengths = quantized.notes["strengths"]
    for index in (0, 1):
        assert len({strengths[f"stack.{index}.{name}"] for name in LINEARS}) == 1
        scales = make_toy().stack[index].before.weight / smoothed.stack[index].before.weight
        assert float(scales.max() / scales.min()) > 4
    assert all(isinstance(smoothed.stack[0].get_submodule(name), StaticLinear) for name in (*LINEARS, "out"))
    assert error(smoothed, make_toy(), clips) < 0.7 * error(plain, make_toy(), clips)


def test_an_excluded_linear_of_the_norm_takes_the_scales_in_float(quantized, make_toy, clips, calibration):
    exclude = ("entry", "exit", "*.two")
    smoothed = quantized("smoothquant", make_toy(), Quantization(exclude=exclude), calibration)
    assert "stack.0.two" not in quantized.notes["strengths"]
    scales = make_toy().stack[0].before.weight / smoothed.stack[0].before.weight
    assert isinstance(smoothed.stack[0].two, nn.Linear)
    assert torch.allclose(smoothed.stack[0].two.weight, make_toy().stack[0].two.weight * scales, rtol=1e-4)
    assert error(smoothed, make_toy(), clips) < 0.02


def test_awq_scales_both_kinds_of_folds(quantized, make_toy, clips, calibration):
    scheme = WeightScheme(4, False, 16)
    plain = quantized("mse", make_toy(), Quantization(weight=scheme))
    scaled = quantized("awq", make_toy(), Quantization(weight=scheme), calibration)
    strengths = quantized.notes["strengths"]
    assert {"stack.0.one", "stack.0.two", "stack.0.three"} <= set(strengths)
    assert set(strengths) & {"stack.0.out", "stack.1.out"}
    assert sum(isinstance(module, GroupedLinear) for module in scaled.modules()) == 8
    assert error(scaled, make_toy(), clips) < error(plain, make_toy(), clips)


def test_gptq_walks_the_blocks(quantized, make_toy, clips, calibration):
    scheme = WeightScheme(4, False, 16)
    plain = quantized("mse", make_toy(), Quantization(weight=scheme))
    walked = quantized("gptq", make_toy(), Quantization(weight=scheme), calibration)
    assert error(walked, make_toy(), clips) < 0.8 * error(plain, make_toy(), clips)


def test_sensitivity_of_one_of_the_linears_behind_a_smoothed_norm(quantized, make_toy, clips, calibration):
    """The others stay what they are in float, though the norm in front of them is divided."""
    original = make_toy()
    smoothed = quantized("smoothquant", shallow_copy(original), None, calibration)
    report = {
        layer.layer: layer.alone.error for layer in sensitivity(original, smoothed, clips, lambda i, *_: i).layers
    }
    scales = original.stack[0].before.weight / smoothed.stack[0].before.weight
    scales = torch.where(original.stack[0].before.weight == 0, torch.ones(()), scales)

    class Divided(nn.Module):
        def forward(self, values):
            return smoothed.stack[0].two(values / scales)

    alone = make_toy()
    replace(alone, "stack.0.two", Divided())
    assert report["stack.0.two"] == pytest.approx(error(alone, original, clips), rel=0.02)
    assert error(original, make_toy(), clips) == 0.0


def test_losses_of_mixed_precision(make_toy, clips, calibration):
    toy = make_toy()
    stages = {name: linear.stage for name, linear in linear_stages(toy).items()}
    float_pass = FloatPass(toy, stages, windows(toy, calibration), 0)
    names = [name for name in stages if name.startswith("stack.")]
    quantization = Quantization(weight=WeightScheme(4, False, 16))
    variant = in_format(toy, "int4", quantization, Work(calibration=calibration), toy.float_layers)
    for unit in units(names, stages):
        assert float_pass.loss(unit, variant).divergence > 2e-7
        assert float_pass.loss(unit, make_toy()).divergence == pytest.approx(0, abs=1e-7)
