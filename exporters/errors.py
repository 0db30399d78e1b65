"""What can go wrong between a request and its artifact."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import QasrError


class ExportError(QasrError):
    """An export that failed; nothing is left behind."""


class ParityError(ExportError):
    """The artifact does not compute what its torch model computes."""


class RequestError(ExportError, ValueError):
    """A request that cannot be met, reported before any work."""

    def __init__(self, message: str, *, option: str | None = None) -> None:
        super().__init__(message)
        self.option = option
        """The option at fault as the command line names it, as ``--group-size``."""


class IdleOptionError(RequestError):
    """An option that would do nothing for the chosen target and method."""

    def __init__(self, option: str, applies_to: str) -> None:
        super().__init__(f"{option} applies only to {applies_to}", option=option)
        self.applies_to = applies_to


class UnknownTargetError(RequestError):
    """No target of that name."""

    def __init__(self, name: str, suggestions: Sequence[str], known: Sequence[str]) -> None:
        hint = f"did you mean {' or '.join(suggestions)}?" if suggestions else f"available are {', '.join(known)}"
        super().__init__(f"no target {name!r}; {hint}", option="--to")
        self.name = name


class MethodError(RequestError):
    """A quantization method that the target does not take."""

    def __init__(self, message: str) -> None:
        super().__init__(message, option="--method")
