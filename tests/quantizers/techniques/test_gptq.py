"""GPTQ against the formula that it is derived from, and against rounding."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from qasr.quantizers import Quantization, QuantizationError, WeightScheme
from qasr.quantizers.layers.grid import by_error
from qasr.quantizers.layers.grouped import GroupedLinear
from qasr.quantizers.techniques import gptq
from qasr.quantizers.techniques.gptq import Hessian, gptq_codes

INT4 = WeightScheme(4, False, 64)
INT2 = WeightScheme(2, False, 32)


def correlated(frames=400, inputs=64, seed=0):
    """Inputs that share most of what they carry, as a layer's do."""
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(frames, inputs // 4, generator=generator) @ torch.randn(
        inputs // 4, inputs, generator=generator
    )
    return mixed + 0.3 * torch.randn(frames, inputs, generator=generator)


def by_definition(weight, hessian, grid, order, bits, group_size):
    """Optimal brain surgery, one input after the other: the inverse Hessian of those that are left, each time anew."""
    weight, hessian, left = weight.double().clone(), hessian.double(), order.tolist()
    codes = torch.zeros(weight.shape, dtype=torch.uint8)
    while left:
        inverse = torch.linalg.inv(hessian[left][:, left])
        column, group = left[0], left[0] // group_size
        scale, zero_point = grid.scale[:, group].double(), grid.zero_point[:, group].double()
        code = (torch.round(weight[:, column] / scale) + zero_point).clamp(0, 2**bits - 1)
        codes[:, column] = code.to(torch.uint8)
        error = weight[:, column] - (code - zero_point) * scale
        weight[:, left] -= error[:, None] / inverse[0, 0] * inverse[0]
        left = left[1:]
    return codes


@pytest.mark.parametrize("activation_order", [True, False])
@pytest.mark.parametrize("scheme", [WeightScheme(4, False, 32), WeightScheme(2, True, 64)], ids=["int4", "int2"])
def test_is_optimal_brain_surgery(scheme, activation_order):
    rows = correlated(inputs=192)  # more than a block
    weight = torch.randn(24, 192, generator=torch.Generator().manual_seed(1))
    hessian = rows.t() @ rows
    codes, grid = gptq_codes(weight, hessian, scheme, activation_order=activation_order)
    diagonal = hessian.diagonal()
    damped = hessian + 0.01 * diagonal.mean() * torch.eye(192)
    order = torch.argsort(damped.diagonal(), descending=True) if activation_order else torch.arange(192)
    expected = by_definition(weight, damped, grid, order, scheme.bits, scheme.group_size)
    # Sums in another order may tip a weight that lies halfway.
    assert (codes != expected).float().mean() < 0.002


@pytest.mark.parametrize("bits", [2, 4])
def test_errs_less_than_rounding(bits):
    rows, weight = correlated(), torch.randn(32, 64, generator=torch.Generator().manual_seed(2))
    scheme = WeightScheme(bits, False, 32)
    codes, grid = gptq_codes(weight, rows.t() @ rows, scheme)
    nearest = by_error(weight, scheme)

    def error(values):
        return float((rows @ (values - weight).t()).square().sum())

    layer = GroupedLinear(codes, grid.scale, grid.zero_point, None, scheme)
    assert error(layer.weight) < 0.5 * error(nearest.values(weight, bits))


def test_inputs_that_are_always_zero_get_zero():
    rows, weight = correlated(), torch.randn(8, 64, generator=torch.Generator().manual_seed(3))
    rows[:, 5] = 0.0
    codes, grid = gptq_codes(weight, rows.t() @ rows, INT2)
    assert torch.equal(codes[:, 5], grid.zero_point[:, 0])


def test_hessian_by_hand():
    hessian = Hessian(2)
    hessian.add(torch.tensor([[1.0, 2.0]]))
    hessian.add(torch.tensor([[0.0, 1.0], [1.0, 1.0]]))
    assert hessian.matrix.tolist() == [[2.0, 3.0], [3.0, 6.0]]
    assert hessian.frames == 3


@pytest.fixture
def calibration(real_calibration):
    seconds = sum(int(length) for _, length in real_calibration.inputs()) / 50
    return dataclasses.replace(real_calibration, seconds=seconds)


def test_each_technique_beats_the_one_before(quantized, make_model, logits_of, error_of, calibration):
    expected = logits_of(make_model())
    for scheme in (INT4, INT2):
        options = Quantization(weight=scheme)
        errors = [
            error_of(quantized(method, make_model(), options, calibration), expected)
            for method in ("rtn", "awq", "gptq")
        ]
        assert errors[0] > errors[1] > errors[2], scheme
        assert errors[2] < 0.75 * errors[0]


def test_layers_see_their_quantized_predecessors(quantized, make_model, calibration, monkeypatch):
    """The second Linear's Hessian is that of inputs which the first one, already rounded, gave."""
    seen = {}
    honest = gptq._quantized
    monkeypatch.setattr(
        gptq, "_quantized", lambda name, linear, hessian, options: seen.setdefault(name, hessian) and honest(
            name, linear, hessian, options
        )
    )  # fmt: skip
    model = quantized("gptq", make_model(), Quantization(weight=INT2), calibration)
    name = "layers.3.ffn2.output"
    again, float_one = Hessian(768), Hessian(768)
    for other, hessian in ((model, again), (make_model(), float_one)):
        other.get_submodule(name).register_forward_pre_hook(
            lambda _, inputs, hessian=hessian: hessian.add(inputs[0][0])
        )
        for inputs in calibration.inputs():
            with torch.inference_mode():
                other(*inputs)
    assert seen[name].frames == again.frames == sum(inputs.shape[1] for inputs, _ in calibration.inputs())
    size = again.matrix.norm()
    assert (seen[name].matrix - again.matrix).norm() / size < 1e-4
    assert (seen[name].matrix - float_one.matrix).norm() / size > 1e-2


def test_same_input_same_codes(quantized, make_model, calibration):
    one, two = (quantized("gptq", make_model(), Quantization(weight=INT4), calibration) for _ in range(2))
    for (name, left), right in zip(one.state_dict().items(), two.state_dict().values(), strict=True):
        assert torch.equal(left, right), name


def test_excluded_layers_stay(quantized, make_model, calibration):
    options = Quantization(exclude=("projection", "heads", "layers.[0-2].*", "*.ffn*"), weight=INT4)
    model = quantized("gptq", make_model(), options, calibration)
    layers = [name for name, module in model.named_modules() if isinstance(module, GroupedLinear)]
    assert layers == [
        "layers.3.attention.qkv",
        "layers.3.attention.out",
        "layers.3.convolution.pointwise1",
        "layers.3.convolution.pointwise2",
    ]


def test_too_few_frames_for_a_hessian(quantized, make_model, real_calibration):
    short = dataclasses.replace(real_calibration, seconds=10.0)
    with pytest.raises(QuantizationError, match=r"has 500 frames, too few .* which has 768 inputs; give at least 15 s"):
        quantized("gptq", make_model(), Quantization(weight=INT4), short)


def test_groups_that_do_not_divide(quantized, make_model, calibration):
    for method in ("rtn", "mse", "awq", "gptq"):
        with pytest.raises(
            QuantizationError, match=r"groups of 128 do not divide the 192 inputs .*--group-size 64 does"
        ):
            quantized(method, make_model(), Quantization(weight=WeightScheme(4, False, 128)), calibration)


def test_inputs_that_are_not_finite(quantized, make_model, real_clips, calibration_of):
    broken = torch.full_like(real_clips[0], float("nan"))
    bad = calibration_of([broken], seconds=100.0, name="broken")
    for method in ("awq", "gptq"):
        with pytest.raises(QuantizationError, match="check the calibration audio"):
            quantized(method, make_model(), Quantization(weight=INT4), bad)


@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_needs_calibration(quantized, make_model, method):
    with pytest.raises(QuantizationError, match="needs calibration audio"):
        quantized(method, make_model(), Quantization(weight=INT4), None)


@pytest.fixture
def real_layer(make_model, real_clips):
    """A Linear of the bundled model, and its inputs (frames, in) on real audio."""
    model, rows = make_model(), []
    linear = model.layers[1].ffn2.output
    linear.register_forward_pre_hook(lambda _, inputs: rows.append(inputs[0][0]))
    with torch.inference_mode():
        for clip in real_clips:
            model(clip, torch.tensor([2 * clip.shape[1]]))
    return linear.weight.detach(), torch.cat(rows).clone()


def neural_compressors(weight, rows, bits):
    """Values that Intel Neural Compressor's GPTQ gives the same layer: asymmetric groups of 64, activation order."""
    from neural_compressor.torch.algorithms.weight_only.gptq import GPTQ

    other = GPTQ(torch.nn.Linear(weight.shape[1], weight.shape[0]), weight)
    scheme = {"bits": bits, "sym": False, "dtype": "int", "perchannel": True, "mse": False, "group_size": 64}
    other.quantizer.configure(scheme | {"double_quant_sym": False, "use_double_quant": False})
    other.add_batch(rows, None)
    return other.fasterquant(weight.clone(), groupsize=64, act_order=True, static_groups=True)[-1]


@pytest.mark.parametrize("bits", [2, 4])
def test_agrees_with_another_implementation(real_layer, bits):
    weight, rows = real_layer
    scheme, theirs = WeightScheme(bits, False, 64), neural_compressors(weight, rows, bits)
    codes, grid = gptq_codes(weight, rows.t() @ rows, scheme)
    ours = GroupedLinear(codes, grid.scale, grid.zero_point, None, scheme).weight

    def error(values):
        return float((rows @ (values - weight).t()).norm() / (rows @ weight.t()).norm())

    # Scales that fp16 holds move every value by 0.05 % at most; a weight on the edge may then go either way.
    step = grid.scale.repeat_interleave(64, dim=1)
    assert ((ours - theirs).abs() > 0.5 * step).float().mean() < 0.1
    assert error(ours) == pytest.approx(error(theirs), rel=0.02)
