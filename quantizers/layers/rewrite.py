"""Choosing a model's Linears, checking them, and replacing them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase

from torch import nn

from ...models import CTCModel
from ..errors import QuantizationError
from ..scheme import WeightScheme


def quantizable(model: nn.Module, exclude: Iterable[str]) -> list[tuple[str, nn.Linear]]:
    """Every Linear by its dotted name, without those that match a glob of ``exclude``.

    Raises QuantizationError where a glob matches nothing, or nothing is left.
    """
    linears = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    globs = tuple(exclude)
    idle = [glob for glob in globs if not any(fnmatchcase(name, glob) for name, _ in linears)]
    if idle:
        raise QuantizationError(
            f"no layer matches the excluded {', '.join(idle)}; layers are named like {linears[0][0]}"
        )
    chosen = [(name, module) for name, module in linears if not any(fnmatchcase(name, glob) for glob in globs)]
    if not chosen:
        raise QuantizationError("every layer is excluded, so nothing would be quantized")
    return chosen


def replace(model: nn.Module, name: str, module: nn.Module) -> None:
    """Replace the submodule with the dotted ``name`` by ``module``."""
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, module)


def linear_called(model: nn.Module, name: str) -> nn.Linear:
    """The Linear with the dotted ``name``."""
    linear = model.get_submodule(name)
    assert isinstance(linear, nn.Linear)
    return linear


def check_groups(linears: Iterable[tuple[str, nn.Linear]], scheme: WeightScheme, *, fixed: bool = False) -> None:
    """Raise QuantizationError for a layer whose number of inputs is not divisible by the group size.

    ``fixed``: the method has no other group size.
    """
    for name, linear in linears:
        if scheme.group_size is not None and linear.in_features % scheme.group_size:
            fitting = [size for size in (16, 32, 64, 128, 256) if linear.in_features % size == 0]
            instead = (
                f"; --group-size {fitting[-1]} does"
                if fitting and not fixed
                else f"; leave it out with --exclude '{name}'"
            )
            raise QuantizationError(
                f"groups of {scheme.group_size} do not divide the {linear.in_features} inputs of {name}{instead}"
            )


def shallow_copy(model: CTCModel) -> CTCModel:
    """A copy whose layers can be replaced without changing ``model``; the parameters themselves are shared."""
    return copy.deepcopy(model, {id(parameter): parameter for parameter in model.parameters()})


@contextmanager
def swapped(model: nn.Module, sources: Mapping[str, nn.Module]) -> Iterator[None]:
    """Within, the submodules with these dotted names are replaced by the given ones."""
    kept = {name: model.get_submodule(name) for name in sources}
    try:
        for name, module in sources.items():
            replace(model, name, module)
        yield
    finally:
        for name, module in kept.items():
            replace(model, name, module)
