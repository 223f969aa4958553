"""Read everything a cycle needs in one pinned batch: positions, pools, prices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

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
    held = tuple(holdings)
    reads: list[Read] = []
    slices: dict[object, slice] = {}

    def ask(key: object, wanted: Sequence[Read]) -> None:
        if key not in slices:
            slices[key] = slice(len(reads), len(reads) + len(wanted))
            reads.extend(wanted)

    sales = tuple(dict.fromkeys(sale for h in held for sale in h.sales))
    for h in held:
        ask(h.position.id, context.plugins.protocols[h.position.protocol].reads(h.position, h.market))
    for sale in sales:
        ask(sale, context.plugins.swaps[sale.route.spec.kind].reads(sale.route))
    for priced in book.prices:
        for index, (spec, facts) in enumerate(priced.sources):
            ask((priced.token.address, index), context.plugins.prices[spec.kind].reads(spec, priced.token, facts))
    for h in held:
        if (basket := h.market.basket) is not None:
            ask(basket.token, context.plugins.pools[basket.kind].reads(basket))
    ask("base currency", context.base.reads(context.name))
    results = context.chain.read(reads, block)
    own = {h.position.id: results[slices[h.position.id]] for h in held}
    pools = {b.token: results[slices[b.token]] for h in held if (b := h.market.basket) is not None}
    observations, failures = _decode(context, held, block, own, pools)
    return Sighting(
        block=block,
        observations=observations,
        failures=failures,
        pools={sale: results[slices[sale]] for sale in sales},
        prices={key: results[slices[key]] for key in _price_keys(book.prices)},
        reads=len(reads),
        base=results[slices["base currency"]],
    )


def _price_keys(prices: Iterable[PricedToken]) -> Iterable[tuple[Address, int]]:
    return ((p.token.address, index) for p in prices for index in range(len(p.sources)))


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
