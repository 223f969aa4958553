"""What comes next for an open compound: which calls to sign now, that it is done, or why it cannot go on.

The way a compound starts and the way it goes on after a kill are the same way: the journal says which legs the chain
has confirmed and what they brought; the rest is simulated afresh.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from keeper.domain.block import BlockRef
from keeper.domain.events import EventName, Level
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.journal import Settle, Track
from keeper.domain.money import usd_text
from keeper.domain.plan import Leg as PlanLeg
from keeper.domain.plan import LegKind, MinOut, Patch, Plan
from keeper.domain.transaction import IN_FLIGHT, IntentState
from keeper.domain.valuation import Valuation
from keeper.engine.context import ChainContext, looked_key, own_key
from keeper.engine.flight import Flight
from keeper.engine.pause import PAUSE, paused_text
from keeper.engine.plan import oracle_rate
from keeper.engine.record import Executed, brought, mined, record_done, record_failed
from keeper.engine.simulate import Holdings, Rehearsal, rehearse
from keeper.engine.telling import say_not_begun, say_quarantined
from keeper.engine.verify import check_receipt, spendable
from keeper.engine.work import Job, Work
from keeper.errors import (
    HarvestPaidNothing,
    PolicyDenied,
    Refused,
    SimulationReverted,
    Transient,
    TxPending,
    TxReverted,
)
from keeper.strategy.guards import MAX_FAILURES
from keeper.tx.fees import first_bid

__all__ = ["Next", "cannot_go_on", "drop", "give_up", "next_of", "refloor", "reprice", "reset_patience"]

#: How often a reverted leg is tried again, each time after a fresh simulation.
_MAX_REVERTS: Final = 2
#: How often an approval that was used up or revoked is given again.
_MAX_APPROVALS: Final = 2
#: What is left of a reward, in percent, below which a compound that has signed nothing is decided afresh.
_STILL_WORTH_PERCENT: Final = 90
#: A begun compound that cannot go on is given up after this many visits ...
_MAX_VISITS: Final = 5
#: ... and not before this many seconds of chain time: most reasons (a price, a pause, a cap) pass.
_PATIENCE_SECONDS: Final = 86_400

#: What has become of an intent that is neither done nor under way.
_ENDED: Final = (IntentState.REVERTED, IntentState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Next:
    """What comes next for a compound."""

    #: Calls to sign now, in this order; empty while something of it is under way, or when it is done.
    jobs: tuple[Job, ...] = ()
    #: The finished compound.
    done: Harvest | None = None
    #: Something is to be signed, but there is no room in flight for it now.
    waits: bool = False


def next_of(context: ChainContext, work: Work, flight: Flight, room: int = 1) -> Next:
    """Say what comes next, by the journal and, where something is to be signed, by the chain of this moment.

    ``room``: how many transactions may be signed now.

    Raises:
        SimulationReverted, HarvestPaidNothing, Refused: the next leg cannot be signed now.
        TxReverted: a leg reverted too often.
        UnaskedTransfer: a mined leg moved what it may not.
        Transient: the chain cannot be read, or its endpoints contradict each other.
    """
    tracks = _without_strays(context, flight, context.store.tracks_of(work.harvest.id))
    looked = context.store.get_flag(looked_key(work.harvest.id)) is not None
    executed: list[Executed] = []
    for index, leg in enumerate(work.plan.legs):
        past = [t for t in tracks if t.intent.leg_index == index]
        live = [t for t in past if t.intent.state not in _ENDED]
        if not live:
            if _call_back(flight, tracks, index):
                return Next()
            return _jobs(context, work, flight, index, executed, past, room) if room > 0 else Next(waits=True)
        if live[-1].intent.state is not IntentState.CONFIRMED:
            return Next()
        receipt = live[-1].receipt
        assert receipt is not None, "a confirmed intent has its receipt"
        if not looked:
            check_receipt(work.plan, leg, receipt, executed)
        executed.append((live[-1].intent, receipt))
    done = record_done(context, work.harvest, work.plan, mined(context, work.harvest), work.valuation)
    _forget(context, work.harvest)
    return Next(done=done)


def _without_strays(context: ChainContext, flight: Flight, tracks: list[Track]) -> list[Track]:
    """Cancel intents that were journaled and, because a later commit failed, never signed: nobody goes on with them."""
    strays = [t for t in tracks if t.intent.state is IntentState.PLANNED and t.intent.id not in flight.slots]
    if strays:
        context.store.apply([Settle(track.intent.id, IntentState.CANCELLED) for track in strays])
    return [track for track in tracks if track not in strays]


def _call_back(flight: Flight, tracks: Sequence[Track], index: int) -> bool:
    """Cancel later legs that are under way although this one is to be done (again): their amounts were for another."""
    later = [t for t in tracks if t.intent.leg_index > index and t.intent.state in IN_FLIGHT]
    for track in later:
        flight.ask(track.intent.id, "an earlier leg has to be done again")
    return bool(later)


def _jobs(
    context: ChainContext,
    work: Work,
    flight: Flight,
    index: int,
    executed: Sequence[Executed],
    past: Sequence[Track],
    room: int,
) -> Next:
    """Simulate what is left on top of the newest block; its first call is next, an approval and its leg together."""
    if context.stopping():
        raise TxPending(f"{work.plan.legs[index].label}: not started, keeper is stopping; the next start goes on here")
    if sum(t.intent.state is IntentState.REVERTED for t in past) > _MAX_REVERTS:
        raise TxReverted(f"{work.plan.legs[index].label}: reverted {len(past)} times although each simulation passed")
    block = context.chain.head()
    have = spendable(context, work.harvest.id, work.plan, executed, _looked_at(flight, block))
    start, rehearsal = _rehearse(context, work, index, have, block)
    if index == 0 and work.budget_wei is not None:
        _check_worth(work, rehearsal)
    stop = max(index, start + 1)
    if start == index and work.plan.legs[index].kind is LegKind.APPROVE and room > 1:
        stop = min(index + 2, len(work.plan.legs))
    return Next(tuple(_job(context, work, leg, rehearsal, leg - start) for leg in range(start, stop)))


def _looked_at(flight: Flight, head: BlockRef) -> BlockRef:
    """Return the block of the last look: what others in flight have moved by then, and no more, is on record.

    Raises:
        Transient: something is in flight, and no look at it has succeeded yet.
    """
    if flight.sight is not None:
        return flight.sight.head
    if flight.slots:
        raise Transient("what is in flight has not been looked at yet, so what the wallet holds is not certain")
    return head


def _check_worth(work: Work, rehearsal: Rehearsal) -> None:
    """Refuse to sign the first leg when the reward that it was decided for is no longer there.

    Raises:
        Refused: somebody else has harvested meanwhile, or the price of the reward has fallen.
    """
    if work.plan.in_place or not any(leg.kind is LegKind.DEPOSIT for leg in work.plan.legs):
        return  # what a wallet does not see cannot be counted again: put back in one call, or harvested for everybody
    priced = {price.token.address for price in work.valuation.prices}
    worth = sum(work.valuation.value_low(a) for a in rehearsal.claimed if a.token.address in priced)
    wanted = work.harvest.predicted_reward_usd
    if worth * 100 < wanted * _STILL_WORTH_PERCENT:
        raise Refused(f"the claim would bring {usd_text(worth)} now, {usd_text(wanted)} when it was decided")


def _rehearse(context: ChainContext, work: Work, index: int, have: Holdings, block: BlockRef) -> tuple[int, Rehearsal]:
    """Simulate from a leg on; when that reverts, from the nearest approval before it with which the rest passes.

    An approval may have been used up or revoked since it was given; then it is given again.
    """
    try:
        return index, rehearse(context.chain, work.plan, block, start=index, holdings=have)
    except SimulationReverted:
        for start in reversed(range(_approvals_before(work.plan, index), index)):
            if _times(context, work, start) > _MAX_APPROVALS:
                raise
            with contextlib.suppress(SimulationReverted):
                return start, rehearse(context.chain, work.plan, block, start=start, holdings=have)
        raise


def _job(context: ChainContext, work: Work, index: int, rehearsal: Rehearsal, at: int) -> Job:
    """Bid for call ``at`` of a passing rehearsal, which is leg ``index``."""
    fees = context.chain.fees()
    budget = work.budget_wei if index == 0 else None
    bid = first_bid(fees, budget_wei=budget, ceiling_wei=context.limits.max_gas_price_wei)
    tries = _times(context, work, index)
    return Job(work, index, tries, rehearsal.calls[at], rehearsal.single(at), bid, fees.eip1559)


def _times(context: ChainContext, work: Work, index: int) -> int:
    """Count the transactions that a leg had so far."""
    return sum(track.intent.leg_index == index for track in context.store.tracks_of(work.harvest.id))


def _approvals_before(plan: Plan, index: int) -> int:
    """Return the index of the first of the approvals right before a leg; the leg's own when there are none."""
    while index > 0 and plan.legs[index - 1].kind is LegKind.APPROVE:
        index -= 1
    return index


def drop(context: ChainContext, harvest: Harvest, why: str) -> Harvest:
    """Close a compound that never signed anything: it cost nothing, and the position is decided afresh."""
    _settle_planned(context, harvest)
    dropped = replace(harvest, state=HarvestState.CANCELLED, finished_at=harvest.started_at, error=why)
    context.store.close_harvest(dropped, ())
    _forget(context, harvest)
    say_not_begun(context, dropped, why)
    return dropped


def reprice(plan: Plan, valuation: Valuation) -> Plan:
    """Return the plan with every swap's floor by present prices; a resumed compound never uses old ones."""
    return replace(plan, legs=tuple(_reprice_leg(leg, valuation) for leg in plan.legs))


def refloor(plan: Plan, deposit: Sequence[PlanLeg]) -> Plan:
    """Return the plan with the floors of a range's deposit by ``deposit``: the same legs as its adapter makes them now.

    They follow the pool's price. By an old one the deposit would be refused for ever, and an NFT that was taken out for
    it would stay out.
    """
    now = {(leg.to, leg.template): leg.patches for leg in deposit if leg.kind is LegKind.DEPOSIT}
    legs = (
        replace(leg, patches=now.get((leg.to, leg.template), leg.patches)) if leg.kind is LegKind.DEPOSIT else leg
        for leg in plan.legs
    )
    return replace(plan, legs=tuple(legs))


def _reprice_leg(leg: PlanLeg, valuation: Valuation) -> PlanLeg:
    if leg.kind not in (LegKind.SWAP, LegKind.ADD_LIQUIDITY) or not leg.brings:
        return leg
    patches = []
    for patch in leg.patches:
        if isinstance(patch.rule, MinOut) and not _of_itself(leg, patch.rule):
            top, bottom = oracle_rate(valuation, patch.rule.spent.token, leg.brings[0])
            patches.append(Patch(patch.word, replace(patch.rule, numerator=top, denominator=bottom)))
        else:
            patches.append(patch)
    return replace(leg, patches=tuple(patches))


def _of_itself(leg: PlanLeg, floor: MinOut) -> bool:
    """Whether a floor says how much of what is put in has to be taken, which no price changes."""
    return leg.kind is LegKind.ADD_LIQUIDITY and (floor.numerator, floor.denominator) == (1, 1)


def cannot_go_on(context: ChainContext, work: Work, error: Exception) -> Harvest:
    """Drop a compound that has signed nothing; leave a begun one open until its patience ends.

    Raises:
        TxPending: it stays open.
    """
    tracks = context.store.tracks_of(work.harvest.id)
    if not any(track.attempts for track in tracks):
        return (
            give_up(context, work, error)
            if isinstance(error, PolicyDenied)
            else drop(context, work.harvest, str(error))
        )
    executed = [(t.intent, t.receipt) for t in tracks if t.receipt and t.intent.state is IntentState.CONFIRMED]
    if isinstance(error, HarvestPaidNothing) and not any(v > 0 for v in brought(work.plan, executed).values()):
        return give_up(context, work, error)  # the claim itself brought nothing: there is nothing to wait for
    if isinstance(error, Refused) or not _patience_ended(context, work.harvest, work.valuation.block):
        text = f"{error}; {len(executed)} of {len(work.plan.legs)} legs are done, the rest follows when it can"
        raise TxPending(text) from error
    return give_up(context, work, error)


def _patience_ended(context: ChainContext, harvest: Harvest, block: BlockRef) -> bool:
    """Count this visit to a compound that cannot go on."""
    first, _, visits = (context.store.get_flag(_stuck_key(harvest)) or f"{block.timestamp}:0").partition(":")
    context.store.set_flag(_stuck_key(harvest), f"{first}:{int(visits) + 1}")
    return int(visits) + 1 >= _MAX_VISITS and block.timestamp - int(first) >= _PATIENCE_SECONDS


def reset_patience(context: ChainContext, harvest: Harvest) -> None:
    """A leg of it has moved: count its visits anew."""
    if context.store.get_flag(_stuck_key(harvest)) is not None:
        context.store.set_flag(_stuck_key(harvest), None)


def _stuck_key(harvest: Harvest) -> str:
    return f"stuck:{harvest.id}"


def _forget(context: ChainContext, harvest: Harvest) -> None:
    """Drop the notes of a finished compound; that of the wallet stays while a reorg can open the compound again."""
    reset_patience(context, harvest)
    context.forget(harvest.id)
    notes = [looked_key(harvest.id)]
    if all(track.final or not track.attempts for track in context.store.tracks_of(harvest.id)):
        notes.append(own_key(harvest.id))  # otherwise the flight drops it, with the last transaction that is final
    for key in notes:
        if context.store.get_flag(key) is not None:
            context.store.set_flag(key, None)


def give_up(context: ChainContext, work: Work, error: Exception) -> Harvest:
    """Close a compound as failed, with what it did; several in a row set the position aside."""
    _settle_planned(context, work.harvest)
    failed = record_failed(context, work.harvest, work.plan, mined(context, work.harvest), work.valuation, error)
    _forget(context, work.harvest)
    streak = context.store.failures(failed.position_id)
    if streak >= MAX_FAILURES:
        say_quarantined(context, failed, streak)
    _trip(context, failed)
    return failed


def _trip(context: ChainContext, failed: Harvest) -> None:
    """Pause everything when too much has failed within a day: then something is wrong that no rule here knows."""
    limit, now = context.limits.failures_per_day, failed.finished_at or failed.started_at
    recent = context.store.harvests(None, 8 * limit)
    count = sum(h.state is HarvestState.FAILED and (h.finished_at or 0) > now - 86_400 for h in recent)
    if count < limit or context.paused() is not None:
        return
    why = f"{count} compounds failed within a day (limits.max_failures_per_day); the last: {failed.error}"
    context.store.set_flag(PAUSE, paused_text(why, context.clock.now()))
    context.emit(EventName.LANE_PAUSED, Level.ERROR, chain=context.name, owner=failed.owner, reason=why)


def _settle_planned(context: ChainContext, harvest: Harvest) -> None:
    """Cancel what was never signed."""
    planned = [t.intent.id for t in context.store.tracks_of(harvest.id) if t.intent.state is IntentState.PLANNED]
    if planned:
        context.store.apply([Settle(intent_id, IntentState.CANCELLED) for intent_id in planned])
