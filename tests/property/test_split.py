"""The three parts of a harvest: they sum to it, the cap holds, and nothing is bought that is hardly worth its gas."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.money import BPS, WAD, Address
from keeper.domain.position import StrategyOptions
from keeper.strategy.split import SELL_GAS, UNWRAP_GAS, GasMoney, parts

FRIEND = Address("0x" + "77" * 20)
ETHER = 3_000 * WAD
GWEI = 10**9

harvests = st.integers(-WAD, 10**9 * WAD)
balances = st.none() | st.builds(GasMoney, st.integers(0, 10**21), st.integers(0, 10**13))
choices = st.builds(
    lambda share, keep, most: StrategyOptions(
        payout_bps=share, payout_to=FRIEND if share else None, gas_keep_wei=keep, gas_share_bps=most
    ),
    st.integers(0, 9_900),
    st.integers(0, 10**21),
    st.integers(1, 5_000),
)


def saving(keep=10**17, most=2_000, share=0) -> StrategyOptions:
    return StrategyOptions(payout_bps=share, payout_to=FRIEND if share else None, gas_keep_wei=keep, gas_share_bps=most)


@given(harvests, choices, balances, st.integers(0, 10**6 * WAD), st.sampled_from([SELL_GAS, UNWRAP_GAS]))
def test_the_parts_sum_to_the_whole_and_none_is_negative(reward, options, money, price, gas):
    found = parts(reward, options, money, price, gas)

    assert found.payout_bps + found.top_up_bps + found.rest_bps == BPS
    assert found.payout_usd + found.top_up_usd + found.rest_usd == max(reward, 0)
    assert min(found.payout_bps, found.top_up_bps, found.rest_bps) >= 0
    assert min(found.payout_usd, found.top_up_usd, found.rest_usd) >= 0


@given(harvests, choices, balances, st.integers(0, 10**6 * WAD), st.none() | st.integers(0, 10**6 * WAD))
def test_the_cap_holds_and_no_more_is_bought_than_is_missing_or_there(reward, options, money, price, most):
    found = parts(reward, options, money, price, SELL_GAS, most)

    assert found.top_up_bps <= options.gas_share_bps
    assert found.payout_bps == options.payout_bps
    missing = max(options.gas_keep_wei - money.balance_wei, 0) if money else 0
    assert found.top_up_usd <= missing * price // WAD
    assert most is None or found.top_up_usd <= most
    if found.top_up_bps:
        assert found.top_up_usd >= 10 * (SELL_GAS * money.price_wei * price // WAD)


@given(harvests, choices, balances, st.integers(0, 10**6 * WAD), st.integers(0, 10**6 * WAD))
def test_more_gas_money_never_buys_more(reward, options, money, price, more):
    richer = None if money is None else GasMoney(money.balance_wei + more, money.price_wei)

    assert parts(reward, options, richer, price).top_up_bps <= parts(reward, options, money, price).top_up_bps


def test_what_is_missing_is_bought_up_to_the_cap_and_not_beyond():
    worth = 1_000 * WAD
    assert parts(worth, saving(), GasMoney(10**17, GWEI), ETHER).top_up_bps == 0, "enough is there"
    assert parts(worth, saving(), GasMoney(9 * 10**16, GWEI), ETHER).top_up_usd == 30 * WAD, "0.01 is missing"
    assert parts(worth, saving(), GasMoney(0, GWEI), ETHER).top_up_usd == 200 * WAD, "capped: 0.1 is $300"
    assert parts(worth, saving(), None, ETHER).top_up_bps == 0, "nobody knows the balance"
    assert parts(worth, saving(keep=0), GasMoney(0, GWEI), ETHER).top_up_bps == 0, "not asked for"


def test_a_top_up_is_worth_ten_times_its_own_gas():
    short = GasMoney(10**17 - 26 * 10**14, GWEI)  # 0.0026 are missing, selling costs 0.00025
    assert parts(1_000 * WAD, saving(), short, ETHER).top_up_bps > 0
    dearer = GasMoney(short.balance_wei, 2 * GWEI)
    assert parts(1_000 * WAD, saving(), dearer, ETHER).top_up_bps == 0
    assert parts(1_000 * WAD, saving(), dearer, ETHER, UNWRAP_GAS).top_up_bps > 0
    tiny = saving(most=10)
    assert parts(1_000 * WAD, tiny, GasMoney(0, GWEI // 10), ETHER).top_up_bps == 10
    assert parts(100 * WAD, tiny, GasMoney(0, GWEI // 10), ETHER).top_up_bps == 0, "ten cents, bought for eight"


def test_a_share_without_anybody_to_pay_it_to_is_none():
    assert parts(WAD, StrategyOptions(payout_bps=2_000)).payout_bps == 0


def test_three_parts_of_a_thousand_dollars():
    found = parts(1_000 * WAD, saving(share=3_000, most=1_000), GasMoney(0, GWEI), ETHER)

    assert (found.payout_usd, found.top_up_usd, found.rest_usd) == (300 * WAD, 100 * WAD, 600 * WAD)
