"""Everything in flight of one account on one chain: look at it, step its machines, commit, and only then act.

What to do is decided by ``keeper.tx.machine``; this is its hands. The order never changes: what an event leads to is
one durable commit, and after it come the orders to the wire, whose answers are the next events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from keeper.domain.journal import AddReceipt, Change, MarkBroadcast, Reopen, Settle
from keeper.domain.money import Address
from keeper.domain.transaction import IN_FLIGHT, Attempt, IntentState, Nonces, Purpose, Sight, SignedTx, TxRequest
from keeper.engine import offers
from keeper.engine.context import ChainContext, ask_key, halt_key, native_key, own_key
from keeper.engine.launch import fill_gap, launch, nonce_floor
from keeper.engine.telling import say_held, say_mined, say_reorged, say_sent, say_signed_away
from keeper.engine.work import Job, Work
from keeper.errors import IntegrityError, KeeperError, RpcRejected, Transient
from keeper.tx.machine import step
from keeper.tx.nonces import holes
from keeper.tx.slot import (
    Answered,
    Asked,
    Event,
    Order,
    Prove,
    Proved,
    Quote,
    Saw,
    Send,
    Sign,
    Signed,
    Slot,
    Step,
    Tell,
    Woke,
)

__all__ = ["Flight", "flight_of"]

#: Seconds for which the counts of a look are good for the next nonces; what is ours, the journal knows anyway.
_FRESH_SECONDS: Final = 2.0

#: Looks in a row that must show a hole below a waiting transaction before it is filled.
_HOLE_LOOKS: Final = 3

#: Seconds for which an unchanged newest block means that nothing else can have changed, whatever a node mixes up.
_SAME_SECONDS: Final = 5.0

#: More missing nonces than this are no accident of ours.
_MAX_HOLES: Final = 16

_UNMINED: Final = (IntentState.SIGNED, IntentState.BROADCAST)


class Flight:
    """The slots of one account. One thread at a time; the account's lane is that thread."""

    def __init__(self, context: ChainContext, owner: Address) -> None:
        """Make it empty; ``load`` reads the journal. ``context`` should be a sure one (``ChainContext.sure``)."""
        self.context = context
        self.owner = owner
        self.slots: dict[str, Slot] = {}
        #: Compounds whose prices and budgets are known now, by id: only those are outbid.
        self.works: dict[str, Work] = {}
        #: Compounds whose legs have changed state since somebody last emptied this.
        self.changed: set[str] = set()
        #: The last look: what was mined by its block is on record.
        self.sight: Sight | None = None
        #: The last one of ``look``, and when that was: every receipt and every block that mattered was asked for.
        self._seen: Sight | None = None
        self._seen_at = 0.0
        self._hole_looks = 0
        self._loaded = False
        #: Gas of a transaction that does nothing here, once it has been simulated.
        self.cancel_gas: int | None = None
        #: Monotonic seconds since which somebody else's transaction waits.
        self.foreign_since: float | None = None

    # ------------------------------------------------------------------------------------------------- looking

    @property
    def unmined(self) -> list[Slot]:
        """Slots with signed bytes that no block has, by nonce."""
        waiting = [slot for slot in self.slots.values() if slot.state in _UNMINED]
        return sorted(waiting, key=lambda slot: slot.nonce)

    @property
    def room(self) -> int:
        """How many more transactions may be signed now."""
        return max(self.context.max_in_flight - len(self.unmined), 0)

    def under_way(self, harvest_id: str | None = None) -> list[Slot]:
        """Slots that are not settled, of one compound or of all."""
        slots = (slot for slot in self.slots.values() if slot.state in IN_FLIGHT)
        return [slot for slot in slots if harvest_id in (None, slot.track.intent.harvest_id)]

    def load(self) -> None:
        """Take over what the journal has; send again what may have been lost. A second call does nothing."""
        if self._loaded:
            return
        if (price := self.context.store.get_flag(native_key(self.context.name))) is not None:
            self.context.prices_seen.setdefault("native", int(price))
        tracks = self.context.store.tracks(self.context.name, self.owner)
        asked = self.context.store.flags(ask_key("cancel", ""))
        for track in tracks:
            why = "asked to be cancelled" if ask_key("cancel", track.intent.id) in asked else ""
            self.slots[track.intent.id] = Slot(track, giving_up=why)
        self._loaded = True  # before the slots are stepped: when that fails, ``_run`` asks for the journal again
        self._run([(slot.track.intent.id, Woke(self._now())) for slot in self._in_order()])

    def look(self) -> set[str]:
        """Look once at everything, and do what follows; returns the compounds whose legs changed.

        Raises:
            Transient: the chain could not be read, or its endpoints contradict each other. Nothing was done.
            IntegrityError: more nonces are missing than keeper could have lost.
            StoreUnavailable: the journal did not take it; nothing was sent.
        """
        self.load()
        before = self._seen
        self.sight = self._seen = self._view()
        seen = Saw(self.sight, self._now(), self.context.prices_seen.get("native", 0))
        slots = self.unmined if self.sight is before else self._in_order()
        self._run([(slot.track.intent.id, seen) for slot in slots])
        self._hear_asks()
        if self.sight is not before:
            self._mind_holes(self.sight)
        changed, self.changed = self.changed, set()
        return changed

    def _view(self) -> Sight:
        """Look at the chain, asking for no more than can have changed: nothing, while the newest block is the same."""
        chain, seen, now = self.context.chain, self._seen, self._now()
        if seen is not None and now - self._seen_at < _SAME_SECONDS and self._calm(seen) and chain.head() == seen.head:
            return seen
        self._seen_at = now
        # Also those of a nonce that went to a stranger: a reorg can give it to our bytes after all.
        given_away = [s for s in self.slots.values() if s.state is IntentState.CANCELLED and s.track.receipt is None]
        hashes = [attempt.hash for slot in (*self.unmined, *given_away) for attempt in slot.track.attempts]
        receipts = (slot.track.receipt for slot in self.slots.values())
        heights = sorted({receipt.block_number for receipt in receipts if receipt is not None})
        known = {height: seen.canonical[height] for height in heights if height in seen.canonical} if seen else {}
        if len(heights) > 1 and len(known) == len(heights):
            # A block's hash stands for every block below it: while the highest is there, all are.
            sight = chain.sight(self.owner, hashes, heights[-1:])
            if sight.canonical.get(heights[-1]) == known[heights[-1]]:
                return replace(sight, canonical={**known, **sight.canonical})
        return chain.sight(self.owner, hashes, heights)

    def counts(self) -> Nonces:
        """Return the account's agreed transaction counts: those of the last look while it is fresh.

        Asking for them is no look: no receipt comes with them, so their block says nothing of what a leg may spend.
        """
        if self._seen is None or self._now() - self._seen_at > _FRESH_SECONDS:
            return self.context.chain.sight(self.owner, [], []).nonces
        return self._seen.nonces

    def _calm(self, sight: Sight) -> bool:
        """Whether another look at the very same newest block could tell nothing new about any slot."""
        for slot in self.slots.values():
            receipt = slot.track.receipt
            if receipt is not None:
                if sight.canonical.get(receipt.block_number) != receipt.block_hash:
                    return False
            elif slot.state not in _UNMINED or slot.nonce < sight.nonces.latest:
                return False
        return True

    def ask(self, intent_id: str, why: str = "", *, hurry: bool = False) -> None:
        """Want an intent cancelled (``why``) or dearer (``hurry``). The race with its being mined is the machine's."""
        if intent_id in self.slots:
            if why:
                self.context.store.set_flag(ask_key("cancel", intent_id), why)
            self._run([(intent_id, Asked(why, hurry))])

    def launch(self, jobs: Sequence[Job]) -> list[KeeperError | None]:
        """Sign, journal and send calls in this order; for each, what kept it from being signed.

        Raises:
            Refused: funds, a pause, or somebody else's waiting transaction; nothing was signed.
        """
        self.load()
        results = launch(self, jobs)
        sends: dict[str, str] = {}
        for job, (track, error) in zip(jobs, results, strict=True):
            if error is None:
                self.works[job.work.harvest.id] = job.work
                self.slots[track.intent.id] = Slot(track, quoted_at=self._now())
                sends[track.attempts[0].hash] = track.intent.id
        self._run(self._send(sends))
        return [error for _, error in results]

    # ------------------------------------------------------------------------------------------------- stepping

    def _run(self, events: Sequence[tuple[str, Event]]) -> None:
        """Step, commit, act, and go on with what the acts led to, until nothing follows.

        When a step of it fails (the journal cannot be written, say), memory may be behind the journal: the next use
        reads the journal again.
        """
        try:
            self._step_all(events)
        except BaseException:
            self.slots, self._seen, self._loaded = {}, None, False
            raise

    def _step_all(self, events: Sequence[tuple[str, Event]]) -> None:
        while events:
            after: dict[str, Slot] = {}
            steps: list[tuple[str, Step]] = []
            for identity, event in events:
                result = step(after.get(identity) or self.slots[identity], event, self.context.rules)
                after[identity] = result.slot
                steps.append((identity, result))
            self._commit(steps)
            self.slots.update(after)
            self._tell_changes(steps)
            events = self._act([(identity, order) for identity, result in steps for order in result.orders])
            self._forget_finished(after)

    def _commit(self, steps: Sequence[tuple[str, Step]]) -> None:
        changes = [change for _, result in steps for change in result.changes]
        if not changes:
            return
        for identity, result in steps:
            if any(isinstance(change, Reopen) for change in result.changes):
                self._mark_given_up(identity, result.slot)
        self.context.store.apply(changes)
        for identity, result in steps:
            for change in result.changes:
                self._reached(change)
                if not isinstance(change, MarkBroadcast):
                    self.changed.add(self.slots[identity].track.intent.harvest_id)

    def _reached(self, change: Change) -> None:
        match change:
            case MarkBroadcast():
                self.context.checkpoint("marked")
            case AddReceipt():
                self.context.checkpoint("mined")
            case Settle(_, IntentState.CONFIRMED):
                self.context.checkpoint("confirmed")
            case _:
                pass

    def _mark_given_up(self, identity: str, slot: Slot) -> None:
        """Before a reopening is committed, remember durably that this intent only ever cancels from now on.

        So it is with one that was cancelled or reverted: its leg is, or will be, done again under another nonce, its
        old bytes are public, and both must not happen.
        """
        if slot.giving_up:
            self.context.store.set_flag(ask_key("cancel", identity), slot.giving_up)

    def _forget_finished(self, touched: dict[str, Slot]) -> None:
        """Drop what nothing can happen to any more, and its notes."""
        ended = [self.slots[i] for i in touched]
        ended = [s for s in ended if s.track.final or (s.state is IntentState.CANCELLED and not s.track.attempts)]
        if not ended:
            return
        asked, owned = self.context.store.flags("ask:"), self.context.store.flags(own_key(""))
        for slot in ended:
            del self.slots[slot.track.intent.id]
            self.context.forget(slot.track.intent.id)
            for key in (ask_key(what, slot.track.intent.id) for what in ("cancel", "speed-up")):
                if key in asked:
                    self.context.store.set_flag(key, None)
        for harvest_id in {slot.track.intent.harvest_id for slot in ended}:
            if own_key(harvest_id) in owned:
                self._forget_own(harvest_id)

    def _forget_own(self, harvest_id: str) -> None:
        """Drop the note of what the wallet held before a compound, once no reorg can open the compound again."""
        if any(slot.track.intent.harvest_id == harvest_id for slot in self.slots.values()):
            return
        if all(h.id != harvest_id for h, _ in self.context.store.open_harvests(self.context.name, self.owner)):
            self.context.store.set_flag(own_key(harvest_id), None)

    # -------------------------------------------------------------------------------------------------- acting

    def _act(self, orders: Sequence[tuple[str, Order]]) -> list[tuple[str, Event]]:
        """Carry out orders; sends go out together, in the order of their nonces."""
        events: list[tuple[str, Event]] = []
        sends: dict[str, str] = {}
        for identity, order in orders:
            slot = self.slots[identity]
            match order:
                case Send(tx_hash):
                    sends[tx_hash] = identity
                case Tell(what, detail):
                    self._tell(slot, what, detail)
                case Prove(nonce):
                    events += self._prove(identity, nonce)
                case Quote():
                    offered = offers.quote(self, slot)
                    events += [(identity, offered)] if offered is not None else []
                case Sign():
                    attempt = offers.sign(self, slot, order)
                    events += [(identity, Signed(attempt, self._now()))] if attempt is not None else []
        return self._send(sends) + events

    def _send(self, sends: dict[str, str]) -> list[tuple[str, Event]]:
        if not sends:
            return []
        wanted = [(self.slots[identity], tx_hash) for tx_hash, identity in sends.items()]
        wanted.sort(key=lambda pair: pair[0].nonce)
        batch = [self._bytes(slot, tx_hash) for slot, tx_hash in wanted]
        outcomes = self.context.submitter.submit_many([signed for signed, _ in batch])
        self.context.checkpoint("sent")
        events: list[tuple[str, Event]] = []
        for (slot, tx_hash), (_, attempt), (outcome, words) in zip(wanted, batch, outcomes, strict=True):
            say_sent(self.context, self.works.get(slot.track.intent.harvest_id), slot.track, attempt)
            events.append((slot.track.intent.id, Answered(tx_hash, outcome, words, self._now())))
        return events

    def _bytes(self, slot: Slot, tx_hash: str) -> tuple[SignedTx, Attempt]:
        """Return the very bytes that the journal has."""
        intent = slot.track.intent
        attempt = next(a for a in slot.track.attempts if a.hash == tx_hash)
        cancel = attempt.purpose is Purpose.CANCEL
        request = TxRequest(
            chain_id=intent.chain_id,
            sender=intent.sender,
            nonce=attempt.nonce,
            to=intent.sender if cancel else intent.to,
            data=b"" if cancel else intent.data,
            value=0 if cancel else intent.value,
            gas=attempt.gas,
            max_fee_wei=attempt.max_fee_wei,
            max_tip_wei=attempt.max_tip_wei,
        )
        head = self.sight.head.number if self.sight is not None else attempt.signed_block
        waited = max(head - slot.track.attempts[0].signed_block, 0)
        return SignedTx(request, attempt.raw, attempt.hash, waited), attempt

    def _prove(self, identity: str, nonce: int) -> list[tuple[str, Event]]:
        try:
            user = self.context.chain.used_by(self.owner, nonce)
        except (Transient, RpcRejected):
            return []
        assert self.sight is not None, "only a look asks for proof"
        return [(identity, Proved(user, self.sight.head.number))]

    # ------------------------------------------------------------------------------------------- asks and holes

    def _hear_asks(self) -> None:
        """Take up what a person has asked for in the journal, from another process."""
        for what in ("cancel", "speed-up"):
            for key in self.context.store.flags(ask_key(what, "")):
                slot = self.slots.get(key.rpartition(":")[2])
                if slot is None or slot.state not in _UNMINED:
                    continue
                identity = slot.track.intent.id
                if what == "speed-up" and slot.track.intent.harvest_id not in self.works:
                    continue  # what it may cost is not known yet
                if what == "speed-up":
                    self.context.store.set_flag(key, None)
                    self._run([(identity, Asked(hurry=True))])
                elif not slot.giving_up:
                    self._run([(identity, Asked("asked to be cancelled"))])

    def _mind_holes(self, sight: Sight) -> None:
        """Fill a nonce that nobody has, when transactions above it wait, so that they do not wait for ever."""
        unmined = self.unmined
        if not unmined:
            self._hole_looks = 0
            return
        mined, chain_id = max(sight.nonces.latest, nonce_floor(self)), self.context.chain.facts.chain_id
        known = self.context.store.nonces_used(chain_id, self.owner, mined)
        missing = holes(known, mined, unmined[-1].nonce)
        self._hole_looks = self._hole_looks + 1 if missing else 0
        if len(missing) > _MAX_HOLES:
            text = (
                f"{len(missing)} nonces of {self.owner} below {unmined[-1].nonce} are neither mined nor in the "
                "journal; look at the account in an explorer before anything else is sent from it"
            )
            self.context.store.set_flag(halt_key(self.context.name, self.owner), text)
            raise IntegrityError(text)
        if self._hole_looks >= _HOLE_LOOKS:
            track = fill_gap(self, missing[0])
            if track is not None:
                self.slots[track.intent.id] = Slot(track)
                self._run(self._send({track.attempts[0].hash: track.intent.id}))
                self._tell(self.slots[track.intent.id], "gap")

    # ------------------------------------------------------------------------------------------------- telling

    def _tell_changes(self, steps: Sequence[tuple[str, Step]]) -> None:
        for _, result in steps:
            for change in result.changes:
                if isinstance(change, Settle) and change.state is IntentState.CONFIRMED:
                    say_mined(self.context, self.works.get(result.slot.track.intent.harvest_id), result.slot.track)

    def _tell(self, slot: Slot, what: str, detail: str = "") -> None:
        work = self.works.get(slot.track.intent.harvest_id)
        if what == "reorged":
            say_reorged(self.context, work, slot, detail)
        elif what == "stuck":
            say_held(self.context, work, slot, detail)
        else:
            say_signed_away(self.context, work, slot, what, detail)

    def hold(self, slot: Slot, why: str) -> None:
        """Say once that a transaction cannot go on by itself."""
        if not slot.told:
            self._tell(slot, "stuck", why)
            self.slots[slot.track.intent.id] = replace(slot, told=True)

    def _now(self) -> float:
        return self.context.clock.monotonic()

    def _in_order(self) -> list[Slot]:
        return sorted(self.slots.values(), key=lambda slot: slot.nonce)


def flight_of(context: ChainContext, owner: Address) -> Flight:
    """Return the one flight of an account in this process."""
    known = context.flights.get(owner) or context.flights.setdefault(owner, Flight(context.sure(), owner))
    assert isinstance(known, Flight)
    return known
