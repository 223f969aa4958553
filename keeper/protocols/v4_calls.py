"""What Uniswap V4's PositionManager is told to do, as calldata, and nothing else that it may be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from keeper.abi import Fn, encode
from keeper.domain.money import Address
from keeper.erc20 import AMOUNT_CAP, fixed_word
from keeper.ports import ArgRule, Permission

__all__ = ["DEADLINE_WORD", "MODIFY", "calls_permissions", "put_back", "take_fees"]

#: What the position manager is told to do, and until when.
MODIFY: Final = Fn("modifyLiquidities(bytes,uint256)")

#: Actions: https://github.com/Uniswap/v4-periphery/blob/main/src/libraries/Actions.sol
_INCREASE: Final = 0x00
_DECREASE: Final = 0x01
_TAKE_PAIR: Final = 0x11
_CLOSE_CURRENCY: Final = 0x12

#: token id, liquidity, most (least) of token0 and of token1, data for hooks.
_CHANGE: Final = ("uint256", "uint256", "uint128", "uint128", "bytes")

#: Words of the calldata: the deadline; and where the parameters of the increase begin, behind heads, actions, offsets.
DEADLINE_WORD: Final = 1
_PARAMS_START: Final = 12


def take_fees(token_id: int, pair: tuple[Address, Address], owner: Address) -> bytes:
    """Remove no liquidity at all, which credits the fees, and take both tokens to the owner."""
    nothing = encode(_CHANGE, (token_id, 0, 0, 0, b""))
    take = encode(("address", "address", "address"), (*pair, owner))
    return _call(bytes([_DECREASE, _TAKE_PAIR]), (nothing, take))


def put_back(token_id: int, pair: tuple[Address, Address], liquidity: int, most: tuple[int, int]) -> bytes:
    """Add liquidity for at most so much of both tokens, which credits the fees, and close both balances."""
    add = encode(_CHANGE, (token_id, liquidity, *most, b""))
    close = [encode(("address",), (token,)) for token in pair]
    return _call(bytes([_INCREASE, _CLOSE_CURRENCY, _CLOSE_CURRENCY]), (add, *close))


def calls_permissions(
    to: Address, token_id: int, pair: tuple[Address, Address], owner: Address
) -> tuple[Permission, ...]:
    """Permit both calls word for word, but for the deadline, the liquidity, and the most of both tokens."""
    until = {DEADLINE_WORD: ArgRule(DEADLINE_WORD)}
    liquidity, first, second = range(_PARAMS_START + 1, _PARAMS_START + 4)
    amounts = {
        liquidity: ArgRule(liquidity, at_least=1, at_most=AMOUNT_CAP),
        first: ArgRule(first, at_most=AMOUNT_CAP),
        second: ArgRule(second, at_most=AMOUNT_CAP),
    }
    return (
        _exactly(to, take_fees(token_id, pair, owner), until, "take fees"),
        _exactly(to, put_back(token_id, pair, 0, (0, 0)), {**until, **amounts}, "put fees back"),
    )


def _call(actions: bytes, params: Sequence[bytes]) -> bytes:
    return MODIFY.encode(encode(("bytes", "bytes[]"), (actions, list(params))), 0)


def _exactly(to: Address, data: bytes, free: Mapping[int, ArgRule], label: str) -> Permission:
    """Permit this calldata word for word, but for some words."""
    words = (len(data) - 4) // 32
    rules = (
        free.get(word) or fixed_word(word, int.from_bytes(data[4 + 32 * word : 36 + 32 * word], "big"))
        for word in range(words)
    )
    return Permission(to, MODIFY.selector, words, tuple(rules), label)
