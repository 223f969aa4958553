"""Options of the strategy: as a person writes them, as the engine takes them, and whose value is in force."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keeper.cli.output import jsonable
from keeper.config.catalogue import Catalogue
from keeper.config.loader import Loaded, load
from keeper.config.plugins import Plugins, installed_catalogue, load_policies
from keeper.config.show import rows, toml
from keeper.domain.money import Address
from keeper.domain.position import RewardsEnd, StrategyOptions
from keeper.errors import ConfigError
from keeper.policies.builtin import rule as load_rule
from keeper.ports import ParamSpec

FARM = Address("0x" + "a1" * 20)
OWNER = Address("0x" + "b2" * 20)
FRIEND = Address("0x" + "77" * 20)
CATALOGUE = Catalogue(
    protocols={"farm": {"pid": ParamSpec("int", required=True, doc="Pool number.")}},
    policies=frozenset({"rule", "daily"}),
)
BASE = f"""
[chains.bnb]
rpc = ["https://one.example"]
[chains.ethereum]
rpc = ["https://two.example"]
[signers.me]
kind = "keystore"
path = "key.json"
password_env = "PASSWORD"
[[positions]]
id = "one"
chain = "bnb"
protocol = "farm"
target = "{FARM}"
pid = 2
"""
SIGNED, WATCHED = 'signer = "me"\n', f'owner = "{OWNER}"\n'


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(text: str, env: dict[str, str] | None = None) -> Loaded:
    Path("keeper.toml").write_text(text)
    return load((), env or {}, catalogue=CATALOGUE, secrets=False, dotenv=None)


def options(text: str, env: dict[str, str] | None = None) -> StrategyOptions:
    (position,) = loaded(BASE + WATCHED + text, env).positions()
    return position.options


def test_a_position_that_says_nothing_has_the_defaults_of_the_domain() -> None:
    assert options("") == StrategyOptions()


def test_every_option_becomes_the_domain_value() -> None:
    text = f"""
policy = "daily"
max_interval = "30d"
exit = 2047-06-01
target_yield = "4%/yr"
rate_drift = "-50%/yr"
rewards_end = "final"
max_harvests_per_year = 12
exits_per_year = "0.5"
lock_premium = "2.5%/yr"
payout = {{ share = "20%", to = "{FRIEND}" }}
gas_top_up = {{ keep = "0.05", max_share = "15%" }}
batch = "weekly"
candidates = ["two"]
exit_cost = "0.1%"
entry_cost = 20
[batches.weekly]
shared_cost = "$3"
[[positions]]
id = "two"
chain = "bnb"
protocol = "farm"
target = "{FARM}"
pid = 3
owner = "{FRIEND}"
"""
    first, _ = loaded(BASE + WATCHED + text).positions()

    assert first.options == StrategyOptions(
        policy="daily",
        max_interval_seconds=30 * 86_400,
        exit_at=int(datetime(2047, 6, 1, tzinfo=UTC).timestamp()),
        target_yield_bps=400,
        rate_drift_bps=-5_000,
        rewards_end=RewardsEnd.FINAL,
        max_harvests_per_year=12,
        exits_per_year_milli=500,
        lock_premium_bps=250,
        payout_bps=2_000,
        payout_to=FRIEND,
        gas_keep_wei=5 * 10**16,
        gas_share_bps=1_500,
        batch="weekly",
        candidates=("two",),
        exit_cost_bps=10,
        entry_cost_bps=20,
    )


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2047-06-01", datetime(2047, 6, 1, tzinfo=UTC)),
        ('"2047-06-01"', datetime(2047, 6, 1, tzinfo=UTC)),
        ("2047-06-01T18:30:00Z", datetime(2047, 6, 1, 18, 30, tzinfo=UTC)),
        ("2047-06-01T18:30:00", datetime(2047, 6, 1, 18, 30, tzinfo=UTC)),
        ('"2047-06-01 18:30"', datetime(2047, 6, 1, 18, 30, tzinfo=UTC)),
        ('"2047-06-01T18:30:00+02:00"', datetime(2047, 6, 1, 16, 30, tzinfo=UTC)),
    ],
)
def test_an_exit_is_a_day_or_a_moment_in_utc(written: str, moment: datetime) -> None:
    assert options(f"exit = {written}").exit_at == int(moment.timestamp())


def test_an_exit_that_has_just_passed_stops_no_restart_and_one_long_past_is_a_slip(monkeypatch) -> None:
    day = datetime(2047, 6, 1, tzinfo=UTC).timestamp()
    monkeypatch.setattr("keeper.config.checks.time.time", lambda: day + 5 * 86_400)
    assert options("exit = 2047-06-01").exit_at == int(day)
    monkeypatch.setattr("keeper.config.checks.time.time", lambda: day + 366 * 86_400)
    with pytest.raises(ConfigError, match=r"positions\[0\].exit = 2047-06-01\n  is long past: write the day"):
        options("exit = 2047-06-01")


def test_every_option_can_be_set_from_the_environment() -> None:
    found = options(
        "",
        {
            "KEEPER_POSITIONS__0__EXIT": "2047-06-01",
            "KEEPER_POSITIONS__0__PAYOUT__SHARE": "30%",
            "KEEPER_POSITIONS__0__PAYOUT__TO": FRIEND,
            "KEEPER_POSITIONS__0__GAS_TOP_UP__KEEP": "2",
            "KEEPER_POSITIONS__0__EXITS_PER_YEAR": "2",
            "KEEPER_POSITIONS__0__MAX_HARVESTS_PER_YEAR": "9",
            "KEEPER_STRATEGY__PAYBACK": "100d",
        },
    )

    assert found == StrategyOptions(
        exit_at=int(datetime(2047, 6, 1, tzinfo=UTC).timestamp()),
        payout_bps=3_000,
        payout_to=FRIEND,
        gas_keep_wei=2 * 10**18,
        exits_per_year_milli=2_000,
        max_harvests_per_year=9,
        payback_seconds=100 * 86_400,
    )


STRATEGY = (
    '[strategy]\npolicy = "daily"\nrisk_factor = "0.8"\npayback = "90d"\nmax_slippage = "2%"\nmin_interval = "6h"\n'
)


def test_positions_take_over_what_they_do_not_say_themselves() -> None:
    plain = options(STRATEGY)
    own = options('payback = "30d"\nmin_interval = "0s"\n' + STRATEGY)

    assert (plain.risk_factor_bps, plain.payback_seconds) == (8_000, 90 * 86_400)
    assert (plain.max_slippage_bps, plain.min_interval_seconds, plain.policy) == (200, 21_600, "")
    assert (own.risk_factor_bps, own.payback_seconds, own.min_interval_seconds) == (8_000, 30 * 86_400, 0)


def test_show_names_whose_value_is_in_force() -> None:
    shown = {row.key: row for row in rows(loaded(BASE + WATCHED + 'payback = "30d"\n' + STRATEGY))}

    assert (shown["positions[0].payback"].value, shown["positions[0].payback"].origin) == ("30d", "keeper.toml")
    assert shown["positions[0].risk_factor"].value == "0.8"
    assert shown["positions[0].risk_factor"].origin == "keeper.toml: strategy.risk_factor"
    assert shown["positions[0].policy"].origin == "keeper.toml: strategy.policy"
    assert shown["strategy.payback"].value == "90d"
    plain = {row.key: row.origin for row in rows(loaded(BASE + WATCHED))}
    assert plain["strategy.payback"] == "default"
    assert "positions[0].payback" not in plain


def test_show_spells_dates_policies_and_batches_so_that_they_can_be_read_again() -> None:
    text = 'exit = 2047-06-01\n[policies.mine]\ncommand = ["python3", "p.py"]\n[batches.b]\nshared_cost = "$3"\n'
    shown = rows(loaded(BASE + WATCHED + text))
    by_key = {row.key: toml(row.value) for row in shown}

    assert by_key["positions[0].exit"] == '"2047-06-01"'
    assert by_key["policies.mine.command"] == '["python3", "p.py"]'
    assert by_key["policies.mine.timeout"] == '"2s"'
    assert by_key["batches.b.shared_cost"] == '"$3"'
    assert jsonable(shown)


def test_a_mistake_in_the_defaults_is_told_once() -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(BASE + WATCHED + STRATEGY.replace('"90d"', '"soon"'))

    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith("keeper.toml: strategy.payback")


def test_the_tables_are_there_with_their_defaults() -> None:
    settings = loaded(BASE + WATCHED).settings

    assert settings.strategy.policy == "rule"
    assert (settings.policies, settings.batches) == ({}, {})
    assert settings.keeper.history == 400 * 86_400
    assert (settings.report.currency, settings.report.currency_feed) == ("USD", None)


def test_policies_batches_and_the_report_come_out_as_written() -> None:
    text = f"""
policy = "mine"
[policies.mine]
command = ["python3", "my policy.py"]
timeout = "5s"
[batches.b]
shared_cost = "$3"
shared_gas = 60000
[keeper]
history = "30d"
[report]
currency = "EUR"
currency_chain = "ethereum"
currency_feed = "{FRIEND}"
"""
    settings = loaded(BASE + WATCHED + text).settings

    assert settings.positions[0].policy == "mine"
    assert (settings.policies["mine"].command, settings.policies["mine"].timeout) == (("python3", "my policy.py"), 5)
    assert (settings.batches["b"].shared_cost, settings.batches["b"].shared_gas) == (3 * 10**18, 60_000)
    assert settings.keeper.history == 30 * 86_400
    report = settings.report
    assert (report.currency, report.currency_chain, report.currency_feed) == ("EUR", "ethereum", FRIEND)
    assert report.currency_max_age == 3 * 86_400


def test_a_payout_to_the_keys_own_account_is_refused_as_soon_as_the_key_is_known() -> None:
    found = loaded(BASE + SIGNED + f'payout = {{ share = "20%", to = "{OWNER}" }}\n')

    assert found.positions({"me": FRIEND})[0].options.payout_to == OWNER
    with pytest.raises(ConfigError, match=r"positions\[0\].payout.to: is the owner's own account"):
        found.positions({"me": OWNER})


def test_every_installed_policy_may_be_named_and_any_multiple_of_the_cost() -> None:
    installed = load_policies()

    assert installed["rule"].name == "rule"
    assert set(installed) == installed_catalogue().policies
    for name in (*installed, "r>37g", "r>2.5g"):
        text = BASE + WATCHED + f'policy = "{name}"\n'
        Path("keeper.toml").write_text(text)
        assert load((), {}, catalogue=replace(CATALOGUE, policies=frozenset(installed)), dotenv=None, secrets=False)


def test_a_plugin_that_is_no_policy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "keeper.config.plugins.discover",
        lambda _: Plugins({"mine": object(), "rule": load_rule()}, {"bad": "Oops: no"}),
    )
    with pytest.raises(ConfigError) as caught:
        load_policies()

    bad, mine = caught.value.problems
    assert "plugin bad of keeper.policies does not load (Oops: no)" in bad
    assert "it gives object, which is no policy named mine" in mine
