"""The fair price of a Solidly LP token, volatile or stable: from the invariant and the sides' own prices.

A swap leaves the invariant alone (fees leave the pair), so that pushing the pool does not move this price. It is what
the sides would be worth if the pair stood at the agreed prices: the least that they are worth anywhere on its curve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from keeper.abi import checksum
from keeper.domain.block import BlockRef
from keeper.domain.money import Address, Token, UsdWad
from keeper.domain.reads import Read, ReadResult
from keeper.domain.valuation import Quote, TokenPrice
from keeper.erc20 import TOTAL_SUPPLY
from keeper.errors import PriceUnavailable, ReadFailed
from keeper.ports import ParamSpec, PriceSpec, Questions
from keeper.prices.shared import known_price
from keeper.solidly import Pair, fair_value, metadata_read

__all__ = ["SolidlyLp"]


class SolidlyLp:
    """Price source for LP tokens; derived from its sides' agreed prices, it counts as agreed by itself."""

    name = "solidly-lp"
    params: Mapping[str, ParamSpec] = MappingProxyType({})

    def resolve(self, spec: PriceSpec, token: Token) -> Questions[Mapping[str, str]]:  # noqa: ARG002
        """Ask for the pair's two sides."""
        (answer,) = yield [metadata_read(token.address)]
        try:
            pair = Pair.of(answer)
        except ReadFailed as error:
            raise ReadFailed(
                f"{checksum(token.address)} ({token.symbol}) does not answer like a Solidly pair ({error}); "
                "price it by another source"
            ) from error
        return {"token0": pair.tokens[0], "token1": pair.tokens[1]}

    def needs(self, spec: PriceSpec, token: Token, facts: Mapping[str, str]) -> Sequence[Address]:  # noqa: ARG002
        """Both sides."""
        return (Address(facts["token0"]), Address(facts["token1"]))

    def reads(self, spec: PriceSpec, token: Token, facts: Mapping[str, str]) -> Sequence[Read]:  # noqa: ARG002
        """Reserves and supply of the pair."""
        return (metadata_read(token.address), TOTAL_SUPPLY.read(token.address))

    def quote(
        self,
        spec: PriceSpec,
        token: Token,
        facts: Mapping[str, str],
        results: Sequence[ReadResult],
        block: BlockRef,
        known: Mapping[Address, TokenPrice],
    ) -> Quote:
        """Share what the pair is worth at the sides' agreed prices out over the supply."""
        first, second = (known_price(known, side, token) for side in self.needs(spec, token, facts))
        try:
            pair, supply = Pair.of(results[0]), TOTAL_SUPPLY.value(results[1])
        except ReadFailed as error:
            raise PriceUnavailable(f"the pair {token.symbol} does not answer: {error}; check it") from error
        if min(first.mid, second.mid) <= 0:
            raise PriceUnavailable(f"a side of the pair {token.symbol} is worth nothing, so its LP token has no price")
        price = fair_value(pair, (first.mid, second.mid)) * token.unit // supply if supply else 0
        if price == 0:
            raise PriceUnavailable(f"the pair {token.symbol} is empty, so its LP token has no price")
        return Quote(token, UsdWad(price), self.name, block.timestamp)
