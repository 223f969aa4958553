"""Exchanges and places of a chain, and several routes of a position: loaded exactly, refused by name, laid over."""

from __future__ import annotations

from pathlib import Path

import pytest

from keeper.config.catalogue import Catalogue
from keeper.config.chains import shipped
from keeper.config.loader import Loaded, load
from keeper.domain.facts import Place
from keeper.domain.money import Address
from keeper.domain.position import RouteSpec
from keeper.errors import ConfigError
from keeper.ports import ParamSpec

CATALOGUE = Catalogue(
    protocols={
        "masterchef": {
            "pid": ParamSpec("int", required=True, doc="Pool."),
            "reward": ParamSpec("address", required=False, doc="Reward token."),
            "pending_view": ParamSpec("str", required=False, doc="View."),
        }
    },
    place_params={"masterchef": {"ids": ParamSpec("str", required=True, doc="Numbers.")}},
    swaps=frozenset({"uniswap-v2", "uniswap-v3", "curve"}),
)
ROUTER, QUOTER, TOKEN, CHEF = ("0x" + digit * 40 for digit in "1234")
BASE = """
[chains.local]
rpc = ["http://127.0.0.1:1"]
chain_id = 31337
native_symbol = "ETH"
wrapped_native = "0x5fbdb2315678afecb367f032d93f642f64180aa3"
block_time_ms = 1000
fee_model = "eip1559"
tip_floor_gwei = 0
tip_cap_gwei = 1
l1_fee = "none"
confirmations = 0
"""
POSITION = """
[[positions]]
id = "one"
chain = "local"
protocol = "masterchef"
target = "0x4444444444444444444444444444444444444444"
pid = 1
owner = "0x9999999999999999999999999999999999999999"
"""


def loaded(text: str, tmp_path: Path) -> Loaded:
    file = tmp_path / "keeper.toml"
    file.write_text(text)
    return load([file], {}, catalogue=CATALOGUE, dotenv=None)


def problems(text: str, tmp_path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(text, tmp_path)
    return str(caught.value)


def exchange(extra: str = "", router: str = ROUTER, kind: str = "uniswap-v3") -> str:
    return f'\n[[chains.local.exchanges]]\nkind = "{kind}"\nname = "Here"\nrouter = "{router}"\n{extra}'


def place(extra: str = "", target: str = CHEF) -> str:
    return f'\n[[chains.local.places]]\nprotocol = "masterchef"\nname = "A chef"\ntarget = "{target}"\n{extra}'


def test_exchanges_of_a_chain_become_route_specs_in_order(tmp_path: Path) -> None:
    tables = exchange(f'quoter = "{QUOTER}"\ntiers = [500, 3000]\nvia = ["{TOKEN}"]') + exchange(
        f'pools = ["{CHEF}"]\nfee_bps = 4', QUOTER, "curve"
    )

    facts = loaded(BASE + tables, tmp_path).chain_facts("local")

    assert facts.exchanges == (
        RouteSpec("uniswap-v3", Address(ROUTER), (Address(TOKEN),), 30, Address(QUOTER), (500, 3_000)),
        RouteSpec("curve", Address(QUOTER), (), 4, pools=(Address(CHEF),)),
    )


def test_places_of_a_chain_carry_params_in_exact_types(tmp_path: Path) -> None:
    mixed = "0x2170Ed0880ac9A755fd29B2688956BD959F933F8"

    facts = loaded(BASE + place(f'params = {{ reward = "{mixed}", pending_view = "pendingX" }}'), tmp_path).chain_facts(
        "local"
    )

    assert facts.places == (
        Place("masterchef", "A chef", Address(CHEF), {"reward": mixed.lower(), "pending_view": "pendingX"}),
    )


def test_a_place_may_have_keys_that_positions_do_not_have(tmp_path: Path) -> None:
    facts = loaded(BASE + place('params = { ids = "1,2" }'), tmp_path).chain_facts("local")

    assert facts.places[0].params == {"ids": "1,2"}


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        (exchange("colour = 1"), "chains.local.exchanges[0].colour", "no such key"),
        (exchange("teirs = [1]"), "chains.local.exchanges[0].teirs", 'did you mean "tiers"?'),
        (exchange(kind="uniswap-v33"), "chains.local.exchanges[0].kind", "no such exchange"),
        (exchange(kind=""), "chains.local.exchanges[0].kind", "must not be empty"),
        (exchange("tiers = [0]"), "chains.local.exchanges[0].tiers[0]", "must be at least 1"),
        (exchange("tiers = [500, 500]"), "chains.local.exchanges[0]", "tiers names something twice"),
        (exchange(router="0x12"), "chains.local.exchanges[0].router", "0x and 40 hex digits"),
        ('\n[[chains.local.exchanges]]\nkind = "curve"', "chains.local.exchanges[0].router", "is required"),
        ('exchanges = "uniswap"', "chains.local.exchanges", "must be an array"),
        ("exchanges = [1]", "chains.local.exchanges[0]", "must be a table"),
        (place("colour = 1"), "chains.local.places[0].colour", "no such key"),
        (place("params = { colour = 1 }"), "chains.local.places[0].params.colour", "no such key"),
        (place('params = { pid = "x" }'), "chains.local.places[0].params.pid", "whole number"),
        (place("params = { pid = 1.5 }"), "chains.local.places[0].params.pid", "must be"),
        (place('params = { reward = "0x2170ed0880ac9A755fd29B2688956BD959F933F8" }'), "params", "wrong checksum"),
        (place().replace('"masterchef"', '"masterchief"'), "chains.local.places[0].protocol", "no such protocol"),
        (place(target="0x0"), "chains.local.places[0].target", "0x and 40 hex digits"),
    ],
)
def test_mistakes_are_named(text: str, key: str, says: str, tmp_path: Path) -> None:
    said = problems(BASE + text, tmp_path)

    assert key in said
    assert says in said


def test_own_exchanges_and_places_come_before_the_shipped_ones(tmp_path: Path) -> None:
    base = shipped("ethereum")
    assert base is not None
    first = base.exchanges[0]
    text = f"""
[chains.ethereum]
rpc = ["http://127.0.0.1:1"]
[[chains.ethereum.exchanges]]
kind = "curve"
name = "Mine"
router = "{ROUTER}"
[[chains.ethereum.exchanges]]
kind = "{first.kind}"
name = "Not so"
router = "{first.router}"
fee_bps = 7
[[chains.ethereum.places]]
protocol = "masterchef"
name = "Mine"
target = "{CHEF}"
"""
    catalogue = Catalogue(CATALOGUE.protocols, CATALOGUE.swaps | {first.kind})
    file = tmp_path / "keeper.toml"
    file.write_text(text)
    facts = load([file], {}, catalogue=catalogue, dotenv=None).chain_facts("ethereum")

    assert [spec.router for spec in facts.exchanges[:2]] == [ROUTER, first.router]
    assert facts.exchanges[1].fee_bps == 7
    assert len(facts.exchanges) == len(base.exchanges) + 1
    assert facts.places[0].name == "Mine"
    assert len(facts.places) == len(base.places) + 1


def test_an_empty_array_does_without_the_shipped_exchanges(tmp_path: Path) -> None:
    plain = '[chains.ethereum]\nrpc = ["http://127.0.0.1:1"]\n'

    assert loaded(plain, tmp_path).chain_facts("ethereum").exchanges
    assert loaded(plain + "exchanges = []", tmp_path).chain_facts("ethereum").exchanges == ()


# ---------------------------------------------------------------- routes of a position


def test_a_route_may_be_one_table(tmp_path: Path) -> None:
    one = f'route = {{ kind = "uniswap-v3", router = "{ROUTER}", quoter = "{QUOTER}", tiers = [100] }}'

    (position,) = loaded(BASE + POSITION + one, tmp_path).positions()

    assert position.route == RouteSpec("uniswap-v3", Address(ROUTER), (), 30, Address(QUOTER), (100,))
    assert position.other_routes == ()


def test_a_route_may_be_an_array_of_tables(tmp_path: Path) -> None:
    several = f"""
[[positions.route]]
kind = "uniswap-v2"
router = "{ROUTER}"
[[positions.route]]
kind = "curve"
router = "{QUOTER}"
pools = ["{CHEF}"]
"""

    (position,) = loaded(BASE + POSITION + several, tmp_path).positions()

    assert position.routes == (
        RouteSpec("uniswap-v2", Address(ROUTER)),
        RouteSpec("curve", Address(QUOTER), pools=(Address(CHEF),)),
    )


def test_without_a_route_a_position_has_none_of_its_own(tmp_path: Path) -> None:
    (position,) = loaded(BASE + POSITION, tmp_path).positions()

    assert position.routes == ()


GOOD = f'{{ kind = "curve", router = "{ROUTER}" }}'


@pytest.mark.parametrize(
    ("route", "key", "says"),
    [
        ("[]", "positions[0].route", "must not be empty"),
        (f'[{GOOD}, {{ kind = "curvy", router = "{QUOTER}" }}]', "positions[0].route[1].kind", 'did you mean "curve"?'),
        (f'[{GOOD}, {{ kind = "curve", ruoter = "" }}]', "positions[0].route[1].ruoter", 'did you mean "router"?'),
        (f'[{GOOD}, {{ kind = "curve" }}]', "positions[0].route[1].router", "is required"),
        (f"[{GOOD}, 5]", "positions[0].route[1]", "must be a table"),
        ("5", "positions[0].route", "must be a table"),
    ],
)
def test_mistakes_in_routes_are_named(route: str, key: str, says: str, tmp_path: Path) -> None:
    said = problems(BASE + POSITION + f"route = {route}", tmp_path)

    assert f"{key}\n" in said or f"{key} =" in said
    assert says in said


def test_a_payout_to_any_router_or_quoter_is_refused(tmp_path: Path) -> None:
    route = f'route = [{GOOD}, {{ kind = "uniswap-v3", router = "{TOKEN}", quoter = "{QUOTER}" }}]\n'

    for address, what in ((TOKEN, "router"), (QUOTER, "quoter")):
        payout = f'payout = {{ share = "10%", to = "{address}" }}\n'
        assert f"is its {what}" in problems(BASE + POSITION + route + payout, tmp_path)
