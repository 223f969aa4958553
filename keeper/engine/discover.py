"""Find what an account has in known places: all questions travel together, an error stays with its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keeper.abi import Fn
from keeper.domain.block import BlockRef
from keeper.domain.facts import Place
from keeper.domain.money import Address, Token, UsdWad
from keeper.domain.position import Position
from keeper.domain.valuation import Quote, TokenPrice
from keeper.engine.converse import converse
from keeper.erc20 import TOKEN0, TOKEN1, ask_tokens, optional
from keeper.errors import ConfigError, KeeperError
from keeper.ports import Chain, Discovers, Found, PriceSource, PriceSpec, ProtocolAdapter, Questions

__all__ = ["Findings", "Pair", "confirm", "find", "pairs_of", "prices_of"]

#: What the positions under question are called while their contracts are asked.
_UNNAMED = "found"


#: One unsigned word, whatever it means.
_ANY_WORD: Final = Fn("word()", "uint256")
#: Solidly's pairs say whether they hold tokens of one value; they are worth something else than a plain pair.
_STABLE: Final = Fn("stable()", "bool")

#: Rounds of pricing: plain tokens first, then what is made of them.
_ROUNDS: Final = 2


@dataclass(frozen=True, slots=True)
class Pair:
    """What an LP token is made of."""

    sides: tuple[Token, Token]
    #: Whether it follows another curve than Uniswap V2's.
    stable: bool

    @property
    def name(self) -> str:
        """For people: ``"WETH/USDC"``."""
        return "/".join(side.symbol for side in self.sides)


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


def pairs_of(chain: Chain, block: BlockRef, tokens: Iterable[Token]) -> dict[Address, Pair]:
    """Find out which tokens are LP tokens of two others; whatever does not answer like one is none.

    Raises:
        Transient: when the chain cannot be read.
    """
    talks = {token.address: _pair(token) for token in dict.fromkeys(tokens)}
    answers = converse(chain, block, talks)
    return {address: pair for address, pair in answers.items() if isinstance(pair, Pair)}


def _pair(token: Token) -> Questions[Pair | None]:
    first, second, stable = yield [fn.read(token.address) for fn in (TOKEN0, TOKEN1, _STABLE)]
    sides = [side for answer in (first, second) if 0 < (side := optional(_ANY_WORD, answer) or 0) < 2**160]
    if len(sides) < len((first, second)):
        return None
    one, other = yield from ask_tokens(token.chain, [Address(f"0x{side:040x}") for side in sides])
    return Pair((one, other), stable=optional(_ANY_WORD, stable) == 1)


def prices_of(
    chain: Chain,
    block: BlockRef,
    sources: Mapping[str, PriceSource],
    specs: Mapping[Address, Sequence[PriceSpec]],
    tokens: Iterable[Token],
) -> dict[Address, UsdWad]:
    """Price tokens by their first source that can: good enough to show, not to decide by.

    What needs the prices of other tokens (an LP token) comes after them.

    Raises:
        Transient: when the chain cannot be read.
    """
    left = list(dict.fromkeys(tokens))
    known: dict[Address, TokenPrice] = {}
    for _ in range(_ROUNDS):
        talks = {
            (token, index): _price(sources[spec.kind], spec, token, block, known)
            for token in left
            for index, spec in enumerate(specs.get(token.address, ()))
            if spec.kind in sources
        }
        answers = converse(chain, block, talks)
        for token, index in talks:
            answer = answers[token, index]
            if isinstance(answer, Quote) and token.address not in known:
                known[token.address] = TokenPrice(token, answer.usd, answer.usd, (answer,))
        left = [token for token in left if token.address not in known]
    return {address: price.mid for address, price in known.items()}


def _price(
    source: PriceSource, spec: PriceSpec, token: Token, block: BlockRef, known: Mapping[Address, TokenPrice]
) -> Questions[Quote | None]:
    facts = yield from source.resolve(spec, token)
    if not set(source.needs(spec, token, facts)) <= known.keys():
        return None
    results = yield source.reads(spec, token, facts)
    return source.quote(spec, token, facts, results, block, known)
