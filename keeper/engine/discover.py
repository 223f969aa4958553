"""Find what an account has in known places: all questions travel together, an error stays with its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from keeper.domain.block import BlockRef
from keeper.domain.facts import Place
from keeper.domain.money import Address, Token, UsdWad
from keeper.domain.position import Position
from keeper.engine.converse import converse
from keeper.errors import ConfigError, KeeperError
from keeper.ports import Chain, Discovers, Found, PriceSource, PriceSpec, ProtocolAdapter, Questions

__all__ = ["Findings", "confirm", "find", "prices_of"]

#: What the positions under question are called while their contracts are asked.
_UNNAMED = "found"


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found, and what could not be looked at."""

    found: tuple[Found, ...] = ()
    #: Places that answered with an error, and the error.
    problems: tuple[tuple[Place, KeeperError], ...] = ()
    #: Places whose adapter is not installed or cannot search.
    unsearched: tuple[Place, ...] = ()


def find(
    chain: Chain,
    block: BlockRef,
    adapters: Mapping[str, ProtocolAdapter],
    places: Sequence[Place],
    owner: Address,
) -> Findings:
    """Ask every place for what ``owner`` has in it, all at once; the same position is listed once.

    Raises:
        Transient: when the chain cannot be read.
    """
    searchers = {name: adapter for name, adapter in adapters.items() if isinstance(adapter, Discovers)}
    talks = {
        index: searchers[place.protocol].discover(chain.facts.name, place, owner)
        for index, place in enumerate(places)
        if place.protocol in searchers
    }
    found: dict[tuple[str, Address, tuple[tuple[str, object], ...]], Found] = {}
    problems: list[tuple[Place, KeeperError]] = []
    answers = converse(chain, block, talks)
    for index in talks:
        answer = answers[index]
        if isinstance(answer, KeeperError):
            problems.append((places[index], answer))
            continue
        for one in answer:
            found.setdefault((one.place.protocol, one.target, tuple(sorted(one.params.items()))), one)
    unsearched = tuple(place for index, place in enumerate(places) if index not in talks)
    return Findings(tuple(found.values()), tuple(problems), unsearched)


def confirm(
    chain: Chain, block: BlockRef, adapters: Mapping[str, ProtocolAdapter], found: Iterable[Found], owner: Address
) -> Findings:
    """Keep what really is of its protocol: for places that were guessed, not known.

    What its adapter does not recognise is dropped; what it recognises and refuses is a problem.

    Raises:
        Transient: when the chain cannot be read.
    """
    candidates = list(found)
    talks = {
        index: adapters[one.place.protocol].resolve(_position(chain.facts.name, one, owner))
        for index, one in enumerate(candidates)
    }
    answers = converse(chain, block, talks)
    kept = tuple(one for index, one in enumerate(candidates) if not isinstance(answers[index], KeeperError))
    refused = [(one.place, answers[index]) for index, one in enumerate(candidates)]
    return Findings(kept, tuple((place, error) for place, error in refused if isinstance(error, ConfigError)))


def _position(chain: str, found: Found, owner: Address) -> Position:
    return Position(_UNNAMED, chain, found.place.protocol, owner, None, found.target, found.params)


def prices_of(
    chain: Chain,
    block: BlockRef,
    sources: Mapping[str, PriceSource],
    specs: Mapping[Address, Sequence[PriceSpec]],
    tokens: Iterable[Token],
) -> dict[Address, UsdWad]:
    """Price tokens by their first source that needs no other price: good enough to show, not to decide by.

    Raises:
        Transient: when the chain cannot be read.
    """
    talks = {
        (token.address, index): _price(sources[spec.kind], spec, token, block)
        for token in dict.fromkeys(tokens)
        for index, spec in enumerate(specs.get(token.address, ()))
        if spec.kind in sources
    }
    prices: dict[Address, UsdWad] = {}
    for (address, _), answer in sorted(converse(chain, block, talks).items(), key=lambda item: item[0]):
        if answer is not None and not isinstance(answer, KeeperError):
            prices.setdefault(address, answer)
    return prices


def _price(source: PriceSource, spec: PriceSpec, token: Token, block: BlockRef) -> Questions[UsdWad | None]:
    facts = yield from source.resolve(spec, token)
    if source.needs(spec, token, facts):
        return None
    results = yield source.reads(spec, token, facts)
    return source.quote(spec, token, facts, results, block, {}).usd
