"""Uniswap V4 positions on the real contracts: exact fees, one call that takes nothing out of the wallet, refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest
from adapter_kit import STRANGER, mutations, permitted
from fair_kit import put_back
from ranges_stage import Act, hands

from keeper.abi import Fn, encode
from keeper.devnet.uniswap_v4 import (
    MINT,
    MINT_AND_SETTLE,
    PERMIT2,
    PoolV4,
    give_and_allow,
    mint,
    open_pool,
    v4_at,
    waves,
)
from keeper.domain.facts import Place
from keeper.domain.money import Address, Amount
from keeper.domain.plan import LegKind
from keeper.errors import ConfigError, ReadFailed
from keeper.protocols.uniswap_v4 import MODIFIED, UniswapV4
from keeper.signers.never import forbidden

pytestmark = pytest.mark.devnet

TRANSFER_NFT = Fn("transferFrom(address,address,uint256)")
ALLOW = Fn("approve(address,address,uint160,uint48)")
#: Its lowest bits say: after removing liquidity it is called, and may take of it.
TAKING_HOOKS = Address("0x" + "aa" * 18 + "0101")
#: Is called after a swap, and takes nothing.
HARMLESS_HOOKS = Address("0x" + "aa" * 18 + "0040")
NATIVE = Address("0x" + "00" * 20)


@pytest.fixture
def stage(fair):
    with put_back(fair) as one:
        yield one


@pytest.fixture
def ground(fair):
    return fair.grounds["uniswap_v4"]


@pytest.fixture
def act(stage, fair):
    return Act.of(stage, fair, UniswapV4(), "v4-weth-usdc")


@pytest.fixture
def yard(fair, stage):
    return hands(fair, "uniswap_v4")


@pytest.fixture
def v4(yard, ground):
    return v4_at(yard.deployer, ground.addresses)


@pytest.fixture
def pool(ground):
    worth = {ground["weth"]: (3_000, 10**18), ground["usdc"]: (1, 10**6)}
    first, second = sorted(worth)
    prices, units = zip(worth[first], worth[second], strict=True)
    return PoolV4((first, second), prices, units)


def trade(yard, v4, pool, bps: int, *, both: bool = True) -> None:
    """Push the pool down by a part of its price (up when negative), and back again where ``both``."""
    legs = waves(v4.trader.address, pool, yard.whale, bps, 1)
    for sender, to, data in legs if both else legs[:1]:
        yard.deployer.send({"to": to, "data": "0x" + data.hex()}, sender)


def seen_with(observation, *raws: int):
    pending = tuple(Amount(one.token, raw) for one, raw in zip(observation.pending, raws, strict=True))
    return replace(observation, pending=pending)


def test_fees_by_the_counters_are_what_a_claim_pays_to_the_last_unit(act, yard, v4, pool):
    for bps in (50, 137, 900):
        trade(yard, v4, pool, bps)
        seen = act.look()
        claimed = act.simulate(act.claim())

        assert [claimed.delta(token.address) for token in act.market.reward_tokens] == [a.raw for a in seen.pending]
        assert all(amount.raw > 0 for amount in seen.pending)


def test_claim_pays_the_owner_and_leaves_the_liquidity(act, stage):
    before, held = act.look(), act.held()
    receipts = act.run(act.claim())

    assert act.look().principal == before.principal
    for amount in before.pending:
        assert stage.balance(amount.token, act.position.owner) - held[amount.token.address] == amount.raw
    assert any(log["topics"][0] == MODIFIED.topic for log in logs_of(stage, receipts[-1].tx_hash))
    assert all(amount.raw == 0 for amount in act.look().pending)


def logs_of(stage, tx_hash: str):
    return stage.node.rpc("eth_getTransactionReceipt", tx_hash)["logs"]


def test_compound_is_one_call_without_approvals_and_only_the_rest_comes_to_the_wallet(act, stage):
    before, held = act.look(), act.held()
    legs = act.adapter.compound(act.position, act.market, before)

    receipts = act.run(legs)

    assert [leg.kind for leg in legs] == [LegKind.COMPOUND]
    assert not legs[0].spends
    after = act.look()
    assert after.principal.raw > before.principal.raw
    prices = {"WETH": 3_000, "USDC": 1}
    fees = rest = 0
    for amount in before.pending:
        price, gained = prices[amount.token.symbol], stage.balance(amount.token, act.position.owner)
        gained -= held[amount.token.address]
        assert 0 <= gained < amount.raw, "nothing leaves the wallet, and not everything comes to it"
        fees += amount.raw * price * 10**18 // amount.token.unit
        rest += gained * price * 10**18 // amount.token.unit
    assert rest * 10 < fees
    grown = (after.principal.raw - before.principal.raw) * 50_000 * 10**18 // before.principal.raw
    assert abs(grown - (fees - rest)) * 100 < fees, "what went in is worth what the liquidity has grown by"
    topics = [log["topics"][0] for log in logs_of(stage, receipts[-1].tx_hash)]
    assert MODIFIED.topic in topics
    assert receipts[-1].gas_used < act.market.typical_gas


def test_a_pushed_price_makes_it_fail_rather_than_pay_from_the_wallet(act, stage, yard, v4, pool):
    """Even for somebody who has given Permit2 and the position manager every right to his tokens."""
    owner, manager = act.position.owner, act.position.target
    for token in act.market.reward_tokens:
        give_and_allow(yard, token.address, owner, PERMIT2, 10**22)
        assert stage.send(owner, PERMIT2, ALLOW.encode(token.address, manager, 10**22, 2**40)).status == 1
    (call,) = stage.calls(act.adapter.compound(act.position, act.market, act.look()), {})
    held = act.held()
    for bps, works in ((10, True), (100, False), (-100, False)):
        snapshot = stage.node.rpc("evm_snapshot")
        trade(yard, v4, pool, bps, both=False) if bps > 0 else push_up(yard, v4, pool, -bps)
        before = act.held()

        status = stage.send(owner, call.to, call.data).status

        assert (status == 1) is works, bps
        assert all(now >= before[token] >= held[token] for token, now in act.held().items())
        stage.node.rpc("evm_revert", snapshot)


def test_more_than_the_fees_could_only_be_paid_through_permit2(act, stage, yard):
    """Why there is no deposit from the wallet: a plain approval of the position manager does not pay."""
    seen, owner, manager = act.look(), act.position.owner, act.position.target
    (leg,) = act.adapter.compound(act.position, act.market, seen_with(seen, *(3 * a.raw for a in seen.pending)))
    (call,) = stage.calls((leg,), {})
    for token in act.market.reward_tokens:
        give_and_allow(yard, token.address, owner, manager, 10**22)
    assert stage.send(owner, call.to, call.data).status == 0
    for token in act.market.reward_tokens:
        give_and_allow(yard, token.address, owner, PERMIT2, 10**22)
    assert stage.send(owner, call.to, call.data).status == 0
    for token in act.market.reward_tokens:
        data = ALLOW.encode(token.address, manager, 10**22, 2**40)
        assert "never signed" in forbidden(data)
        assert stage.send(owner, PERMIT2, data).status == 1
    assert stage.send(owner, call.to, call.data).status == 1


def push_up(yard, v4, pool, bps: int) -> None:
    higher = replace(pool, usd=(pool.usd[0] * (10_000 + bps), pool.usd[1] * 10_000))
    (_, up) = waves(v4.trader.address, higher, yard.whale, 0, 1)
    yard.deployer.send({"to": up[1], "data": "0x" + up[2].hex()}, up[0])


def test_fees_of_one_side_only_are_not_put_back(act, yard, v4, pool):
    act.run(act.claim())
    trade(yard, v4, pool, 100, both=False)
    seen = act.look()

    assert min(a.raw for a in seen.pending) == 0 < max(a.raw for a in seen.pending)
    assert seen.deposits_paused
    assert "mostly of one side" in seen.paused_because
    assert act.adapter.compound(act.position, act.market, seen) == ()
    assert act.deposit() == ()
    push_up(yard, v4, pool, 0)
    assert not act.look().deposits_paused


def test_the_scarcer_side_decides_how_much_is_put_back(act):
    seen = act.look()
    weth = next(i for i, amount in enumerate(seen.pending) if amount.token.symbol == "WETH")
    lopsided = [amount.raw for amount in seen.pending]
    lopsided[weth] //= 1_000
    (leg,) = act.adapter.compound(act.position, act.market, seen_with(seen, *lopsided))
    (whole,) = act.adapter.compound(act.position, act.market, seen)

    assert liquidity_of(leg) < liquidity_of(whole) // 900


def liquidity_of(leg) -> int:
    return int.from_bytes(leg.template[4 + 32 * 13 : 36 + 32 * 13], "big")


def test_only_the_owner_may_call(act, stage):
    seen = act.look()
    for legs in (act.claim(), act.adapter.compound(act.position, act.market, seen)):
        (call,) = stage.calls(legs, {})
        assert stage.send(STRANGER, call.to, call.data).status == 0


def test_nft_that_went_away_is_nothing_of_ours(act, stage):
    owner, target, token_id = act.position.owner, act.position.target, act.position.params["token_id"]
    assert stage.send(owner, target, TRANSFER_NFT.encode(owner, STRANGER, token_id)).status == 1
    seen = act.look()

    assert seen.principal.raw == 0
    assert all(amount.raw == 0 for amount in seen.pending)
    assert all(accrual.per_year.raw == 0 for accrual in seen.accruals)
    assert not seen.deposits_paused


def test_out_of_range_nothing_accrues(act, stage, yard, v4, pool):
    trade(yard, v4, pool, 3_000, both=False)
    seen = act.look()

    assert [a.per_year.raw for a in seen.accruals] == [0, 0]
    assert sorted(seen.mix_ppm) == [0, 10**6]


def test_hooks_that_can_take_are_refused_unless_allowed(act, stage, yard, v4, ground):
    worth = {ground["weth"]: 3_000, ground["usdc"]: 1}
    taking = open_pool(v4, yard, worth, TAKING_HOOKS)
    token_id = mint(v4, yard, taking, yard.whale, taking.ticks(0, 0), 1_000)
    params = {**act.position.params, "token_id": token_id}

    with pytest.raises(ConfigError, match=r"hooks .* can take"):
        stage.talk(act.adapter.resolve(replace(act.position, params=params)))
    allowed = replace(act.position, params={**params, "allow_hooks": True})
    assert stage.talk(act.adapter.resolve(allowed)).virtual

    harmless = open_pool(v4, yard, worth, HARMLESS_HOOKS)
    token_id = mint(v4, yard, harmless, yard.whale, harmless.ticks(0, 0), 1_000)
    fine = replace(act.position, params={**act.position.params, "token_id": token_id})
    assert stage.talk(act.adapter.resolve(fine)).virtual


def test_native_pools_are_refused_clearly(act, stage, yard, v4, ground):
    native = PoolV4((NATIVE, ground["usdc"]), (3_000, 1), (10**18, 10**6))
    v4.pools.send("initialize", native.key, native.sqrt_price)
    ticks = native.ticks(0, 0)
    token_id = mint_native(v4, yard, native, ticks)
    wrong = replace(act.position, params={**act.position.params, "token_id": token_id})

    with pytest.raises(ConfigError, match="native coin itself"):
        stage.talk(act.adapter.resolve(wrong))
    place = Place("uniswap-v4", "x", act.position.target, {"ids": str(token_id)})
    assert stage.talk(act.adapter.discover("local", place, yard.whale)) == ()


def mint_native(v4, yard, pool: PoolV4, ticks) -> int:
    usdc = pool.tokens[1]
    give_and_allow(yard, usdc, yard.whale, PERMIT2, 10**12)
    yard.deployer.send(
        {"to": PERMIT2, "data": "0x" + ALLOW.encode(usdc, v4.positions.address, 10**12, 2**40).hex()}, yard.whale
    )
    wanted = encode(MINT, (pool.key, *ticks, 10**12, 2**127, 2**127, yard.whale, b""))
    settle = encode(("address", "address"), pool.tokens)
    token_id = v4.positions.call("nextTokenId")
    data = encode(("bytes", "bytes[]"), (MINT_AND_SETTLE, [wanted, settle]))
    v4.positions.send("modifyLiquidities", data, 2**40, sender=yard.whale, value=10**18)
    return token_id


def test_missing_nft_and_wrong_view_are_told(act, stage, ground):
    for params, kind, text in (
        ({"token_id": 999}, (ConfigError, ReadFailed), "NFT 999"),
        ({"state_view": ground["v4_pool_manager"]}, ConfigError, "does not look at the pools"),
    ):
        wrong = replace(act.position, params={**act.position.params, **params})
        with pytest.raises(kind, match=text):
            stage.talk(act.adapter.resolve(wrong))


def test_permissions_fix_every_word_but_amounts_and_deadline(act, stage):
    seen, allowed = act.look(), act.adapter.permissions(act.position, act.market)
    for legs in (act.claim(), act.adapter.compound(act.position, act.market, seen)):
        (call,) = stage.calls(legs, {})
        assert permitted(allowed, call.to, call.data)
        assert forbidden(call.data) is None
        for what, to, data in mutations(call, act.position.owner):
            assert not permitted(allowed, to, data), what
        free = {1} if legs[0].kind is LegKind.CLAIM else {1, 13, 14, 15}
        for word in range((len(call.data) - 4) // 32):
            at = 4 + 32 * word
            old = int.from_bytes(call.data[at : at + 32], "big")
            for changed in (old ^ 1, old ^ (1 << 248)):
                data = call.data[:at] + changed.to_bytes(32, "big") + call.data[at + 32 :]
                expected = word in free and (word == 1 or 0 < changed < 2**128)
                assert permitted(allowed, call.to, data) is expected, f"{call.label}: word {word}"


def test_found_among_the_newest_or_by_number(act, stage, fair, yard):
    (stall,) = [stall for stall in fair.stalls if stall.position.id == act.position.id]
    for ids in (None, "1", "1-3"):
        params = stall.place.params if ids is None else {**stall.place.params, "ids": ids}
        (found,) = stage.talk(act.adapter.discover("local", replace(stall.place, params=params), act.position.owner))

        assert dict(found.params) == dict(act.position.params)
        assert found.staked == act.look().principal
    assert len(stage.talk(act.adapter.discover("local", stall.place, yard.whale))) == 2
    assert stage.talk(act.adapter.discover("local", stall.place, STRANGER)) == ()
    with pytest.raises(ConfigError, match="ids must be numbers"):
        stage.talk(act.adapter.discover("local", replace(stall.place, params={"ids": "all"}), STRANGER))
    with pytest.raises(ReadFailed, match="does not answer like"):
        stage.talk(act.adapter.discover("local", replace(stall.place, target=fair.ground["uni"]), STRANGER))
