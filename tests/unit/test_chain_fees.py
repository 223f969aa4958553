"""Fees: the next block's base fee, a sane tip, legacy prices, L1 data."""

import eth_abi
import pytest
from chain_kit import Events, make_facts, stub
from hypothesis import given
from hypothesis import strategies as st

from keeper.chain import fees
from keeper.chain.endpoint import Endpoint
from keeper.chain.pool import Pool
from keeper.chain.retry import Retry
from keeper.errors import BadReply, ReadFailed

GWEI = 10**9
FACTS = make_facts(tip_floor_wei=GWEI, tip_cap_wei=3 * GWEI)


class Canned:
    """A pool that answers from a table."""

    def __init__(self, **answers):
        self.answers = answers

    def call(self, method, _params=()):
        return self.answers[method]


def history(bases, rewards, used=None):
    return {
        "baseFeePerGas": [hex(base) for base in bases],
        "reward": [[hex(fee) for fee in block] for block in rewards],
        "gasUsedRatio": used or [0.5] * len(rewards),
    }


def test_the_last_entry_is_the_next_block():
    quote = fees.quote(Canned(eth_feeHistory=history([20 * GWEI, 22 * GWEI], [[GWEI, 3 * GWEI]])), FACTS)
    assert (quote.base_fee_wei, quote.tip_wei, quote.eip1559) == (22 * GWEI, 2 * GWEI, True)
    assert quote.price_wei == 24 * GWEI


def test_empty_blocks_say_nothing_about_tips():
    rewards = [[0, 0]] * 8 + [[2 * GWEI, 2 * GWEI]] * 2
    assert (
        fees.quote(Canned(eth_feeHistory=history([GWEI] * 11, rewards, [0.0] * 8 + [0.9] * 2)), FACTS).tip_wei
        == 2 * GWEI
    )


@pytest.mark.parametrize("absurd", [10**15, 10**30])
def test_absurd_tips_do_not_set_the_bid(absurd):
    rewards = [[absurd, absurd]] * 6 + [[GWEI, GWEI]] * 4
    tip = fees.quote(Canned(eth_feeHistory=history([GWEI] * 11, rewards)), FACTS).tip_wei
    assert tip == GWEI if absurd > 1000 * FACTS.tip_cap_wei else tip <= FACTS.tip_cap_wei


@pytest.mark.parametrize("reward", [None, [], [None], [[]], "x"])
def test_missing_tips_mean_the_floor(reward):
    answer = {"baseFeePerGas": ["0x1", "0x1"], "gasUsedRatio": [0.5], "reward": reward}
    assert fees.quote(Canned(eth_feeHistory=answer), FACTS).tip_wei == GWEI


@pytest.mark.parametrize(
    "answer", [None, [], "x", {}, {"baseFeePerGas": []}, {"baseFeePerGas": ["x"]}, {"baseFeePerGas": [None]}]
)
def test_nonsense_is_bad(answer):
    with pytest.raises(BadReply):
        fees.quote(Canned(eth_feeHistory=answer), FACTS)


def test_a_base_fee_that_jumps_a_thousandfold_is_bad():
    with pytest.raises(BadReply):
        fees.quote(Canned(eth_feeHistory=history([GWEI, 10**15], [[GWEI]])), FACTS)


@given(st.lists(st.lists(st.integers(0, 10**20), min_size=2, max_size=2), max_size=12))
def test_the_tip_is_always_within_floor_and_cap(rewards):
    tip = fees.quote(Canned(eth_feeHistory=history([GWEI] * (len(rewards) + 1), rewards)), FACTS).tip_wei
    assert FACTS.tip_floor_wei <= tip <= FACTS.tip_cap_wei


@pytest.mark.parametrize(("said", "bid"), [(0, GWEI), (2 * GWEI, 2 * GWEI), (10**15, 3 * GWEI)])
def test_legacy_chains_bid_a_gas_price_within_bounds(said, bid):
    facts = make_facts(fee_model="legacy", tip_floor_wei=GWEI, tip_cap_wei=3 * GWEI)
    quote = fees.quote(Canned(eth_gasPrice=hex(said)), facts)
    assert (quote.base_fee_wei, quote.tip_wei, quote.eip1559) == (0, bid, False)


def test_a_node_without_fee_history_is_asked_for_its_header():
    def answer(method, _params):
        if method == "eth_feeHistory":
            return {"error": {"code": -32601, "message": "no"}}
        return "0x7a69" if method == "eth_chainId" else {"baseFeePerGas": hex(80)}

    with stub(answer) as server:
        pool = Pool("local", 31337, [Endpoint(server.url)], events=Events(), retry=Retry(attempts=1))
        assert fees.quote(pool, FACTS).base_fee_wei == 90


def test_l1_data_is_asked_of_the_oracle_only_on_op_stack_chains():
    asked = []

    def answer(method, params):
        asked.append(params)
        return "0x7a69" if method == "eth_chainId" else "0x" + (5).to_bytes(32, "big").hex()

    with stub(answer) as server:
        pool = Pool("local", 31337, [Endpoint(server.url)], events=Events(), retry=Retry(attempts=1))
        assert fees.l1_fee_wei(pool, make_facts(l1_fee="arbitrum"), b"abc") == 0
        assert not asked
        assert fees.l1_fee_wei(pool, make_facts(l1_fee="op-stack"), b"abc") == 5
    call = asked[-1][0]
    assert call["to"] == "0x420000000000000000000000000000000000000f"
    (sent,) = eth_abi.decode(["bytes"], bytes.fromhex(call["data"][10:]))
    assert sent.startswith(b"abc")
    assert len(sent) == 3 + 96


def test_an_oracle_that_is_none_is_a_failed_read():
    with pytest.raises(ReadFailed):
        fees.l1_fee_wei(Canned(eth_call="0x"), make_facts(l1_fee="op-stack"), b"")
