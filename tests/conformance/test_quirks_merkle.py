"""Merkle drops on a chain: what is believed of a document from outside, and what a Distributor does with a claim."""

from __future__ import annotations

import json
from types import MappingProxyType

import pytest
from adapter_kit import STRANGER, mutations, permitted
from vault_stage import put_back

from keeper.devnet.accounts import FARMER
from keeper.devnet.fair.merkle import document, leaves, root_of
from keeper.domain.drops import Drops, parse_drops
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import TakesDrops
from keeper.protocols.merkle import Merkle

pytestmark = pytest.mark.devnet

UPDATE = "updateTree(bytes32,uint48)"


@pytest.fixture
def stage(fair):
    with put_back(fair) as ready:
        yield ready


def owed(stage, more: int = 0):
    uni, aave = stage.fair.ground["uni"], stage.fair.ground["aave"]
    (first, *rest) = leaves(uni, aave)
    return [(first[0], first[1], first[2] + more), *rest]


def kept(stage, adapter=None, **params):
    """A position whose proceeds stay in the wallet."""
    position = stage.position("merkle-vault")
    text = document([owed(stage)], FARMER.address)
    own = {"tokens": position.params["tokens"], "into": position.params["into"], "proofs": text} | params
    return stage.scene(
        "merkle-vault", adapter=adapter, id="merkle-kept", target=stage.address("merkle", "kept"), params=own
    )


def with_document(stage, text: str):
    """The same, its proofs from outside."""
    drops = Drops(MappingProxyType(parse_drops(json.loads(text), FARMER.address, 31337)))
    adapter = Merkle().with_drops(lambda _source, _owner, _chain: drops)
    return kept(stage, adapter, proofs="https://drops.example/{owner}")


def update(stage, root: bytes, dispute: int = 0) -> None:
    stage.do(stage.address("merkle", "owner"), stage.address("merkle", "kept"), UPDATE, root, dispute)


def test_claim_brings_what_is_owed_and_nothing_the_second_time(stage):
    scene = kept(stage)
    seen, tokens = scene.look(), scene.market.reward_tokens
    before = [stage.balance(token, FARMER.address) for token in tokens]

    legs = scene.claim()
    simulated = scene.simulate(legs)
    scene.run(legs)

    paid = [stage.balance(token, FARMER.address) - old for token, old in zip(tokens, before, strict=True)]
    assert paid == [amount.raw for amount in seen.pending] == [60 * 10**18, 2 * 10**18]
    assert [simulated.delta(token.address) for token in tokens] == paid
    assert [amount.raw for amount in scene.look().pending] == [0, 0]
    assert scene.claim() == []
    assert scene.simulate(legs).delta(tokens[0].address) == 0, "a second claim succeeds and pays nothing"


def test_amounts_are_cumulative(stage):
    scene = kept(stage)
    scene.run(scene.claim())
    more = owed(stage, more=10**18)
    update(stage, root_of(more))

    later = with_document(stage, document([more], FARMER.address))

    assert [amount.raw for amount in later.look().pending] == [10**18, 0]
    (leg,) = later.claim()
    assert later.simulate([leg]).delta(leg.brings[0].address) == 10**18


def test_greater_amount_than_was_proven_counts_for_nothing(stage):
    lie = json.loads(document([owed(stage)], FARMER.address))
    uni = stage.fair.ground["uni"]
    lie[uni][0]["amount"] = str(10**24)
    scene = with_document(stage, json.dumps(lie))
    seen = scene.look()

    assert [amount.raw for amount in seen.pending] == [0, 2 * 10**18]
    assert not seen.harvest_paused, "the other token is claimed all the same"
    assert [leg.brings[0].symbol for leg in scene.claim()] == ["AAVE"]


def test_somebody_elses_leaf_counts_for_nothing(stage):
    whale = leaves(stage.fair.ground["uni"], stage.fair.ground["aave"])[2][0]
    scene = with_document(stage, document([owed(stage)], whale))
    assert [amount.raw for amount in scene.look().pending] == [0, 0]


def test_new_tree_waits_for_the_end_of_its_dispute(stage):
    more = owed(stage, more=10**18)
    update(stage, root_of(more), 3_600)
    scene = with_document(stage, document([more], FARMER.address))
    early = scene.look()

    stage.pass_time(3_600)

    assert early.harvest_paused
    assert "do not lead to the root" in early.paused_because
    assert [amount.raw for amount in early.pending] == [0, 0]
    assert not scene.look().harvest_paused
    assert scene.look().pending[0].raw == 61 * 10**18


def test_old_proofs_are_not_claimed_with(stage):
    scene = kept(stage)
    legs = scene.claim()
    update(stage, root_of(owed(stage, more=10**18)))

    assert scene.look().harvest_paused
    assert scene.claim() == []
    assert not scene.simulate(legs).success, "the contract would refuse them"


def test_short_distributor_is_seen_and_holds_up_no_other_token(stage):
    scene = kept(stage)
    uni, aave = scene.market.reward_tokens
    stage.deal(uni, scene.position.target, 10**18)

    assert scene.look().underfunded == ("UNI",)
    legs = scene.claim()
    assert [leg.brings for leg in legs] == [(aave,)]
    assert scene.simulate(legs).success


def test_unreachable_source_says_why(stage):
    adapter = Merkle().with_drops(lambda *_: Drops(problem="drops.example is too slow"))
    seen = kept(stage, adapter, proofs="https://drops.example").look()

    assert (seen.harvest_paused, seen.pending[0].raw) == (True, 0)
    assert "drops.example is too slow" in seen.paused_because


def test_old_answers_are_used_while_the_source_is_away(stage):
    text = document([owed(stage)], FARMER.address)
    drops = Drops(MappingProxyType(parse_drops(json.loads(text), FARMER.address, 31337)), "drops.example is too slow")
    adapter = Merkle().with_drops(lambda *_: drops)
    seen = kept(stage, adapter, proofs="https://drops.example").look()

    assert (seen.harvest_paused, seen.pending[0].raw) == (False, 60 * 10**18)


def test_nobody_else_may_claim_and_nobody_else_is_claimed_for(stage):
    scene = kept(stage)
    (first, *_) = stage.calls(scene.claim(), {})
    assert stage.send(STRANGER, first.to, first.data).status == 0
    assert all(amount.raw == 0 for amount in stage.scene("merkle-vault", owner=STRANGER).look().pending)


def test_proceeds_go_on_into_a_vault(stage):
    scene, left = stage.scene("merkle-vault"), kept(stage)
    usdc, before = scene.market.stake_token, scene.look().principal.raw
    stage.deal(usdc, FARMER.address, 10**9)

    scene.run(scene.deposit(), {usdc.address: 10**9})

    assert usdc.symbol == "USDC"
    assert scene.look().principal.raw - before == 10**9
    assert stage.balance(usdc, FARMER.address) == 0
    assert left.deposit() == []
    assert left.look().principal.raw == 0


@pytest.mark.parametrize("name", ["merkle-kept", "merkle-vault"])
def test_permissions_are_one_leaf_of_the_owner_and_no_more(stage, name):
    scene = kept(stage) if name == "merkle-kept" else stage.scene(name)
    allowed = scene.adapter.permissions(scene.position, scene.market)
    amount = 10**9 + 7
    legs = [*scene.claim(), *scene.deposit()]
    for call in stage.calls(legs, {scene.market.stake_token.address: amount}):
        assert permitted(allowed, call.to, call.data), call.label
        amounts = (amount, *(seen.raw for seen in scene.look().pending))
        for what, to, data in mutations(call, FARMER.address, amounts):
            assert not permitted(allowed, to, data), f"{call.label}: {what}"
    claim = stage.calls(scene.claim(), {})[0].data
    for word in (0, 1, 2, 3, 4, 6, 8, 10, 11, 12):
        start = 4 + 32 * word
        changed = (int.from_bytes(claim[start : start + 32], "big") ^ 0x20).to_bytes(32, "big")
        assert not permitted(allowed, scene.position.target, claim[:start] + changed + claim[start + 32 :]), word


def test_any_length_of_proof_is_permitted_up_to_the_longest(stage):
    from keeper.protocols.merkle import CLAIM

    scene = kept(stage)
    allowed = scene.adapter.permissions(scene.position, scene.market)
    uni = scene.market.reward_tokens[0].address
    for size in (0, 1, 17, 32, 33):
        data = CLAIM.encode([FARMER.address], [uni], [1], [[b"\xff" * 32] * size])
        assert permitted(allowed, scene.position.target, data) is (size <= 32)
    two = CLAIM.encode([FARMER.address] * 2, [uni] * 2, [1] * 2, [[], []])
    assert not permitted(allowed, scene.position.target, two)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tokens": "0x12"}, "tokens: "),
        ({"tokens": ";".join(f"0x{n:040x}" for n in range(1, 10))}, "tokens: at most 8"),
        ({"proofs": '{"0x12": {"amount": "1", "proof": []}}'}, "proofs: "),
        ({"proofs": '{"a" 1'}, "proofs: "),
        ({"deposit": "deposit(address:owner)"}, "deposit: must say once"),
        ({"deposit": "deposit"}, "deposit: 'deposit' is not a call"),
        ({"principal": "x(uint256:amount)"}, "principal: "),
    ],
)
def test_mistakes_are_named(stage, changes, words):
    with pytest.raises(ConfigError, match=f"position merkle-kept: {words}"):
        kept(stage, **changes)


def test_wrong_contract_is_refused(stage):
    for target in (stage.fair.ground["uni"], STRANGER):
        with pytest.raises(ReadFailed, match="position merkle-vault: "):
            stage.scene("merkle-vault", target=target)


def test_source_is_told_from_json_in_the_config(stage):
    adapter = Merkle()
    assert isinstance(adapter, TakesDrops)
    assert adapter.drop_source(stage.position("merkle-vault")) == ""
    assert kept(stage, proofs="{owner}.json").look().harvest_paused


def test_trees_follow_each_other(stage):
    scene = stage.scene("merkle-vault")
    stage.pass_time(86_400)
    first = scene.look().pending
    scene.run(scene.claim())
    assert [amount.raw for amount in scene.look().pending] == [0, 0]

    stage.pass_time(3 * 86_400)

    later = scene.look().pending
    assert [amount.raw for amount in later] == [3 * 6 * 10**18, 3 * 10**18 // 5]
    assert all(amount.raw > then.raw // 10 for amount, then in zip(later, first, strict=True))
    assert scene.simulate(scene.claim()).success


def test_proofs_of_the_tree_before_serve_while_the_new_one_can_be_disputed(stage):
    more = owed(stage, more=10**18)
    update(stage, root_of(more), 3_600)
    both = json.loads(document([more, owed(stage)], FARMER.address))
    scene = with_document(stage, json.dumps(both))

    early = scene.look()
    assert (early.pending[0].raw, early.harvest_paused) == (60 * 10**18, False)
    assert scene.simulate(scene.claim()).success
    stage.pass_time(3_600)
    assert scene.look().pending[0].raw == 61 * 10**18
    assert scene.simulate(scene.claim()).success
