"""The fair price of a Balancer weighted pool's token: from its invariant, its weights and the tokens' own prices.

A swap moves the pool along the product of its balances, each to the power of its weight, and leaves that product alone
(but for the fee). It is read by itself, between transactions, where no call of the vault is under way: read from
within one, balances and supply do not belong together (read-only reentrancy).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn, checksum
from keeper.domain.block import BlockRef
from keeper.domain.money import WAD, Address, Token, UsdWad
from keeper.domain.reads import Read, ReadResult
from keeper.domain.valuation import Quote, TokenPrice
from keeper.erc20 import DECIMALS, TOTAL_SUPPLY, optional
from keeper.errors import PriceUnavailable, ReadFailed
from keeper.ports import ParamSpec, PriceSpec, Questions
from keeper.prices.shared import known_price

__all__ = ["BalancerLp", "weighted_price"]

POOL_ID: Final = Fn("getPoolId()", "bytes32")
VAULT: Final = Fn("getVault()", "address")
WEIGHTS: Final = Fn("getNormalizedWeights()", "uint256[]")
POOL_TOKENS: Final = Fn("getPoolTokens(bytes32)", "address[],uint256[],uint256")
#: With what is owed to the protocol; pools of the first year have ``totalSupply`` alone.
ACTUAL_SUPPLY: Final = Fn("getActualSupply()", "uint256")

#: Digits of the powers; far more than a wad price has.
_DIGITS: Final = 60
_MOST_TOKENS: Final = 8
_TOKENS_BYTES: Final = 160 + 64 * _MOST_TOKENS


def weighted_price(values: Sequence[int], weights: Sequence[int], supply: int, unit: int) -> int:
    """Return the product of (value / weight) ** weight, shared out: wad dollars per whole pool token.

    Args:
        values: what each token in the pool is worth, wad dollars.
        weights: wad; they sum to one.
        supply: pool tokens, base units.
        unit: base units of a whole one.
    """
    if not supply or not all(values):
        return 0
    with localcontext() as context:
        context.prec = _DIGITS
        total = Decimal(1)
        for value, weight in zip(values, weights, strict=True):
            part = Decimal(weight) / WAD
            total *= (Decimal(value) / part) ** part
        return int(total * unit / supply)


class BalancerLp:
    """Price source for tokens of weighted pools (Vault V2); derived from the tokens' agreed prices."""

    name = "balancer-lp"
    params: Mapping[str, ParamSpec] = MappingProxyType({})

    def resolve(self, spec: PriceSpec, token: Token) -> Questions[Mapping[str, str]]:  # noqa: ARG002
        """Ask the pool for its vault, tokens and weights."""
        fns = (POOL_ID, VAULT, WEIGHTS, ACTUAL_SUPPLY)
        *answers, actual = yield [fn.read(token.address, result_bytes=320, gas=40_000) for fn in fns]
        try:
            pool_id, vault, weights = (fn.value(a) for fn, a in zip(fns[:3], answers, strict=True))
            (listed,) = yield [POOL_TOKENS.read(vault, pool_id, result_bytes=_TOKENS_BYTES, gas=60_000)]
            tokens, _, _ = POOL_TOKENS.values(listed)
        except ReadFailed as error:
            raise ReadFailed(
                f"{checksum(token.address)} ({token.symbol}) does not answer like a weighted Balancer pool ({error}); "
                "price it by another source"
            ) from error
        decimals = yield [DECIMALS.read(one) for one in tokens]
        return {
            "pool_id": pool_id.hex(),
            "vault": vault,
            "tokens": ",".join(tokens),
            "weights": ",".join(map(str, weights)),
            "decimals": ",".join(str(DECIMALS.value(a)) for a in decimals),
            "actual": "1" if optional(ACTUAL_SUPPLY, actual) is not None else "",
        }

    def needs(self, spec: PriceSpec, token: Token, facts: Mapping[str, str]) -> Sequence[Address]:  # noqa: ARG002
        """All tokens of the pool."""
        return [Address(one) for one in facts["tokens"].split(",")]

    def reads(self, spec: PriceSpec, token: Token, facts: Mapping[str, str]) -> Sequence[Read]:  # noqa: ARG002
        """Balances in the vault, and the supply."""
        supply = ACTUAL_SUPPLY if facts["actual"] else TOTAL_SUPPLY
        pool_id = bytes.fromhex(facts["pool_id"])
        return (
            POOL_TOKENS.read(Address(facts["vault"]), pool_id, result_bytes=_TOKENS_BYTES, gas=60_000),
            supply.read(token.address, gas=60_000),
        )

    def quote(
        self,
        spec: PriceSpec,  # noqa: ARG002
        token: Token,
        facts: Mapping[str, str],
        results: Sequence[ReadResult],
        block: BlockRef,
        known: Mapping[Address, TokenPrice],
    ) -> Quote:
        """Value the invariant by the tokens' agreed prices, and share it out over the supply."""
        tokens, decimals, weights = (facts[key].split(",") for key in ("tokens", "decimals", "weights"))
        prices = [int(known_price(known, Address(one), token).mid) for one in tokens]
        try:
            _, balances, _ = POOL_TOKENS.values(results[0])
            supply = TOTAL_SUPPLY.value(results[1])
        except ReadFailed as error:
            raise PriceUnavailable(f"the pool {token.symbol} does not answer: {error}; check it") from error
        values = [held * p // 10 ** int(d) for held, p, d in zip(balances, prices, decimals, strict=True)]
        price = weighted_price(values, [int(weight) for weight in weights], supply, token.unit)
        if price == 0:
            raise PriceUnavailable(f"the pool {token.symbol} is empty, so its token has no price")
        return Quote(token, UsdWad(price), self.name, block.timestamp)
