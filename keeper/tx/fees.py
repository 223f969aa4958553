"""What a transaction bids, and what it bids instead when the first bid was not enough. Pure; wei per gas unit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from keeper.domain.transaction import Attempt, FeeQuote
from keeper.errors import Refused

__all__ = ["Bid", "affordable", "first_bid", "floor_in", "gas_limit", "replacement", "still_minable"]

#: Gas limit over simulated gas, in percent: another transaction in the same block can make ours dearer.
GAS_MARGIN_PERCENT: Final = 130

#: What the price of gas can become in two blocks, in percent: 1.125 squared.
_TWO_BLOCKS_PERCENT: Final = 127

#: Nodes take a replacement when both fields rise by a tenth; an eighth survives their roundings.
_STEP: Final = (9, 8)

#: A bid is never more than this many times what the next block costs, but where a pool asks for more to replace one.
MARKET_MULTIPLE: Final = 5

#: "... gas tip cap 1500000000, minimum needed 25000000000" (geth, bsc, bor).
_FLOOR: Final = re.compile(r"minimum needed (\d{1,24})")


@dataclass(frozen=True, slots=True)
class Bid:
    """Fee fields of a transaction."""

    max_fee_wei: int
    max_tip_wei: int


def gas_limit(gas_used: int) -> int:
    """Gas limit for a call that used this much in simulation."""
    return -(-gas_used * GAS_MARGIN_PERCENT // 100)


def affordable(cap_usd: int, native_usd: int, gas: int) -> int | None:
    """Wei per gas unit at which ``gas`` units cost ``cap_usd`` (both USD wad); ``None`` when nothing has a price."""
    return cap_usd * 10**18 // (native_usd * gas) if native_usd > 0 and gas > 0 else None


def first_bid(fees: FeeQuote, *, budget_wei: int | None, ceiling_wei: int | None) -> Bid:
    """Bid twice the base fee plus tip, within the decision's budget and the configured ceiling.

    The budget leaves room for two dearer blocks in a row (27 %): where the rule fires the loss is flat around its
    optimum, while a transaction stuck a hair below the price would hold the account up.

    Args:
        fees: price of the next block.
        budget_wei: wei per gas unit at which the harvest stops being worth it; ``None`` for a leg that must follow.
        ceiling_wei: ``limits.max_gas_price_gwei``.

    Raises:
        Refused: when even the next block costs more than that.
    """
    if budget_wei is not None and budget_wei >= fees.price_wei:
        budget_wei = max(budget_wei, fees.price_wei * _TWO_BLOCKS_PERCENT // 100)
    caps = [cap for cap in (budget_wei, ceiling_wei) if cap is not None]
    bid = min([_wanted(fees), *caps])
    if bid < fees.price_wei:
        raise Refused(
            f"gas is {fees.price_wei / 10**9:.4g} gwei now, above the {bid / 10**9:.4g} gwei this may cost; waiting"
        )
    return Bid(bid, min(fees.tip_wei, bid))


def replacement(
    top: Attempt, fees: FeeQuote, caps: Sequence[int | None], *, tip_cap_wei: int | None = None, floor_wei: int = 0
) -> Bid | None:
    """Return a bid that replaces ``top`` and can be mined in the next block; ``None`` when none is allowed.

    Args:
        top: the highest attempt that may be in a pool.
        fees: price of the next block.
        caps: wei per gas unit that may not be passed (``None``: no such cap).
        tip_cap_wei: tip that may not be passed.
        floor_wei: tip that a node has asked for.
    """
    most = MARKET_MULTIPLE * max(fees.price_wei, 1)
    if tip_cap_wei is None:
        floor_wei = 0 if floor_wei > most else floor_wei  # a word of a node is no reason to pay anything
    pays_no_tip = tip_cap_wei == top.max_tip_wei == 0
    least_fee, least_tip = _raised(top.max_fee_wei), 0 if pays_no_tip else _raised(top.max_tip_wei)
    tip = max(fees.tip_wei, least_tip, floor_wei)
    if tip_cap_wei is not None and tip > max(tip_cap_wei, fees.tip_wei):
        return None
    # The market's multiple does not forbid the smallest step: the bytes before it already offer as much.
    wanted = max(min(_wanted(fees), most), least_fee, fees.base_fee_wei + tip)
    bid = min([wanted, *(cap for cap in caps if cap is not None)])
    return Bid(bid, tip) if bid >= max(least_fee, fees.price_wei, tip) else None


def still_minable(top: Attempt, fees: FeeQuote) -> bool:
    """Whether the next block could take this transaction at its own price."""
    return top.max_fee_wei >= fees.base_fee_wei + (0 if fees.eip1559 else fees.tip_wei)


def floor_in(words: str) -> int:
    """Tip that a node says it wants at least, by its words; 0 when it names none."""
    found = _FLOOR.search(words.lower())
    return int(found.group(1)) if found else 0


def _wanted(fees: FeeQuote) -> int:
    return 2 * fees.base_fee_wei + fees.tip_wei if fees.eip1559 else fees.tip_wei


def _raised(wei: int) -> int:
    return max(-(-wei * _STEP[0] // _STEP[1]), wei + 1)
