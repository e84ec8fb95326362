"""Benchmarks: `python -m benchmarks SUITE`, one suite at a time, peers in environments of their own."""
