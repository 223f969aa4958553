"""A chain, a journal and an engine around ``keeper.tx.machine``, with a judge: small enough to be right by reading.

The chain keeps blocks, a pool and one account's nonces; the engine does with steps what ``keeper.engine.flight`` does
(commit, then act, then step the answers), can be killed at any point, and has the judge look at every step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from keeper.domain.block import BlockRef
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.journal import AddAttempt, AddIntent, AddReceipt, Change, Finalise, Reopen, Settle, Track
from keeper.domain.money import NO_USD, Address, Token
from keeper.domain.plan import LegKind, Plan
from keeper.domain.transaction import (
    IN_FLIGHT,
    Attempt,
    AttemptState,
    FeeQuote,
    Intent,
    IntentState,
    Nonces,
    Purpose,
    Receipt,
    Sight,
    Submission,
)
from keeper.tx.fees import floor_in
from keeper.tx.machine import step
from keeper.tx.nonces import allocate
from keeper.tx.slot import (
    Answered,
    Asked,
    Event,
    Offer,
    Offered,
    Order,
    Prove,
    Proved,
    Quote,
    Rules,
    Saw,
    Send,
    Sign,
    Signed,
    Slot,
    Step,
    Tell,
    Woke,
)

OWNER = Address("0x" + "11" * 20)
LP = Token("local", Address("0x" + "22" * 20), "LP", 18)
HARVEST = Harvest("h", "farm", "local", OWNER, HarvestState.OPEN, "p", 1, 1, NO_USD, NO_USD, 1)
PLAN = Plan("p", "farm", "local", OWNER, (), (LP,), LP)
GWEI = 10**9
#: The account's count before the first block.
FIRST_NONCE = 7
RULES = Rules(confirmations=2, finality_blocks=6, deadline_blocks=12, tip_cap_wei=3 * GWEI)


class Killed(BaseException):
    """The process is gone."""


# ------------------------------------------------------------------------------------------------------------ the chain


@dataclass(frozen=True)
class Mined:
    """A transaction in a block."""

    hash: str
    nonce: int
    status: int


@dataclass(frozen=True)
class Block:
    number: int
    hash: str
    txs: tuple[Mined, ...] = ()


View = tuple[Block, ...]


def count(view: View) -> int:
    """The account's mined count."""
    return FIRST_NONCE + sum(len(block.txs) for block in view)


def find(view: View, tx_hash: str) -> tuple[Block, Mined] | None:
    return next(((block, tx) for block in view for tx in block.txs if tx.hash == tx_hash), None)


def user_of(view: View, nonce: int) -> tuple[str, int] | None:
    return next(((tx.hash, block.number) for block in view for tx in block.txs if tx.nonce == nonce), None)


def depth(view: View, number: int) -> int:
    return view[-1].number - number + 1


@dataclass(frozen=True)
class Pick:
    """What a block takes for the next nonce: by ``which``, nothing, a public transaction of ours, or a stranger's."""

    which: int = 0
    status: int = 1


class Chain:
    """Blocks, what was ever public, and what the pool still has."""

    def __init__(self) -> None:
        self.blocks: list[Block] = [Block(0, "0xb0")]
        #: Every transaction of ours that ever left: somebody may still have it.
        self.public: dict[str, Attempt] = {}
        self.pool: set[str] = set()
        #: Chains as they were: an endpoint may lag.
        self.before: list[View] = []
        self.peak = 0
        self._serial = 0

    @property
    def view(self) -> View:
        return tuple(self.blocks)

    @property
    def final(self) -> int:
        """The highest block that no reorg reaches."""
        return max(self.peak - RULES.finality_blocks + 1, 0)

    def mine(self, picks: Sequence[Pick] = ()) -> None:
        self._keep()
        self._append([self._picked(pick) for pick in picks])

    def mine_pool(self, base_fee: int) -> None:
        """Take the best offers in the order of nonces; a nonce that nobody has is a stranger's."""
        self._keep()

        def best(nonce: int) -> Mined | None:
            offers = [a for a in self._at(nonce) if a.hash in self.pool and a.max_fee_wei >= base_fee]
            if offers:
                return Mined(max(offers, key=lambda a: a.max_fee_wei).hash, nonce, 1)
            return None

        self._append([best] * 8)

    def fill(self) -> None:
        """A stranger takes the next nonce."""
        self._keep()
        self._append([self._foreign])

    def reorg(self, how_deep: int, blocks: Sequence[Sequence[Pick]]) -> None:
        """Another branch from as deep as the chain allows."""
        self._keep()
        how_deep = min(how_deep, self.blocks[-1].number - self.final)
        if how_deep > 0:
            gone = {tx.hash for block in self.blocks[-how_deep:] for tx in block.txs}
            self.pool -= gone  # as anvil does; what is to stay known goes out again
            del self.blocks[-how_deep:]
        for picks in blocks:
            self._append([self._picked(pick) for pick in picks])

    def _keep(self) -> None:
        self.before = [*self.before[-5:], self.view]

    def _append(self, choose: Sequence[Callable[[int], Mined | None]]) -> None:
        self._serial += 1
        txs: list[Mined] = []
        for one in choose:
            tx = one(count(self.view) + len(txs))
            if tx is None:
                break
            txs.append(tx)
        self.pool -= {tx.hash for tx in txs}
        self.blocks.append(Block(self.blocks[-1].number + 1, f"0xb{self._serial}", tuple(txs)))
        self.peak = max(self.peak, self.blocks[-1].number)

    def _picked(self, pick: Pick) -> Callable[[int], Mined | None]:
        def choose(nonce: int) -> Mined | None:
            ours = [Mined(a.hash, nonce, pick.status) for a in self._at(nonce)]
            return [None, *ours, self._foreign(nonce)][pick.which % (len(ours) + 2)]

        return choose

    def _at(self, nonce: int) -> list[Attempt]:
        return [attempt for attempt in self.public.values() if attempt.nonce == nonce]

    def _foreign(self, nonce: int) -> Mined:
        return Mined(f"0xforeign{nonce}", nonce, 1)


@dataclass(frozen=True)
class Lie:
    """What a look gets wrong. The quorum lets through what lags; what is missing or on no chain is for the machine."""

    #: Blocks by which the head lags.
    lag: int = 0
    #: Which earlier chain is shown, counted back; 0 for the present one.
    fork: int = 0
    no_receipts: bool = False
    #: Receipts in blocks that are on no chain, for every transaction.
    ghosts: bool = False
    #: By how much the mined count is too low, or too high when negative.
    nonces: int = 0
    no_canonical: bool = False
    tag: bool = False


HONEST = Lie()


def receipt_in(block: Block, tx: Mined) -> Receipt:
    return Receipt(tx.hash, block.number, block.hash, tx.status, 50_000, GWEI, 0, ())


def shown(chain: Chain, lie: Lie) -> View:
    """The chain that a look is of."""
    view = chain.before[-lie.fork] if 0 < lie.fork <= len(chain.before) else chain.view
    return view[: max(len(view) - lie.lag, 1)]


def sight_of(view: View, hashes: Sequence[str], heights: Sequence[int], lie: Lie) -> Sight:
    receipts = {h: receipt_in(*found) for h in hashes if (found := find(view, h)) is not None}
    if lie.ghosts:
        receipts = {h: Receipt(h, view[-1].number, "0xghost", 1, 1, 1, 0, ()) for h in hashes}
    if lie.no_receipts:
        receipts = {}
    asked = {*heights, *(receipt.block_number for receipt in receipts.values()), view[-1].number}
    canonical = {} if lie.no_canonical else {block.number: block.hash for block in view if block.number in asked}
    latest = max(count(view) - lie.nonces, 0)
    head = BlockRef("local", view[-1].number, view[-1].hash, 0)
    final = max(head.number - RULES.finality_blocks + 1, 0) if lie.tag else None
    return Sight(head, final, Nonces(latest, latest), receipts, canonical)


# ------------------------------------------------------------------------------------------------------------- journals


class Book(Protocol):
    """What the engine needs of a journal."""

    def apply(self, changes: Sequence[Change]) -> None: ...

    def track(self, intent_id: str) -> Track | None: ...

    def everything(self) -> list[Track]: ...


@dataclass
class Weather:
    """What nodes, markets and pools do at the moment."""

    fees: FeeQuote = field(default_factory=lambda: FeeQuote(10 * GWEI, GWEI))
    work_cap: int | None = None
    cancel_cap: int | None = None
    budget: int | None = None
    passes: bool = True
    outcome: Submission = Submission.ACCEPTED
    words: str = ""
    #: Whether sent bytes reach the pool.
    arrives: bool = True
    #: Whether fees can be asked for.
    quotes: bool = True
    #: Whether the replacement can be signed now.
    signs: bool = True
    #: What a proof is of: 0 nothing, 1 the present chain, 2 an earlier one.
    proof: int = 1


@dataclass
class Engine:
    """``keeper.engine.flight`` in small, and the judge of everything that it is told to do."""

    book: Book
    chain: Chain
    rules: Rules = RULES
    weather: Weather = field(default_factory=Weather)
    now: float = 0.0
    #: Points until the process is killed; ``None`` for never.
    fuse: int | None = None
    slots: dict[str, Slot] = field(default_factory=dict)
    flags: dict[str, str] = field(default_factory=dict)
    #: Intents of which no bytes that do the work may go out again: a person wants them gone, or they were cancelled.
    dropped: set[str] = field(default_factory=set)
    #: Intents for which a cancel was signed.
    cancelled: set[str] = field(default_factory=set)
    seen: View = ()
    proven: View = ()
    offer: Offer | None = None
    tells: list[Tell] = field(default_factory=list)
    serial: int = 0

    # -------------------------------------------------------------------------------- what the engine is told to do

    def launch(self, leg: int) -> str | None:
        """Sign and send a leg that is neither done nor under way, as ``keeper.engine.launch`` does."""
        past = [t for t in self.book.everything() if t.intent.leg_index == leg]
        if any(t.intent.state not in (IntentState.REVERTED, IntentState.CANCELLED) for t in past):
            return None
        self.serial += 1
        intent = Intent(
            id=f"i{self.serial}",
            key=f"h:{leg}:{self.serial}",
            harvest_id="h",
            leg_index=leg,
            chain="local",
            chain_id=1,
            sender=OWNER,
            kind=LegKind.CLAIM,
            label="",
            to=OWNER,
            data=b"\1\2\3\4",
            value=0,
        )
        self.book.apply([AddIntent(intent)])
        self.point()
        used = [t.intent.nonce for t in self.book.everything() if t.intent.nonce is not None]
        mined = count(self.chain.view)
        nonces = allocate(
            1, known=[n for n in used if n >= mined], mined=mined, journal_next=max(used, default=-1) + 1, pending=mined
        ).nonces
        fees = self.weather.fees
        attempt = self._attempt(intent.id, nonces[0], 2 * fees.base_fee_wei + fees.tip_wei, fees.tip_wei, Purpose.WORK)
        self.book.apply([AddAttempt(attempt)])
        self.point()
        intent = replace(intent, state=IntentState.SIGNED, nonce=attempt.nonce)
        self.slots[intent.id] = Slot(Track(intent, (attempt,)), quoted_at=self.now)
        self.run(self._send([(intent.id, attempt.hash)]))
        return intent.id

    def look(self, lie: Lie = HONEST) -> None:
        unmined = [s for s in self.slots.values() if s.state in (IntentState.SIGNED, IntentState.BROADCAST)]
        by_proof = [s for s in self.slots.values() if s.state is IntentState.CANCELLED and s.track.receipt is None]
        hashes = [a.hash for slot in (*unmined, *by_proof) for a in slot.track.attempts]
        heights = [slot.track.receipt.block_number for slot in self.slots.values() if slot.track.receipt is not None]
        self.seen = shown(self.chain, lie)
        saw = Saw(sight_of(self.seen, hashes, heights, lie), self.now)
        self.run([(slot.track.intent.id, saw) for slot in self._in_order()])
        for identity, why in self.flags.items():
            slot = self.slots.get(identity)
            if slot is not None and slot.state in (IntentState.SIGNED, IntentState.BROADCAST) and not slot.giving_up:
                self.run([(identity, Asked(why))])

    def ask(self, identity: str, why: str, *, hurry: bool) -> None:
        if identity in self.slots:
            if why:
                self.flags[identity] = why
                self.dropped.add(identity)
            self.run([(identity, Asked(why, hurry))])

    def restart(self) -> None:
        """Begin again with what the journal has."""
        self.fuse = None
        tracks = [track for track in self.book.everything() if not track.final]
        self.slots = {t.intent.id: Slot(t, giving_up=self.flags.get(t.intent.id, "")) for t in tracks}
        self.run([(slot.track.intent.id, Woke(self.now)) for slot in self._in_order()])

    def point(self) -> None:
        """A place where the process may end."""
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse <= 0:
                self.fuse = None
                raise Killed

    # ---------------------------------------------------------------------------------------------------- stepping

    def run(self, events: Sequence[tuple[str, Event]]) -> None:
        rounds = 0
        while events:
            rounds += 1
            assert rounds < 20, "one event leads to others without end"
            after: dict[str, Slot] = {}
            steps: list[tuple[str, Step]] = []
            for identity, event in events:
                before = after.get(identity) or self.slots[identity]
                result = step(before, event, self.rules)
                self.judge(before, event, result)
                after[identity] = result.slot
                steps.append((identity, result))
            self._commit(steps)
            self.slots.update(after)
            for identity in after:
                self._as_journaled(identity)
            events = self._act([(identity, order) for identity, result in steps for order in result.orders])

    def _commit(self, steps: Sequence[tuple[str, Step]]) -> None:
        changes = [change for _, result in steps for change in result.changes]
        if not changes:
            return
        for identity, result in steps:
            if result.slot.giving_up and any(isinstance(change, Reopen) for change in result.changes):
                self.flags[identity] = result.slot.giving_up
        self.point()
        self.book.apply(changes)
        self.dropped |= {c.intent_id for c in changes if isinstance(c, Settle) and c.state is IntentState.CANCELLED}
        self.point()

    def _as_journaled(self, identity: str) -> None:
        """The slot and the journal say the same, and what is final is forgotten."""
        slot, track = self.slots[identity], self.book.track(identity)
        assert track is not None
        assert replace(slot.track, created_at=0) == replace(track, created_at=0)
        if slot.track.final:
            del self.slots[identity]

    def _act(self, orders: Sequence[tuple[str, Order]]) -> list[tuple[str, Event]]:
        events: list[tuple[str, Event]] = []
        sends: list[tuple[str, str]] = []
        for identity, order in orders:
            match order:
                case Send(tx_hash):
                    sends.append((identity, tx_hash))
                case Tell():
                    self.tells.append(order)
                case Prove(nonce):
                    events += self._prove(identity, nonce)
                case Quote():
                    events += self._quote(identity)
                case Sign(bid, purpose):
                    if self.weather.signs:
                        slot = self.slots[identity]
                        new = self._attempt(identity, slot.nonce, bid.max_fee_wei, bid.max_tip_wei, purpose)
                        self.point()
                        self.book.apply([AddAttempt(new)])
                        if purpose is Purpose.CANCEL:
                            self.cancelled.add(identity)
                        self.point()
                        events.append((identity, Signed(new, self.now)))
        return self._send(sends) + events

    def _prove(self, identity: str, nonce: int) -> list[tuple[str, Event]]:
        if self.weather.proof == 0:
            return []
        old = self.weather.proof == 2 and self.chain.before
        self.proven = self.chain.before[-1] if old else self.chain.view
        return [(identity, Proved(user_of(self.proven, nonce), self.proven[-1].number))]

    def _quote(self, identity: str) -> list[tuple[str, Event]]:
        now, slot = self.weather, self.slots[identity]
        if not now.quotes:
            return []
        passes = now.passes or slot.cancelling
        self.offer = Offer(
            now.fees,
            self.chain.blocks[-1].number,
            (now.work_cap,),
            (now.cancel_cap,),
            passes=passes,
            budget_wei=now.budget,
        )
        return [(identity, Offered(self.offer, self.now))]

    def _send(self, sends: Sequence[tuple[str, str]]) -> list[tuple[str, Event]]:
        events: list[tuple[str, Event]] = []
        for identity, tx_hash in sorted(sends, key=lambda pair: self.slots[pair[0]].nonce):
            slot, now = self.slots[identity], self.weather
            (attempt,) = (a for a in slot.track.attempts if a.hash == tx_hash)
            self._may_leave(identity, attempt)
            self.chain.public[tx_hash] = replace(attempt, state=AttemptState.BROADCAST)
            if now.arrives and find(self.chain.view, tx_hash) is None and attempt.nonce >= count(self.chain.view):
                self.chain.pool.add(tx_hash)
            events.append((identity, Answered(tx_hash, now.outcome, now.words, self.now)))
        if sends:
            self.point()
        return events

    def _attempt(self, identity: str, nonce: int, fee: int, tip: int, purpose: Purpose) -> Attempt:
        self.serial += 1
        tx_hash = f"0x{purpose}{self.serial}"
        head = self.chain.blocks[-1].number
        return Attempt(identity, tx_hash, tx_hash.encode(), nonce, 50_000, fee, tip, AttemptState.SIGNED, head, purpose)

    def _in_order(self) -> list[Slot]:
        return sorted(self.slots.values(), key=lambda slot: slot.nonce)

    # ----------------------------------------------------------------------------------------------------- the judge

    def _may_leave(self, identity: str, attempt: Attempt) -> None:
        """Only what the journal has, under its own nonce, and never work that was given up."""
        track = self.book.track(identity)
        assert track is not None
        assert attempt.hash in {a.hash for a in track.attempts}
        assert attempt.nonce == track.intent.nonce
        assert track.intent.state in IN_FLIGHT
        assert attempt.purpose is Purpose.CANCEL or identity not in self.dropped, "given up, and sent again"

    def judge(self, before: Slot, event: Event, result: Step) -> None:
        assert len(set(result.orders)) == len(result.orders), "ordered twice"
        for order in result.orders:
            if isinstance(order, Send):
                assert order.tx_hash in {a.hash for a in result.slot.track.attempts}
            elif isinstance(order, Prove):
                assert order.nonce == before.nonce
            elif isinstance(order, Sign):
                assert isinstance(event, Offered)
                self._judge_bid(before, event.offer, order)
        assert not before.track.final or not result.changes
        slot = before
        for change in result.changes:
            self._judge_change(slot, event, change)
            if isinstance(change, AddReceipt):
                slot = replace(slot, track=replace(slot.track, receipt=change.receipt))

    def _judge_bid(self, slot: Slot, offer: Offer, order: Sign) -> None:
        bid, top = order.bid, slot.top
        assert bid.max_fee_wei * 8 >= top.max_fee_wei * 9
        assert bid.max_tip_wei * 8 >= top.max_tip_wei * 9
        assert bid.max_fee_wei > top.max_fee_wei
        assert bid.max_tip_wei > top.max_tip_wei, "a pool takes no replacement with the same tip"
        assert bid.max_tip_wei <= bid.max_fee_wei
        assert bid.max_fee_wei >= offer.fees.price_wei
        work = order.purpose is Purpose.WORK
        budget = None if slot.hurry else offer.budget_wei  # a person may think it worth more than the rule does
        caps = (*offer.work_caps, budget) if work else offer.cancel_caps
        assert all(cap is None or bid.max_fee_wei <= cap for cap in caps)
        tip_cap = self.rules.tip_cap_wei
        if tip_cap is not None and not work:  # a cancel has its cap in dollars: but it tips no more than it must
            tip_cap = max(tip_cap, offer.fees.tip_wei, -(-top.max_tip_wei * 9 // 8), floor_in(slot.refused))
        assert tip_cap is None or bid.max_tip_wei <= tip_cap
        identity = slot.track.intent.id
        assert not work or identity not in self.dropped | self.cancelled, "given up, and signed again"

    def _judge_change(self, slot: Slot, event: Event, change: Change) -> None:
        match change:
            case AddReceipt(_, receipt):
                assert isinstance(event, Saw)
                assert find(self.seen, receipt.tx_hash) == (
                    self.seen[receipt.block_number],
                    Mined(receipt.tx_hash, slot.nonce, receipt.status),
                )
            case Settle(_, state):
                self._judge_settled(slot, event, state)
            case Reopen():
                assert isinstance(event, Saw)
                self._judge_reopened(slot)
            case Finalise():
                assert isinstance(event, Saw)
                assert slot.track.receipt is None or (
                    depth(self.seen, slot.track.receipt.block_number) >= self.rules.finality_blocks
                )
            case _:
                pass

    def _judge_settled(self, slot: Slot, event: Event, state: IntentState) -> None:
        if not slot.track.attempts:
            assert state is IntentState.CANCELLED
            return
        if isinstance(event, Proved):
            taken = user_of(self.proven, slot.nonce)
            assert taken is not None, "released without proof"
            assert state is IntentState.CANCELLED
            assert taken[0] not in {a.hash for a in slot.track.attempts}
            assert depth(self.proven, taken[1]) >= self.rules.confirmations
            return
        assert isinstance(event, Saw)
        taken = user_of(self.seen, slot.nonce)
        assert taken is not None
        (attempt,) = (a for a in slot.track.attempts if a.hash == taken[0])
        assert depth(self.seen, taken[1]) >= self.rules.confirmations
        found = find(self.seen, attempt.hash)
        assert found is not None
        worked = IntentState.CONFIRMED if found[1].status else IntentState.REVERTED
        assert state is (worked if attempt.purpose is Purpose.WORK else IntentState.CANCELLED)

    def _judge_reopened(self, slot: Slot) -> None:
        receipt = slot.track.receipt
        if receipt is None:
            mine = user_of(self.seen, slot.nonce)
            assert mine is None or mine[0] in {a.hash for a in slot.track.attempts} or self._lagged(slot.nonce)
            return
        number = receipt.block_number
        assert number >= len(self.seen) or self.seen[number].hash != receipt.block_hash

    def _lagged(self, nonce: int) -> bool:
        """Whether a too low count was shown: it takes several looks to be believed, which the unit tests count."""
        return nonce >= FIRST_NONCE

    # ---------------------------------------------------------------------------------------------------- good days

    def good_days(self, most: int = 90) -> None:
        """Faults have ended, limits are wide, blocks come: everything must end, and as the chain says."""
        self.fuse = None
        self.weather = Weather()
        self.rules = replace(RULES, tip_cap_wei=None)
        for _ in range(most):
            if not self.slots:
                break
            self.now += 31.0
            self.look()
            self.chain.mine_pool(self.weather.fees.base_fee_wei)
            waiting = [s.nonce for s in self.slots.values() if s.state in (IntentState.SIGNED, IntentState.BROADCAST)]
            known = {t.intent.nonce for t in self.book.everything()}
            if waiting and (missing := count(self.chain.view)) < max(waiting) and missing not in known:
                self.chain.fill()
        self.rules = RULES
        assert not self.slots, f"still open after {most} looks: {self.slots}"
        for track in self.book.everything():
            self._as_on_chain(track)

    def _as_on_chain(self, track: Track) -> None:
        assert track.final
        if track.intent.nonce is None:
            assert track.intent.state is IntentState.CANCELLED
            return
        taken = user_of(self.chain.view, track.intent.nonce)
        assert taken is not None
        ours: Mapping[str, Attempt] = {a.hash: a for a in track.attempts}
        found = find(self.chain.view, taken[0])
        assert found is not None
        if taken[0] not in ours or ours[taken[0]].purpose is Purpose.CANCEL:
            assert track.intent.state is IntentState.CANCELLED
        else:
            assert track.intent.state is (IntentState.CONFIRMED if found[1].status else IntentState.REVERTED)
