"""Advice about moving money: never both ways, blind to the currency, never brought about by a higher price."""

from __future__ import annotations

from dataclasses import replace

from advice_kit import candidate, numbers_of, observation_of
from hypothesis import example, given
from hypothesis import strategies as st

from keeper.domain.decision import CostParts, DecisionNumbers, ReasonCode
from keeper.domain.money import WAD, UsdWad
from keeper.strategy.advice import Candidate, advise
from keeper.strategy.breakeven import cost_limit, earns_its_cost, principal_limit, scaled
from keeper.strategy.switching import compare, worth
from keeper.strategy.threshold import Economics, Rule, evaluate

NOW = observation_of().block.timestamp
DAY = 86_400

money = st.integers(10**17, 10**25)  # $0.10 to $10,000,000
rates = st.integers(10**15, 3 * 10**18)  # 0.1 % to 300 % a year


@st.composite
def farms(draw, name: str) -> Candidate:
    cost = draw(st.integers(10**14, 10**20))
    restart = draw(st.just(0) | st.integers(0, cost))
    parts = CostParts(gas_usd=UsdWad(cost), restart_usd=UsdWad(restart))
    ends = draw(st.none() | st.integers(0, 800 * DAY))
    numbers = numbers_of(
        draw(money),
        draw(rates),
        reward=0,
        depth=draw(st.none() | money),
        drift=draw(st.integers(-(10**18), 5 * 10**17)),
        parts=parts,
        horizon_seconds=ends,
    )
    seen = observation_of(
        name, share_ppm=draw(st.just(0) | st.integers(0, 10**6)), deposit_fee_bps=draw(st.integers(0, 400))
    )
    return candidate(
        name,
        numbers,
        seen=seen,
        payback_seconds=draw(st.integers(DAY, 3 * 365 * DAY)),
        exit_at=draw(st.none() | st.integers(NOW - DAY, NOW + 1000 * DAY)),
        reward_drift_bps=draw(st.just(0) | st.integers(-10_000, 5_000)),
        rate_drift_bps=draw(st.just(0) | st.integers(-20_000, 5_000)),
        exit_cost_bps=draw(st.integers(0, 500)),
        entry_cost_bps=draw(st.integers(0, 500)),
    )


@st.composite
def rivals(draw, name: str) -> Candidate:
    """Farms so much alike that size decides: the one pays better, the other compounds more cheaply."""
    cost = CostParts(gas_usd=UsdWad(10 ** draw(st.integers(14, 21))))
    numbers = numbers_of(10 ** draw(st.integers(19, 25)), draw(st.integers(10**17, 3 * 10**17)), reward=0, parts=cost)
    return candidate(name, numbers, payback_seconds=draw(st.integers(1, 10)) * 365 * DAY)


def told(here: Candidate, there: Candidate) -> tuple[ReasonCode, ...]:
    assert here.observation is not None
    found = advise(here.position, here.observation, here.numbers, candidates=[there], now=NOW)
    return tuple(reason.code for reason in found)


def larger(one: Candidate, times: int) -> Candidate:
    n = one.numbers
    assert n is not None
    money = {f: getattr(n, f) for f in DecisionNumbers.__dataclass_fields__ if f.endswith("_usd") or "_usd_per_" in f}
    parts = CostParts(*(UsdWad(getattr(n.cost_parts, f) * times) for f in CostParts.__dataclass_fields__))
    grown = {f: None if v is None else UsdWad(v * times) for f, v in money.items()}
    return replace(one, numbers=replace(n, **grown, cost_parts=parts))


def rival(name: str, staked: str, apr: str, cost: str) -> Candidate:
    return candidate(name, numbers_of(staked, apr, cost=cost, reward=0), payback_seconds=10 * 365 * DAY)


@given(farms("a") | rivals("a"), farms("b") | rivals("b"))
@example(rival("a", "20000", "0.112", "100"), rival("b", "10000000", "0.11", "0.01"))
def test_moving_there_and_back_is_never_advised_both(a, b):
    there, back = ReasonCode.SWITCH in told(a, b), ReasonCode.SWITCH in told(b, a)
    assert not (there and back)


@given(farms("a"), farms("b"))
def test_an_advised_move_gains_more_than_a_hundredth_after_all_cost(a, b):
    move = compare(a, b, NOW)
    if ReasonCode.SWITCH in told(a, b):
        assert move is not None
        assert move.net > 0
        assert move.net * 100 >= move.principal
        assert move.payback_seconds is not None
        assert move.payback_seconds <= move.horizon


@given(farms("a"), farms("b"), st.integers(2, 10**4))
def test_counting_in_another_currency_changes_no_advice(a, b, times):
    move = compare(a, b, NOW)
    if move is not None:
        edges = (move.net, move.net * 100 - move.principal, move.moved - move.stays)
        if min(map(abs, edges)) < move.principal // 10**6:
            return  # within rounding of an edge
    assert told(a, b) == told(larger(a, times), larger(b, times))


@given(farms("a"), farms("b"), st.integers(0, 3_000), st.booleans())
def test_a_higher_price_of_moving_never_brings_the_advice_about(a, b, more, leaving):
    payer, key = (a, "exit_cost_bps") if leaving else (b, "entry_cost_bps")
    options = replace(payer.position.options, **{key: getattr(payer.position.options, key) + more})
    dearer = replace(payer, position=replace(payer.position, options=options))
    before, after = told(a, b), told(dearer, b) if leaving else told(a, dearer)
    if ReasonCode.SWITCH in after:
        assert ReasonCode.SWITCH in before


@given(farms("a"))
def test_no_move_to_a_twin_is_advised(a):
    twin = replace(a, position=replace(a.position, id="b"))
    assert ReasonCode.SWITCH not in told(a, twin)


@given(farms("a"), money, st.integers(0, 900 * DAY))
def test_what_a_stake_is_worth_is_never_below_nothing_and_entering_never_adds(a, stake, seconds):
    assert worth(a, stake, seconds) >= 0
    numbers = a.numbers
    if numbers is not None and numbers.depth_usd is None:
        assert worth(a, stake, seconds, entering=True) <= worth(a, stake, seconds)


# ---------------------------------------------------------------------------- the rule read backwards


@st.composite
def economies(draw) -> Economics:
    principal, apr = draw(money), draw(rates)
    depth = draw(st.none() | money)
    return Economics(
        UsdWad(principal),
        UsdWad(0),
        UsdWad(draw(st.integers(10**14, 10**20))),
        UsdWad(principal * apr // WAD),
        apr,
        None if depth is None else UsdWad(depth),
    )


def gains(e: Economics) -> bool:
    return evaluate(e, Rule()).gain_per_year > 0


@given(economies(), st.just(0) | st.integers(0, 999_999))
def test_the_smallest_stake_gains_and_a_hundredth_less_does_not(e, share):
    least = principal_limit(e, own_share_ppm=share)
    if least is None:
        assert not gains(e)
        return
    assert gains(scaled(e, least, own_share_ppm=share)) or evaluate(e, Rule()).harvests_milli in range(1413, 1417)
    if least > 1_000:
        assert not gains(scaled(e, least * 99 // 100, own_share_ppm=share))


@given(economies())
def test_without_dilution_there_is_always_a_size_at_which_it_pays(e):
    assert principal_limit(e) is not None


@given(economies())
def test_the_highest_cost_gains_and_a_hundredth_more_does_not(e):
    most = cost_limit(e)
    if most > 10**6:
        assert evaluate(replace(e, cost=most), Rule()).harvests_milli >= 1_413
        assert not gains(replace(e, cost=UsdWad(most * 101 // 100)))
        assert earns_its_cost(replace(e, cost=most))


@given(economies(), st.integers(1, 10**6))
def test_another_size_and_back_is_the_same_farm(e, times):
    there = scaled(e, e.principal * times)
    assert there.yield_wad == e.yield_wad
    assert abs(scaled(there, e.principal).forward - e.forward) <= 1
