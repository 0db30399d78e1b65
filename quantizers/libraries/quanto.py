"""optimum-quanto: weights of 8, 4 or 2 bits, rounded by that library.

https://github.com/huggingface/optimum-quanto. Needs no data. 8 bits: a scale per output channel. Fewer: a scale and a
float shift per group, which has 128 inputs, or 96 or 64 or 32 where 128 do not divide the layer's, or all of them
where the layer has no more than 128.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...models import CTCModel
from ..calibration import Work
from ..layers.rewrite import quantizable, replace
from ..options import Quantization
from ..scheme import Scheme, WeightScheme


class QuantoLinear(nn.Module):
    """weight[o, i] = codes[o, i] · scale[o, i // group] − shift[o, i // group].

    ``codes`` (out, in) int8 with 8 bits, uint8 in [0, 2^bits) with fewer; ``scale`` and ``shift`` (out, groups)
    float32, ``shift`` 0 with 8 bits; ``bias`` (out,) float32.
    """

    codes: Tensor
    scale: Tensor
    shift: Tensor
    bias: Tensor

    def __init__(self, linear: nn.Linear, bits: int) -> None:
        super().__init__()
        from optimum.quanto import qtypes
        from optimum.quanto.nn import QLinear

        layer = QLinear.from_module(linear, weights=qtypes[f"qint{bits}"])
        with torch.no_grad():
            weight = layer.qweight
        scale = weight._scale.view(linear.out_features, -1)
        codes = weight._data if bits == 8 else _unpacked(weight._data._data, bits)[: scale.numel()]
        self.register_buffer("codes", codes.reshape(linear.out_features, -1))
        self.register_buffer("scale", scale)
        self.register_buffer("shift", torch.zeros_like(scale) if bits == 8 else weight._shift.view(scale.shape))
        self.register_buffer("bias", torch.zeros(len(scale)) if linear.bias is None else linear.bias.detach().clone())
        self.scheme = Scheme(WeightScheme(bits, symmetric=bits == 8, group_size=layer.weight_group_size))

    @property
    def weight(self) -> Tensor:
        """(out, in) float32."""
        parts = self.codes.view(*self.scale.shape, -1) * self.scale[..., None] - self.shift[..., None]
        return parts.view(self.codes.shape)

    def forward(self, input: Tensor) -> Tensor:
        """``input`` (…, in) float32: (…, out) float32."""
        return nn.functional.linear(input, self.weight, self.bias)


def apply(model: CTCModel, quantization: Quantization, work: Work) -> None:
    """Replace every chosen Linear by a QuantoLinear with the bits of its scheme."""
    for name, linear in quantizable(model, quantization.exclude):
        replace(model, name, QuantoLinear(linear, quantization.weight_of(name).bits))


def _unpacked(packed: Tensor, bits: int) -> Tensor:
    """Groups as rows. One byte of the library holds 8 / bits rows, equally far apart."""
    return torch.cat([packed >> shift & (2**bits - 1) for shift in range(0, 8, bits)])
