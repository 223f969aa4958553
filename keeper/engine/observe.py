"""Read everything a cycle needs in one pinned batch: positions, pools, prices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import is_

from keeper.domain.block import BlockRef
from keeper.domain.money import Address, Token
from keeper.domain.observation import Observation
from keeper.domain.reads import Read, ReadResult
from keeper.engine.book import Book, Holding, PricedToken, Sale
from keeper.engine.context import ChainContext
from keeper.errors import ReadFailed

__all__ = ["Sighting", "observe"]


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one batch of reads said, decoded for positions and raw for prices and pools."""

    block: BlockRef
    observations: Mapping[str, Observation]
    #: Position id to why its reads could not be decoded.
    failures: Mapping[str, ReadFailed]
    #: Per sale, the answers its swap adapter asked for.
    pools: Mapping[Sale, Sequence[ReadResult]]
    #: Per token and source index, the answers the price source asked for.
    prices: Mapping[tuple[Address, int], Sequence[ReadResult]]
    #: How many views were read.
    reads: int
    #: The answers that the reporting currency asked for.
    base: Sequence[ReadResult] = ()


def observe(context: ChainContext, book: Book, holdings: Iterable[Holding], block: BlockRef) -> Sighting:
    """Read and decode at ``block``. One position that does not decode harms no other.

    Raises:
        Transient: when the chain cannot be read.
    """
    steady = _steady(context, book, tuple(holdings))
    passing, prices, base = _passing(context, book.prices, len(steady.reads))
    results = context.chain.read((*steady.reads, *passing), block)
    own = {h.position.id: results[part] for h, part in zip(steady.held, steady.positions, strict=True)}
    pools = {token: results[part] for token, part in steady.baskets.items()}
    observations, failures = _decode(context, steady.held, block, own, pools)
    return Sighting(
        block=block,
        observations=observations,
        failures=failures,
        pools={sale: results[part] for sale, part in steady.sales.items()},
        prices={key: results[part] for key, part in prices.items()},
        reads=len(results),
        base=results[base],
    )


@dataclass(frozen=True, slots=True)
class _Steady:
    """What some positions ask each time: views that are constant for them, their exchanges and their pairs."""

    held: tuple[Holding, ...]
    reads: tuple[Read, ...]
    #: Where the answers for each position are, in the order of ``held``.
    positions: tuple[slice, ...]
    sales: Mapping[Sale, slice]
    baskets: Mapping[Token, slice]


def _steady(context: ChainContext, book: Book, held: tuple[Holding, ...]) -> _Steady:
    """Return what these positions ask; for the whole book it is kept, because making it takes as long as reading it."""
    whole = len(held) == len(book.holdings)
    for known in book.asked if whole else ():
        if isinstance(known, _Steady) and all(map(is_, known.held, held)):
            return known
    plugins = context.plugins
    reads: list[Read] = []

    def ask(wanted: Sequence[Read]) -> slice:
        reads.extend(wanted)
        return slice(len(reads) - len(wanted), len(reads))

    positions = tuple(ask(plugins.protocols[h.position.protocol].reads(h.position, h.market)) for h in held)
    sold = dict.fromkeys(sale for h in held for sale in h.sales)
    sales = {sale: ask(plugins.swaps[sale.route.spec.kind].reads(sale.route)) for sale in sold}
    pairs = {basket.token: basket for h in held if (basket := h.market.basket) is not None}
    baskets = {token: ask(plugins.pools[basket.kind].reads(basket)) for token, basket in pairs.items()}
    found = _Steady(held, tuple(reads), positions, sales, baskets)
    if whole:
        book.asked[:] = [found]
    return found


def _passing(
    context: ChainContext, prices: Iterable[PricedToken], at: int
) -> tuple[list[Read], dict[tuple[Address, int], slice], slice]:
    """Return what is asked anew each time, from place ``at`` on: prices, and the reporting currency's rate."""
    reads: list[Read] = []
    slices: dict[tuple[Address, int], slice] = {}
    for priced in prices:
        for index, (spec, facts) in enumerate(priced.sources):
            begin = at + len(reads)
            reads.extend(context.plugins.prices[spec.kind].reads(spec, priced.token, facts))
            slices[priced.token.address, index] = slice(begin, at + len(reads))
    begin = at + len(reads)
    reads.extend(context.base.reads(context.name))
    return reads, slices, slice(begin, at + len(reads))


def _decode(
    context: ChainContext,
    holdings: Iterable[Holding],
    block: BlockRef,
    results: Mapping[str, Sequence[ReadResult]],
    pools: Mapping[Token, Sequence[ReadResult]],
) -> tuple[dict[str, Observation], dict[str, ReadFailed]]:
    observations, failures = {}, {}
    for holding in holdings:
        position = holding.position
        adapter = context.plugins.protocols[position.protocol]
        try:
            seen = adapter.observe(position, holding.market, results[position.id], block)
            if (basket := holding.market.basket) is not None:
                mix = context.plugins.pools[basket.kind].mix(basket, pools[basket.token])
                seen = replace(seen, mix_ppm=mix)
            observations[position.id] = seen
        except ReadFailed as error:
            failures[position.id] = error
        except Exception as error:  # noqa: BLE001  (adapters may be anybody's: one that fails must stop no other)
            text = f"adapter {position.protocol} failed on what the chain said: {type(error).__name__}: {error}"
            failures[position.id] = ReadFailed(f"{text}; its author should know")
    return observations, failures
