"""A harvest in three parts on real contracts: a share is paid out, gas money is topped up, the rest is compounded."""

from __future__ import annotations

from collections import Counter

import pytest
from app_kit import nonce, open_local, principal, sent_by, transfers
from attack_kit import Killed, edit

from keeper.abi import Fn
from keeper.devnet.start import send
from keeper.domain.harvest import HarvestState
from keeper.domain.plan import LegKind
from keeper.engine.lap import begin, resume
from keeper.engine.recover import examine
from keeper.engine.survey import survey
from keeper.errors import ConfigError

pytestmark = pytest.mark.devnet

FRIEND = "0x" + "77" * 20
#: keccak("Withdrawal(address,uint256)").
WITHDRAWAL = "0x7fcf532c15f0a6db0bd6d0e038bea71d30d808c7d98cb3bf7268a95bf5081b65"
APPROVE, STAKE = Fn("approve(address,uint256)"), Fn("stake(uint256)")
TRANSFER, NOTIFY, WRAP = Fn("transfer(address,uint256)"), Fn("notifyRewardAmount(uint256)"), Fn("deposit()")
BALANCE = 5 * 10**16


def native(world, account) -> int:
    return int(world.node.rpc("eth_getBalance", account, "latest"), 16)


def wrap(world, account, wei) -> None:
    world.node.rpc(
        "eth_sendTransaction",
        {"from": account, "to": world.weth.address, "data": "0x" + WRAP.encode().hex(), "value": hex(wei)},
    )


def poor(world, wei=BALANCE) -> None:
    """Leave the farmer little gas money, beside some wrapped ether of their own."""
    wrap(world, world.farmer.address, 10**17)
    world.node.rpc("anvil_setBalance", world.farmer.address, hex(wei))


def own_farm(world, stake, reward, folder) -> str:
    """Open a StakingRewards farm of one's own, and return a position in it."""
    from keeper.devnet.deploy import Deployer

    deployer, farmer = world.deployer.address, world.farmer.address
    code = "@uniswap/liquidity-staker/build/StakingRewards.json"
    farm = Deployer(world.node, deployer).deploy(code, deployer, reward.address, stake.address).address
    emitted, staked = 300 * reward.unit // (1 if reward.symbol == "UNI" else 100), 500 * stake.unit
    if reward.symbol == "WETH":
        wrap(world, deployer, emitted)
    send(world.node, deployer, reward.address, TRANSFER.encode(farm, emitted))
    send(world.node, deployer, farm, NOTIFY.encode(emitted))
    send(world.node, deployer, stake.address, TRANSFER.encode(farmer, staked))
    send(world.node, farmer, stake.address, APPROVE.encode(farm, staked))
    send(world.node, farmer, farm, STAKE.encode(staked))
    return f"""
[[positions]]
id = "own"
chain = "local"
protocol = "synthetix-staking-rewards"
target = "{farm}"
signer = "farm"
route = {{ kind = "uniswap-v2", router = "{world.router}", via = ["{world.weth.address}"] }}
"""


def options(keep="0.07", most="20%", share="30%") -> str:
    payout = f'payout = {{ share = "{share}", to = "{FRIEND}" }}\n'
    return payout + f'gas_top_up = {{ keep = "{keep}", max_share = "{most}" }}\n'


def book_of(world, receipts, owner) -> Counter:
    """Net movements by the logs, decoded by hand: transfers, and what left by unwrapping."""
    net = transfers(receipts, owner)
    for log in (log for receipt in receipts for log in receipt["logs"]):
        if log["topics"][0] == WITHDRAWAL and "0x" + log["topics"][1][-40:] == owner:
            assert log["address"] == world.weth.address
            net[log["address"]] -= int(log["data"], 16)
    return net


def unwrapped(receipts, owner) -> int:
    logs = [log for receipt in receipts for log in receipt["logs"]]
    return sum(int(log["data"], 16) for log in logs if log["topics"][:2] == [WITHDRAWAL, topic(owner)])


def topic(account) -> str:
    return "0x" + account[2:].rjust(64, "0")


def check_three_parts(world, app, harvest, start, before, position, claimed_token):
    """Chain, journal and ledger tell of the same three parts; returns what was unwrapped."""
    farmer, weth = world.farmer.address, world.weth
    txs = sent_by(world, farmer, start)
    receipts = [tx["receipt"] for tx in txs]
    assert all(receipt["status"] == "0x1" for receipt in receipts)
    done = [track for track in app.store.tracks_of(harvest.id) if track.attempts]
    kinds = [track.intent.kind.value for track in done]
    assert len(txs) == len(kinds) == len({tx["hash"] for tx in txs})

    (received,) = harvest.received
    assert received.token.address == claimed_token.address
    assert kinds[:2] == ["claim", "payout"]
    assert world.balance_of(claimed_token, FRIEND).raw == received.raw * 3_000 // 10_000
    assert kinds.count("payout") == kinds.count("unwrap") == 1

    gas_bought = unwrapped(receipts, farmer)
    assert native(world, farmer) == before["native"] - harvest.cost_wei + gas_bought
    assert gas_bought > 0

    grown = principal(app, position) - before["principal"]
    assert grown == harvest.compounded.raw > 0
    for token in before["tokens"]:  # the wallet's own is untouched; what is more is dust that the ledger names
        left = world.balance_of(token, farmer).raw - before["tokens"][token]
        assert left == sum(e.amount.raw for e in app.store.ledger() if e.amount.token.address == token.address)
        assert left >= 0, token.symbol

    ledger, own = Counter(), book_of(world, receipts, farmer)
    for entry in app.store.ledger(position):
        ledger[entry.amount.token.address] += entry.amount.raw
    assert {t: raw for t, raw in ledger.items() if raw} == {t: raw for t, raw in own.items() if raw and t in ledger}
    paid = [entry for entry in app.store.ledger(position) if entry.kind == "payout"]
    assert [entry.amount.raw for entry in paid] == [-(received.raw * 3_000 // 10_000)]
    (burnt,) = [entry for entry in app.store.ledger(position) if entry.kind == "unwrap"]
    assert (burnt.amount.token.address, burnt.amount.raw) == (weth.address, -gas_bought)
    assert {track.intent.label for track in done} >= {
        f"pay out 30 % {claimed_token.symbol} to 0x7777..7777",
        "unwrap WETH for gas",
    }
    return gas_bought


def state(world, app, position, tokens) -> dict:
    farmer = world.farmer.address
    return {
        "native": native(world, farmer),
        "principal": principal(app, position),
        "tokens": {token: world.balance_of(token, farmer).raw for token in tokens},
    }


def test_a_share_is_paid_out_gas_is_bought_and_the_rest_is_staked(fresh_world, config):
    world = fresh_world
    poor(world)
    edit(config, 'id = "uni-farm"', 'id = "uni-farm"\n' + options())
    tokens = (world.uni, world.weth, world.usdc)
    with open_local(config) as app:
        before, start = state(world, app, "uni-farm", tokens), world.block_number
        harvest = app.compound("uni-farm", forced=True).harvest
        bought = check_three_parts(world, app, harvest, start, before, "uni-farm", world.uni)
        assert native(world, world.farmer.address) + harvest.cost_wei > 69 * 10**15
        assert 195 * 10**14 < bought < 201 * 10**14, "what was missing, less the cost of selling"
        worth = harvest.received_usd
        assert harvest.compounded_usd * 10 < worth * 7, "what is paid out and what became gas is not compounded"
        assert app.store.failures("uni-farm") == 0


@pytest.mark.parametrize(("stake", "reward"), [("UNI", "UNI"), ("UNI", "WETH")])
def test_it_works_where_the_reward_is_the_stake_and_where_it_is_wrapped_gas(
    fresh_world, config, tmp_path, stake, reward
):
    world = fresh_world
    block = own_farm(world, world.token(stake), world.token(reward), tmp_path)
    config.write_text(config.read_text() + block + options())
    world.advance(7 * 86_400)
    poor(world)
    tokens = tuple(dict.fromkeys((world.token(stake), world.token(reward), world.weth)))
    with open_local(config) as app:
        before, start = state(world, app, "own", tokens), world.block_number
        harvest = app.compound("own", forced=True).harvest
        check_three_parts(world, app, harvest, start, before, "own", world.token(reward))
        kinds = [track.intent.kind.value for track in app.store.tracks_of(harvest.id)]
    if reward == "UNI":
        assert kinds == ["claim", "payout", "approve", "swap", "unwrap", "approve", "deposit"]
    else:
        assert kinds == ["claim", "payout", "unwrap", "approve", "swap", "approve", "deposit"]


def test_the_top_up_is_capped_by_its_share_and_ends_where_enough_is_kept(fresh_world, config):
    world = fresh_world
    farmer = world.farmer.address
    edit(config, 'id = "uni-farm"', 'id = "uni-farm"\n' + options(keep="3", most="10%"))
    poor(world)
    with open_local(config) as app:
        start = world.block_number
        harvest = app.compound("uni-farm", forced=True).harvest
        bought = unwrapped([tx["receipt"] for tx in sent_by(world, farmer, start)], farmer)
        usd = bought * 3_000
        assert harvest.received_usd * 97 // 1000 < usd <= harvest.received_usd // 10
        world.advance(7 * 86_400)
        world.node.rpc("anvil_setBalance", farmer, hex(3 * 10**18))
        again = app.compound("uni-farm", forced=True).harvest
        kinds = [track.intent.kind.value for track in app.store.tracks_of(again.id)]
    assert again.state is HarvestState.DONE
    assert "unwrap" not in kinds
    assert "payout" in kinds


@pytest.mark.parametrize(
    ("point", "count"), [("confirmed", 1), ("sent", 2), ("journaled", 5), ("mined", 5), ("signed", 6)]
)
def test_killed_on_the_way_each_part_is_still_done_once(fresh_world, config, monkeypatch, point, count):
    world, farmer = fresh_world, fresh_world.farmer.address
    poor(world)
    edit(config, 'id = "uni-farm"', 'id = "uni-farm"\n' + options())
    tokens, left = (world.uni, world.weth, world.usdc), [count]

    def reach(name: str) -> None:
        left[0] -= name == point
        if name == point and left[0] == 0:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("keeper.wiring._kill_point", lambda _: reach)
        with open_local(config) as app:
            before, start, first = state(world, app, "uni-farm", tokens), world.block_number, nonce(world, farmer)
            with pytest.raises(Killed):
                app.compound("uni-farm", forced=True)
    with open_local(config) as app:
        (harvest,) = resume(app.contexts["local"], app.book("local"), farmer)
        assert harvest.state is HarvestState.DONE
        check_three_parts(world, app, harvest, start, before, "uni-farm", world.uni)
        assert nonce(world, farmer) - first == len([t for t in app.store.tracks_of(harvest.id) if t.attempts])


def test_a_lost_journal_knows_payouts_and_unwrapping_again(fresh_world, config):
    world, farmer = fresh_world, fresh_world.farmer.address
    poor(world)
    edit(config, 'id = "uni-farm"', 'id = "uni-farm"\n' + options())
    with open_local(config) as app:
        harvest = app.compound("uni-farm", forced=True).harvest
        kinds = [track.intent.kind for track in app.store.tracks_of(harvest.id)]
        context = app.contexts["local"].sure()

        def lookup(tx_hash):
            tx = world.node.rpc("eth_getTransactionByHash", tx_hash)
            return tx["to"].lower(), bytes.fromhex(tx["input"][2:])

        found = examine(context, app.book("local"), farmer, len(kinds), lookup)
    (chapter,) = found.chapters
    assert [one.leg.kind for one in chapter.mined] == kinds
    assert found.foreign == ()


def test_a_payout_to_a_token_or_pool_of_the_position_is_refused_when_that_is_known(fresh_world, config):
    world = fresh_world
    pair = world.lp("weth_usdc").address
    edit(config, 'id = "uni-farm"', f'id = "uni-farm"\npayout = {{ share = "30%", to = "{pair}" }}')
    with open_local(config) as app:
        failure = app.book("local").failures["uni-farm"]
    assert isinstance(failure, ConfigError)
    assert f"payout.to {pair} is a token of this position" in str(failure)


def test_gas_cannot_be_bought_without_a_route(fresh_world, config, tmp_path):
    world = fresh_world
    block = own_farm(world, world.uni, world.uni, tmp_path)
    without = "\n".join(line for line in block.splitlines() if not line.startswith("route"))
    config.write_text(config.read_text() + without + '\ngas_top_up = { keep = "1" }\n')
    with open_local(config) as app:
        failure = app.book("local").failures["own"]
    assert isinstance(failure, ConfigError)
    assert "pays UNI but has no route to sell it for WETH; add route" in str(failure)
    assert "or remove gas_top_up" in str(failure)


def test_what_one_compound_tops_up_no_other_does_as_well(fresh_world, config, tmp_path):
    world = fresh_world
    block = own_farm(world, world.uni, world.uni, tmp_path)
    edit(config, 'id = "uni-farm"', 'id = "uni-farm"\n' + options())
    config.write_text(config.read_text() + block + options())
    world.advance(7 * 86_400)
    poor(world)
    with open_local(config) as app:
        context, book = app.contexts["local"], app.book("local")
        first = begin(context, book, "uni-farm", forced=True)
        second = begin(context, book, "own", forced=True)
        plans = [begun.work.plan for begun in (first, second)]
        assert [sum(leg.kind is LegKind.UNWRAP for leg in plan.legs) for plan in plans] == [1, 0]
        numbers = [begun.prepared.decision.numbers for begun in (first, second)]
        assert numbers[0].top_up_usd > 0
        assert numbers[1].top_up_usd == 0
        # One that is watched on while it is under way sees its own as it was planned.
        seen = {a.position.id: a for a in survey(context, book, record=False).assessments}
        assert seen["uni-farm"].decision.numbers.top_up_usd > 0
        assert seen["own"].decision.numbers.top_up_usd == 0
        results = resume(context, book, world.farmer.address)
    assert [harvest.state for harvest in results] == [HarvestState.CANCELLED] * 2  # nothing was signed yet
