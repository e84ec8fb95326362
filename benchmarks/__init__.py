"""Benchmarks: `python -m benchmarks SUITE`; peers in environments of their own."""
