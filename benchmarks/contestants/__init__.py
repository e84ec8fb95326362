"""One file per contestant: it reads a request, does the work in its own way, and answers in JSON.

They run as `python -m benchmarks.contestants.NAME REQUEST.json`, each in its own environment.
"""
