"""Judges: one per kind of data, the same for every contestant, with the floor of real data."""
