"""Simulation by all three ways on a real node, against what the same calls then do when mined."""

import subprocess
import sys
from pathlib import Path

import pytest
from chain_kit import BALANCE_OF, METHOD_MISSING, Farm, Proxy, build_farm, transact

from keeper.abi import Fn
from keeper.chain.anvil import LocalNode
from keeper.domain.plan import Call, LegKind
from keeper.errors import RpcRejected

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


def without(*methods):
    """A proxy's override: a node that does not know these; ``overrides`` means state overrides of eth_call."""

    def override(method, params):
        if method in methods or (method == "eth_call" and len(params) > 2 and "overrides" in methods):
            return METHOD_MISSING
        return None

    return override


@pytest.fixture(params=["eth_simulateV1", "probe"])
def way(request, farm):
    """A chain that simulates in one of the two ways which know deltas."""
    missing = {"eth_simulateV1": (), "probe": ("eth_simulateV1",)}[request.param]
    with Proxy(farm.node.url, without(*missing)) as proxy:
        chain = farm.chain(proxy.url)
        yield request.param, chain, proxy
        chain.close()


def test_a_claim_swap_is_simulated_as_it_is_mined(way, farm: Farm):
    method, chain, _ = way
    tokens = [farm.reward, farm.stake]
    claimed = chain.simulate(farm.owner, farm.calls(0)[:1], tokens).delta(farm.reward)
    assert claimed > 10**21
    simulation = chain.simulate(farm.owner, farm.calls(claimed), tokens)
    assert simulation.success
    assert simulation.method == method
    assert simulation.delta(farm.reward) == 0

    for call, foreseen in zip(farm.calls(claimed), simulation.calls, strict=True):
        before = balances(farm, tokens)
        receipt = chain.receipt(transact(farm.node, farm.owner, call.to, call.data)["transactionHash"])
        assert receipt.status == 1
        if method == "eth_simulateV1":
            assert abs(foreseen.gas_used - receipt.gas_used) <= receipt.gas_used // 100
        else:
            # Refunds come after execution: a transaction needs up to a fifth more than it finally uses.
            assert receipt.gas_used <= foreseen.gas_used <= receipt.gas_used * 5 // 4 + 10_000
        deltas = [new - old for new, old in zip(balances(farm, tokens), before, strict=True)]
        if call.kind is LegKind.CLAIM:
            # A second or so lies between the simulated block and the mined one.
            assert abs(deltas[0] - dict(foreseen.deltas)[farm.reward]) < 10**19
        elif call.kind is LegKind.SWAP:
            assert deltas == [delta for _, delta in foreseen.deltas]


def balances(farm: Farm, tokens):
    return [
        int(farm.node.rpc("eth_call", {"to": t, "data": "0x" + BALANCE_OF.encode(farm.owner).hex()}), 16)
        for t in tokens
    ]


def test_a_revert_is_worded_and_nothing_follows_it(way, farm: Farm):
    _, chain, _ = way
    expired = Fn("swapExactTokensForTokens(uint256,uint256,address[],address,uint256)")
    data = expired.encode(1, 1, [farm.reward, farm.stake], farm.owner, 1)
    bad = Call(LegKind.SWAP, "late swap", farm.router, data)
    claim = farm.calls(0)[0]
    simulation = chain.simulate(farm.owner, [claim, bad, claim], [farm.reward])
    assert not simulation.success
    assert [call.success for call in simulation.calls] == [True, False]
    assert simulation.calls[1].error == "UniswapV2Router: EXPIRED"


def test_capability_is_probed_once(way, farm: Farm):
    _, chain, proxy = way
    for _ in range(3):
        chain.simulate(farm.owner, farm.calls(0)[:1], [farm.reward])
    assert proxy.methods["eth_simulateV1"] == (3 if way[0] == "eth_simulateV1" else 1)


def test_nothing_changes_on_the_chain(way, farm: Farm):
    _, chain, proxy = way
    before = chain.head(), chain.nonces(farm.owner)
    chain.simulate(farm.owner, farm.calls(10), [farm.reward])
    assert (chain.head(), chain.nonces(farm.owner)) == before
    assert not [method for method in proxy.methods if method.startswith("eth_send")]


def test_it_stands_on_the_block_that_is_named(way, farm: Farm):
    _, chain, _ = way
    block = chain.head()
    transact(farm.node, farm.owner, farm.farm, farm.calls(0)[0].data)
    claim = farm.calls(0)[:1]
    earlier = chain.simulate(farm.owner, claim, [farm.reward], block)
    now = chain.simulate(farm.owner, claim, [farm.reward])
    assert earlier.block == block.number
    assert now.block == block.number + 1
    assert earlier.delta(farm.reward) > 100 * now.delta(farm.reward)


def test_what_is_no_token_is_refused(way, farm: Farm):
    _, chain, _ = way
    with pytest.raises(RpcRejected):
        chain.simulate(farm.owner, farm.calls(0)[:1], [farm.owner])


def test_wei_goes_along(way, farm: Farm):
    _, chain, _ = way
    friend = "0x" + "77" * 20
    simulation = chain.simulate(farm.owner, [Call(LegKind.CLAIM, "pay", friend, b"", 10**18)], [farm.reward])
    assert simulation.success
    assert 21_000 <= simulation.gas_used < 70_000


def test_the_last_resort_knows_the_gas_of_one_call(farm: Farm):
    with Proxy(farm.node.url, without("eth_simulateV1", "overrides")) as proxy:
        chain = farm.chain(proxy.url)
        simulation = chain.simulate(farm.owner, farm.calls(0)[:1], [farm.reward])
        assert simulation.method == "estimate"
        assert simulation.success
        assert simulation.calls[0].deltas == ()
        used = int(transact(farm.node, farm.owner, farm.farm, farm.calls(0)[0].data)["gasUsed"], 16)
        assert used <= simulation.gas_used <= used * 5 // 4
        with pytest.raises(RpcRejected, match="cannot simulate 3 calls"):
            chain.simulate(farm.owner, farm.calls(1), [farm.reward])
        bad = Call(LegKind.SWAP, "nonsense", farm.router, bytes(4))
        failed = chain.simulate(farm.owner, [bad], [farm.reward])
        assert not failed.success
        assert failed.calls[0].error
        chain.close()


def test_a_node_that_ignores_overrides_is_found_out(farm: Farm):
    def ignoring(method, params):
        if method == "eth_call" and len(params) > 2:
            return {"result": "0x"}
        return METHOD_MISSING if method == "eth_simulateV1" else None

    with Proxy(farm.node.url, ignoring) as proxy:
        chain = farm.chain(proxy.url)
        assert chain.simulate(farm.owner, farm.calls(0)[:1], [farm.reward]).method == "estimate"
        chain.close()


def test_a_node_without_block_overrides_still_runs_the_probe(farm: Farm):
    def old(method, params):
        if method == "eth_call" and len(params) > 3:
            return {"error": {"code": -32602, "message": "too many arguments, want at most 3"}}
        return METHOD_MISSING if method == "eth_simulateV1" else None

    with Proxy(farm.node.url, old) as proxy:
        chain = farm.chain(proxy.url)
        assert chain.simulate(farm.owner, farm.calls(0)[:1], [farm.reward]).method == "probe"
        chain.close()


def test_the_committed_probe_is_what_its_source_compiles_to(anvil_path):
    from keeper.devnet.install import ensure_installed

    tool = Path(__file__).parents[2] / "tools" / "compile_probe.py"
    modules = ensure_installed() / "node_modules"
    subprocess.run([sys.executable, str(tool), "--check", "--node-modules", str(modules)], check=True)
