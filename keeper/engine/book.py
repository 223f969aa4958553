"""What was resolved on a chain: positions with what their contracts said, how rewards are sold, what is priced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from keeper.domain.money import Token
from keeper.domain.position import Market, Position
from keeper.errors import KeeperError
from keeper.ports import PriceSpec, SwapRoute

__all__ = ["Book", "Holding", "PricedToken", "Sale"]


@dataclass(frozen=True, slots=True)
class Sale:
    """One reward token that is sold for one token that is deposited."""

    reward: Token
    buy: Token
    route: SwapRoute
    #: Other ways of the same sale, by whatever exchange: when a harvest is near, the best of all is taken.
    others: tuple[SwapRoute, ...] = ()

    def __hash__(self) -> int:
        # A look sorts thousands of these; hashing the routes with all their pools would cost as much as reading them.
        return hash((self.reward.address, self.buy.address))

    @property
    def ways(self) -> tuple[SwapRoute, ...]:
        """All ways, the present one first."""
        return (self.route, *self.others)


@dataclass(frozen=True, slots=True)
class Holding:
    """A position together with what its contracts said."""

    position: Position
    market: Market
    sales: tuple[Sale, ...]
    #: Where rewards become gas money too: the wrapped gas token, and how each reward is sold for it.
    wrapped: Token | None = None
    top_ups: tuple[Sale, ...] = ()

    @property
    def tokens(self) -> tuple[Token, ...]:
        """Every token that a compound of it may move, without repeats."""
        path = (token for sale in (*self.sales, *self.top_ups) for token in sale.route.path)
        return tuple(dict.fromkeys((*self.market.held, *path, *((self.wrapped,) if self.wrapped else ()))))

    def sale(self, reward: Token, buy: Token) -> Sale:
        """Return the resolved route from one token to the other. KeyError when there is none."""
        for sale in self.sales:
            if sale.reward.address == reward.address and sale.buy.address == buy.address:
                return sale
        raise KeyError((reward.symbol, buy.symbol))


@dataclass(frozen=True, slots=True)
class PricedToken:
    """A token with its sources and what each of them learnt."""

    token: Token
    sources: tuple[tuple[PriceSpec, Mapping[str, str]], ...]
    #: The price follows from other agreed prices (an LP token), so one source is enough.
    derived: bool = False
    #: Why sources of this token could not be resolved; it has fewer prices then.
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Book:
    """All that was resolved on one chain, and why the rest could not be."""

    holdings: tuple[Holding, ...]
    #: In an order in which every token comes after those its sources need.
    prices: tuple[PricedToken, ...]
    native: Token
    #: Position id to the error that keeps it out.
    failures: Mapping[str, KeeperError]
    #: What the last look at all of it asked (``engine.observe``): the same is asked each time.
    asked: list[object] = field(default_factory=list, compare=False, repr=False)

    def holding(self, position_id: str) -> Holding:
        """Return one position. Raises the error that kept it out, or KeyError when it is not on this chain."""
        if position_id in self.failures:
            raise self.failures[position_id]
        for holding in self.holdings:
            if holding.position.id == position_id:
                return holding
        raise KeyError(position_id)
