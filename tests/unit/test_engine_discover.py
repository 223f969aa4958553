"""Finding positions: all questions at once, an error stays with its place, what is guessed is confirmed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from keeper.abi import Fn
from keeper.domain.block import BlockRef
from keeper.domain.facts import Place
from keeper.domain.money import Address, Amount, Token
from keeper.domain.reads import Read, ReadResult
from keeper.domain.valuation import Quote
from keeper.engine.discover import confirm, find, prices_of
from keeper.errors import ConfigError, PriceUnavailable, ReadFailed, RpcUnavailable
from keeper.ports import Found, PriceSpec

BLOCK = BlockRef("local", 7, "0x" + "00" * 32, 1_700_000_000)
OWNER = Address("0x" + "11" * 20)
STAKED = Fn("staked(address)", "uint256")
TOKEN = Token("local", Address("0x" + "ee" * 20), "LP", 18)


class FakeChain:
    """Answers by target; counts rounds."""

    def __init__(self, stakes: Mapping[str, int | None]) -> None:
        self.stakes = stakes
        self.rounds: list[int] = []
        self.facts = type("Facts", (), {"name": "local"})()

    def read(self, reads: Sequence[Read], block: BlockRef) -> list[ReadResult]:
        assert block == BLOCK, "everything is read at one block"
        self.rounds.append(len(reads))
        return [self.answer(read) for read in reads]

    def answer(self, read: Read) -> ReadResult:
        stake = self.stakes.get(read.target)
        return ReadResult(stake is not None, b"" if stake is None else stake.to_bytes(32, "big"))


class Farm:
    """Finds one stake in a place; refuses a target that does not answer."""

    params: Mapping[str, Any] = {}

    def __init__(self, refuses: Exception | None = None) -> None:
        self.refuses = refuses

    def discover(self, chain: str, place: Place, owner: Address):
        (first,) = yield [STAKED.read(place.target, owner)]
        (again,) = yield [STAKED.read(place.target, owner)]
        amount = STAKED.value(again)
        assert first == again
        return [Found(place, place.target, place.params, Amount(TOKEN, amount), "a stake")] if amount else []

    def resolve(self, position):
        assert position.owner == OWNER
        assert position.signer is None
        (answer,) = yield [STAKED.read(position.target, position.owner)]
        if self.refuses:
            raise self.refuses
        return STAKED.value(answer)


class Deaf:
    """An adapter that cannot search."""


def place(number: int, protocol: str = "farm", **params: Any) -> Place:
    return Place(protocol, f"place {number}", Address(f"0x{number:040x}"), params)


def test_everything_is_asked_in_as_many_rounds_as_the_longest_conversation() -> None:
    places = [place(number) for number in range(1, 41)]
    chain = FakeChain({one.target: 5 for one in places})

    findings = find(chain, BLOCK, {"farm": Farm()}, places, OWNER)

    assert chain.rounds == [40, 40]
    assert [one.place for one in findings.found] == places


def test_a_place_that_fails_is_named_and_hides_no_other() -> None:
    places = [place(1), place(2), place(3)]
    chain = FakeChain({places[0].target: 5, places[1].target: None, places[2].target: 0})

    findings = find(chain, BLOCK, {"farm": Farm()}, places, OWNER)

    assert [one.place for one in findings.found] == [places[0]]
    ((where, error),) = findings.problems
    assert where == places[1]
    assert isinstance(error, ReadFailed)


def test_places_that_cannot_be_searched_are_told_apart_from_empty_ones() -> None:
    places = [place(1, "deaf"), place(2, "unknown"), place(3)]

    findings = find(FakeChain({places[2].target: 0}), BLOCK, {"farm": Farm(), "deaf": Deaf()}, places, OWNER)

    assert findings.unsearched == (places[0], places[1])
    assert findings.found == ()
    assert findings.problems == ()


def test_the_same_position_found_twice_is_listed_once() -> None:
    twice = [place(1), Place("farm", "another name", place(1).target), place(1, pid=3)]

    findings = find(FakeChain({place(1).target: 5}), BLOCK, {"farm": Farm()}, twice, OWNER)

    assert [(one.place.name, dict(one.params)) for one in findings.found] == [("place 1", {}), ("place 1", {"pid": 3})]


def test_a_chain_that_cannot_be_read_is_no_fault_of_a_place() -> None:
    class Dead(FakeChain):
        def read(self, reads: Sequence[Read], block: BlockRef) -> list[ReadResult]:
            raise RpcUnavailable("no endpoint answers")

    with pytest.raises(RpcUnavailable):
        find(Dead({}), BLOCK, {"farm": Farm()}, [place(1)], OWNER)


def found(number: int) -> Found:
    return Found(place(number), place(number).target, {}, Amount(TOKEN, 1))


def test_what_is_guessed_must_resolve() -> None:
    chain = FakeChain({place(1).target: 5})

    sure = confirm(chain, BLOCK, {"farm": Farm()}, [found(1), found(2)], OWNER)

    assert [one.target for one in sure.found] == [place(1).target]
    assert sure.problems == (), "what is none of this protocol's is not worth a word"


def test_what_is_recognised_but_refused_is_told() -> None:
    chain = FakeChain({place(1).target: 5})

    sure = confirm(chain, BLOCK, {"farm": Farm(ConfigError("add reward"))}, [found(1)], OWNER)

    assert sure.found == ()
    assert [str(error) for _, error in sure.problems] == ["add reward"]


# ---------------------------------------------------------------- prices to show


class Source:
    """A price by a setting; may need others, or have none."""

    def resolve(self, spec, token):
        yield []
        return {}

    def needs(self, spec, token, facts):
        return [OWNER] if spec.settings.get("needs") else []

    def reads(self, spec, token, facts):
        return []

    def quote(self, spec, token, facts, results, block, known):
        if spec.settings.get("stale"):
            raise PriceUnavailable("stale")
        return Quote(token, int(spec.settings["usd"]), "source", block.timestamp)


@pytest.mark.parametrize(
    ("specs", "price"),
    [
        ([PriceSpec("s", {"usd": 5})], 5),
        ([PriceSpec("s", {"stale": 1}), PriceSpec("s", {"usd": 6})], 6),
        ([PriceSpec("s", {"needs": 1, "usd": 5}), PriceSpec("s", {"usd": 7})], 7),
        ([PriceSpec("s", {"needs": 1, "usd": 5})], None),
        ([PriceSpec("s", {"usd": 8}), PriceSpec("s", {"usd": 9})], 8),
        ([PriceSpec("s", {"stale": 1})], None),
        ([PriceSpec("not installed", {"usd": 5})], None),
        ([], None),
    ],
)
def test_the_first_price_at_hand_is_shown(specs: list[PriceSpec], price: int | None) -> None:
    prices = prices_of(FakeChain({}), BLOCK, {"s": Source()}, {TOKEN.address: specs}, [TOKEN, TOKEN])

    assert prices.get(TOKEN.address) == price


def test_what_is_made_of_others_is_priced_after_them() -> None:
    part = Token("local", OWNER, "PART", 18)
    specs = {TOKEN.address: [PriceSpec("s", {"needs": 1, "usd": 5})], part.address: [PriceSpec("s", {"usd": 3})]}

    prices = prices_of(FakeChain({}), BLOCK, {"s": Source()}, specs, [TOKEN, part])

    assert prices == {TOKEN.address: 5, part.address: 3}
