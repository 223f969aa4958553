"""Whole runs of keeper through a faulty network: proxy, world, harness, judge. ``python -m tests.faults`` runs many."""
