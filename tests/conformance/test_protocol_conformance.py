"""Every registered protocol adapter against real contract code: what it says is what the chain then does.

The local chain must hold at least one position of each adapter; a new adapter brings one along.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import entry_points

import pytest
from adapter_kit import STRANGER, mutations, permitted
from chain_stage import Stage

from keeper.domain.block import BlockRef
from keeper.domain.observation import Observation
from keeper.domain.plan import LegKind, Share
from keeper.domain.position import Market, Position, SideEffect
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import ProtocolAdapter

pytestmark = pytest.mark.devnet

YEAR = 365 * 86_400
ADAPTERS = {point.name: point for point in entry_points(group="keeper.protocols")}


@dataclass
class Scene:
    stage: Stage
    adapter: ProtocolAdapter
    position: Position
    market: Market

    def look(self, block: BlockRef | None = None) -> Observation:
        block = block or self.stage.head()
        answers = self.stage.chain.read(self.adapter.reads(self.position, self.market), block)
        return self.adapter.observe(self.position, self.market, answers, block)

    def claim(self):
        return self.adapter.harvest(self.position, self.market, self.look())

    def deposit(self):
        return self.adapter.deposit(self.position, self.market, Share(self.market.stake_token))


@pytest.fixture(params=sorted(ADAPTERS))
def scene(request, stage, positions) -> Scene:
    adapter = ADAPTERS[request.param].load()()
    mine = [p for p in positions if p.protocol == request.param]
    assert mine, f"the local chain has no position of {request.param}: add one to keeper/devnet"
    position = mine[0]
    stage.pass_blocks(5)
    return Scene(stage, adapter, position, stage.talk(adapter.resolve(position)))


def test_name_is_that_of_the_entry_point_and_the_port_is_met(scene):
    assert scene.adapter.name in ADAPTERS
    assert isinstance(scene.adapter, ProtocolAdapter)
    assert all(spec.kind in {"int", "str", "bool", "address"} and spec.doc for spec in scene.adapter.params.values())


def test_sees_the_stake_that_is_there(scene):
    seen = scene.look()

    assert seen.principal.raw > 0
    assert seen.principal.token == scene.market.stake_token
    assert [a.token for a in seen.pending] == list(scene.market.reward_tokens)
    assert [a.per_year.token for a in seen.accruals] == list(scene.market.reward_tokens)
    assert (seen.deposits_paused, seen.harvest_paused, seen.underfunded) == (False, False, ())


def test_reads_are_constant_and_their_sizes_are_announced(scene):
    reads = list(scene.adapter.reads(scene.position, scene.market))

    assert reads == list(scene.adapter.reads(scene.position, scene.market))
    for read, answer in zip(reads, scene.stage.read(reads), strict=True):
        assert len(answer.data) <= read.result_bytes, read


def test_pending_grows_as_the_accrual_says(scene):
    before = scene.look()
    after = scene.look(scene.stage.pass_blocks(60))

    seconds = after.block.timestamp - before.block.timestamp
    assert seconds >= 60 * scene.stage.interval
    for old, new, accrual in zip(before.pending, after.pending, before.accruals, strict=True):
        expected = accrual.per_year.raw * seconds // YEAR
        assert expected > 0
        assert abs(new.raw - old.raw - expected) <= expected // 60 + 1, (new.raw - old.raw, expected)


def test_claim_brings_what_was_pending_and_what_accrued_since(scene):
    seen = scene.look(scene.stage.pass_blocks(60))
    owner, rewards = scene.position.owner, scene.market.reward_tokens
    legs = scene.claim()
    calls = scene.stage.calls(legs, {})
    simulated = scene.stage.chain.simulate(owner, calls, [t.address for t in rewards])
    held = [scene.stage.balance(t, owner) for t in rewards]

    receipts = scene.stage.run(owner, legs, {})

    head, interval = scene.stage.head(), scene.stage.interval
    seconds = max(head.timestamp - seen.block.timestamp, (head.number - seen.block.number) * interval)
    assert simulated.success
    for token, before, pending, accrual in zip(rewards, held, seen.pending, seen.accruals, strict=True):
        paid = scene.stage.balance(token, owner) - before
        most = accrual.per_year.raw * (seconds + interval) // YEAR + pending.raw // 10_000 + 2
        assert 0 < pending.raw <= paid <= pending.raw + most
        assert pending.raw <= simulated.delta(token.address) <= pending.raw + most
        assert paid == sum(receipt.delta(token, owner).raw for receipt in receipts)
    assert all(leg.kind is LegKind.CLAIM and leg.brings and not leg.spends for leg in legs)
    assert all(amount.raw < pending.raw for amount, pending in zip(scene.look().pending, seen.pending, strict=True))


def test_claim_leaves_the_principal_alone(scene):
    before = scene.look().principal.raw

    scene.stage.run(scene.position.owner, scene.claim(), {})

    after = scene.look().principal.raw
    grows = SideEffect.REBASING_PRINCIPAL in scene.market.side_effects
    assert after >= before if grows else after == before


def test_deposit_grows_the_principal_by_exactly_what_left_the_wallet(scene):
    owner, token = scene.position.owner, scene.market.stake_token
    before, amount = scene.look().principal.raw, scene.look().principal.raw // 100 + 1
    scene.stage.deal(token, owner, amount)

    legs = scene.deposit()
    scene.stage.run(owner, legs, {token.address: amount})

    grown = scene.look().principal.raw - before
    assert [leg.kind for leg in legs] == [LegKind.APPROVE, LegKind.DEPOSIT]
    assert scene.stage.balance(token, owner) == 0
    if SideEffect.REBASING_PRINCIPAL in scene.market.side_effects:
        assert amount - 2 <= grown <= amount + before // 10**6
    else:
        assert grown == amount


def test_deposit_pays_only_if_it_says_so(scene):
    owner, token = scene.position.owner, scene.market.stake_token
    scene.stage.pass_blocks(50)
    scene.stage.deal(token, owner, 10**6)
    before = [scene.stage.balance(t, owner) for t in scene.market.reward_tokens if t != token]

    scene.stage.run(owner, scene.deposit(), {token.address: 10**6})

    after = [scene.stage.balance(t, owner) for t in scene.market.reward_tokens if t != token]
    assert (after != before) is (SideEffect.DEPOSIT_PAYS in scene.market.side_effects)


def test_approval_is_used_up(scene):
    owner, token = scene.position.owner, scene.market.stake_token
    scene.stage.deal(token, owner, 10**6)

    approve, deposit = scene.deposit()
    scene.stage.run(owner, (approve, deposit), {token.address: 10**6})

    again = scene.stage.calls((deposit,), {token.address: 10**6})
    scene.stage.deal(token, owner, 10**6)
    assert scene.stage.send(owner, again[0].to, again[0].data).status == 0


def test_permissions_cover_every_call_and_nothing_a_thief_would_want(scene):
    allowed = scene.adapter.permissions(scene.position, scene.market)
    amount = 10**21 + 7
    legs = [*scene.claim(), *scene.deposit()]

    for call in scene.stage.calls(legs, {scene.market.stake_token.address: amount}):
        assert permitted(allowed, call.to, call.data), call.label
        for what, to, data in mutations(call, scene.position.owner, (amount,)):
            assert not permitted(allowed, to, data), f"{call.label}: {what}"


def test_stranger_has_nothing_and_that_is_no_error(scene):
    stranger = Scene(scene.stage, scene.adapter, replace(scene.position, owner=STRANGER), scene.market)
    seen = stranger.look()

    assert seen.principal.raw == 0
    assert all(a.raw == 0 for a in seen.pending)
    assert all(a.per_year.raw == 0 for a in seen.accruals)


def test_wrong_contract_is_refused_with_the_positions_name(scene):
    for target in (scene.market.stake_token.address, STRANGER):
        wrong = replace(scene.position, target=target)
        with pytest.raises((ReadFailed, ConfigError), match=f"position {scene.position.id}: "):
            scene.stage.talk(scene.adapter.resolve(wrong))


def test_accrual_ends_when_it_says(scene):
    ends = [a.ends_at for a in scene.look().accruals if a.ends_at is not None]
    if not ends:
        assert all(a.per_year.raw > 0 for a in scene.look().accruals), "neither a rate nor an end"
        return
    scene.stage.warp_to(max(ends) + 1)
    at_end = scene.look()
    later = scene.look(scene.stage.pass_blocks(20))

    assert all(a.per_year.raw == 0 for a in at_end.accruals)
    assert [a.raw for a in later.pending] == [a.raw for a in at_end.pending]
