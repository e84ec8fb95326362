"""Suites: which contestants do what, in which order, and what their work is judged by.

Each has NAME, ABOUT, `options(parser)`, `play(asked, home, book)` and `told(records)`.
"""
