"""A whole chain client on a real node: heads, reads, nonces, receipts and sends."""

import re

import pytest
from chain_kit import (
    APPROVE,
    BALANCE_OF,
    EARNED,
    MULTICALL3,
    Farm,
    Proxy,
    build_farm,
    make_facts,
    transact,
)

from keeper.abi import Fn
from keeper.chain.anvil import LocalNode
from keeper.domain.money import Address
from keeper.errors import IntegrityError, RpcRejected, StaleHead
from keeper.ports import Chain

pytestmark = pytest.mark.devnet


@pytest.fixture(scope="module")
def farm(anvil_path):
    with LocalNode.start(binary=anvil_path) as node:
        yield build_farm(node)


@pytest.fixture
def proxy(farm):
    with Proxy(farm.node.url) as running:
        yield running


@pytest.fixture
def chain(farm, proxy):
    made = farm.chain(proxy.url)
    yield made
    made.close()


def test_it_is_a_chain(chain):
    assert isinstance(chain, Chain)


def test_head_and_blocks(chain, farm: Farm):
    head = chain.head()
    assert chain.block(head.number) == head
    assert chain.block(head.number + 1_000) is None
    assert head.timestamp == int(farm.node.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)


def test_reads_of_many_owners(chain, farm: Farm, proxy):
    owners = [Address(f"0x{n:040x}") for n in range(1, 2_000)] + [farm.owner]
    reads = [BALANCE_OF.read(farm.reward, owner) for owner in owners]
    values = [BALANCE_OF.value(result) for result in chain.read(reads, chain.head())]
    assert values[:-1] == [0] * (len(owners) - 1)
    assert values[-1] == int(
        farm.node.rpc("eth_call", {"to": farm.reward, "data": "0x" + BALANCE_OF.encode(farm.owner).hex()}), 16
    )
    proxy.reset()
    chain.read(reads, chain.head())
    assert proxy.methods["eth_chainId"] == 0
    assert proxy.requests <= 6


def test_a_revert_reads_the_same_by_multicall_and_by_batch(chain, farm: Farm):
    plain = farm.chain(multicall3=None)
    bad = Fn("transferFrom(address,address,uint256)", "bool").read(farm.reward, farm.owner, farm.owner, 10**30)
    reads = [EARNED.read(farm.farm, farm.owner), bad, BALANCE_OF.read(farm.stake, farm.owner)]
    head = chain.head()
    assert chain.read(reads, head) == plain.read(reads, head)
    assert [result.success for result in plain.read(reads, head)] == [True, False, True]
    plain.close()


def test_a_chain_whose_multicall3_is_not_there_is_read_by_batches(farm: Farm, proxy):
    elsewhere = farm.chain(proxy.url, multicall3=Address("0x" + "99" * 20))
    reads = [BALANCE_OF.read(farm.reward, farm.owner)] * 150
    for _ in range(2):
        assert len(elsewhere.read(reads, elsewhere.head())) == 150
    assert proxy.methods["eth_getCode"] == 1
    elsewhere.close()


def test_reads_are_pinned_to_their_block(chain, farm: Farm):
    block = chain.head()
    read = Fn("allowance(address,address)", "uint256").read(farm.stake, farm.owner, MULTICALL3)
    before = chain.read([read], block)
    transact(farm.node, farm.owner, farm.stake, APPROVE.encode(MULTICALL3, block.number))
    assert chain.read([read], block) == before
    assert chain.read([read], chain.head()) != before


def test_a_reorg_while_reading_is_noticed(chain, farm: Farm):
    transact(farm.node, farm.owner, farm.stake, APPROVE.encode(MULTICALL3, 1))
    block = chain.head()
    farm.node.rpc("anvil_reorg", 1, [])
    if chain.block(block.number) is None:
        farm.node.rpc("evm_mine")
    with pytest.raises(StaleHead):
        chain.read([BALANCE_OF.read(farm.stake, farm.owner)], block)


def test_a_block_above_the_head_is_stale(chain, farm: Farm):
    import dataclasses

    above = dataclasses.replace(chain.head(), number=10**6)
    with pytest.raises(StaleHead):
        chain.read([BALANCE_OF.read(farm.stake, farm.owner)], above)


def test_nonces_balance_and_fees(chain, farm: Farm):
    nonces = chain.nonces(farm.owner)
    assert nonces.latest == nonces.pending == int(farm.node.rpc("eth_getTransactionCount", farm.owner, "latest"), 16)
    assert chain.balance(farm.owner) > 10**18
    fees = chain.fees()
    assert fees.base_fee_wei > 0
    assert chain.facts.tip_floor_wei <= fees.tip_wei <= chain.facts.tip_cap_wei


def test_receipts_carry_transfers(chain, farm: Farm):
    tx_hash = transact(farm.node, farm.owner, farm.farm, farm.calls(0)[0].data)["transactionHash"]
    receipt = chain.receipt(tx_hash)
    assert receipt.status == 1
    (paid,) = receipt.transfers
    assert (paid.token, paid.sender, paid.recipient) == (farm.reward, farm.farm, farm.owner)
    assert paid.raw > 0
    assert chain.block(receipt.block_number).hash == receipt.block_hash
    assert chain.receipt("0x" + "00" * 32) is None


def test_raw_transactions_are_sent_once_to_each_endpoint(farm: Farm):
    from eth_account import Account

    account = Account.from_key("0x" + "17" * 32)
    farm.node.rpc("anvil_setBalance", account.address, hex(10**18))
    fields = {"chainId": 31337, "nonce": 0, "to": account.address, "value": 0, "gas": 21_000}
    raw = account.sign_transaction(fields | {"maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9, "type": 2})
    with Proxy(farm.node.url) as first, Proxy(farm.node.url) as second:
        from chain_kit import Events

        from keeper.chain.client import open_chain

        chain = open_chain(make_facts(), [first.url, second.url], events=Events())
        send_first, send_second = chain.batch_senders()
        assert send_first([bytes(raw.raw_transaction)]) == ["0x" + raw.hash.hex()]
        (refused,) = send_second([bytes(raw.raw_transaction)])
        assert isinstance(refused, RpcRejected)
        assert re.search(r"already imported|nonce too low", str(refused))
        assert [one.methods["eth_sendRawTransaction"] for one in (first, second)] == [1, 1]
        chain.close()


def test_another_chain_behind_the_url_is_refused(farm: Farm):
    other = farm.chain(chain_id=1)
    with pytest.raises(IntegrityError, match="31337"):
        other.head()
    other.close()


def test_reads_fail_over_to_a_second_node(farm: Farm):
    from chain_kit import Events

    from keeper.chain.client import open_chain

    events = Events()
    with Proxy(
        farm.node.url, lambda method, _p: (502, b"", {}) if method == "eth_getBlockByNumber" else None
    ) as broken:
        chain = open_chain(make_facts(), [broken.url, farm.node.url], events=events)
        assert chain.head().number > 0
        chain.close()
    assert events.names == ["rpc.failed"]
