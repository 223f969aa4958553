"""Turn confirmed receipts into a finished harvest and its ledger rows: what came in, what it cost, at which price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from keeper.domain.events import EventName, Level
from keeper.domain.harvest import Harvest, HarvestState, LedgerEntry
from keeper.domain.money import Address, Amount, UsdWad, usd_decimal
from keeper.domain.plan import LegKind, Plan
from keeper.domain.transaction import Intent, Receipt
from keeper.domain.valuation import Valuation
from keeper.engine.context import ChainContext

__all__ = ["Executed", "brought", "mined", "record_done", "record_failed"]

#: A leg together with what the chain did.
Executed = tuple[Intent, Receipt]


def mined(context: ChainContext, harvest: Harvest) -> list[Executed]:
    """Every transaction of the compound that the chain has executed, the reverted ones too: they cost as well."""
    return [(t.intent, t.receipt) for t in context.store.tracks_of(harvest.id) if t.receipt is not None]


def brought(plan: Plan, executed: Sequence[Executed]) -> dict[Address, int]:
    """Net amounts that the executed legs brought, by their Transfer logs: what the next leg may spend."""
    have: dict[Address, int] = {}
    for _, receipt in executed:
        for token in plan.tokens:
            have[token.address] = have.get(token.address, 0) + receipt.delta(token, plan.owner).raw
    return have


def record_done(
    context: ChainContext, harvest: Harvest, plan: Plan, executed: Sequence[Executed], valuation: Valuation
) -> Harvest:
    """Close a compound whose legs are all confirmed; predicted stands beside realised."""
    done = _with_facts(context, harvest, plan, executed, valuation)
    done = replace(done, state=HarvestState.DONE)
    context.store.close_harvest(done, _entries(context, done, plan, executed, valuation))
    context.checkpoint("recorded")
    context.emit(
        EventName.HARVEST_DONE,
        position=done.position_id,
        harvest=done.id,
        received=_words(done.received),
        received_usd=_usd(done.received_usd),
        cost_usd=_usd(done.cost_usd),
        cost_wei=done.cost_wei,
        compounded=_words(done.put_back),
        compounded_usd=_usd(done.compounded_usd),
        predicted_usd=_usd(done.predicted_reward_usd),
        gas=done.gas_used,
    )
    return done


def record_failed(
    context: ChainContext,
    harvest: Harvest,
    plan: Plan,
    executed: Sequence[Executed],
    valuation: Valuation,
    error: Exception,
) -> Harvest:
    """Give a compound up: say why, and name what it had brought by then, which stays in the wallet."""
    failed = _with_facts(context, harvest, plan, executed, valuation)
    failed = replace(failed, state=HarvestState.FAILED, error=_failure_text(plan, executed, error))
    context.store.close_harvest(failed, _entries(context, failed, plan, executed, valuation))
    context.emit(
        EventName.HARVEST_FAILED,
        Level.ERROR,
        position=failed.position_id,
        harvest=failed.id,
        leg=len({intent.leg_index for intent, receipt in executed if receipt.status == 1}) + 1,
        kind=type(error).__name__,
        error=failed.error,
        gas=failed.gas_used,
        cost_usd=_usd(failed.cost_usd),
        cost_wei=failed.cost_wei,
    )
    return failed


def _with_facts(
    context: ChainContext, harvest: Harvest, plan: Plan, executed: Sequence[Executed], valuation: Valuation
) -> Harvest:
    claimed = [receipt for intent, receipt in executed if intent.kind is LegKind.CLAIM]
    received = tuple(
        amount
        for token in plan.tokens
        if (amount := Amount(token, sum(r.delta(token, plan.owner).raw for r in claimed))).raw > 0
    )
    stayed = _stayed(plan, executed)
    received += plan.in_place if stayed else ()
    deposits = [receipt for intent, receipt in executed if intent.kind is LegKind.DEPOSIT]
    taken = _taken(plan, deposits)
    stake = [amount for amount in taken if amount.token.address == plan.stake_token.address]
    compounded = (stake[0] if stake else Amount(plan.stake_token, 0)) if deposits and (stake or not taken) else None
    put_back = (compounded,) if compounded is not None else (*taken, *stayed)
    cost = sum(receipt.cost_wei for _, receipt in executed)
    last = max((receipt.block_number for _, receipt in executed), default=harvest.decided_block)
    return replace(
        harvest,
        finished_at=_timestamp(context, last, harvest.started_at),
        received=received,
        compounded=compounded,
        gas_used=sum(receipt.gas_used for _, receipt in executed),
        cost_wei=cost,
        received_usd=UsdWad(sum(_price(valuation, amount) or 0 for amount in received)),
        compounded_usd=UsdWad(sum(_price(valuation, amount) or 0 for amount in put_back)),
        cost_usd=valuation.gas_cost(cost),
        deposited=() if compounded is not None else put_back,
    )


def _taken(plan: Plan, deposits: Sequence[Receipt]) -> tuple[Amount, ...]:
    """What deposits really took out of the wallet (what they paid out beside is another matter).

    The stake token where any of it went; else whatever did: both sides of a range.
    """
    stake, spent = (
        plan.stake_token.address,
        {t.address for leg in plan.legs if leg.kind is LegKind.DEPOSIT for t in leg.spends},
    )
    sent: dict[Address, int] = {}
    for transfer in (t for receipt in deposits for t in receipt.transfers if t.sender == plan.owner):
        sent[transfer.token] = sent.get(transfer.token, 0) + transfer.raw
    wanted = {stake} if sent.get(stake) else spent
    return tuple(Amount(t, sent[t.address]) for t in plan.tokens if t.address in wanted and sent.get(t.address))


def _entries(
    context: ChainContext, harvest: Harvest, plan: Plan, executed: Sequence[Executed], valuation: Valuation
) -> list[LedgerEntry]:
    tokens = {token.address: token for token in plan.tokens}
    entries = []
    for intent, receipt in executed:
        timestamp = _timestamp(context, receipt.block_number, harvest.started_at)
        if intent.kind is LegKind.COMPOUND and receipt.status == 1:
            entries += _in_place(harvest, _stayed(plan, executed), receipt, timestamp, valuation)
        for log in receipt.transfers:
            ours = plan.owner in (log.sender, log.recipient) and log.sender != log.recipient
            if log.token not in tokens or not ours or log.raw == 0:
                continue
            sign = 1 if log.recipient == plan.owner else -1
            amount = Amount(tokens[log.token], sign * log.raw)
            entries.append(
                LedgerEntry(
                    harvest_id=harvest.id,
                    tx_hash=receipt.tx_hash,
                    log_index=log.log_index,
                    block_number=receipt.block_number,
                    timestamp=timestamp,
                    kind=intent.kind.value,
                    amount=amount,
                    value_usd=_price(valuation, amount),
                )
            )
    return entries


def _stayed(plan: Plan, executed: Sequence[Executed]) -> tuple[Amount, ...]:
    """What a one-call compound put back: what there was, less what came to the wallet because it did not fit."""
    calls = [receipt for intent, receipt in executed if intent.kind is LegKind.COMPOUND and receipt.status == 1]
    if not calls:
        return ()
    left = (Amount(a.token, a.raw - sum(r.delta(a.token, plan.owner).raw for r in calls)) for a in plan.in_place)
    return tuple(amount for amount in left if amount.raw > 0)


def _in_place(
    harvest: Harvest, stayed: Sequence[Amount], receipt: Receipt, timestamp: int, valuation: Valuation
) -> list[LedgerEntry]:
    """Book rewards that never passed through the wallet: received, as simulated, and put back at once.

    No log tells of them, so they count from -1 downwards where others have their log's index.
    """
    booked = [(kind, sign, a) for a in stayed for kind, sign in ((LegKind.CLAIM, 1), (LegKind.DEPOSIT, -1))]
    return [
        LedgerEntry(
            harvest_id=harvest.id,
            tx_hash=receipt.tx_hash,
            log_index=-1 - index,
            block_number=receipt.block_number,
            timestamp=timestamp,
            kind=kind.value,
            amount=Amount(amount.token, sign * amount.raw),
            value_usd=_price(valuation, Amount(amount.token, sign * amount.raw)),
        )
        for index, (kind, sign, amount) in enumerate(booked)
    ]


def _price(valuation: Valuation, amount: Amount) -> UsdWad | None:
    try:
        return valuation.value_mid(amount)
    except KeyError:  # a token that is only passed through, priced by nobody
        return None


def _timestamp(context: ChainContext, number: int, fallback: int) -> int:
    block = context.chain.block(number)
    return block.timestamp if block is not None else fallback


def _failure_text(plan: Plan, executed: Sequence[Executed], error: Exception) -> str:
    have = brought(plan, executed)
    left = [
        f"{Amount(t, have[t.address]).decimal.normalize():f} {t.symbol}"
        for t in plan.tokens
        if have.get(t.address, 0) > 0
    ]
    return f"{error}; in the wallet now: {', '.join(left)}" if left else str(error)


def _words(amounts: Sequence[Amount]) -> str:
    return ", ".join(f"{amount.decimal:.6g} {amount.token.symbol}" for amount in amounts)


def _usd(value: int) -> str:
    return f"{usd_decimal(value):.2f}" if value >= 10**18 else f"{usd_decimal(value):.4f}"
