"""The nodes with geth's pool rules refuse, keep and forget what geth does; EDR vouches for what it knows."""

from __future__ import annotations

import time

import pytest
from eth_account import Account

from keeper.devnet.accounts import FARMER, WHALE
from keeper.errors import RpcRejected
from tests.faults.strict.edr import EdrNode, why_not
from tests.faults.strict.node import CHAIN_ID, StrictNode
from tests.faults.strict.pool import Rules

pytestmark = pytest.mark.devnet

GWEI = 10**9
ETHER = 10**18
OTHER = "0x1111111111111111111111111111111111111111"
ME = FARMER.address


def signed(nonce, *, fee=10 * GWEI, tip=GWEI, gas=21_000, value=0, data="0x", chain_id=CHAIN_ID, legacy=False):
    """A raw transfer from the farmer."""
    fields = {"nonce": nonce, "to": OTHER, "gas": gas, "value": value, "data": data}
    prices = {"gasPrice": fee} if legacy else {"maxFeePerGas": fee, "maxPriorityFeePerGas": tip}
    chain = {} if chain_id is None else {"chainId": chain_id}
    return "0x" + Account.sign_transaction({**fields, **prices, **chain}, FARMER.private_key).raw_transaction.hex()


class Bench:
    """One node, and what a sender does with it."""

    def __init__(self, node, name):
        self.node, self.name = node, name

    def send(self, nonce, **fields):
        return self.node.rpc("eth_sendRawTransaction", signed(nonce, **fields))

    def refusal(self, nonce, **fields):
        with pytest.raises(RpcRejected) as caught:
            self.send(nonce, **fields)
        return str(caught.value).lower()

    def count(self, tag):
        return int(self.node.rpc("eth_getTransactionCount", ME, tag), 16)

    def mined(self, tx_hash):
        return self.node.rpc("eth_getTransactionReceipt", tx_hash) is not None

    def spike(self, wei):
        prefix = "anvil" if self.name == "shim" else "hardhat"
        self.node.rpc(f"{prefix}_setNextBlockBaseFeePerGas", hex(wei))


@pytest.fixture(params=["shim", "edr"])
def bench(request):
    if request.param == "edr":
        if reason := why_not():
            pytest.skip(reason)
        with EdrNode({ME: ETHER}) as node:
            yield Bench(node, "edr")
    else:
        with StrictNode() as node:
            node.rpc("anvil_setBalance", ME, hex(ETHER))
            yield Bench(node, "shim")


@pytest.fixture
def strict():
    with StrictNode() as node:
        node.rpc("anvil_setBalance", ME, hex(ETHER))
        yield Bench(node, "shim")


# ------------------------------------------------------------------------------------- what both nodes agree upon


def test_a_replacement_must_raise_both_fields_by_a_tenth(bench):
    bench.send(0, fee=10 * GWEI, tip=GWEI)
    for fee, tip in [
        (10 * GWEI + 1, GWEI),
        (10 * GWEI + 1, GWEI + 1),
        (11 * GWEI, GWEI),
        (20 * GWEI, GWEI),
        (10 * GWEI, 2 * GWEI),
        (11 * GWEI - 1, 11 * GWEI // 10),
        (11 * GWEI, 11 * GWEI // 10 - 1),
    ]:
        assert "replacement transaction underpriced" in bench.refusal(0, fee=fee, tip=tip), (fee, tip)
    winner = bench.send(0, fee=11 * GWEI, tip=11 * GWEI // 10)
    bench.node.rpc("evm_mine")
    assert bench.mined(winner)
    assert bench.count("latest") == 1


def test_an_eighth_more_always_replaces_however_small_the_fees(bench):
    bench.spike(0)
    fee = tip = 1
    for _ in range(30):
        bench.send(0, fee=fee, tip=tip)
        fee, tip = -(-fee * 9 // 8), -(-tip * 9 // 8)


def test_a_gap_is_kept_and_closes(bench):
    second, third = bench.send(1), bench.send(2)
    assert bench.count("pending") == 0
    bench.node.rpc("evm_mine")
    assert not bench.mined(second)
    first = bench.send(0)
    assert bench.count("pending") == 3
    bench.node.rpc("evm_mine")
    assert all(bench.mined(tx) for tx in (first, second, third))


def test_what_is_too_cheap_for_the_next_block_is_kept_and_mined_when_the_fee_falls(bench):
    cheap = bench.send(0, fee=GWEI + GWEI // 2, tip=1)
    behind = bench.send(1, fee=100 * GWEI)
    bench.spike(20 * GWEI)
    bench.node.rpc("evm_mine")
    assert not bench.mined(cheap)
    assert not bench.mined(behind)
    bench.spike(GWEI)
    bench.node.rpc("evm_mine")
    assert bench.mined(cheap)
    assert bench.mined(behind)


def test_a_fee_cap_below_the_base_fee_is_accepted(bench):
    bench.spike(20 * GWEI)
    bench.node.rpc("evm_mine")
    cheap = bench.send(0, fee=2 * GWEI)
    bench.node.rpc("evm_mine")
    assert not bench.mined(cheap)


def test_the_same_bytes_twice_are_known(bench):
    bench.send(0)
    assert "known" in bench.refusal(0)


def test_a_used_nonce_is_too_low(bench):
    bench.send(0)
    bench.node.rpc("evm_mine")
    assert "nonce too low" in bench.refusal(0, fee=20 * GWEI, tip=2 * GWEI)


def test_funds_are_needed_for_the_whole_cap(bench):
    words = bench.refusal(0, value=ETHER)
    assert "insufficient funds" in words or "doesn't have enough funds" in words


def test_calldata_needs_its_gas(bench):
    words = bench.refusal(0, gas=21_000, data="0x" + "11" * 100)
    assert "22600" in words
    assert "gas" in words


def test_another_chains_signature_is_refused(bench):
    words = bench.refusal(0, chain_id=1)
    assert "chain" in words
    words = bench.refusal(0, chain_id=1, legacy=True)
    assert "chain" in words


def test_a_gas_limit_above_the_blocks_is_refused(bench):
    assert "gas" in bench.refusal(0, gas=30_000_001, fee=2 * GWEI)


def test_a_tip_above_the_cap_is_refused(bench):
    words = bench.refusal(0, fee=GWEI, tip=2 * GWEI)
    assert "priority" in words


# ------------------------------------------------------------- what only geth says (its words, as in its source code)


def test_geths_words(strict):
    strict.send(0)
    cost = 21_000 * 10 * GWEI
    assert strict.refusal(0) == "already known"
    assert strict.refusal(1, value=ETHER - cost) == (
        f"insufficient funds for gas * price + value: balance {ETHER}, queued cost {cost}, tx cost {ETHER}, "
        f"overshot {cost}"
    )
    assert strict.refusal(0, value=ETHER, fee=20 * GWEI, tip=2 * GWEI).startswith(
        f"insufficient funds for gas * price + value: balance {ETHER}, tx cost {ETHER + 2 * cost}, overshot "
    )
    assert strict.refusal(0, fee=20 * GWEI, tip=2 * GWEI, value=ETHER - 2 * cost + 1) == (
        f"insufficient funds for gas * price + value: balance {ETHER}, tx cost {ETHER + 1}, overshot 1"
    )
    assert strict.refusal(9, chain_id=None, legacy=True) == (
        "only replay-protected (eip-155) transactions allowed over rpc"
    )
    assert strict.refusal(9, fee=10**14, gas=21_000) == "tx fee (2.10 ether) exceeds the configured cap (1.00 ether)"
    assert strict.refusal(9, chain_id=5) == "invalid sender: invalid chain id for signer: have 5 want 31337"
    assert strict.refusal(9, gas=20_000) == "intrinsic gas too low: gas 20000, minimum needed 21000"
    assert strict.refusal(9, tip=0) == "transaction gas price below minimum: gas tip cap 0, minimum needed 1"
    assert strict.refusal(9, gas=900_000, fee=GWEI, data="0x" + "01" * 132_000).startswith(
        "oversized data: transaction size "
    )
    strict.node.rpc("evm_mine")
    assert strict.refusal(0) == "nonce too low: next nonce 1, tx nonce 0"


def test_a_bump_is_refused_when_the_balance_is_spoken_for(strict):
    half = ETHER // 2
    strict.send(0, value=half)
    strict.send(1, value=half - 5 * 21_000 * 10 * GWEI)
    words = strict.refusal(0, value=half, fee=100 * GWEI, tip=100 * GWEI)
    assert "queued cost" in words
    assert "tx bumped" in words


def test_a_full_pool_keeps_sixteen_of_an_account_and_queues_sixty_four(strict):
    strict.node.pool.rules = Rules(CHAIN_ID, global_slots=16)
    hashes = [strict.send(nonce) for nonce in range(20)]
    assert strict.count("pending") == 16
    assert strict.node.rpc("eth_getTransactionByHash", hashes[16]) is None, "accepted, and then silently gone"
    assert strict.node.rpc("txpool_status") == {"pending": hex(16), "queued": hex(3)}, "the others wait for it"
    for nonce in range(40, 120):
        strict.send(nonce)
    assert strict.node.rpc("txpool_status") == {"pending": hex(16), "queued": hex(64)}


def test_what_can_no_longer_be_paid_is_forgotten_with_the_next_block(strict):
    gone = strict.send(0)
    strict.node.rpc("anvil_setBalance", ME, "0x0")
    strict.node.rpc("evm_mine")
    strict.node.rpc("anvil_setBalance", ME, hex(ETHER))
    strict.node.rpc("evm_mine")
    assert not strict.mined(gone)
    assert strict.node.rpc("eth_getTransactionByHash", gone) is None


def test_a_reorg_puts_transactions_back_into_the_pool(strict):
    first, second = strict.send(0), strict.send(1)
    strict.node.rpc("evm_mine")
    assert strict.mined(second)
    strict.node.rpc("anvil_reorg", 1, [])
    assert not strict.mined(first)
    assert strict.count("latest") == 0
    assert strict.count("pending") == 2
    strict.node.rpc("evm_mine")
    assert strict.mined(first)
    assert strict.mined(second)


def test_a_dropped_transaction_leaves_what_is_behind_it_waiting(strict):
    first, _second = strict.send(0), strict.send(1)
    assert strict.node.rpc("anvil_dropTransaction", first) == first
    assert strict.count("pending") == 0
    assert strict.node.rpc("txpool_status") == {"pending": "0x0", "queued": "0x1"}
    strict.send(0)
    assert strict.count("pending") == 2


def test_blocks_are_made_by_the_clock(strict):
    strict.node.rpc("evm_setIntervalMining", 0.05)
    tx_hash = strict.send(0)
    deadline = time.monotonic() + 10
    while not strict.mined(tx_hash) and time.monotonic() < deadline:
        time.sleep(0.01)
    strict.node.rpc("evm_setIntervalMining", 0)
    assert strict.mined(tx_hash)
    height = strict.node.rpc("eth_blockNumber")
    time.sleep(0.2)
    assert strict.node.rpc("eth_blockNumber") == height, "stopped"


def test_a_block_takes_the_dearest_tip_first_and_an_accounts_own_by_nonce(strict):
    others = Account.from_key(WHALE.private_key)
    cheap, after = strict.send(0, tip=GWEI), strict.send(1, tip=5 * GWEI)
    fields = {"nonce": 0, "to": OTHER, "gas": 21_000, "value": 0, "chainId": CHAIN_ID}
    prices = {"maxFeePerGas": 10 * GWEI, "maxPriorityFeePerGas": 2 * GWEI}
    raw = "0x" + others.sign_transaction(fields | prices).raw_transaction.hex()
    dear = strict.node.rpc("eth_sendRawTransaction", raw)
    base = int(strict.node.rpc("eth_getBlockByNumber", "pending", False)["baseFeePerGas"], 16)
    assert [tx.hash for tx in strict.node.pool.executable(base)] == [dear, cheap, after]
