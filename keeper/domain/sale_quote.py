"""What somebody outside the chain would get for a sale: to measure one's own way by, never to trade on."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.money import Address, Amount

__all__ = ["SaleQuote"]


@dataclass(frozen=True, slots=True)
class SaleQuote:
    """One answer to the question what selling an amount would bring."""

    sold: Amount
    bought: Amount
    #: Name of who says so.
    source: str
    #: Gas units of that way, which the one who sells pays beside; 0 where ``bought`` is net of it, or nobody says.
    gas: int = 0
    #: Tokens it would pass through, as far as it says so.
    via: tuple[Address, ...] = ()
