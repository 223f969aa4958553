"""Shared fixtures: hypothesis profiles, and the local chain (one node per test worker)."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("default", max_examples=60, deadline=None)
settings.register_profile("ci", max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
def anvil_path() -> Path:
    """The anvil binary of the devnet install."""
    from keeper.devnet.install import anvil_binary

    return anvil_binary()
