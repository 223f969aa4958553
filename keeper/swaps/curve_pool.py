"""Curve pools as makers of their LP tokens: one coin goes in, the least that comes out is set by oracle prices."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn, checksum, encode
from keeper.domain.money import Address, Token
from keeper.domain.plan import Leg, LegKind, MinOut, Patch, Share
from keeper.domain.position import Basket, RouteSpec
from keeper.domain.reads import Read, ReadResult
from keeper.domain.spec import PriceSpec
from keeper.erc20 import AMOUNT_CAP, approve_legs, approve_permission, ask_tokens, fixed_word, optional
from keeper.errors import ConfigError
from keeper.ports import ArgRule, Permission, Questions

__all__ = ["CurvePool"]

COINS: Final = (Fn("coins(uint256)", "address"), Fn("coins(int128)", "address"))
#: Of an LP token that stands apart from its pool: the pool.
MINTER: Final = Fn("minter()", "address")
VIRTUAL_PRICE: Final = Fn("get_virtual_price()", "uint256")
#: Units of 10**-10.
FEE: Final = Fn("fee()", "uint256")
#: NG pools take amounts as a list, all others as a fixed number of words.
CALC_LIST: Final = Fn("calc_token_amount(uint256[],bool)", "uint256")
ADD_LIST: Final = Fn("add_liquidity(uint256[],uint256)")
#: By number of coins; amounts, min_mint. Pays the caller.
ADD_FIXED: Final = {n: Fn(f"add_liquidity(uint256[{n}],uint256)") for n in range(2, 9)}

#: What pools call the chain's own coin; it is no token and is not put in.
NATIVE: Final = Address("0x" + "ee" * 20)

_MOST_COINS: Final = 8
#: A one-sided deposit pays about half the fee of a swap (n / 4(n-1) of it on what is off balance).
_FEE_PER_HALF_BPS: Final = 2 * 10**6
#: Largest fee of a deposit, basis points: it comes off the least that must be minted.
_MOST_FEE_BPS: Final = 200
_WHOLE: Final = 1_000_000
_VIEW_GAS: Final = 250_000


class CurvePool:
    """Pool maker. ``calc_token_amount`` is never the floor: it can be pushed, and in most pools it knows no fees."""

    name = "curve"

    def recognise(self, token: Token, routes: Sequence[RouteSpec]) -> Questions[Basket | None]:
        """Ask whether the token is a pool, or is minted by one; which coins it has and how it takes them."""
        (minter,) = yield [MINTER.read(token.address)]
        number = optional(MINTER, minter)
        homes = [token.address, *([Address(f"0x{number:040x}")] if number else [])]
        answers = yield [read for home in homes for read in _home_reads(home)]
        half = len(answers) // len(homes)
        for index, home in enumerate(homes):
            mine = answers[index * half : (index + 1) * half]
            coins = _coins(mine[2:])
            if len(coins) >= 2 and optional(VIRTUAL_PRICE, mine[0]) is not None:
                return (yield from _basket(token, home, coins, optional(FEE, mine[1]) or 0, routes))
        return None

    def reads(self, basket: Basket) -> Sequence[Read]:  # noqa: ARG002
        """Nothing: one coin goes in."""
        return ()

    def mix(self, basket: Basket, results: Sequence[ReadResult]) -> tuple[int, ...]:  # noqa: ARG002
        """All of it."""
        return (_WHOLE,)

    def join(
        self,
        basket: Basket,
        owner: Address,  # noqa: ARG002 - the pool pays its caller
        rates: Sequence[tuple[int, int]],
        slippage_bps: int,
    ) -> Sequence[Leg]:
        """Approve the pool exactly, then add one coin; the pool must mint what it is worth, less the slippage."""
        part = basket.parts[0]
        share = Share(part)
        fn, words, amount_word, min_word = _shape(basket)
        add = Leg(
            kind=LegKind.ADD_LIQUIDITY,
            label=f"add {part.symbol} to {basket.token.symbol}",
            to=basket.entry,
            template=fn.selector + encode(("uint256",) * len(words), words),
            patches=(Patch(amount_word, share), Patch(min_word, MinOut(share, *rates[0], slippage_bps))),
            spends=(part,),
            brings=(basket.token,),
        )
        return (*approve_legs(basket.entry, share), add)

    def permissions(self, basket: Basket, owner: Address) -> Sequence[Permission]:  # noqa: ARG002
        """Approve the pool for the coin, and add this coin alone, for at least something."""
        fn, words, amount_word, min_word = _shape(basket)
        args = [fixed_word(at, word) for at, word in enumerate(words) if at not in (amount_word, min_word)]
        args += [ArgRule(amount_word, at_most=AMOUNT_CAP), ArgRule(min_word, at_least=1)]
        return (
            Permission(basket.entry, fn.selector, len(words), tuple(args), f"add liquidity to {basket.token.symbol}"),
            approve_permission(basket.parts[0], basket.entry),
        )


def _shape(basket: Basket) -> tuple[Fn, list[int], int, int]:
    """Return the function, its words with zero amounts, and the words of the coin's amount and of the least mint."""
    count, index = basket.numbers["coins"], basket.numbers["index"]
    if basket.numbers["listed"]:
        return ADD_LIST, [64, 0, count, *[0] * count], 3 + index, 1
    return ADD_FIXED[count], [0] * (count + 1), index, count


def _home_reads(home: Address) -> list[Read]:
    coins = [fn.read(home, index) for fn in COINS for index in range(_MOST_COINS)]
    return [VIRTUAL_PRICE.read(home, gas=_VIEW_GAS), FEE.read(home), *coins]


def _coins(answers: Sequence[ReadResult]) -> list[Address]:
    for some in (answers[:_MOST_COINS], answers[_MOST_COINS:]):
        found = [Address(COINS[0].value(answer)) for answer in some if optional(COINS[0], answer)]
        if found:
            return found
    return []


def _basket(
    token: Token, pool: Address, coins: list[Address], fee: int, routes: Sequence[RouteSpec]
) -> Questions[Basket]:
    """Choose the coin that goes in: the first that a route passes through, else the first there is."""
    (as_list,) = yield [CALC_LIST.read(pool, [0] * len(coins), True, gas=_VIEW_GAS)]
    listed = int(optional(CALC_LIST, as_list) is not None)
    usable = [coin for coin in coins if coin != NATIVE]
    if not usable:
        raise ConfigError(f"Curve pool {checksum(pool)} takes no tokens; deposit by hand")
    if fee > _MOST_FEE_BPS * _FEE_PER_HALF_BPS:
        raise ConfigError(f"Curve pool {checksum(pool)} keeps over {_MOST_FEE_BPS} basis points as fee; see to it")
    passed = [via for route in routes for via in route.via if via in usable]
    (part,) = yield from ask_tokens(token.chain, [(*passed, *usable)[0]])
    return Basket(
        kind=CurvePool.name,
        token=token,
        parts=(part,),
        entry=pool,
        price=PriceSpec("curve-lp", {"pool": pool}),
        fee_bps=-(-fee // _FEE_PER_HALF_BPS),
        numbers=MappingProxyType({"coins": len(coins), "index": coins.index(part.address), "listed": listed}),
    )
