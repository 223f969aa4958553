"""Shared fixtures: hypothesis profiles, and the local chain (one node per test worker)."""

import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Whoever is started in the background has Ctrl-C ignored, and children inherit that; these tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Hundreds of keepers are started here: where bytecode may not be kept, each would compile all of it again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

settings.register_profile("default", max_examples=60, deadline=None)
settings.register_profile("ci", max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


#: Python's own, before any test has imported anything.
_RECURSION_LIMIT = sys.getrecursionlimit()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Begin each test with Python's own recursion limit.

    py_ecc, which eth_account imports, sets it to 100,000: from then on deeply nested JSON ends the process instead of
    raising, in whatever test comes later.
    """
    sys.setrecursionlimit(_RECURSION_LIMIT)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that in the end no worker waits for another; the rest keeps its random order."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    for item in items:
        # pytest-xdist (3.8) names a test's xdist_group in an attribute that pytest (9.2) does not read any more: without
        # this, groups are no groups, and what their tests share is made by every worker.
        grouped = getattr(item, "_nodeid", item.nodeid)
        if grouped != item.nodeid and grouped.startswith(f"{item.nodeid}@"):
            item._id = type(item._id).parse(grouped)


@pytest.fixture(scope="session")
def anvil_path() -> Path:
    """The anvil binary of the devnet install."""
    from keeper.devnet.install import anvil_binary

    return anvil_binary()


@pytest.fixture(scope="session")
def node(anvil_path):
    """A node of this test worker's own; the world is on it."""
    from keeper.chain.anvil import LocalNode

    with LocalNode.start(binary=anvil_path) as running:
        yield running


@pytest.fixture(scope="session")
def world(node):
    """The local world. Tests that change the chain take ``fresh_world``."""
    from keeper.devnet.world import build_world

    built = build_world(node)
    yield built
    built.chain.close()


@pytest.fixture(scope="session")
def fair(anvil_path):
    """Every family on one chain; one node per test worker. Whoever changes it puts it back."""
    from fair_kit import fair_node

    from keeper.devnet.fair.open import open_fair

    with fair_node(anvil_path) as node:
        yield open_fair(node)


@pytest.fixture
def fresh_world(anvil_path):
    """A local world of the test's own, on a node of its own: nothing another test did can be felt here."""
    from keeper.chain.anvil import LocalNode
    from keeper.devnet.world import build_world

    with LocalNode.start(binary=anvil_path) as own:
        fresh = build_world(own)
        yield fresh
        fresh.chain.close()


@pytest.fixture
def config(fresh_world, tmp_path) -> Path:
    """The path of a config for a world in which something has been earned for a week."""
    from app_kit import a_week, write_config

    a_week(fresh_world)
    return write_config(fresh_world, tmp_path)


@pytest.fixture
def farmer(fresh_world) -> str:
    """The address whose positions the world has."""
    return fresh_world.farmer.address
