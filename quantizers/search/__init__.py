"""Searches over layers: sensitivity, budgets of bits, and mixed precision."""
