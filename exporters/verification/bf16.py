"""What an engine that computes in bf16 may be off by: the torch model's own error when it does so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def in_bf16(model: nn.Module) -> Iterator[None]:
    """Within, the weights, inputs and outputs of the model's layers are rounded to bfloat16.

    Engines that compute in bf16 round there and accumulate in float32, as the products here do. (torch's own autocast
    rounds at fewer points, and its depthwise convolution in bfloat16 takes minutes.)
    """
    stored: dict[nn.Module, dict[str, Tensor]] = {}

    def enter(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        stored[module] = {name: value.data for name, value in module.named_parameters()}
        for value in module.parameters():
            value.data = _to_bf16(value.data)
        return tuple(map(_to_bf16, inputs))

    def leave(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        for name, value in stored.pop(module).items():
            getattr(module, name).data = value
        return _to_bf16(output)

    leaves = [module for module in model.modules() if not any(module.children())]
    hooks = [leaf.register_forward_pre_hook(enter) for leaf in leaves]
    hooks += [leaf.register_forward_hook(leave) for leaf in leaves]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _to_bf16(value: Any) -> Any:
    return value.bfloat16().float() if isinstance(value, Tensor) and value.dtype == torch.float32 else value
