"""Whatever stands in the file, loading ends in a config or in ConfigError, never in another exception."""

from __future__ import annotations

import copy
import tomllib
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from keeper.config.checks import check_parts
from keeper.config.packaged import locate
from keeper.config.plugins import installed_catalogue
from keeper.config.problems import Problems
from keeper.config.references import check_references, check_secrets
from keeper.config.sources import Layers, gather

EXAMPLE = tomllib.loads(locate("keeper.example.toml").read_text("utf-8"))
CATALOGUE = installed_catalogue()

scalars = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["$5", "30d", "1%", "0x" + "1" * 40, "0x", "none", "$X", "${", "https://[", "http://h:x", "\0", "-1"]
    ),
    st.integers(min_value=-(2**64), max_value=2**64),
    st.floats(),
    st.booleans(),
    st.datetimes(),
    st.dates(),
    st.times(),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List every place of a tree."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


PLACES = [place for place in places(EXAMPLE) if place]


def problems_of(raw: dict[str, Any]) -> list[str]:
    layers = Layers(raw=raw, env={})
    problems = Problems(layers)
    parts = check_parts(layers, problems, CATALOGUE)
    check_references(layers, problems, parts, frozenset({"rule", "daily"}))
    check_secrets(layers, problems, parts)
    return problems.lines


@given(st.lists(st.tuples(st.sampled_from(PLACES), values), min_size=1, max_size=3))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_anywhere_is_understood_or_reported(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    raw = copy.deepcopy(EXAMPLE)
    for path, value in changes:
        here: Any = raw
        for part in path[:-1]:
            here = here[part] if isinstance(here, dict) and part in here else (here if isinstance(here, dict) else {})
            if isinstance(here, list) and not here:
                here = {}
        if isinstance(here, dict) or (isinstance(here, list) and isinstance(path[-1], int) and path[-1] < len(here)):
            here[path[-1]] = value

    for line in problems_of(raw):
        where, _, advice = line.partition("\n  ")
        assert where
        assert advice


@given(st.dictionaries(st.text(max_size=6), values, max_size=3))
@settings(max_examples=100, deadline=None)
def test_any_table_is_understood_or_reported(raw: dict[str, Any]) -> None:
    problems_of(raw)


@given(
    st.dictionaries(
        st.builds(
            lambda parts: "KEEPER_" + "__".join(parts),
            st.lists(
                st.sampled_from(
                    ["LIMITS", "PER_TX", "chains", "bnb", "RPC", "0", "", "POSITIONS", "PID", "x", "FEED_FILE"]
                ),
                min_size=2,
                max_size=4,
            ),
        ),
        st.text(st.characters(exclude_characters="\0", codec="ascii"), max_size=6),
        max_size=4,
    )
)
@example({"KEEPER_CHAINS__BNB": "x", "KEEPER_CHAINS__BNB__RPC": "y"})
@example({"KEEPER_LIMITS__PER_TX": "x", "KEEPER_LIMITS__PER_TX__X": "y"})
@example({"KEEPER_POSITIONS__0__PID__LIMITS": ""})
@example({"KEEPER_POSITIONS__0": "", "KEEPER_POSITIONS__0__LIMITS": ""})
@settings(max_examples=200, deadline=None)
def test_any_variable_is_understood_or_reported(env: dict[str, str]) -> None:
    layers = gather([locate("keeper.example.toml")], env, {}, None)

    check_parts(layers, Problems(layers), CATALOGUE)
