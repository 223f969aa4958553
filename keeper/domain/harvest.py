"""A compound from decision to confirmed facts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from keeper.domain.money import NO_USD, Address, Amount, UsdWad

__all__ = ["Harvest", "HarvestState", "LedgerEntry", "Standing"]


class HarvestState(StrEnum):
    """Where a compound stands."""

    #: Legs remain to be sent or confirmed.
    OPEN = "open"
    #: Every leg confirmed.
    DONE = "done"
    #: Given up after a leg could not be done; what was claimed stays in the wallet and is named.
    FAILED = "failed"
    #: Dropped before anything was signed: it cost nothing, counts as no failure, and is decided afresh.
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One token movement of a confirmed transaction, at the price of its moment. What tax records are made of."""

    harvest_id: str
    tx_hash: str
    log_index: int
    block_number: int
    #: Unix seconds of the block.
    timestamp: int
    #: What the leg did (``claim``, ``swap``, ...).
    kind: str
    #: Signed: positive came in, negative went out.
    amount: Amount
    #: Value by the agreed price at that moment (mid); ``None`` when the token had no agreed price then.
    value_usd: UsdWad | None


@dataclass(frozen=True, slots=True)
class Harvest:
    """One compound: predicted beside realised."""

    id: str
    position_id: str
    chain: str
    owner: Address
    state: HarvestState
    plan_id: str
    #: Block of the decision.
    decided_block: int
    #: Unix seconds of the decision's block.
    started_at: int
    predicted_reward_usd: UsdWad
    predicted_cost_usd: UsdWad
    predicted_gas: int
    finished_at: int | None = None
    #: Rewards that came in by the claim, from Transfer logs.
    received: tuple[Amount, ...] = ()
    #: What was deposited, in stake tokens, from Transfer logs; ``None`` where the stake is no token: see ``deposited``.
    compounded: Amount | None = None
    gas_used: int = 0
    cost_wei: int = 0
    received_usd: UsdWad = NO_USD
    compounded_usd: UsdWad = NO_USD
    cost_usd: UsdWad = NO_USD
    #: Why it failed, for people.
    error: str = ""
    #: What went into a stake that is no token: both sides of a range.
    deposited: tuple[Amount, ...] = ()

    @property
    def put_back(self) -> tuple[Amount, ...]:
        """What was deposited, in whatever tokens."""
        return self.deposited or ((self.compounded,) if self.compounded is not None else ())


@dataclass(frozen=True, slots=True)
class Standing:
    """What a position's own compounds come to, as far as every look at it needs to know."""

    #: Newest compound on record, and its state: when both are the same the rest is, too.
    newest: tuple[str, str] = ("", "")
    #: Gas units that the last finished one really used; ``None`` when none was.
    last_gas: int | None = None
    #: Failed ones in a row since the last one that was done.
    failures: int = 0
