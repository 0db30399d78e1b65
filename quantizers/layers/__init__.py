"""Linear layers that carry a scheme and compute exactly what it says."""
