"""Tensors of the stock module from those of the deployable one, for any family."""

from __future__ import annotations

from torch import Tensor

from .architecture import StockLayer


def tensors_of(stock_layer: StockLayer, weight: Tensor, bias: Tensor | None) -> dict[str, Tensor]:
    """The stock layer's tensors by name, from the deployable layer's ``weight`` (out, in) and ``bias`` (out,).

    A ``Conv1d`` has its weight (out, channels, kernel); the deployable Linear takes the kernel's frames side by side.
    """
    rows = weight[stock_layer.rows] / stock_layer.factor
    if stock_layer.kernel is not None:
        rows = rows.view(len(rows), stock_layer.kernel, -1).transpose(1, 2)
    tensors = {f"{stock_layer.name}.weight": rows}
    if stock_layer.bias:
        assert bias is not None
        tensors[f"{stock_layer.name}.bias"] = bias[stock_layer.rows] / stock_layer.factor
    return tensors
