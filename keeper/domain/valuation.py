"""Prices with their sources and age, and what an observation is worth by them."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.block import BlockRef
from keeper.domain.money import Address, Amount, Token, UsdWad

__all__ = ["PriceProblem", "Quote", "SwapDepth", "TokenPrice", "Valuation"]


@dataclass(frozen=True, slots=True)
class Quote:
    """One source's price of one token at one block."""

    token: Token
    #: US dollars (wad) per whole token.
    usd: UsdWad
    #: Source name, e.g. ``"chainlink"``.
    source: str
    #: Unix seconds the price was formed (a feed's ``updatedAt``, a pool's block time).
    as_of: int


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """A price that the configured sources agree on. Value received uses ``low``, cost paid uses ``high``."""

    token: Token
    low: UsdWad
    high: UsdWad
    quotes: tuple[Quote, ...]

    @property
    def mid(self) -> UsdWad:
        """Midpoint of the agreed range; for display and for the principal."""
        return UsdWad((self.low + self.high) // 2)


@dataclass(frozen=True, slots=True)
class PriceProblem:
    """Why a token has no usable price: the position waits, and says this."""

    token: Token
    #: ``"missing"``, ``"stale"`` or ``"disagree"``.
    kind: str
    #: One sentence with the facts and what to do.
    text: str


@dataclass(frozen=True, slots=True)
class SwapDepth:
    """How deep the pool is that a reward is sold into."""

    reward: Token
    #: Value (USD wad) of the reward side of the shallowest pool on the route.
    usd: UsdWad


@dataclass(frozen=True, slots=True)
class Valuation:
    """What everything a decision needs is worth, at one block. Refuses to exist without agreed prices."""

    block: BlockRef
    prices: tuple[TokenPrice, ...]
    #: Price of the chain's gas token.
    native: TokenPrice
    depths: tuple[SwapDepth, ...] = ()

    def price(self, token: Token) -> TokenPrice:
        """Return the agreed price of ``token``.

        Raises:
            KeyError: when the token was not priced.
        """
        return self._by_address(token.address)

    def _by_address(self, address: Address) -> TokenPrice:
        for price in self.prices:
            if price.token.address == address:
                return price
        raise KeyError(address)

    def value_low(self, amount: Amount) -> UsdWad:
        """Value an amount that would be received: the lower of the agreed prices."""
        return UsdWad(amount.raw * self.price(amount.token).low // amount.token.unit)

    def value_mid(self, amount: Amount) -> UsdWad:
        """Value an amount for display and as principal: the midpoint."""
        return UsdWad(amount.raw * self.price(amount.token).mid // amount.token.unit)

    def gas_cost(self, wei: int) -> UsdWad:
        """Value a cost in wei: the higher of the native token's agreed prices, rounded up."""
        return UsdWad(-(-wei * self.native.high // 10**18))
