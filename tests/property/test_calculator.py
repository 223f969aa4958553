"""The calculator: its numbers are the rule's, and what it plays is what the formulas promise."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import assume, given
from hypothesis import strategies as st

from keeper.domain.money import WAD, UsdWad, usd
from keeper.strategy.calculator import Farm, economics_of, forecast, played
from keeper.strategy.numbers import SECONDS_PER_YEAR
from keeper.strategy.threshold import Rule, evaluate

DAY = 86_400

money = st.integers(10**18, 10**26)


@st.composite
def farms(draw, drift: bool = True, sale: bool = True) -> Farm:
    return Farm(
        principal=UsdWad(draw(money)),
        apr_wad=draw(st.integers(10**15, 2 * 10**18)),
        cost=UsdWad(draw(st.integers(10**14, 10**20))),
        fee_bps=draw(st.integers(0, 300)) if sale else 0,
        depth=UsdWad(draw(money)) if sale and draw(st.booleans()) else None,
        share_ppm=draw(st.just(0) | st.integers(0, 900_000)) if sale else 0,
        drift_bps=draw(st.integers(-10_000, 5_000)) if drift else 0,
        horizon=draw(st.none() | st.integers(DAY, 3 * SECONDS_PER_YEAR)),
    )


@given(farms(), st.integers(5_000, 10_000), st.integers(DAY, 5 * SECONDS_PER_YEAR))
def test_the_plans_numbers_are_the_rules(farm, risk, payback):
    rule = Rule(risk, payback)
    found = forecast(farm, rule)
    assert found.economics == economics_of(farm)
    assert found.thresholds == evaluate(economics_of(farm), rule)
    assert found.sizes[1].thresholds == found.thresholds
    assert found.thresholds.gain_per_year > 0 or not found.pays


@given(farms(drift=False, sale=False))
def test_never_earns_what_accrues(farm):
    found = forecast(farm)
    (never,) = [rhythm for rhythm in found.rhythms if rhythm.name == "never"]
    expected = found.economics.forward * found.time // SECONDS_PER_YEAR
    assert (never.compounds, never.cost) == (0, 0)
    assert abs(never.earned - expected) <= 1


@given(farms())
def test_what_is_called_worth_it_earns_more_than_never(farm):
    found = forecast(farm)
    rhythms = {rhythm.name: rhythm for rhythm in found.rhythms}
    assert (rhythms["rule"].earned > rhythms["never"].earned) is found.pays
    assert all((size.against_never > 0) is (size.compounds > 0) for size in found.sizes)


@given(farms(drift=False))
def test_where_first_order_is_enough_the_play_bears_the_rule_out(farm):
    found = forecast(farm)
    assume(farm.apr_wad * found.time < WAD * SECONDS_PER_YEAR)
    assume(farm.depth is None or farm.depth > 20 * found.economics.forward * found.time // SECONDS_PER_YEAR)
    if found.thresholds.harvests_milli * found.time > 1_600 * SECONDS_PER_YEAR and found.thresholds.gain_per_year:
        assert found.pays


@given(money, st.integers(10**15, 10**17), st.integers(2, 150))
def test_what_is_promised_is_what_is_played_to_first_order(principal, apr, often):
    cost = max(principal * apr // WAD * apr // WAD // (2 * often**2), 1)  # so that n* is as often, at up to 10 % a year
    found = forecast(Farm(UsdWad(principal), apr, UsdWad(cost)))
    rhythms = {rhythm.name: rhythm for rhythm in found.rhythms}
    gain = rhythms["rule"].earned - rhythms["never"].earned
    assert abs(gain - found.thresholds.gain_per_year) <= found.thresholds.gain_per_year // 8 + cost // 3 + 10**4


@given(farms(drift=False, sale=False), st.integers(0, 60))
def test_playing_is_compound_interest(farm, compounds):
    e = economics_of(replace(farm, horizon=None))
    period = Decimal(1) / (compounds + 1)
    stake = apr = Decimal(0)
    apr = Decimal(e.yield_wad) / WAD
    for part in range(compounds + 1):
        stake += (Decimal(e.forward) + stake * apr) * period - (e.cost if part < compounds else 0)
    assert abs(played(e, compounds, SECONDS_PER_YEAR) - stake) <= 10**6 + abs(stake) / 10**12


@given(farms(), st.integers(2, 10**6))
def test_another_currency_changes_no_answer(farm, times):
    larger = replace(
        farm,
        principal=UsdWad(farm.principal * times),
        cost=UsdWad(farm.cost * times),
        depth=None if farm.depth is None else UsdWad(farm.depth * times),
    )
    small, large = forecast(farm), forecast(larger)
    assert abs(large.thresholds.harvests_milli - small.thresholds.harvests_milli) <= 1
    if abs(small.thresholds.harvests_milli - 1_414) > 100 and farm.horizon is None and farm.depth is None:
        assert small.pays == large.pays


def test_the_farm_of_the_documents():
    found = forecast(Farm(usd(10_000), usd("0.2"), usd(2)))
    rhythms = {rhythm.name: (rhythm.compounds, round(Decimal(rhythm.earned) / WAD, 2)) for rhythm in found.rhythms}
    assert rhythms == {
        "never": (0, Decimal("2000.00")),
        "weekly": (52, Decimal("2094.33")),
        "daily": (364, Decimal("1407.48")),
        "rule": (9, Decimal("2170.04")),
    }
    assert (found.least_principal, found.most_cost) == (usd(200), usd(100))
