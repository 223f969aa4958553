"""Agreement between real nodes: the same chain behind two, one behind, one that parted, one of another chain."""

import time

import pytest
from chain_kit import BALANCE_OF, Events, Farm, Proxy, build_farm, make_facts, put_multicall3, transact

from keeper.chain.anvil import LocalNode
from keeper.chain.client import open_chain
from keeper.domain.money import Address
from keeper.errors import Disagreement, IntegrityError

pytestmark = pytest.mark.devnet


@pytest.fixture(scope="module")
def built(anvil_path):
    with LocalNode.start(binary=anvil_path) as node:
        yield build_farm(node)


@pytest.fixture
def farm(built):
    snapshot = built.node.rpc("evm_snapshot")
    yield built
    built.node.rpc("evm_revert", snapshot)


@pytest.fixture
def twin(anvil_path, farm):
    """A second node with the same chain: a fork of the first at its head."""
    with LocalNode.start(binary=anvil_path, chain_id=31337, fork_url=farm.node.url) as node:
        yield node


def pair(first, second, events=None, **options):
    return open_chain(make_facts(), [first, second], events=events or Events(), **options)


def test_one_node_behind_two_urls_agrees_with_itself(farm: Farm):
    tx_hash = transact(farm.node, farm.owner, farm.farm, farm.calls(0)[0].data)["transactionHash"]
    with Proxy(farm.node.url) as first, Proxy(farm.node.url) as second:
        chain = pair(first.url, second.url)
        agreed = chain.agreed()
        head = agreed.head()
        sight = chain.sight(farm.owner, [tx_hash, "0x" + "00" * 32], [head.number - 1])
        assert sight.head == head
        assert sight.receipts[tx_hash].transfers
        assert sight.canonical[head.number - 1] == chain.block(head.number - 1).hash
        assert sight.nonces == chain.nonces(farm.owner) == agreed.nonces(farm.owner)
        assert agreed.receipt(tx_hash) == sight.receipts[tx_hash]
        assert agreed.balance(farm.owner) == chain.balance(farm.owner)
        assert agreed.used_by(farm.owner, sight.nonces.latest - 1) == (tx_hash, head.number)
        reads = [BALANCE_OF.read(farm.reward, Address(f"0x{n:040x}")) for n in range(1, 700)]
        assert agreed.read(reads, head) == chain.read(reads, head)
        calls = farm.calls(0)[:1]
        simulation = agreed.simulate(farm.owner, calls, [farm.reward], head)
        assert simulation == chain.simulate(farm.owner, calls, [farm.reward], head)
        assert agreed.fees().base_fee_wei >= 0
        for proxy in (first, second):
            proxy.reset()
        chain.sight(farm.owner, [tx_hash], [head.number])
        assert [proxy.requests for proxy in (first, second)] == [1, 1]
        chain.close()


def test_nodes_at_different_heights_share_the_lower_head(farm: Farm, twin):
    tx_hash = transact(farm.node, farm.owner, farm.farm, farm.calls(0)[0].data)["transactionHash"]
    chain = pair(farm.node.url, twin.url)
    sight = chain.sight(farm.owner, [tx_hash])
    assert sight.head.number == int(twin.rpc("eth_blockNumber"), 16)
    assert sight.receipts == {}, "mined on one node only"
    assert sight.nonces.latest == chain.nonces(farm.owner).latest - 1
    assert chain.agreed().head() == sight.head
    assert chain.agreed().receipt(tx_hash) is None
    assert chain.used_by(farm.owner, sight.nonces.latest) is None, "no proof by one node alone"
    chain.close()


def test_nodes_that_parted_contradict_each_other(farm: Farm, twin):
    for node in (farm.node, twin):
        for _ in range(6):
            node.rpc("evm_mine")
    node_a, node_b = farm.node, twin
    here = transact(node_a, farm.owner, farm.farm, farm.calls(0)[0].data)["transactionHash"]
    node_b.rpc("anvil_impersonateAccount", farm.owner)
    there = transact(node_b, farm.owner, farm.farm, farm.calls(0)[0].data)["transactionHash"]
    events = Events()
    chain = pair(node_a.url, node_b.url, events)
    with pytest.raises(Disagreement, match="contradict each other"):
        chain.sight(farm.owner, [here, there])
    with pytest.raises(Disagreement):
        chain.agreed().head()
    assert events.names == ["rpc.disagreed"] * 2
    chain.close()


def test_a_view_that_differs_is_not_believed(farm: Farm, twin):
    put_multicall3(twin)
    chain = pair(farm.node.url, twin.url)
    head = chain.agreed().head()
    read = BALANCE_OF.read(farm.stake, farm.owner)
    assert chain.agreed().read([read], head) == chain.read([read], head)
    twin.rpc("anvil_setBalance", farm.owner, "0x1")
    with pytest.raises(Disagreement, match="the balance of"):
        chain.agreed().balance(farm.owner)
    chain.close()


def test_a_node_that_turns_into_another_chain_is_out(farm: Farm, twin):
    events = Events()
    chain = pair(twin.url, farm.node.url, events)
    assert chain.agreed().head()
    twin.rpc("anvil_setChainId", 5)
    for member in chain.pool.roster.members:
        member.endpoint._in_doubt = True
    with pytest.raises(Disagreement, match="1 of 2"):
        chain.sight(farm.owner, [])
    assert chain.head().number == int(farm.node.rpc("eth_blockNumber"), 16)
    assert [status.wrong_chain_id for status in chain.status()] == [5, None]
    assert events.names == ["rpc.failed"]
    chain.close()


def test_two_nodes_of_another_chain_are_refused(farm: Farm):
    with Proxy(farm.node.url) as first, Proxy(farm.node.url) as second:
        chain = open_chain(make_facts(chain_id=1), [first.url, second.url], events=Events())
        with pytest.raises(IntegrityError, match="31337"):
            chain.agreed().head()
        chain.close()


def test_raw_transactions_go_out_in_one_batch_in_order(farm: Farm):
    from eth_account import Account

    account = Account.from_key("0x" + "18" * 32)
    sender = Address(account.address.lower())
    farm.node.rpc("anvil_setBalance", account.address, hex(10**18))
    fees = {"maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9, "type": 2}
    signed = [
        account.sign_transaction(
            {"chainId": 31337, "nonce": nonce, "to": account.address, "value": 0, "gas": 21_000} | fees
        )
        for nonce in range(5)
    ]
    with Proxy(farm.node.url) as proxy:
        chain = open_chain(make_facts(), [proxy.url], events=Events())
        (send,) = chain.batch_senders()
        proxy.reset()
        answers = send([bytes(one.raw_transaction) for one in signed])
        assert answers == ["0x" + one.hash.hex() for one in signed]
        assert proxy.requests == 1
        again = send([bytes(signed[0].raw_transaction)])
        assert any(words in str(again[0]) for words in ("nonce too low", "already imported"))
        deadline = time.monotonic() + 10
        while len((sight := chain.sight(sender, answers)).receipts) < 5 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert sight.nonces.latest == len(sight.receipts) == 5
        chain.close()


def test_a_reorg_shows_in_the_canonical_hashes(farm: Farm):
    chain = farm.chain()
    tx_hash = transact(farm.node, farm.owner, farm.farm, farm.calls(0)[0].data)["transactionHash"]
    before = chain.sight(farm.owner, [tx_hash])
    mined = before.receipts[tx_hash]
    farm.node.rpc("anvil_reorg", 1, [])
    farm.node.rpc("evm_mine")
    after = chain.sight(farm.owner, [tx_hash], [mined.block_number])
    assert after.receipts == {}
    assert after.canonical[mined.block_number] != mined.block_hash
    assert after.nonces.latest == before.nonces.latest - 1
    chain.close()
