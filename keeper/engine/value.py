"""Turn price reads into agreed prices, and an observation into a valuation that refuses to exist without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from keeper.domain.money import Address, Token, UsdWad
from keeper.domain.valuation import PriceProblem, Quote, SwapDepth, TokenPrice, Valuation
from keeper.engine.book import Book, Holding, PricedToken, Sale
from keeper.engine.context import ChainContext
from keeper.engine.observe import Sighting
from keeper.errors import PriceUnavailable, ReadFailed
from keeper.strategy.prices import agree, bounded

__all__ = ["PriceBoard", "oracle_rate", "price_board", "valuation"]


@dataclass(frozen=True, slots=True)
class PriceBoard:
    """Agreed prices of a cycle, and why the others are missing."""

    agreed: Mapping[Address, TokenPrice]
    problems: Mapping[Address, PriceProblem]
    #: How deep the pools of each sale are, as far as a position has asked: many positions sell alike.
    depths: dict[Sale, SwapDepth] = field(default_factory=dict)


def price_board(context: ChainContext, book: Book, sighting: Sighting) -> PriceBoard:
    """Ask every source for its quote, tokens in dependency order, and keep what agrees."""
    agreed: dict[Address, TokenPrice] = {}
    problems: dict[Address, PriceProblem] = {}
    for priced in book.prices:
        outcome = _price(context, priced, sighting, agreed)
        if isinstance(outcome, TokenPrice):
            agreed[priced.token.address] = outcome
        else:
            problems[priced.token.address] = outcome
    return PriceBoard(agreed, problems)


def _price(
    context: ChainContext, priced: PricedToken, sighting: Sighting, known: Mapping[Address, TokenPrice]
) -> TokenPrice | PriceProblem:
    quotes: list[Quote] = []
    problems = [PriceProblem(priced.token, "missing", text) for text in priced.broken]
    for index, (spec, facts) in enumerate(priced.sources):
        source = context.plugins.prices[spec.kind]
        answers = sighting.prices[priced.token.address, index]
        try:
            quotes.append(source.quote(spec, priced.token, facts, answers, sighting.block, known))
        except PriceUnavailable as error:
            problems.append(PriceProblem(priced.token, error.kind, str(error)))
        except ReadFailed as error:
            problems.append(PriceProblem(priced.token, "missing", f"{spec.kind}: {error}"))
        except Exception as error:  # noqa: BLE001  (absurd answers of one token's contracts must stop no other's price)
            text = f"{spec.kind}: what the chain said makes no sense: {type(error).__name__}: {error}"
            problems.append(PriceProblem(priced.token, "missing", text))
    rules = context.price_rules
    agreed = agree(
        priced.token,
        quotes,
        problems,
        min_sources=rules.min_sources,
        max_deviation_bps=rules.max_deviation_bps,
        derived=priced.derived,
    )
    if isinstance(agreed, PriceProblem):
        return agreed
    return bounded(agreed, context.outside_price(priced.token), max_deviation_bps=rules.sanity_bps)


def valuation(
    context: ChainContext, book: Book, holding: Holding, sighting: Sighting, board: PriceBoard
) -> Valuation | tuple[PriceProblem, ...]:
    """Value one position, or say every price that stands in the way."""
    needed = dict.fromkeys((book.native, *holding.market.tokens))
    missing = tuple(board.problems[t.address] for t in needed if t.address in board.problems)
    if missing:
        return missing
    prices = tuple(board.agreed[t.address] for t in needed)
    try:
        depths = tuple(_depth(context, sale, sighting, board) for sale in holding.sales)
    except (ReadFailed, ArithmeticError, ValueError) as error:
        return (PriceProblem(holding.market.stake_token, "missing", f"a pool on the way cannot be read: {error}"),)
    return Valuation(block=sighting.block, prices=prices, native=board.agreed[book.native.address], depths=depths)


def oracle_rate(worth: Valuation, sell: Token, buy: Token) -> tuple[int, int]:
    """Base units bought per base unit sold at agreed prices, as a fraction."""
    return worth.price(sell).mid * buy.unit, worth.price(buy).mid * sell.unit


def _depth(context: ChainContext, sale: Sale, sighting: Sighting, board: PriceBoard) -> SwapDepth:
    known = board.depths.get(sale)
    if known is None:
        swap = context.plugins.swaps[sale.route.spec.kind]
        raw = swap.depth(sale.route, sighting.pools[sale])
        known = SwapDepth(sale.reward, UsdWad(raw * board.agreed[sale.reward.address].mid // sale.reward.unit))
        board.depths[sale] = known
    return known
