"""The fair price of a Curve LP token: its virtual price, and the coins' own prices; never what the pool holds now.

A swap moves the pool along its invariant and leaves the virtual price alone (but for the fee, which raises it), so that
pushing the pool does not move this price. The trap is reading it from within: while ``remove_liquidity`` hands out
the chain's coin, a contract that is called back sees a virtual price that is too high (read-only reentrancy). Here it
is read by itself, between transactions, where no call is under way; nothing in a transaction of ours asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn, checksum
from keeper.domain.block import BlockRef
from keeper.domain.money import WAD, Address, Token, UsdWad
from keeper.domain.reads import Read, ReadResult
from keeper.domain.valuation import Quote, TokenPrice
from keeper.erc20 import DECIMALS, optional
from keeper.errors import ConfigError, PriceUnavailable, ReadFailed
from keeper.ports import ParamSpec, PriceSpec, Questions
from keeper.prices.shared import address_setting, known_price

__all__ = ["CurveLp", "crypto_price", "stable_price"]

COINS: Final = (Fn("coins(uint256)", "address"), Fn("coins(int128)", "address"))
#: Lending pools count what their coins stand for.
UNDERLYING: Final = (Fn("underlying_coins(uint256)", "address"), Fn("underlying_coins(int128)", "address"))
MINTER: Final = Fn("minter()", "address")
VIRTUAL_PRICE: Final = Fn("get_virtual_price()", "uint256")
#: Only crypto pools have one.
GAMMA: Final = Fn("gamma()", "uint256")
#: Of a metapool: the pool whose LP token is its last coin.
BASE_POOL: Final = (Fn("base_pool()", "address"), Fn("BASE_POOL()", "address"))
#: What one base unit of a coin counts for, times 10**(36 - decimals); NG pools with rate oracles and vault shares.
STORED_RATES: Final = Fn("stored_rates()", "uint256[]")
#: The same in older pools, of two coins, as plain words.
STORED_RATES_FIXED: Final = Fn("stored_rates()", "uint256,uint256")

NATIVE: Final = Address("0x" + "ee" * 20)
_MOST_COINS: Final = 8
_VIEW_GAS: Final = 250_000


def stable_price(virtual_price: int, coins: Sequence[int]) -> int:
    """Return virtual price x the cheapest coin, wad: what holders can be left with when a coin fails."""
    return virtual_price * min(coins) // WAD


def crypto_price(virtual_price: int, coins: Sequence[int]) -> int:
    """Return n x virtual price x the geometric mean of the coins' prices, wad: the pool's ``lp_price`` by oracles."""
    return len(coins) * virtual_price * _root(prod(coins), len(coins)) // WAD


class CurveLp:
    """Price source for LP tokens of stable and crypto pools; derived from the coins' agreed prices."""

    name = "curve-lp"
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "pool": ParamSpec("address", False, "The pool; default: the token itself, or its minter."),
            "wrapped_native": ParamSpec(
                "address", False, "Wrapped gas token, by which the pool's native coin is priced, where it has one."
            ),
        }
    )

    def resolve(self, spec: PriceSpec, token: Token) -> Questions[Mapping[str, str]]:
        """Find the pool, its kind and its coins."""
        pool = yield from _pool(spec, token)
        reads = [VIRTUAL_PRICE.read(pool, gas=_VIEW_GAS), GAMMA.read(pool), STORED_RATES.read(pool, gas=_VIEW_GAS)]
        reads += [fn.read(pool) for fn in BASE_POOL]
        reads += [fn.read(pool, i) for fn in (*COINS, *UNDERLYING) for i in range(_MOST_COINS)]
        price, gamma, rates, *rest = yield reads
        coins, underlying = _addresses(rest[2:18]), _addresses(rest[18:])
        if optional(VIRTUAL_PRICE, price) is None or len(coins) < 2:
            raise ReadFailed(
                f"{checksum(pool)} does not answer like the Curve pool of {token.symbol}; set pool, or price it by "
                "another source"
            )
        counted = underlying if len(underlying) == len(coins) else coins
        base = next((a for fn, r in zip(BASE_POOL, rest[:2], strict=True) if (a := optional(fn, r))), 0)
        named = [_priced(spec, token, coin) for coin in counted]
        decimals = yield [DECIMALS.read(coin) for coin in named]
        rated = rates.success and len(rates.data) >= 32 * len(coins) and counted is coins
        return {
            "pool": pool,
            "coins": ",".join(named),
            "decimals": ",".join(str(DECIMALS.value(answer)) for answer in decimals),
            "crypto": "1" if optional(GAMMA, gamma) else "",
            "rated": "1" if rated else "",
            "base": f"0x{base:040x}" if base and not rated else "",
        }

    def needs(self, spec: PriceSpec, token: Token, facts: Mapping[str, str]) -> Sequence[Address]:  # noqa: ARG002
        """All coins."""
        return [Address(coin) for coin in facts["coins"].split(",")]

    def reads(self, spec: PriceSpec, token: Token, facts: Mapping[str, str]) -> Sequence[Read]:  # noqa: ARG002
        """The virtual price; what coins count for, where the pool has rates; the base pool's virtual price."""
        pool, count = Address(facts["pool"]), facts["coins"].count(",") + 1
        reads = [VIRTUAL_PRICE.read(pool, gas=_VIEW_GAS)]
        if facts["rated"]:
            reads.append(STORED_RATES.read(pool, result_bytes=64 + 32 * count, gas=_VIEW_GAS))
        if facts["base"]:
            reads.append(VIRTUAL_PRICE.read(Address(facts["base"]), gas=_VIEW_GAS))
        return reads

    def quote(
        self,
        spec: PriceSpec,  # noqa: ARG002
        token: Token,
        facts: Mapping[str, str],
        results: Sequence[ReadResult],
        block: BlockRef,
        known: Mapping[Address, TokenPrice],
    ) -> Quote:
        """Value the invariant's units by the coins' agreed prices."""
        coins = [Address(coin) for coin in facts["coins"].split(",")]
        prices = [int(known_price(known, coin, token).mid) for coin in coins]
        try:
            virtual_price = VIRTUAL_PRICE.value(results[0])
            if facts["rated"]:
                prices = _by_rates(prices, results[1], [int(d) for d in facts["decimals"].split(",")])
            if facts["base"]:
                prices[-1] = prices[-1] * WAD // (VIRTUAL_PRICE.value(results[-1]) or 1)
        except ReadFailed as error:
            raise PriceUnavailable(f"the Curve pool of {token.symbol} does not answer: {error}; check it") from error
        price = crypto_price(virtual_price, prices) if facts["crypto"] else stable_price(virtual_price, prices)
        if price == 0:
            raise PriceUnavailable(f"the Curve pool of {token.symbol} is empty, so its LP token has no price")
        return Quote(token, UsdWad(price), self.name, block.timestamp)


def _pool(spec: PriceSpec, token: Token) -> Questions[Address]:
    if "pool" in spec.settings:
        return address_setting(spec, token, "pool")
    first, minter = yield [COINS[0].read(token.address, 0), MINTER.read(token.address)]
    number = optional(MINTER, minter)
    return token.address if optional(COINS[0], first) or not number else Address(f"0x{number:040x}")


def _addresses(answers: Sequence[ReadResult]) -> list[Address]:
    """Return what the first of two getters answers that answers at all."""
    for some in (answers[:_MOST_COINS], answers[_MOST_COINS:]):
        found = [Address(f"0x{number:040x}") for answer in some if (number := optional(COINS[0], answer))]
        if found:
            return found
    return []


def _priced(spec: PriceSpec, token: Token, coin: Address) -> Address:
    if coin != NATIVE:
        return coin
    if "wrapped_native" not in spec.settings:
        raise ConfigError(
            f"the Curve pool of {token.symbol} holds the gas token itself; set wrapped_native to price it by"
        )
    return address_setting(spec, token, "wrapped_native")


def _by_rates(prices: Sequence[int], answer: ReadResult, decimals: Sequence[int]) -> list[int]:
    """Turn prices of coins into prices of the units that the pool counts them in."""
    fixed = len(answer.data) == 32 * len(prices)
    rates = list(STORED_RATES_FIXED.values(answer)) if fixed else STORED_RATES.value(answer)
    if len(rates) != len(prices) or not all(rates):
        raise ReadFailed(f"stored_rates() answered {rates} for {len(prices)} coins")
    return [p * 10 ** (36 - d) // rate for p, rate, d in zip(prices, rates, decimals, strict=True)]


def _root(value: int, degree: int) -> int:
    """Integer root, rounded down, by Newton's steps from above."""
    root = 1 << -(-value.bit_length() // degree)
    while value:
        lower = ((degree - 1) * root + value // root ** (degree - 1)) // degree
        if lower >= root:
            break
        root = lower
    return root if value else 0
