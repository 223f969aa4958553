"""Make simulated calls signed transactions: nonces, policy, and the journal before anything else.

A window of calls costs two commits: one for what is to be done, one for the signed bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from keeper.domain.journal import AddAttempt, AddIntent, Settle, Track
from keeper.domain.money import Address, UsdWad, usd_text
from keeper.domain.plan import Call, LegKind
from keeper.domain.transaction import (
    Attempt,
    AttemptState,
    Intent,
    IntentState,
    Purpose,
    SignedTx,
    Simulation,
    TxRequest,
)
from keeper.engine.telling import say_foreign_waits, say_gap_waits
from keeper.errors import KeeperError, PolicyDenied, Refused, RpcRejected, SignerError, Transient
from keeper.ports import Signer, Warrant
from keeper.tx.fees import Bid, affordable, first_bid, gas_limit
from keeper.tx.nonces import allocate

if TYPE_CHECKING:
    from keeper.engine.flight import Flight
    from keeper.engine.work import Job

__all__ = ["attempt_of", "cancel_call", "fill_gap", "launch", "nonce_floor", "signer_of"]

#: Seconds before the policy is asked again to let a missing nonce be filled: it logs every refusal as an error.
_DENIED_SECONDS: Final = 600.0


def launch(flight: Flight, jobs: Sequence[Job]) -> list[tuple[Track, KeeperError | None]]:
    """Journal the intents, have each call signed by the policy, journal the raw bytes. Nothing has left yet.

    A call that the policy denies takes no nonce; its intent is cancelled, and the others go on.

    Raises:
        Refused: a pause, too little gas money, or somebody else's waiting transaction; nothing was journaled.
        StoreUnavailable: when the journal did not take it; nothing is sent.
    """
    context = flight.context
    if not jobs:
        return []
    if (why := context.paused()) is not None:
        raise Refused(f"paused, nothing new is signed: {why}")
    nonces = _nonces(flight, len(jobs))
    fees = [context.chain.l1_fee_wei(job.call.data) for job in jobs]
    _check_l1(flight, jobs, fees)
    _check_funds(flight, jobs, fees)
    intents = [_intent(flight, job) for job in jobs]
    context.store.apply([AddIntent(intent) for intent in intents])
    context.checkpoint("planned")
    results: list[tuple[Track, KeeperError | None]] = []
    changes: list[AddAttempt | Settle] = []
    for job, intent, l1_fee in zip(jobs, intents, fees, strict=True):
        nonce = nonces[sum(error is None for _, error in results)]
        try:
            beside = UsdWad(sum(change.max_fee_usd for change in changes if isinstance(change, AddAttempt)))
            signed, fee = _sign(flight, job, intent, nonce, l1_fee, beside)
        except SignerError as error:
            changes.append(Settle(intent.id, IntentState.CANCELLED))
            results.append((Track(replace(intent, state=IntentState.CANCELLED)), error))
            continue
        context.checkpoint("signed")
        attempt = attempt_of(intent, signed, job.simulation.block)
        changes.append(AddAttempt(attempt, fee))
        results.append((Track(replace(intent, state=IntentState.SIGNED, nonce=nonce), (attempt,)), None))
    context.store.apply(changes)
    context.checkpoint("journaled")
    return results


def fill_gap(flight: Flight, nonce: int) -> Track | None:
    """Sign, and journal, a transaction that does nothing but use a nonce that nobody has; ``None`` when it may not be.

    Raises:
        StoreUnavailable: when the journal did not take it.
    """
    context, chain_id = flight.context, flight.context.chain.facts.chain_id
    intent = Intent(
        id=f"gap-{chain_id}-{flight.owner[2:]}-{nonce}",
        key=f"gap:{chain_id}:{flight.owner}:{nonce}",
        harvest_id="",
        leg_index=0,
        chain=context.name,
        chain_id=chain_id,
        sender=flight.owner,
        kind=LegKind.CANCEL,
        label=f"fill nonce {nonce}",
        to=flight.owner,
        data=b"",
        value=0,
    )
    track, asked = context.store.track(intent.id) or Track(intent), f"denied:{intent.id}"
    if track.attempts or nonce < nonce_floor(flight):
        return None  # filled before, and the proof will come; or a lost journal's, mined whatever a node counts now
    if asked in context.said and context.clock.monotonic() < context.said[asked] + _DENIED_SECONDS:
        return None
    try:
        fees, head = context.chain.fees(), context.chain.head()
        simulation = context.chain.simulate(flight.owner, [cancel_call(flight.owner)], [], head)
        bid = first_bid(fees, budget_wei=None, ceiling_wei=_gap_ceiling(flight, gas_limit(simulation.gas_used)))
        request = _request(intent, cancel_call(flight.owner), nonce, simulation, bid, eip1559=fees.eip1559)
        signed, fee = sign_request(flight, request, Warrant("", "", 0, simulation, UsdWad(0), purpose=Purpose.CANCEL))
    except (Transient, RpcRejected):
        return None
    except (Refused, PolicyDenied) as error:
        if isinstance(error, PolicyDenied):
            context.said[asked] = context.clock.monotonic()
        say_gap_waits(context, intent, nonce, str(error))
        return None
    attempt = replace(attempt_of(intent, signed, head.number), purpose=Purpose.CANCEL)
    known = [] if context.store.track(intent.id) is not None else [AddIntent(intent)]
    context.store.apply([*known, AddAttempt(attempt, fee)])
    return Track(replace(intent, state=IntentState.SIGNED, nonce=nonce), (attempt,))


def _gap_ceiling(flight: Flight, gas: int) -> int | None:
    """Wei per gas unit at which a filling, with its L1 data fee, costs no more than a cancel may.

    Raises:
        Transient: the L1 fee could not be asked for.
    """
    context, native = flight.context, flight.context.prices_seen.get("native", 0)
    l1_usd = -(-context.chain.l1_fee_wei(b"") * native // 10**18)
    return affordable(max(min(context.cancel_max_usd, context.limits.per_tx_usd) - l1_usd, 0), native, gas)


def sign_request(
    flight: Flight, request: TxRequest, warrant: Warrant, *, signer: str | None = None
) -> tuple[SignedTx, UsdWad]:
    """Value the fees at their caps, and have the request signed by the policy.

    Raises:
        PolicyDenied: naming the rule.
        Transient: the L1 fee could not be asked for.
    """
    context = flight.context
    wei = request.gas * request.max_fee_wei + context.chain.l1_fee_wei(request.data)
    fee = UsdWad(-(-wei * context.prices_seen.get("native", 0) // 10**18))
    return signer_of(flight, signer).sign(request, replace(warrant, max_fee_usd=fee)), fee


def signer_of(flight: Flight, name: str | None = None) -> Signer:
    """Return the guarded key of the account.

    Raises:
        PolicyDenied: no configured signer holds it.
    """
    signers = flight.context.signers
    if name is not None and name in signers:
        named = signers[name]
        if named.address == flight.owner:
            return named
        raise PolicyDenied(f"signer {name} holds {named.address}, this compound belongs to {flight.owner}")
    for signer in signers.values():
        if signer.address == flight.owner:
            return signer
    raise PolicyDenied(f"no signer holds {flight.owner}; give one of the positions its signer back")


def attempt_of(intent: Intent, signed: SignedTx, block: int) -> Attempt:
    """Make the journal's record of signed bytes, before anything is sent; ``block`` is the head they were made on."""
    return Attempt(
        intent_id=intent.id,
        hash=signed.hash,
        raw=signed.raw,
        nonce=signed.request.nonce,
        gas=signed.request.gas,
        max_fee_wei=signed.request.max_fee_wei,
        max_tip_wei=signed.request.max_tip_wei,
        state=AttemptState.SIGNED,
        signed_block=block,
    )


def cancel_call(owner: Address) -> Call:
    """Return the call that does nothing: no value and no data, to the account itself."""
    return Call(LegKind.CANCEL, "use up the nonce", owner, b"")


def _intent(flight: Flight, job: Job) -> Intent:
    harvest, facts = job.work.harvest, flight.context.chain.facts
    return Intent(
        id=f"{harvest.id}-{job.index}-{job.tries}",
        key=f"{harvest.id}:{job.index}:{job.tries}",
        harvest_id=harvest.id,
        leg_index=job.index,
        chain=facts.name,
        chain_id=facts.chain_id,
        sender=flight.owner,
        kind=job.call.kind,
        label=job.call.label,
        to=job.call.to,
        data=job.call.data,
        value=job.call.value,
    )


def _request(intent: Intent, call: Call, nonce: int, simulation: Simulation, bid: Bid, *, eip1559: bool) -> TxRequest:
    return TxRequest(
        chain_id=intent.chain_id,
        sender=intent.sender,
        nonce=nonce,
        to=call.to,
        data=call.data,
        value=call.value,
        gas=gas_limit(simulation.gas_used),
        max_fee_wei=bid.max_fee_wei,
        max_tip_wei=bid.max_tip_wei,
        eip1559=eip1559,
    )


def _sign(flight: Flight, job: Job, intent: Intent, nonce: int, l1_fee: int, beside: UsdWad) -> tuple[SignedTx, UsdWad]:
    harvest = job.work.harvest
    if harvest.owner != flight.owner:
        raise PolicyDenied(f"signer {job.work.signer} holds {flight.owner}, this compound belongs to {harvest.owner}")
    request = _request(intent, job.call, nonce, job.simulation, job.bid, eip1559=job.eip1559)
    fee = UsdWad(job.work.valuation.gas_cost(request.gas * request.max_fee_wei + l1_fee))
    warrant = Warrant(harvest.position_id, harvest.plan_id, job.index, job.simulation, fee, beside)
    return signer_of(flight, job.work.signer).sign(request, warrant), fee


def _nonces(flight: Flight, count: int) -> tuple[int, ...]:
    """Give nonces by the journal and the agreed mined count.

    Raises:
        Refused: a pool holds a transaction of the account that keeper knows nothing of; it is waited for, for a while.
    """
    context, chain_id = flight.context, flight.context.chain.facts.chain_id
    counts = flight.counts()
    allocation = allocate(
        count,
        known=context.store.nonces_used(chain_id, flight.owner, counts.latest),
        mined=counts.latest,
        journal_next=context.store.next_nonce(chain_id, flight.owner),
        pending=counts.pending,
        floor=nonce_floor(flight),
    )
    if not allocation.foreign:
        flight.foreign_since = None
        return allocation.nonces
    now = context.clock.monotonic()
    if flight.foreign_since is None:
        flight.foreign_since = now
    waited = now - flight.foreign_since
    if waited < context.foreign_seconds:
        raise Refused(
            f"a transaction of {flight.owner} that keeper knows nothing of waits in the pool (nonce "
            f"{counts.pending - 1}); waiting for it, at most {context.foreign_seconds - waited:.0f} s more"
        )
    say_foreign_waits(context, flight.owner, counts.pending - 1)
    return allocation.nonces


def nonce_floor(flight: Flight) -> int:
    """Return the nonce from which on a rebuilt journal knows everything; 0 for one that was never rebuilt."""
    kept = flight.context.store.get_flag(f"floor:{flight.context.chain.facts.chain_id}:{flight.owner}")
    return int(kept or 0)


def _check_l1(flight: Flight, jobs: Sequence[Job], l1_fees: Sequence[int]) -> None:
    """Cap the L1 data fee apart: no bid limits it, and it can pass everything else on a quiet rollup.

    Raises:
        Refused: it alone is worth more than a transaction may cost.
    """
    cap = flight.context.limits.per_tx_usd
    for job, wei in zip(jobs, l1_fees, strict=True):
        if (usd := job.work.valuation.gas_cost(wei)) > cap:
            text = (
                f"{job.call.label}: the L1 data fee alone is {usd_text(usd)} now, above limits.per_tx {usd_text(cap)}"
            )
            raise Refused(f"{text}; waiting for it to fall")


def _check_funds(flight: Flight, jobs: Sequence[Job], l1_fees: Sequence[int]) -> None:
    """Refuse to sign what the account could not pay for beside everything that it has in flight.

    Raises:
        Refused: naming both amounts.
    """
    context = flight.context
    flying = sum(max(a.gas * a.max_fee_wei for a in slot.track.attempts) for slot in flight.unmined)
    wanted = sum(gas_limit(job.simulation.gas_used) * job.bid.max_fee_wei for job in jobs) + sum(l1_fees)
    balance = context.chain.balance(flight.owner)
    if balance < flying + wanted:
        symbol = context.chain.facts.native_symbol
        raise Refused(
            f"{flight.owner} holds {balance / 10**18:.6g} {symbol}; what is in flight and this may cost up to "
            f"{(flying + wanted) / 10**18:.6g}; send it some, keeper goes on by itself"
        )
