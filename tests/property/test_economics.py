"""Every row of the table of m, several rewards, fees, shares: from an observation to what the rule looks at."""

from __future__ import annotations

from dataclasses import replace
from math import isclose

from adapter_kit import BLOCK, addr, token
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.money import BPS, WAD, Amount, UsdWad, usd
from keeper.domain.observation import Accrual, Observation
from keeper.domain.valuation import Quote, TokenPrice, Valuation
from keeper.strategy.economics import SaleTerms, Terms, economics, net_of_sale
from keeper.strategy.threshold import Rule, evaluate, pressure

STAKE, ONE, TWO, NATIVE = token(1, "LP"), token(2, "CRV"), token(3, "CVX"), token(7, "WETH")
TOKENS = (STAKE, ONE, TWO, NATIVE)


def quoted(t):
    return TokenPrice(t, usd(1), usd(1), (Quote(t, usd(1), "chainlink", 0),))


VALUATION = Valuation(BLOCK, tuple(quoted(t) for t in TOKENS), quoted(NATIVE))
#: The worked example: $10,000 staked, $50 pending, $2,000 a year, $2 a compound.
S, R, F, G = usd(10_000), usd(50), usd(2_000), usd(2)
dollars = st.integers(10**18, 10**25)


def seen(principal=S, pending=R, yearly=F, *, share=0, ends_at=None, **changes) -> Observation:
    accrual = Accrual(Amount(ONE, yearly), share, ends_at)
    made = Observation("p", BLOCK, Amount(STAKE, principal), (Amount(ONE, pending),), (accrual,))
    return replace(made, **changes)


def of(observation, *, sales=None, cost=G, **terms):
    return economics(
        observation=observation,
        accruals=observation.accruals,
        pending=observation.pending,
        valuation=VALUATION,
        sales=sales or {},
        cost=UsdWad(cost),
        terms=Terms(**terms),
    )


def test_proportional_reward_earns_what_the_stake_earns():
    assert of(seen()).yield_wad == usd("0.2")


@given(share=st.integers(0, 10**6))
def test_a_fixed_emission_is_diluted_by_the_own_share(share):
    assert of(seen(share=share)).yield_wad == usd("0.2") * (10**6 - share) // 10**6


def test_owning_the_whole_pool_means_that_compounding_earns_nothing():
    e = of(seen(share=10**6))
    assert e.yield_wad == 0
    assert evaluate(e, Rule()).reward is None


@given(bps=st.integers(0, 50_000))
def test_another_target_counts_by_its_own_yield(bps):
    assert of(seen(), target_yield_bps=bps).yield_wad == bps * WAD // BPS


def test_ended_rewards_with_a_use_are_claimed_once_and_without_one_never():
    over = seen(ends_at=BLOCK.timestamp - 1)
    assert of(over).forward == 0
    assert evaluate(of(over), Rule()).reward is None
    used = evaluate(of(over, target_yield_bps=500), Rule())
    assert used.reward == usd(40)  # $40 at 5 % earn the $2 back within the year


@given(drift=st.integers(-30_000, 30_000))
def test_drift_is_subtracted(drift):
    assert of(seen(), drift_bps=drift).yield_wad == usd("0.2") - drift * WAD // BPS


def test_drift_does_not_matter_where_the_reward_is_the_stake():
    same = replace(seen(), accruals=(Accrual(Amount(STAKE, usd(2_000))),), pending=(Amount(STAKE, usd(50)),))
    assert of(same, drift_bps=-5_000).yield_wad == usd("0.2")


@given(kept=st.integers(0, BPS))
def test_only_what_is_kept_earns(kept):
    assert of(seen(), kept_bps=kept).yield_wad == usd("0.2") * kept // BPS
    assert of(seen(), kept_bps=kept).reward == usd(50)  # what is paid out is received, too


@given(fee=st.integers(0, BPS))
def test_a_deposit_fee_is_taken_from_reward_and_rate(fee):
    e, free = of(seen(deposit_fee_bps=fee)), of(seen())
    assert e.reward == free.reward * (BPS - fee) // BPS
    assert e.forward == free.forward * (BPS - fee) // BPS
    assert of(seen(deposit_fee_bps=fee), target_yield_bps=400).reward == free.reward  # another target takes no fee


@given(share=st.integers(1, 10**6))
def test_of_a_vault_the_own_share_counts(share):
    e, whole = of(seen(vault_share_ppm=share)), of(seen())
    assert e.principal == whole.principal * share // 10**6
    assert e.reward == whole.reward * share // 10**6
    assert isclose(e.yield_wad, whole.yield_wad, rel_tol=1e-9, abs_tol=1e9)


@given(first=dollars, second=dollars, deep=dollars, shallow=dollars)
def test_two_rewards_hurt_as_much_as_each_in_its_own_pool(first, second, deep, shallow):
    both = replace(seen(), accruals=(Accrual(Amount(ONE, first)), Accrual(Amount(TWO, second))))
    sales = {ONE.address: SaleTerms(0, UsdWad(deep)), TWO.address: SaleTerms(0, UsdWad(shallow))}
    e = of(both, sales=sales)
    # selling x of each share costs x^2*(F1^2/L1 + F2^2/L2) a year of waiting: the impact of one pool of depth L
    apart = first**2 / deep + second**2 / shallow
    assert isclose(2 * apart / (first + second), (pressure(e) - e.yield_wad) / WAD, rel_tol=1e-6, abs_tol=1e-12)
    assert min(deep, shallow) * 0.999 <= e.depth


@given(value=dollars, fee=st.integers(0, 9_999), depth=dollars)
def test_a_sale_never_brings_more_than_the_value(value, fee, depth):
    assert 0 <= net_of_sale(value, SaleTerms(fee, UsdWad(depth))) <= value
    assert net_of_sale(value, SaleTerms(fee, None)) >= net_of_sale(value, SaleTerms(fee, UsdWad(depth)))


def test_addresses_of_the_fixture_differ():
    assert len({t.address for t in TOKENS} | {addr(99)}) == len(TOKENS) + 1
