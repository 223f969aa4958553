"""The price of an ERC-4626 share: what its vault would pay out for it, at the asset's own agreed price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from keeper.abi import Fn, checksum
from keeper.domain.block import BlockRef
from keeper.domain.money import Address, Token
from keeper.domain.reads import Read, ReadResult
from keeper.domain.valuation import Quote, TokenPrice
from keeper.erc20 import TOTAL_SUPPLY
from keeper.errors import PriceUnavailable, ReadFailed
from keeper.ports import ParamSpec, PriceSpec, Questions
from keeper.prices.shared import known_price
from keeper.prices.shares import BOUNDS, check_bounds, share_quote

__all__ = ["Erc4626Share"]

ASSET: Final = Fn("asset()", "address")
TO_ASSETS: Final = Fn("convertToAssets(uint256)", "uint256")
TOTAL_ASSETS: Final = Fn("totalAssets()", "uint256")

#: Gas of a view that may ask strategies behind the vault.
_VIEW_GAS: Final = 200_000


class Erc4626Share:
    """Price source for shares; derived from the asset's agreed price, it counts as agreed by itself."""

    name = "erc4626"
    params: Mapping[str, ParamSpec] = BOUNDS

    def resolve(self, spec: PriceSpec, token: Token) -> Questions[Mapping[str, str]]:
        """Ask the share, which is the vault, for its asset."""
        check_bounds(spec, token)
        results = yield self._ask(token, ASSET.read(token.address))
        try:
            asset = ASSET.value(results[0])
            for fn, result in zip((TO_ASSETS, TOTAL_ASSETS, TOTAL_SUPPLY), results[1:], strict=True):
                fn.value(result)
        except ReadFailed as error:
            raise ReadFailed(
                f"{checksum(token.address)} ({token.symbol}) does not answer like an ERC-4626 vault ({error}); "
                "price it by another source"
            ) from error
        return {"asset": asset}

    def needs(self, spec: PriceSpec, token: Token, facts: Mapping[str, str]) -> Sequence[Address]:  # noqa: ARG002
        """The asset."""
        return (Address(facts["asset"]),)

    def reads(self, spec: PriceSpec, token: Token, facts: Mapping[str, str]) -> Sequence[Read]:  # noqa: ARG002
        """What a whole share is worth, and how much there is of both."""
        return self._ask(token)

    def quote(
        self,
        spec: PriceSpec,
        token: Token,
        facts: Mapping[str, str],
        results: Sequence[ReadResult],
        block: BlockRef,
        known: Mapping[Address, TokenPrice],
    ) -> Quote:
        """Price a share within its bounds."""
        asset = known_price(known, Address(facts["asset"]), token)
        try:
            rate, assets, shares = (
                fn.value(result) for fn, result in zip((TO_ASSETS, TOTAL_ASSETS, TOTAL_SUPPLY), results, strict=True)
            )
        except ReadFailed as error:
            raise PriceUnavailable(f"the vault of {token.symbol} does not answer: {error}; check it") from error
        return share_quote(spec, token, (rate, 1), (assets, shares), asset, block)

    def _ask(self, token: Token, *first: Read) -> list[Read]:
        vault = token.address
        return [
            *first,
            TO_ASSETS.read(vault, token.unit, gas=_VIEW_GAS),
            TOTAL_ASSETS.read(vault, gas=_VIEW_GAS),
            TOTAL_SUPPLY.read(vault),
        ]
