"""Believe what moved, not what a status says: what a leg brought, what left the wallet, what may be spent next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from keeper.domain.block import BlockRef
from keeper.domain.money import Address, Token
from keeper.domain.plan import Leg, LegKind, Plan
from keeper.domain.transaction import Receipt
from keeper.engine.context import ChainContext, own_key
from keeper.engine.record import Executed, brought, mined
from keeper.erc20 import BALANCE_OF
from keeper.errors import HarvestPaidNothing, UnaskedTransfer

__all__ = ["check_receipt", "remember_own", "spendable"]

#: Legs that have done nothing when nothing has left the wallet, and what they do.
_MUST_SEND: Final = {LegKind.DEPOSIT: "deposited", LegKind.PAYOUT: "paid out", LegKind.UNWRAP: "unwrapped"}


def remember_own(context: ChainContext, harvest_id: str, plan: Plan, block: BlockRef) -> None:
    """Note what the wallet held of each token before the compound: that much is never spent by it."""
    theirs = _held_by_others(context, harvest_id, plan, block)
    own = {token: raw - theirs.get(token, 0) for token, raw in _balances(context, plan, block).items()}
    context.store.set_flag(own_key(harvest_id), json.dumps({token: str(raw) for token, raw in own.items()}))


def spendable(
    context: ChainContext, harvest_id: str, plan: Plan, executed: Sequence[Executed], block: BlockRef
) -> dict[Address, int]:
    """Return what the next legs may spend: what the logs say was brought, but never what was in the wallet before.

    Logs can say more than was moved (fee on transfer, a false event); the balance above the wallet's own cannot.
    """
    have = brought(plan, executed)
    noted = context.store.get_flag(own_key(harvest_id))
    if noted is None or not any(have.values()):
        return have
    own = {token: int(raw) for token, raw in json.loads(noted).items()}
    now, theirs = _balances(context, plan, block), _held_by_others(context, harvest_id, plan, block)
    return {
        token: max(min(raw, now[token] - own.get(token, 0) - theirs.get(token, 0)), 0) for token, raw in have.items()
    }


def check_receipt(plan: Plan, leg: Leg, receipt: Receipt, executed: Sequence[Executed]) -> None:
    """Judge a confirmed leg by its Transfer logs.

    Raises:
        UnaskedTransfer: something left the wallet that policy and simulation should both have kept in.
        HarvestPaidNothing: it succeeded, and nothing came in (or nothing was deposited).
    """
    _check_left(plan, leg, receipt, executed)
    if leg.brings and not any(receipt.delta(token, plan.owner).raw > 0 for token in leg.brings):
        names = ", ".join(token.symbol for token in leg.brings)
        raise HarvestPaidNothing(f"{leg.label}: transaction {receipt.tx_hash} succeeded but brought no {names}")
    missing = [proof for proof in leg.proves if (proof.address, proof.topic) not in receipt.events]
    if missing:
        text = f"transaction {receipt.tx_hash} succeeded but did nothing (no event of {missing[0].address} proves it)"
        raise HarvestPaidNothing(f"{leg.label}: {text}")
    done = _MUST_SEND.get(leg.kind)
    if done is not None and not any(_left(token, receipt, plan) for token in leg.spends):
        raise HarvestPaidNothing(f"{leg.label}: transaction {receipt.tx_hash} succeeded but {done} nothing")


def _check_left(plan: Plan, leg: Leg, receipt: Receipt, executed: Sequence[Executed]) -> None:
    allowed = {token.address for token in leg.spends}
    have = brought(plan, executed)
    for log in receipt.transfers:
        if log.sender == plan.owner != log.recipient and log.raw and log.token not in allowed:
            text = f"{leg.label}: transaction {receipt.tx_hash} took token {log.token} out of the wallet unasked"
            raise UnaskedTransfer(f"{text}; revoke approvals and look at this contract before starting again")
    lent = {(nft.contract, nft.token_id) for nft in leg.nfts}
    for moved in receipt.nfts:
        if moved.sender == plan.owner != moved.recipient and (moved.contract, moved.token_id) not in lent:
            text = f"transaction {receipt.tx_hash} took NFT {moved.token_id} of {moved.contract} out of the wallet"
            raise UnaskedTransfer(f"{leg.label}: {text} unasked; look at that contract before starting again")
    for token in leg.spends:
        if have.get(token.address, 0) + receipt.delta(token, plan.owner).raw < 0:
            text = f"{leg.label}: transaction {receipt.tx_hash} spent more {token.symbol} than the harvest had brought"
            raise UnaskedTransfer(f"{text}; look at it before starting again")


def _left(token: Token, receipt: Receipt, plan: Plan) -> int:
    return sum(t.raw for t in receipt.transfers if t.token == token.address and t.sender == plan.owner)


def _balances(context: ChainContext, plan: Plan, block: BlockRef) -> dict[Address, int]:
    reads = [BALANCE_OF.read(token.address, plan.owner) for token in plan.tokens]
    answers = context.chain.read(reads, block)
    return {token.address: int(BALANCE_OF.value(a)) for token, a in zip(plan.tokens, answers, strict=True)}


def _held_by_others(context: ChainContext, harvest_id: str, plan: Plan, block: BlockRef) -> dict[Address, int]:
    """Sum what other open compounds of the account had brought and not yet spent at a block, by their logs."""
    held: dict[Address, int] = {}
    for other, others_plan in context.store.open_harvests(context.name, plan.owner):
        if other.id == harvest_id:
            continue
        so_far = [pair for pair in mined(context, other) if pair[1].block_number <= block.number]
        for token, raw in brought(others_plan, so_far).items():
            held[token] = held.get(token, 0) + max(raw, 0)
    return held
