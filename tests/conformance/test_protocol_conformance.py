"""Every registered protocol adapter at the fair: what it says is what the chain then does, twice, through a whole keeper.

An adapter is covered by being registered: it must have a stall at the fair (``keeper/devnet/fair``).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import pytest
from adapter_kit import STRANGER, mutations, permitted
from app_kit import nonce, sent_by, transfers
from fair_kit import FairStage, known_stalls, open_at_the_fair
from protocol_table import ADAPTERS, check_row

from keeper.app import App
from keeper.devnet.fair.stall import Stall
from keeper.domain.block import BlockRef
from keeper.domain.decision import ReasonCode, Verdict
from keeper.domain.harvest import HarvestState
from keeper.domain.observation import Observation, RateSource
from keeper.domain.plan import LegKind, Share
from keeper.domain.position import Market, Position, SideEffect
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import Discovers, ProtocolAdapter

pytestmark = pytest.mark.devnet

YEAR = 365 * 86_400
STALLS = sorted(known_stalls())
HARVESTED = [name for name in STALLS if not known_stalls()[name].grows]
OWN = [name for name in HARVESTED if not known_stalls()[name].for_everybody]


@dataclass
class Scene:
    stage: FairStage
    stall: Stall
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
        return self.adapter.deposit(self.position, self.market, Share(self.market.stake_token), self.look())

    def claimable(self) -> dict[str, int]:
        """What a simulated claim would bring now, by token: the truth behind every view."""
        calls = self.stage.calls(self.claim(), {})
        tokens = [token.address for token in self.market.held]
        simulated = self.stage.chain.simulate(self.position.owner, calls, tokens)
        assert simulated.success, [call.error for call in simulated.calls]
        return {token.address: simulated.delta(token.address) for token in self.market.reward_tokens}


def scene_of(stage: FairStage, name: str) -> Scene:
    stall = stage.stall(name)
    adapter = ADAPTERS[stall.position.protocol].load()()
    position = stall.position
    if "block_time_ms" in adapter.params and "block_time_ms" not in position.params:
        position = replace(position, params={**position.params, "block_time_ms": 1000 * stage.interval})
    return Scene(stage, stall, adapter, position, stage.talk(adapter.resolve(position)))


def test_every_registered_adapter_has_a_stall():
    missing = set(ADAPTERS) - {stall.position.protocol for stall in known_stalls().values()}
    assert not missing, f"no stall at the fair: {sorted(missing)}; add one to keeper/devnet/fair"


def test_names_and_params_are_those_of_the_port():
    for name, point in ADAPTERS.items():
        adapter = point.load()()
        assert isinstance(adapter, ProtocolAdapter)
        assert adapter.name == name
        assert all(spec.kind in {"int", "str", "bool", "address"} and spec.doc for spec in adapter.params.values())


@pytest.mark.parametrize("name", STALLS)
def test_says_what_is_there(fair_stage, name):
    scene = scene_of(fair_stage, name)
    seen = scene.look()
    assert seen.principal.raw > 0
    assert seen.principal.token == scene.market.stake_token
    assert [a.token for a in seen.pending] == list(scene.market.reward_tokens)
    assert [a.per_year.token for a in seen.accruals] in ([], list(scene.market.reward_tokens))
    assert (seen.deposits_paused, seen.harvest_paused, seen.underfunded) == (False, False, ())
    assert scene.stall.grows is (not scene.market.reward_tokens)
    assert scene.stall.for_everybody is (SideEffect.FOR_EVERYBODY in scene.market.side_effects)

    reads = list(scene.adapter.reads(scene.position, scene.market))
    assert reads == list(scene.adapter.reads(scene.position, scene.market)), "constant, so that batches are cached"
    assert len(reads) <= 24
    for read, answer in zip(reads, fair_stage.read(reads), strict=True):
        assert len(answer.data) <= read.result_bytes, read


@pytest.mark.parametrize("name", STALLS)
def test_stranger_has_nothing_and_a_wrong_contract_is_refused(fair_stage, name):
    scene = scene_of(fair_stage, name)
    assert seen_by_a_stranger(scene_of(fair_stage, name)) == 0
    for target in (fair_stage.fair.ground["weth"], STRANGER):
        with pytest.raises((ReadFailed, ConfigError), match=f"position {scene.position.id}: "):
            fair_stage.talk(scene.adapter.resolve(replace(scene.position, target=target)))


@pytest.mark.parametrize("name", OWN)
def test_rate_pending_simulation_and_delta_agree(fair_stage, name):
    scene = scene_of(fair_stage, name)
    fair_stage.ripen(scene.stall)
    early, seen = scene.claimable(), scene.look()
    start = fair_stage.head()
    end = fair_stage.pass_blocks(25)
    late, after = scene.claimable(), scene.look()
    seconds = end.timestamp - start.timestamp
    for accrual in seen.accruals:
        token = accrual.per_year.token.address
        if (
            accrual.source is RateSource.CHAIN
            and not seen.epoch_seconds
            and (accrual.ends_at or seconds * 10**9) > end.timestamp
        ):
            expected = accrual.per_year.raw * seconds // YEAR
            assert abs(late[token] - early[token] - expected) <= expected // 50 + 1, (
                late[token] - early[token],
                expected,
            )
    for amount in after.pending:
        truth = late[amount.token.address]
        assert amount.raw <= truth + truth // 1000 + 1, f"a view that promises more {amount.token.symbol} than is paid"
        if not scene.stall.stale_view:
            assert amount.raw >= truth - truth // 50 - 1, f"{amount.token.symbol} is pending, and not seen"
    assert any(late.values()), "nothing to harvest after what the stall calls ripe"

    owner, rewards = scene.position.owner, scene.market.reward_tokens
    held = {token: fair_stage.balance(token, owner) for token in rewards}
    legs = scene.claim()
    receipts = fair_stage.run(owner, legs, {})
    for token in rewards:
        paid = fair_stage.balance(token, owner) - held[token]
        truth = late[token.address]
        assert truth <= paid + paid // 1000 + 1
        assert paid <= truth + truth // 20 + 1, "a few blocks more than simulated, and no more"
        assert paid == sum(receipt.delta(token, owner).raw for receipt in receipts)
    for leg, receipt in zip(legs, receipts, strict=True):
        assert leg.kind in (LegKind.CLAIM, LegKind.STAKE)
        assert not leg.spends
        assert {(proof.address, proof.topic) for proof in leg.proves} <= set(receipt.events)
    assert scene.look().principal.raw >= after.principal.raw


@pytest.mark.parametrize("name", HARVESTED)
def test_permissions_cover_every_call_and_nothing_a_thief_would_want(fair_stage, name):
    scene = scene_of(fair_stage, name)
    fair_stage.ripen(scene.stall)
    allowed = scene.adapter.permissions(scene.position, scene.market)
    amount = 10**21 + 7
    legs = [*scene.claim(), *scene.deposit()]
    have = {token.address: amount for token in scene.market.tokens}
    for call in fair_stage.calls(legs, have):
        assert permitted(allowed, call.to, call.data), call.label
        for what, to, data in mutations(call, scene.position.owner, (amount,)):
            assert not permitted(allowed, to, data), f"{call.label}: {what}"


@pytest.mark.parametrize("name", OWN)
def test_compounds_twice_and_touches_nothing_else(fair_stage, tmp_path, name):
    """Through a whole keeper: journal, policy, simulation, wire, ledger."""
    stall = fair_stage.stall(name)
    farmer = stall.position.owner
    world = [fair_stage.fair.ground[symbol] for symbol in ("weth", "usdc", "dai", "uni", "sushi", "aave")]
    with open_at_the_fair(fair_stage, tmp_path, [stall]) as app:
        own = balances(fair_stage, {*world, *(t.address for t in market_of(app, name).held)}, farmer)
        harvests = []
        for _ in range(2):
            fair_stage.ripen(stall)
            start, first, before = height(fair_stage), nonce(fair_stage, farmer), principal(app, name)
            outcome = app.compound(name, forced=True)
            assert outcome.harvest is not None, [reason.text for reason in outcome.decision.reasons]
            assert outcome.harvest.state is HarvestState.DONE, outcome.harvest.error
            harvests.append(outcome.harvest)
            sent = sent_by(Blocks(fair_stage), farmer, start)
            assert len(sent) == len(app.store.intents(outcome.harvest.id)) == nonce(fair_stage, farmer) - first
            assert all(tx["receipt"]["status"] == "0x1" for tx in sent)
            assert principal(app, name) > before, "the stake has not grown"
            booked = Counter()
            for entry in app.store.ledger(name):
                if entry.harvest_id == outcome.harvest.id:
                    booked[entry.amount.token.address] += entry.amount.raw
            logs = transfers([tx["receipt"] for tx in sent], farmer)
            known = {token.address for token in app.book("local").holding(name).tokens}
            assert {t: raw for t, raw in booked.items() if raw} == {t: r for t, r in logs.items() if r and t in known}
            assert outcome.harvest.received
            assert outcome.harvest.put_back
            assert outcome.harvest.compounded_usd * 100 >= outcome.harvest.received_usd * 90, "much was left behind"
        left = Counter()
        for entry in app.store.ledger(name):
            left[entry.amount.token.address] += entry.amount.raw
        for token, raw in balances(fair_stage, own, farmer).items():
            assert raw >= own[token], "the wallet's own is never spent"
            if token in known:
                assert raw == own[token] + left[token]
        row = {"gas": harvests[-1].gas_used, "market": market_of(app, name), "look": scene_of(fair_stage, name).look()}
    check_row(stall, **row)


@pytest.mark.parametrize("name", [name for name in HARVESTED if name not in OWN])
def test_harvests_for_everybody_are_proven(fair_stage, tmp_path, name):
    stall = fair_stage.stall(name)
    with open_at_the_fair(fair_stage, tmp_path, [stall]) as app:
        fair_stage.ripen(stall)
        outcome = app.compound(name, forced=True)
        assert outcome.harvest is not None, [reason.text for reason in outcome.decision.reasons]
        assert outcome.harvest.state is HarvestState.DONE, outcome.harvest.error
        row = {
            "gas": outcome.harvest.gas_used,
            "market": market_of(app, name),
            "look": scene_of(fair_stage, name).look(),
        }
        # Right after a harvest there is nothing: the simulation tells, and nothing is sent.
        first = nonce(fair_stage, stall.position.owner)
        again = app.compound(name, forced=True)
        assert again.harvest is None
        assert nonce(fair_stage, stall.position.owner) == first
    check_row(stall, **row)


@pytest.mark.parametrize("name", [name for name in STALLS if name not in HARVESTED])
def test_what_grows_by_itself_is_watched_and_left_alone(fair_stage, tmp_path, name):
    stall = fair_stage.stall(name)
    with open_at_the_fair(fair_stage, tmp_path, [stall]) as app:
        before = app.survey([name])[0]
        fair_stage.pass_time(30 * 86_400)
        after = app.survey([name])[0]
        assert after.decision.verdict is Verdict.WAIT
        assert after.decision.code is ReasonCode.GROWS_BY_ITSELF
        assert after.decision.numbers.principal_usd > before.decision.numbers.principal_usd
        assert app.compound(name, forced=True).harvest is None
        row = {"gas": 0, "market": market_of(app, name), "look": scene_of(fair_stage, name).look()}
    check_row(stall, **row)


@pytest.mark.parametrize("name", [name for name in STALLS if known_stalls()[name].place is not None])
def test_discover_finds_it(fair_stage, name):
    stall = fair_stage.stall(name)
    adapter = ADAPTERS[stall.position.protocol].load()()
    assert isinstance(adapter, Discovers)

    found = fair_stage.talk(adapter.discover("local", stall.place, stall.position.owner))

    wanted = {key: value for key, value in stall.position.params.items() if key != "block_time_ms"}
    assert any(f.target == stall.position.target and wanted.items() <= dict(f.params).items() for f in found), found
    assert all(f.staked.raw > 0 for f in found)
    assert fair_stage.talk(adapter.discover("local", stall.place, STRANGER)) in ([], ())


def test_all_families_together_are_read_in_one_batch(fair_stage, tmp_path):
    stalls = [fair_stage.stall(name) for name in STALLS]
    with open_at_the_fair(fair_stage, tmp_path, stalls) as app:
        book = app.book("local")
        assert not book.failures, {name: str(error) for name, error in book.failures.items()}
        assert len({stall.position.protocol for stall in stalls}) >= 10
        context = app.contexts["local"]
        block = context.chain.head()
        reads = [
            r for h in book.holdings for r in context.plugins.protocols[h.position.protocol].reads(h.position, h.market)
        ]
        calls = count_requests(context, lambda: context.chain.read(reads, block))
        alone = sum(read.sender is not None for read in reads)  # only the owner is told: asked as the owner
        wanted = -(-(len(reads) - alone) // 585) + alone
        assert len(reads) > 400
        assert calls.count("eth_call") <= wanted, f"{calls} for {len(reads)} reads, {alone} of them alone"
        assert len(calls) <= wanted + 1, "and one look at whether the block is still the same"
        seen = app.survey()
        assert [a.decision.reasons[0].text for a in seen if a.case is None] == []


# ------------------------------------------------------------------------------------------------------ what they share


def seen_by_a_stranger(scene: Scene) -> int:
    """What an account without a stake is said to have: nothing, or an error that names the position."""
    stranger = replace(scene.position, owner=STRANGER)
    try:
        scene.market = scene.stage.talk(scene.adapter.resolve(stranger))
        scene.position = stranger
        seen = scene.look()
    except (ReadFailed, ConfigError) as error:
        return 0 if f"position {stranger.id}: " in str(error) else -1
    return seen.principal.raw if seen.vault_share_ppm is None else seen.vault_share_ppm


class Blocks:
    """What ``sent_by`` asks of a world."""

    def __init__(self, stage: FairStage) -> None:
        self.node = stage.node

    @property
    def block_number(self) -> int:
        return int(self.node.rpc("eth_blockNumber"), 16)


def height(stage: FairStage) -> int:
    return Blocks(stage).block_number


def principal(app: App, name: str) -> int:
    (assessment,) = app.survey([name])
    assert assessment.observation is not None, [reason.text for reason in assessment.decision.reasons]
    return assessment.observation.principal.raw


def market_of(app: App, name: str) -> Market:
    return app.book("local").holding(name).market


def balances(stage: FairStage, tokens, who: str) -> dict[str, int]:
    data = "0x70a08231" + who[2:].zfill(64)
    return {t: int(stage.node.rpc("eth_call", {"to": t, "data": data}, "latest"), 16) for t in tokens}


def count_requests(context, act) -> list[str]:
    """Methods that an action asks of the chain's own endpoint, one a request."""
    from keeper.chain.endpoint import Endpoint

    sent = []
    real = Endpoint.call

    def counting(self, *args, **kwargs):
        sent.append(args[0])
        return real(self, *args, **kwargs)

    Endpoint.call = counting
    try:
        act()
    finally:
        Endpoint.call = real
    return sent
