"""Layers that model families share; none of them knows a stock module."""
