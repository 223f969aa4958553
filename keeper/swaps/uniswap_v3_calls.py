"""The calls of Uniswap V3 routers: both kinds of them, with one pool and along a path, and their exact permissions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from keeper.abi import Fn
from keeper.domain.money import Address
from keeper.domain.position import RouteSpec
from keeper.erc20 import AMOUNT_CAP, fixed_word
from keeper.ports import ArgRule, Permission, SwapRoute

__all__ = ["SECOND_KIND", "fees_of", "is_second_kind", "packed_path", "paths_of", "permission", "template", "tiers_of"]

#: tokenIn, tokenOut, fee, recipient, (deadline,) amountIn, amountOutMinimum, sqrtPriceLimitX96.
#: https://docs.uniswap.org/contracts/v3/reference/periphery/SwapRouter
SINGLE: Final = Fn("exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))", "uint256")
#: https://docs.uniswap.org/contracts/swap-router/reference/SwapRouter02
SINGLE_02: Final = Fn("exactInputSingle((address,address,uint24,address,uint256,uint256,uint160))", "uint256")
#: path, recipient, (deadline,) amountIn, amountOutMinimum.
ALONG: Final = Fn("exactInput((bytes,address,uint256,uint256,uint256))", "uint256")
ALONG_02: Final = Fn("exactInput((bytes,address,uint256,uint256))", "uint256")

#: Hundredths of a basis point; 2500 is PancakeSwap's, 3000 Uniswap's.
USUAL_TIERS: Final = (100, 500, 2_500, 3_000, 10_000)

#: Set in each hop's number where the router takes no deadline.
SECOND_KIND: Final = 1 << 24

#: Bytes of a path of three tokens.
_PATH_BYTES: Final = 66


def packed_path(tokens: Sequence[Address], tiers: Sequence[int]) -> bytes:
    """Pack a path as the routers want it: token, fee, token, fee, token."""
    out = bytes.fromhex(tokens[0][2:])
    for tier, token in zip(tiers, tokens[1:], strict=True):
        out += tier.to_bytes(3, "big") + bytes.fromhex(token[2:])
    return out


def paths_of(spec: RouteSpec, sell: Address, buy: Address) -> Iterator[tuple[Address, ...]]:
    """Yield every configured path: direct, then through each of ``via``."""
    yield (sell, buy)
    yield from ((sell, via, buy) for via in dict.fromkeys(spec.via) if via not in (sell, buy))


def tiers_of(spec: RouteSpec) -> tuple[int, ...]:
    """Return the fee tiers to try, hundredths of a basis point."""
    return tuple(dict.fromkeys(spec.tiers)) or USUAL_TIERS


def fees_of(route: SwapRoute) -> tuple[int, ...]:
    """Return the fee of each hop, hundredths of a basis point."""
    return tuple(hop % SECOND_KIND for hop in route.hops)


def is_second_kind(route: SwapRoute) -> bool:
    """Whether the router takes no deadline (SwapRouter02, Pancake's SmartRouter)."""
    return route.hops[0] >= SECOND_KIND


def template(route: SwapRoute, owner: Address) -> tuple[bytes, dict[str, int]]:
    """Return calldata without amounts, and which words they are."""
    path, tiers = [token.address for token in route.path], fees_of(route)
    if len(tiers) == 1 and is_second_kind(route):
        return SINGLE_02.encode((*path, tiers[0], owner, 0, 0, 0)), {"amount": 4, "least": 5}
    if len(tiers) == 1:
        return SINGLE.encode((*path, tiers[0], owner, 0, 0, 0, 0)), {"deadline": 4, "amount": 5, "least": 6}
    packed = packed_path(path, tiers)
    if is_second_kind(route):
        return ALONG_02.encode((packed, owner, 0, 0)), {"amount": 3, "least": 4}
    return ALONG.encode((packed, owner, 0, 0, 0)), {"deadline": 3, "amount": 4, "least": 5}


def permission(route: SwapRoute, owner: Address, path: tuple[Address, ...], label: str) -> Permission:
    """Permission for swaps along a path at any of the tiers, in the form that this router takes."""
    tiers, late, router = tiers_of(route.spec), 0 if is_second_kind(route) else 1, route.spec.router
    args: tuple[ArgRule, ...]
    if len(path) == 2:
        fn = SINGLE_02 if is_second_kind(route) else SINGLE
        args = (
            fixed_word(0, path[0]),
            fixed_word(1, path[1]),
            ArgRule(2, allowed=tiers),
            fixed_word(3, owner),
            ArgRule(4 + late, at_least=1, at_most=AMOUNT_CAP),
            ArgRule(5 + late, at_least=1),
            fixed_word(6 + late, 0),
        )
        return Permission(router, fn.selector, 7 + late, args, label)
    fn = ALONG_02 if is_second_kind(route) else ALONG
    packed = [packed_path(path, (tier, tier)).ljust(96, b"\0") for tier in tiers]
    words = [tuple(int.from_bytes(each[i : i + 32], "big") for each in packed) for i in (0, 32, 64)]
    args = (
        fixed_word(0, 32),
        fixed_word(1, 32 * (4 + late)),
        fixed_word(2, owner),
        ArgRule(3 + late, at_least=1, at_most=AMOUNT_CAP),
        ArgRule(4 + late, at_least=1),
        fixed_word(5 + late, _PATH_BYTES),
        *(ArgRule(6 + late + index, allowed=tuple(dict.fromkeys(each))) for index, each in enumerate(words)),
    )
    return Permission(router, fn.selector, 9 + late, args, label)
