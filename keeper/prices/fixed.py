"""A price the user states: for stablecoins one trusts, for test chains, and as a second opinion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from keeper.domain.block import BlockRef
from keeper.domain.money import Address, Token
from keeper.domain.reads import Read, ReadResult
from keeper.domain.valuation import Quote, TokenPrice
from keeper.errors import ConfigError
from keeper.ports import ParamSpec, PriceSpec, Questions
from keeper.prices.shared import nothing_to_ask, usd_setting

__all__ = ["Fixed"]


class Fixed:
    """Price source without a chain: never stale, and only as right as whoever wrote it."""

    name = "fixed"
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {"usd": ParamSpec("str", True, 'US dollars for one whole token, e.g. "1.00".')}
    )

    def resolve(self, spec: PriceSpec, token: Token) -> Questions[Mapping[str, str]]:
        """Nothing to ask; checks the number. Raises ConfigError."""
        if usd_setting(spec, token, "usd") == 0:
            raise ConfigError(f"fixed price of {token.symbol}: usd must be above 0")
        return (yield from nothing_to_ask())

    def needs(self, spec: PriceSpec, token: Token, facts: Mapping[str, str]) -> Sequence[Address]:  # noqa: ARG002
        """Depend on nothing."""
        return ()

    def reads(self, spec: PriceSpec, token: Token, facts: Mapping[str, str]) -> Sequence[Read]:  # noqa: ARG002
        """Nothing to read."""
        return ()

    def quote(
        self,
        spec: PriceSpec,
        token: Token,
        facts: Mapping[str, str],  # noqa: ARG002
        results: Sequence[ReadResult],  # noqa: ARG002
        block: BlockRef,
        known: Mapping[Address, TokenPrice],  # noqa: ARG002
    ) -> Quote:
        """Return the stated price, as of the block."""
        return Quote(token, usd_setting(spec, token, "usd"), self.name, block.timestamp)
