"""Domain values as rows of the tables and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from keeper.domain.decision import Decision
from keeper.domain.harvest import Harvest, HarvestState, LedgerEntry
from keeper.domain.money import Address, Amount, Token, UsdWad
from keeper.domain.observation import Observation, Sample
from keeper.domain.plan import LegKind, Plan
from keeper.domain.transaction import Attempt, AttemptState, Intent, IntentState, NftLog, Purpose, Receipt, TransferLog
from keeper.errors import StoreUnavailable
from keeper.store.codec import dump, load

__all__ = [
    "attempt_of",
    "attempt_row",
    "decision_of",
    "decision_text",
    "entry_of",
    "entry_row",
    "harvest_of",
    "harvest_row",
    "intent_of",
    "intent_row",
    "observation_of",
    "observation_text",
    "plan_of",
    "plan_text",
    "receipt_of",
    "receipt_row",
    "sample_of",
    "sample_text",
]

Row: TypeAlias = Mapping[Any, Any]

_AMOUNTS = tuple[Amount, ...]
_TRANSFERS = tuple[TransferLog, ...]
_NFTS = tuple[NftLog, ...]
_EVENTS = tuple[tuple[Address, str], ...]

#: How a sample's text begins, and an observation's does not.
_SAMPLE = '{"observation":'


def plan_text(plan: Plan) -> str:
    """Plan as JSON."""
    return dump(Plan, plan)


def plan_of(text: str) -> Plan:
    """Plan from JSON.

    Raises:
        StoreUnavailable: it was written by a keeper that knew other plans.
    """
    try:
        plan: Plan = load(Plan, text)
    except ValueError as error:
        raise StoreUnavailable(
            f"an open compound's plan cannot be read by this keeper ({error}); finish it with the version that began it"
        ) from error
    return plan


def decision_text(decision: Decision) -> str:
    """Decision as JSON."""
    return dump(Decision, decision)


def decision_of(text: str) -> Decision:
    """Decision from JSON."""
    decision: Decision = load(Decision, text)
    return decision


def observation_text(observation: Observation) -> str:
    """Observation as JSON."""
    return dump(Observation, observation)


def observation_of(text: str) -> Observation:
    """Observation from JSON."""
    observation: Observation = load(Observation, text)
    return observation


def sample_text(sample: Sample) -> str:
    """Sample as JSON."""
    return dump(Sample, sample)


def sample_of(text: str) -> Sample:
    """Sample from JSON; what an earlier keeper wrote is an observation alone."""
    if not text.startswith(_SAMPLE):
        return Sample(observation_of(text), None)
    sample: Sample = load(Sample, text)
    return sample


def harvest_row(harvest: Harvest) -> dict[str, Any]:
    """Columns of ``harvests`` except the plan."""
    return {
        "id": harvest.id,
        "position_id": harvest.position_id,
        "chain": harvest.chain,
        "owner": harvest.owner,
        "state": harvest.state.value,
        "plan_id": harvest.plan_id,
        "decided_block": harvest.decided_block,
        "started_at": harvest.started_at,
        "predicted_reward_usd": harvest.predicted_reward_usd,
        "predicted_cost_usd": harvest.predicted_cost_usd,
        "predicted_gas": harvest.predicted_gas,
        "finished_at": harvest.finished_at,
        "received": dump(_AMOUNTS, harvest.received),
        "compounded": None if harvest.compounded is None else dump(Amount, harvest.compounded),
        "gas_used": harvest.gas_used,
        "cost_wei": harvest.cost_wei,
        "received_usd": harvest.received_usd,
        "compounded_usd": harvest.compounded_usd,
        "cost_usd": harvest.cost_usd,
        "error": harvest.error,
        "deposited": dump(_AMOUNTS, harvest.deposited) if harvest.deposited else None,
    }


def harvest_of(row: Row) -> Harvest:
    """Row of ``harvests``."""
    return Harvest(
        id=row["id"],
        position_id=row["position_id"],
        chain=row["chain"],
        owner=Address(row["owner"]),
        state=HarvestState(row["state"]),
        plan_id=row["plan_id"],
        decided_block=row["decided_block"],
        started_at=row["started_at"],
        predicted_reward_usd=UsdWad(row["predicted_reward_usd"]),
        predicted_cost_usd=UsdWad(row["predicted_cost_usd"]),
        predicted_gas=row["predicted_gas"],
        finished_at=row["finished_at"],
        received=load(_AMOUNTS, row["received"]),
        compounded=None if row["compounded"] is None else load(Amount, row["compounded"]),
        gas_used=row["gas_used"],
        cost_wei=row["cost_wei"],
        received_usd=UsdWad(row["received_usd"]),
        compounded_usd=UsdWad(row["compounded_usd"]),
        cost_usd=UsdWad(row["cost_usd"]),
        error=row["error"],
        deposited=load(_AMOUNTS, row["deposited"] or "[]"),
    )


def intent_row(intent: Intent) -> dict[str, Any]:
    """Columns of ``intents`` except the time."""
    return {
        "id": intent.id,
        "key": intent.key,
        "harvest_id": intent.harvest_id or None,
        "leg_index": intent.leg_index,
        "chain": intent.chain,
        "chain_id": intent.chain_id,
        "sender": intent.sender,
        "kind": intent.kind.value,
        "label": intent.label,
        "to_address": intent.to,
        "data": intent.data,
        "value": intent.value,
        "state": intent.state.value,
        "nonce": intent.nonce,
    }


def intent_of(row: Row) -> Intent:
    """Row of ``intents``, wei as text or number."""
    return Intent(
        id=row["id"],
        key=row["key"],
        harvest_id=row["harvest_id"] or "",
        leg_index=row["leg_index"],
        chain=row["chain"],
        chain_id=row["chain_id"],
        sender=Address(row["sender"]),
        kind=LegKind(row["kind"]),
        label=row["label"],
        to=Address(row["to_address"]),
        data=row["data"],
        value=int(row["value"]),
        state=IntentState(row["state"]),
        nonce=row["nonce"],
    )


def attempt_row(attempt: Attempt) -> dict[str, Any]:
    """Columns of ``attempts`` except fee value and time."""
    return {
        "hash": attempt.hash,
        "intent_id": attempt.intent_id,
        "raw": attempt.raw,
        "nonce": attempt.nonce,
        "gas": attempt.gas,
        "max_fee_wei": attempt.max_fee_wei,
        "max_tip_wei": attempt.max_tip_wei,
        "state": attempt.state.value,
        "signed_block": attempt.signed_block,
        "purpose": attempt.purpose.value,
    }


def attempt_of(row: Row) -> Attempt:
    """Row of ``attempts``, wei as text or number."""
    return Attempt(
        intent_id=row["intent_id"],
        hash=row["hash"],
        raw=row["raw"],
        nonce=row["nonce"],
        gas=row["gas"],
        max_fee_wei=int(row["max_fee_wei"]),
        max_tip_wei=int(row["max_tip_wei"]),
        state=AttemptState(row["state"]),
        signed_block=row["signed_block"],
        purpose=Purpose(row["purpose"]),
    )


def receipt_row(receipt: Receipt) -> dict[str, Any]:
    """Columns of ``receipts`` except intent, cost and time."""
    return {
        "tx_hash": receipt.tx_hash,
        "block_number": receipt.block_number,
        "block_hash": receipt.block_hash,
        "status": receipt.status,
        "gas_used": receipt.gas_used,
        "effective_gas_price_wei": receipt.effective_gas_price_wei,
        "l1_fee_wei": receipt.l1_fee_wei,
        "transfers": dump(_TRANSFERS, receipt.transfers),
        "nfts": dump(_NFTS, receipt.nfts) if receipt.nfts else None,
        "events": dump(_EVENTS, receipt.events) if receipt.events else None,
    }


def receipt_of(row: Row) -> Receipt:
    """Row of ``receipts``, wei as text or number."""
    return Receipt(
        tx_hash=row["tx_hash"],
        block_number=row["block_number"],
        block_hash=row["block_hash"],
        status=row["status"],
        gas_used=row["gas_used"],
        effective_gas_price_wei=int(row["effective_gas_price_wei"]),
        l1_fee_wei=int(row["l1_fee_wei"]),
        transfers=load(_TRANSFERS, row["transfers"]),
        nfts=load(_NFTS, row["nfts"] or "[]"),
        events=load(_EVENTS, row["events"] or "[]"),
    )


def entry_row(entry: LedgerEntry) -> dict[str, Any]:
    """Columns of ``ledger``."""
    token, raw = entry.amount.token, entry.amount.raw
    return {
        "harvest_id": entry.harvest_id,
        "tx_hash": entry.tx_hash,
        "log_index": entry.log_index,
        "sign": (raw > 0) - (raw < 0),
        "block_number": entry.block_number,
        "timestamp": entry.timestamp,
        "kind": entry.kind,
        "chain": token.chain,
        "token": token.address,
        "symbol": token.symbol,
        "decimals": token.decimals,
        "raw": raw,
        "value_usd": entry.value_usd,
    }


def entry_of(row: Row) -> LedgerEntry:
    """Row of ``ledger``."""
    token = Token(row["chain"], Address(row["token"]), row["symbol"], row["decimals"])
    return LedgerEntry(
        harvest_id=row["harvest_id"],
        tx_hash=row["tx_hash"],
        log_index=row["log_index"],
        block_number=row["block_number"],
        timestamp=row["timestamp"],
        kind=row["kind"],
        amount=Amount(token, row["raw"]),
        value_usd=None if row["value_usd"] is None else UsdWad(row["value_usd"]),
    )
