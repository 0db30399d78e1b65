"""The machine of a comparison, as text."""

from __future__ import annotations

import os

from ..measure.environment import environment as measured_environment


def environment() -> dict[str, str]:
    """Processor, memory, load, versions, and environment variables that change what libraries do."""
    machine = measured_environment(os.getloadavg()[0], idle_share=1.0)
    return {
        "processor": f"{machine.processor}, {machine.cores} cores",
        "flags": " ".join(machine.flags) or "none of the relevant ones",
        "memory": f"{machine.memory_bytes / 1e9:.1f} GB",
        "system": machine.system,
        "load average before": f"{machine.load_average:.2f}",
        "python": machine.python,
        **machine.libraries,
        **machine.variables,
    }
