"""The life of one nonce as a pure machine: (slot, event) -> (slot, changes for the journal, orders for the wire).

The engine does what it is told: changes are committed before orders are carried out, and what the world answered comes
back as the next event. So every rule about sending, outbidding, cancelling, reorganisations and proofs stands here,
where a test can drive it through any history without a chain.

What it holds to, whatever the events:
- it orders nothing on the wire but hashes of attempts on record, all with the same nonce;
- it settles only by a receipt whose block is canonical and deep enough, or by the proof of a foreign transaction there;
- a missing receipt proves nothing; a reorg is a changed canonical hash, and then the same bytes go out first;
- what was given up once (a person asked, a cancel signed, or settled as cancelled) never works again: only cancels are
  signed for it, and work that a person or a reorg gave up is not sent again either.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from keeper.domain.journal import AddReceipt, Change, Finalise, MarkBroadcast, Reopen, Settle
from keeper.domain.money import UsdWad
from keeper.domain.transaction import IN_FLIGHT, Attempt, AttemptState, IntentState, Purpose, Receipt, Sight, Submission
from keeper.tx.fees import floor_in, replacement, still_minable
from keeper.tx.refusals import Refusal, refusal
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

__all__ = ["step"]

_CAME_BACK: Final = "its nonce came back after it was given up"


def step(slot: Slot, event: Event, rules: Rules) -> Step:
    """Apply one event. Total: any event in any state gives a step; what makes no sense any more changes nothing."""
    match event:
        case Woke(at):
            result = _woke(slot, at)
        case Signed(attempt, at):
            result = _signed(slot, attempt, at)
        case Answered():
            result = _answered(slot, event)
        case Saw():
            result = _saw(slot, event, rules)
        case Proved():
            result = _proved(slot, event, rules)
        case Offered(offer, at):
            result = _offered(slot, offer, at, rules)
        case Asked(why, hurry):
            result = _asked(slot, why, hurry=hurry)
    return result


# ------------------------------------------------------------------------------------------------- before it is mined


def _unmined(slot: Slot) -> bool:
    return slot.state in (IntentState.SIGNED, IntentState.BROADCAST) and bool(slot.track.attempts)


def _woke(slot: Slot, at: float) -> Step:
    if slot.state is IntentState.PLANNED:
        return _settle(slot, IntentState.CANCELLED)  # killed before anything was signed
    if not _unmined(slot):
        return Step(slot)
    return Step(replace(slot, quoted_at=at), (), (Quote() if _dead(slot) else Send(slot.top.hash),))


def _signed(slot: Slot, attempt: Attempt, at: float) -> Step:
    intent = slot.track.intent
    if intent.state is IntentState.PLANNED:
        intent = replace(intent, state=IntentState.SIGNED, nonce=attempt.nonce)
    track = replace(slot.track, intent=intent, attempts=(*slot.track.attempts, attempt))
    slot = replace(slot, track=track, quoted_at=at, hurry=False, refused="", refusals=0, told=False, behind=False)
    return Step(slot, (), (Send(attempt.hash),) if _unmined(slot) else ())


def _answered(slot: Slot, event: Answered) -> Step:
    """Whatever was answered, the bytes may have left; a refusal by all endpoints is kept, to be acted upon."""
    known = {attempt.hash: attempt for attempt in slot.track.attempts}
    if event.tx_hash not in known:
        return Step(slot)
    changes: tuple[Change, ...] = ()
    if known[event.tx_hash].state is AttemptState.SIGNED and _unmined(slot):
        changes = (MarkBroadcast(slot.track.intent.id, event.tx_hash),)
        slot = _marked(slot, event.tx_hash)
    refused = event.words or "no reason given" if event.outcome is Submission.REFUSED else ""
    newest = event.tx_hash == slot.top.hash
    if newest:
        slot = replace(slot, refused=refused, refusals=slot.refusals + 1 if refused else 0)
    return Step(replace(slot, sent_at=event.at), changes)


def _dead(slot: Slot) -> bool:
    """Whether its newest bytes do work that was given up: they are not offered again.

    What looks hopeless, and could not be cancelled within the limits either, rides on.
    """
    given_up = bool(slot.giving_up) or (bool(slot.hopeless) and not slot.told)
    return given_up and slot.top.purpose is Purpose.WORK


def _marked(slot: Slot, tx_hash: str) -> Slot:
    attempts = tuple(replace(a, state=AttemptState.BROADCAST) if a.hash == tx_hash else a for a in slot.track.attempts)
    intent = slot.track.intent
    if intent.state is IntentState.SIGNED:
        intent = replace(intent, state=IntentState.BROADCAST)
    return replace(slot, track=replace(slot.track, intent=intent, attempts=attempts))


def _asked(slot: Slot, why: str, *, hurry: bool) -> Step:
    if slot.state is IntentState.PLANNED and why:
        return _settle(slot, IntentState.CANCELLED)
    if slot.track.receipt is not None:  # too late, unless a reorg takes it back
        return Step(replace(slot, giving_up=slot.giving_up or why))
    if not _unmined(slot):
        return Step(slot)
    first = bool(why) and not slot.cancelling
    slot = replace(slot, giving_up=slot.giving_up or why, hurry=slot.hurry or hurry)
    return Step(slot, (), (Quote(),) if first or hurry else ())


def _offered(slot: Slot, offer: Offer, at: float, rules: Rules) -> Step:
    """Outbid, cancel, or hold; by one rule.

    Give up when a person asked, when it is its turn and the call would fail now, when every endpoint refuses the bytes
    for good, or when gas has left it behind at a price that is not worth it for longer than the deadline. Otherwise
    outbid when gas has left it behind, when it was passed over for some blocks in its turn, when it is refused as too
    cheap, or when a person hurries; so too a cancel. Hold at every ceiling, and stay on offer.
    """
    if not _unmined(slot):
        return Step(slot)
    was_behind, behind = slot.behind, not still_minable(slot.top, offer.fees)
    slot = replace(slot, quoted_at=at, behind=behind, hopeless=_hopeless(slot, offer, rules, behind=behind))
    purpose = Purpose.CANCEL if slot.cancelling or slot.hopeless else Purpose.WORK
    kind = refusal(slot.refused, rules.words) if slot.refused else None
    if kind is Refusal.FUNDS and slot.top.purpose is purpose:
        return _hold(slot, f"the account cannot pay for it: {slot.refused}")
    passed_over = slot.turn is not None and offer.head - max(slot.turn, slot.top.signed_block) >= rules.bump_blocks
    if slot.top.purpose is purpose:
        came_back = not behind and not slot.hurry and (was_behind or not passed_over)
        if kind is Refusal.UNDERPRICED and came_back and floor_in(slot.refused) <= slot.top.max_tip_wei:
            # Gas has come back to the price of these bytes.
            return Step(replace(slot, refused="", refusals=0, told=False), (), (Send(slot.top.hash),))
        if not (behind or passed_over or slot.hurry or kind in (Refusal.UNDERPRICED, Refusal.REPLACEMENT)):
            return Step(slot)
    caps = (
        offer.cancel_caps if purpose is Purpose.CANCEL else (*offer.work_caps, None if slot.hurry else offer.budget_wei)
    )
    return _bid(slot, offer, purpose, caps, rules)


def _hopeless(slot: Slot, offer: Offer, rules: Rules, *, behind: bool) -> str:
    if not offer.passes and slot.turn is not None:  # before its turn it may need what is mined before it
        return "its call would fail now"
    kind = refusal(slot.refused, rules.words) if slot.refusals >= rules.sightings else None
    waited = offer.head - slot.track.attempts[0].signed_block
    late = waited >= rules.deadline_blocks
    if kind in (Refusal.GAS, Refusal.CHAIN, Refusal.FEE_CAP) or (kind is Refusal.OTHER and late):
        return f"the node will never take it: {slot.refused}"
    worthless = offer.budget_wei is not None and offer.budget_wei < offer.fees.price_wei
    if behind and worthless and late:
        return f"not worth the present price of gas, {waited} blocks after it was signed"
    return ""


def _bid(slot: Slot, offer: Offer, purpose: Purpose, caps: tuple[int | None, ...], rules: Rules) -> Step:
    floor = floor_in(slot.refused)
    # A cancel has its cap in dollars and no other: one that had to bid a higher tip than work may would never go out.
    tip_cap = rules.tip_cap_wei if purpose is Purpose.WORK else None
    bid = replacement(slot.top, offer.fees, caps, tip_cap_wei=tip_cap, floor_wei=floor)
    if bid is None:
        return _hold(slot, f"gas is {offer.fees.price_wei / 10**9:.4g} gwei, {_ceiling(slot, offer, purpose)}")
    changes: tuple[Change, ...] = ()
    if slot.top.state is AttemptState.SIGNED:  # what is outbid is taken for sent
        changes = (MarkBroadcast(slot.track.intent.id, slot.top.hash),)
        slot = _marked(slot, slot.top.hash)
    return Step(slot, changes, (Sign(bid, purpose),))


def _ceiling(slot: Slot, offer: Offer, purpose: Purpose) -> str:
    """Say which ceiling is the lowest: the one to raise, or to wait for."""
    work = purpose is Purpose.WORK
    names = ("limits.max_gas_price_gwei", "limits.per_tx") if work else ("limits.cancel_max",)
    caps = offer.work_caps if work else offer.cancel_caps
    lowest, name = min(((cap, name) for cap, name in zip(caps, names, strict=False) if cap), default=(0, ""))
    budget = offer.budget_wei if work and not slot.hurry else None
    if budget is not None and not 0 < lowest < budget:
        return f"and the compound is not worth more than {budget / 10**9:.4g} gwei; unmined it costs nothing"
    words = f"and no higher bid for its {purpose} is within the limits"
    return f"{words}: {name} allows {lowest / 10**9:.4g} gwei" if 0 < lowest < 2 * offer.fees.price_wei else words


def _hold(slot: Slot, why: str) -> Step:
    return Step(replace(slot, told=True, hurry=False), (), () if slot.told else (Tell("stuck", why),))


# -------------------------------------------------------------------------------------------------- what the chain says


def _saw(slot: Slot, event: Saw, rules: Rules) -> Step:
    if slot.track.final or slot.state is IntentState.PLANNED:
        return Step(slot)
    if slot.state is IntentState.CANCELLED and slot.track.receipt is None:
        return _saw_foreign(slot, event, rules)
    steps = [_with_receipt(slot, event, rules)]
    slot = steps[0].slot
    if slot.track.receipt is not None:
        steps.append(_deepen(slot, event.sight, rules))
    elif _unmined(slot) and not steps[0].orders:  # a reopening has said what to do next
        steps.append(_wait(slot, event, rules))
    return _joined(steps)


def _with_receipt(slot: Slot, event: Saw, rules: Rules) -> Step:
    """Bring the receipt on record in step with the agreed look. Only canonical blocks count."""
    sight, known = event.sight, slot.track.receipt
    found = _found(slot, sight)
    steps = []
    if known is not None:
        slot = replace(slot, sightings=slot.sightings + 1 if _shorter(sight, known) else 0)
        if not _gone(sight, known) and slot.sightings < rules.sightings:
            return Step(slot)
        moved = found is not None and not _same(known, found)
        steps.append(_reopened(slot, send=not moved))
        slot = steps[0].slot
        if not moved:
            return steps[0]
    if found is None or not _unmined(slot):
        return Step(slot)
    return _joined([*steps, _mined(slot, found, event)])


def _found(slot: Slot, sight: Sight) -> Receipt | None:
    """Return the receipt of one of its transactions that is in a canonical block."""
    receipts = (sight.receipts.get(attempt.hash) for attempt in slot.track.attempts)
    return next((receipt for receipt in receipts if receipt is not None and _canonical(sight, receipt)), None)


def _mined(slot: Slot, found: Receipt, event: Saw) -> Step:
    cost = UsdWad(found.cost_wei * event.native_usd // 10**18)
    intent = replace(slot.track.intent, state=IntentState.MINED)
    attempts = tuple(
        replace(a, state=AttemptState.MINED if a.hash == found.tx_hash else AttemptState.REPLACED)
        for a in slot.track.attempts
    )
    slot = replace(slot, track=replace(slot.track, intent=intent, attempts=attempts, receipt=found), sightings=0)
    return Step(slot, (AddReceipt(slot.track.intent.id, found, cost),))


def _deepen(slot: Slot, sight: Sight, rules: Rules) -> Step:
    """Settle at confirmation depth, finalise at finality; only what this very look calls canonical."""
    receipt = slot.track.receipt
    assert receipt is not None
    if not _canonical(sight, receipt):
        return Step(slot)
    depth = sight.head.number - receipt.block_number + 1
    steps = []
    if slot.state is IntentState.MINED and depth >= max(rules.confirmations, 1):
        steps.append(_settle(slot, _verdict(slot, receipt)))
        slot = steps[0].slot
    if slot.state not in IN_FLIGHT and _final(sight, receipt.block_number, rules):
        done = replace(slot, track=replace(slot.track, final=True))
        steps.append(Step(done, (Finalise(slot.track.intent.id),)))
    return _joined(steps) if steps else Step(slot)


def _verdict(slot: Slot, receipt: Receipt) -> IntentState:
    mined = next(a for a in slot.track.attempts if a.hash == receipt.tx_hash)
    if mined.purpose is Purpose.CANCEL:
        return IntentState.CANCELLED
    return IntentState.CONFIRMED if receipt.status == 1 else IntentState.REVERTED


def _wait(slot: Slot, event: Saw, rules: Rules) -> Step:
    """Not mined as far as is known: send again, look at the price, or ask who has the nonce."""
    if event.sight.nonces.latest > slot.nonce:
        slot = replace(slot, sightings=slot.sightings + 1)
        return Step(slot, (), (Prove(slot.nonce),) if slot.sightings >= rules.sightings << min(slot.proofs, 7) else ())
    head, its_turn = event.sight.head.number, event.sight.nonces.latest == slot.nonce
    slot = replace(slot, sightings=0, turn=(head if slot.turn is None else slot.turn) if its_turn else None)
    orders: list[Order] = []
    quoted = slot.quoted_at if slot.quoted_at is not None else event.at
    pause = rules.bump_seconds if not slot.refused or slot.refusals > 1 else 0.0
    if slot.hurry or event.at - quoted >= pause:
        orders.append(Quote())
        slot = replace(slot, quoted_at=event.at)
    if not _dead(slot) and (slot.sent_at is None or event.at - slot.sent_at >= rules.resend_seconds):
        orders.append(Send(slot.top.hash))
    return Step(replace(slot, quoted_at=slot.quoted_at if slot.quoted_at is not None else event.at), (), tuple(orders))


def _proved(slot: Slot, event: Proved, rules: Rules) -> Step:
    """Release the nonce only on proof: which transaction has it, deep enough, and that it is none of ours."""
    ours = {attempt.hash.lower() for attempt in slot.track.attempts}
    if event.user is None and _unmined(slot):
        slot = replace(slot, sightings=0, proofs=slot.proofs + 1)
        why = "its nonce is used, and no endpoint can tell by what; add one that keeps older blocks"
        return _hold(slot, why) if slot.proofs >= rules.sightings else Step(slot)
    if event.user is None or not _unmined(slot) or event.user[0].lower() in ours:
        return Step(replace(slot, sightings=0))
    tx_hash, block = event.user
    if event.head - block + 1 < max(rules.confirmations, 1):
        return Step(replace(slot, sightings=0))
    slot = replace(slot, foreign_block=block)
    settled = _settle(slot, IntentState.CANCELLED)
    return Step(settled.slot, settled.changes, (Tell("foreign", tx_hash),))


def _saw_foreign(slot: Slot, event: Saw, rules: Rules) -> Step:
    """A nonce that a foreign transaction has: until that is final, a reorg can give it back, or to one of ours."""
    sight, found = event.sight, _found(slot, event.sight)
    if found is not None:
        back = _reopened(replace(slot, giving_up=_CAME_BACK), send=False)
        return _joined([back, _mined(back.slot, found, event)])
    if sight.nonces.latest <= slot.nonce:
        slot = replace(slot, sightings=slot.sightings + 1)
        if slot.sightings < rules.sightings:
            return Step(slot)
        return _reopened(replace(slot, giving_up=_CAME_BACK))
    slot = replace(slot, sightings=0, foreign_block=slot.foreign_block or sight.head.number)
    assert slot.foreign_block is not None
    if not _final(sight, slot.foreign_block, rules):
        return Step(slot)
    return Step(replace(slot, track=replace(slot.track, final=True)), (Finalise(slot.track.intent.id),))


# -------------------------------------------------------------------------------------------------------------- helpers


def _reopened(slot: Slot, *, send: bool = True) -> Step:
    """Take the receipt back; the bytes that had it go out first, unless their leg was given up or reverted."""
    was = slot.track.receipt
    ended = slot.state in (IntentState.CANCELLED, IntentState.REVERTED)  # its leg is done again under another nonce
    given_up = slot.giving_up or ("it was given up before the reorg" if ended else "")
    intent = replace(slot.track.intent, state=IntentState.BROADCAST)
    attempts = tuple(replace(a, state=AttemptState.BROADCAST) for a in slot.track.attempts)
    track = replace(slot.track, intent=intent, attempts=attempts, receipt=None)
    slot = replace(
        slot, track=track, giving_up=given_up, sightings=0, foreign_block=None, told=False, turn=None, behind=False
    )
    first = was.tx_hash if was is not None and not given_up else slot.top.hash
    orders: tuple[Order, ...] = (Tell("reorged", was.tx_hash if was is not None else first),)
    if send:
        orders = (*orders, Quote() if _dead(slot) else Send(first))
    return Step(slot, (Reopen(intent.id),), orders)


def _settle(slot: Slot, state: IntentState) -> Step:
    intent = replace(slot.track.intent, state=state)
    mined = state is IntentState.CANCELLED and slot.track.receipt is not None
    told = (Tell("cancelled", slot.giving_up or slot.hopeless),) if mined else ()
    track = replace(slot.track, intent=intent, final=not slot.track.attempts)  # what was never signed cannot be mined
    if state is IntentState.CANCELLED and not mined:
        track = replace(track, attempts=tuple(replace(a, state=AttemptState.REPLACED) for a in track.attempts))
    return Step(replace(slot, track=track), (Settle(intent.id, state),), told)


def _canonical(sight: Sight, receipt: Receipt) -> bool:
    return sight.canonical.get(receipt.block_number) == receipt.block_hash


def _shorter(sight: Sight, receipt: Receipt) -> bool:
    """Whether the chain ends below the receipt's block: rolled back, or seen by an endpoint that lags. Time tells."""
    return sight.head.number < receipt.block_number


def _gone(sight: Sight, receipt: Receipt) -> bool:
    """Whether another block is at the receipt's height."""
    seen = sight.canonical.get(receipt.block_number)
    return seen is not None and seen != receipt.block_hash


def _same(one: Receipt, other: Receipt) -> bool:
    return (one.tx_hash, one.block_hash) == (other.tx_hash, other.block_hash)


def _final(sight: Sight, block: int, rules: Rules) -> bool:
    if sight.finalized is not None:
        return sight.finalized >= block
    return sight.head.number - block + 1 >= rules.finality_blocks


def _joined(steps: list[Step]) -> Step:
    return Step(
        steps[-1].slot,
        tuple(change for each in steps for change in each.changes),
        tuple(order for each in steps for order in each.orders),
    )
