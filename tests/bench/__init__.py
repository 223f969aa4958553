"""Measurements against floors, run by ``python -m tests.bench`` (``make bench``)."""
