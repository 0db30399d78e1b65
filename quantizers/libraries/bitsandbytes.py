"""bitsandbytes: NF4 and LLM.int8 weights, rounded and multiplied by that library.

https://github.com/bitsandbytes-foundation/bitsandbytes; Dettmers et al. 2023, arXiv:2305.14314 (NF4), and 2022,
arXiv:2208.07339 (LLM.int8). Neither needs data.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...models import CTCModel
from ..calibration import CalibrationSet, Work
from ..layers.rewrite import check_groups, quantizable, replace
from ..options import Quantization
from ..scheme import ActivationScheme, Scheme, WeightScheme

NF4 = WeightScheme(4, group_size=64, values="nf4")
OUTLIER_THRESHOLD = 6.0
"""Input channels with a larger magnitude are multiplied in float by LLM.int8."""


class Nf4Linear(nn.Module):
    """weight[o, i] = table[code[o, i]] · absmax[o, i // 64], with the 16 values of NF4.

    ``packed`` (out, in / 2) uint8 stores two codes per byte, the first in the high half, ``absmax`` (out, in / 64) and
    ``table`` (16,), ``bias`` (out,) float32.
    """

    packed: Tensor
    absmax: Tensor
    table: Tensor
    bias: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        from bitsandbytes.functional import quantize_4bit

        weight = linear.weight.detach().float().contiguous()
        packed, state = quantize_4bit(weight, blocksize=64, quant_type="nf4")
        self.register_buffer("packed", packed.view(weight.shape[0], -1))
        self.register_buffer("absmax", state.absmax.view(weight.shape[0], -1))
        self.register_buffer("table", state.code)
        self.register_buffer("bias", _bias(linear))
        self.scheme = Scheme(NF4)

    @property
    def weight(self) -> Tensor:
        """(out, in) float32."""
        codes = torch.stack((self.packed >> 4, self.packed & 15), dim=-1).flatten(1)
        groups = self.table[codes.long()].view(*self.absmax.shape, -1)
        return (groups * self.absmax[..., None]).view(codes.shape)

    def forward(self, input: Tensor) -> Tensor:
        """``input`` (…, in) float32: (…, out) float32."""
        return nn.functional.linear(input, self.weight, self.bias)


class LlmInt8Linear(nn.Module):
    """int8 weights with a scale per output channel, inputs rounded to int8 frame by frame, outliers in float."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        from bitsandbytes.nn.modules import Int8Params, Linear8bitLt

        layer = Linear8bitLt(
            linear.in_features, linear.out_features, has_fp16_weights=False, threshold=OUTLIER_THRESHOLD
        )
        layer.weight = Int8Params(linear.weight.detach().half(), requires_grad=False, has_fp16_weights=False)
        layer.bias = nn.Parameter(_bias(linear), requires_grad=False)
        self.layer: Any = layer.to("cpu")  # type: ignore[no-untyped-call]  # it rounds its weights when it is moved
        self.scheme = Scheme(WeightScheme(8), ActivationScheme("dynamic"))

    @property
    def integers(self) -> Tensor:
        """(out, in) int8."""
        return self.layer.weight.data  # type: ignore[no-any-return]

    @property
    def absmax(self) -> Tensor:
        """Largest magnitude of each output channel, (out,) float32: weight = integers · absmax / 127."""
        return self.layer.weight.SCB if self.layer.state.SCB is None else self.layer.state.SCB  # type: ignore[no-any-return]

    @property
    def bias(self) -> Tensor:
        """(out,) float32."""
        return self.layer.bias.data  # type: ignore[no-any-return]

    def forward(self, input: Tensor) -> Tensor:
        """``input`` (…, in) float32: (…, out) float32."""
        return self.layer(input)  # type: ignore[no-any-return]


def apply_nf4(model: CTCModel, quantization: Quantization, work: Work) -> None:
    """Replace every chosen Linear by an Nf4Linear. QuantizationError where groups of 64 do not divide its inputs."""
    check_nf4(model, quantization, work.calibration)
    for name, linear in quantizable(model, quantization.exclude):
        replace(model, name, Nf4Linear(linear))


def check_nf4(model: CTCModel, quantization: Quantization, calibration: CalibrationSet | None) -> None:
    """Raise QuantizationError for a layer whose inputs groups of 64 do not divide."""
    check_groups(quantizable(model, quantization.exclude), NF4, fixed=True)


def apply_llm_int8(model: CTCModel, quantization: Quantization, work: Work) -> None:
    """Replace every chosen Linear by an LlmInt8Linear."""
    for name, linear in quantizable(model, quantization.exclude):
        replace(model, name, LlmInt8Linear(linear))


def _bias(linear: nn.Linear) -> Tensor:
    return torch.zeros(linear.out_features) if linear.bias is None else linear.bias.detach().clone()
