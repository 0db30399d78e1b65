"""What ``qexport`` prints: the list of targets, progress, the summary of an artifact, and what each layer costs."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from ..artifacts import Artifact
from ..exporters import TARGETS, Target
from ..runtimes import ENGINES, unsupported_reason

if TYPE_CHECKING:
    from ..exporters.explain import Explanation


class Display:
    """Progress on stderr: a spinner for steps, a bar for countable work."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.warnings: set[str] = set()

    def step(self, description: str) -> AbstractContextManager[Any]:
        """Show a spinner, or a line where stderr is no terminal."""
        if not self.console.is_terminal:
            self.console.print(f"{description} …")
        return self.console.status(description)

    def track(self, items: Iterable[Any], description: str, total: int) -> Iterable[Any]:
        """Show a bar over ``items``."""
        return track(items, description, total, console=self.console, disable=self.console.quiet)

    def warn(self, message: str) -> None:
        """A yellow line, once."""
        if message not in self.warnings:
            self.console.print(f"warning: {message}", style="yellow", markup=False)
            self.warnings.add(message)


def print_targets() -> None:
    """The table of targets, on stdout."""
    table = Table("target", "methods", "builds here", "runs here", "runs on", box=None)
    for target in TARGETS.values():
        methods = ", ".join(f"{name} (default)" if not i else name for i, name in enumerate(target.methods)) or "none"
        reason = unsupported_reason(target.engine, target.execution)
        runs = "yes" if reason is None else f"no: {reason}"
        table.add_row(target.name, methods, _builds(target), runs, target.runs_on)
    _print_result(table)


def print_explanation(explanation: Explanation) -> None:
    """The sensitivity report as a table, on stdout."""
    report, strengths = explanation.report, explanation.strengths
    table = Table("layer", "scheme", box=None)
    if strengths:
        table.add_column("strength", justify="right")
    for title in ("error alone", "KL alone", "share"):
        table.add_column(title, justify="right")
    for layer in report.layers:
        strength = [f"{strengths[layer.layer]:.1f}" if layer.layer in strengths else "-"] if strengths else []
        figures = (f"{layer.alone.error:.2e}", f"{layer.alone.divergence:.1e}", f"{layer.share:.1%}")
        table.add_row(layer.layer, layer.scheme, *strength, *figures)
    total = ("all together", f"{len(report.layers)} layers", *(["" for _ in range(bool(strengths))]))
    table.add_section()
    table.add_row(*total, f"{report.together.error:.2e}", f"{report.together.divergence:.1e}", "")
    _print_result(table)
    _print_result(
        f"{explanation.method} on {explanation.clips} clips of {explanation.audio}: relative error of all logits, and "
        "KL divergence (nats per frame) of the first level, against fp32; share of the summed squared errors."
    )


def print_summary(console: Console, artifact: Artifact) -> None:
    """Size, parity and fidelity of a new artifact, on ``console``."""
    manifest = artifact.manifest
    parity, fidelity = manifest.parity, manifest.fidelity
    assert parity is not None and fidelity is not None
    size = sum(entry.bytes for entry in manifest.files.values())
    first = next(iter(manifest.levels))
    console.print(f"{artifact.folder}: {manifest.target}, {size / 1e6:.1f} MB, sha256 {manifest.digest[:16]}")
    console.print(
        f"  against its torch model: relative error {parity.relative_error:.2g} (allowed {parity.tolerance:g}), "
        f"best tokens equal in {parity.argmax_agreement:.2%} of frames"
    )
    console.print(
        f"  against fp32: relative error {fidelity.relative_error:.2g}, best tokens equal in "
        f"{fidelity.argmax_agreement:.2%} of frames, {first} transcripts differ by {fidelity.disagreement[first]:.2%}"
    )
    if ENGINES[manifest.engine].runs_code:
        console.print(f"  its model file is code: run it with qinfer AUDIO --artifact {artifact.folder} --trust-code")


def _builds(target: Target) -> str:
    missing = target.missing()
    if missing is not None:
        return f"no: {missing} is not installed, pip install 'qasr[{target.extra}]'"
    compiler = target.compiler()
    options = target.options_type
    reason = None if compiler is None or options is None else compiler.unsupported_reason(options())
    return "yes" if reason is None else f"no: {reason}"


def _print_result(result: Any) -> None:
    """On stdout; wide enough not to be folded in a pipe."""
    console = Console(highlight=False, markup=False)
    console.print(result) if console.is_terminal else Console(width=240, highlight=False, markup=False).print(result)
