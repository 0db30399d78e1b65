"""Where a comparison was made."""

from __future__ import annotations

import os

from ..measure.environment import environment as measured_environment


def environment() -> dict[str, str]:
    """Processor, memory, load, versions, and the variables that libraries heed."""
    found = measured_environment(os.getloadavg()[0], idle_share=1.0)
    return {
        "processor": f"{found.processor}, {found.cores} cores",
        "flags": " ".join(found.flags) or "none of those that matter",
        "memory": f"{found.memory_bytes / 1e9:.1f} GB",
        "system": found.system,
        "load average before": f"{found.load_average:.2f}",
        "python": found.python,
        **found.libraries,
        **found.variables,
    }
