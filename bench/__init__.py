"""Benchmarks: artifacts measured in fresh processes, reports, comparisons of reports."""
