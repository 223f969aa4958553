"""Calls as text in the config: ``"getReward(address:owner)"``, ``"deposit(uint256=12,uint256:amount)"``.

Each argument is its type and either a colon and a placeholder (``owner``, ``amount``, and what an adapter offers), or
an equals sign and a value. Types are single words: ``address``, ``bool``, ``bytes32``, ``uintN``, ``intN``. A view may
end in the number of the word of its answer that is meant, ``"userInfo(uint256=12,address:owner)[0]"`` (the first unless
said), and any call in the contract that it goes to, ``"pending(address:owner)@0x..."`` (the position's target unless
said).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from keeper.abi import Fn, encode
from keeper.domain.money import Address, address
from keeper.domain.permission import ArgRule, Permission
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import AMOUNT_CAP, fixed_word
from keeper.errors import ReadFailed

__all__ = ["AMOUNT", "OWNER", "CallText", "parse_call"]

#: Placeholder of the account that owns the position.
OWNER: Final = "owner"
#: Placeholder of the amount that a deposit takes.
AMOUNT: Final = "amount"

#: Longest text, most arguments, highest word of an answer: what no real farm comes near.
_LONGEST: Final = 400
_MOST_ARGUMENTS: Final = 16
_LAST_WORD: Final = 31
#: What an answer may be long when nothing says more: room for a few words and a name.
_ANSWER_BYTES: Final = 256

_CALL: Final = re.compile(r"([A-Za-z_]\w*)\(([^()]*)\)(?:\[(\d{1,2})\])?(?:@(0x[0-9a-fA-F]{40}))?\Z", re.ASCII)
_ARGUMENT: Final = re.compile(r"([a-z]+\d*)(?::([a-z_]+)|=(-?\w+))\Z", re.ASCII)
_NUMBER: Final = re.compile(r"(u?int)(\d{1,3})?\Z", re.ASCII)
#: Functions that send tokens or NFTs away, or let somebody take them. No claim and no deposit is one of them, and what
#: a deposit takes is approved by keeper itself, exactly.
_NEVER: Final = frozenset(
    {
        "approve",
        "approvemax",
        "safeapprove",
        "increaseallowance",
        "increaseapproval",
        "setapprovalforall",
        "permit",
        "allow",
        "hope",
        "approvedelegation",
        "delegate",
        "setdelegate",
        "delegatecall",
        "setoperator",
        "authorizeoperator",
        "setauthorization",
        "setrelayerapproval",
        "transfer",
        "transferfrom",
        "safetransfer",
        "safetransferfrom",
        "transfershares",
        "transferasset",
        "send",
        "burn",
        "borrow",
        "execute",
        "multicall",
        "transferownership",
        "setowner",
        "grantrole",
        "upgradeto",
    }
)
_SHAPE: Final = 'write it like "getReward(address:owner)" or "deposit(uint256=12,uint256:amount)"'


@dataclass(frozen=True, slots=True)
class _Argument:
    kind: str
    #: Placeholder, or ``""`` for a value.
    place: str
    value: str | int | bool | bytes = 0


@dataclass(frozen=True, slots=True)
class CallText:
    """One parsed call."""

    fn: Fn
    args: tuple[_Argument, ...]
    #: Word of the answer that is meant.
    word: int = 0
    #: Contract that it goes to; ``None`` for the position's target.
    at: Address | None = None

    @property
    def places(self) -> frozenset[str]:
        """Placeholders that occur."""
        return frozenset(a.place for a in self.args if a.place)

    @property
    def amount_words(self) -> tuple[int, ...]:
        """Calldata words that take the amount."""
        return tuple(index for index, a in enumerate(self.args) if a.place == AMOUNT)

    def target(self, default: Address) -> Address:
        """Contract that it goes to."""
        return self.at or default

    def encode(self, places: Mapping[str, Address]) -> bytes:
        """Return calldata; words of the amount are zero."""
        return self.fn.encode(*(_filled(a, places) for a in self.args))

    def read(self, default: Address, places: Mapping[str, Address], gas: int = 60_000) -> Read:
        """Make the view call."""
        return Read(self.target(default), self.encode(places), max(_ANSWER_BYTES, 32 * (self.word + 1)), gas)

    def value(self, result: ReadResult) -> int:
        """Return the meant word of the answer as a number. Raises ReadFailed when it is not there."""
        if not result.success:
            raise ReadFailed(f"{self.fn.signature} reverted")
        start = 32 * self.word
        word = result.data[start : start + 32]
        if len(word) != 32:
            raise ReadFailed(f"{self.fn.signature} answered {len(result.data)} bytes, no word {self.word}")
        return int.from_bytes(word, "big")

    def token(self, result: ReadResult) -> Address:
        """Return the meant word of the answer as an address. Raises ReadFailed when it is none."""
        number = self.value(result)
        if number >> 160 or not number:
            raise ReadFailed(f"{self.fn.signature} answered {number:#x}, which is no token")
        return Address(f"0x{number:040x}")

    def permission(self, default: Address, places: Mapping[str, Address], label: str) -> Permission:
        """Permit exactly this call: every word fixed but the amount, which is bounded."""
        body = self.encode(places)[4:]
        rules = tuple(
            ArgRule(index, at_most=AMOUNT_CAP)
            if a.place == AMOUNT
            else fixed_word(index, int.from_bytes(body[32 * index : 32 * index + 32], "big"))
            for index, a in enumerate(self.args)
        )
        return Permission(self.target(default), self.fn.selector, len(self.args), rules, label)


@lru_cache(maxsize=1024)
def parse_call(text: str, places: tuple[str, ...] = (OWNER,)) -> CallText:
    """Parse one call.

    Args:
        text: the call.
        places: placeholders that it may use.

    Raises:
        ValueError: saying what is wrong and how it should look.
    """
    match = _CALL.match(text.strip()) if len(text) <= _LONGEST else None
    if match is None:
        raise ValueError(f"{text[:80]!r} is not a call; {_SHAPE}")
    name, inside, word, at = match.groups()
    if name.lower() in _NEVER:
        raise ValueError(f"{name}: keeper makes no such call: it would give tokens, or rights to them, to others")
    parts = [part.strip() for part in inside.split(",")] if inside.strip() else []
    if len(parts) > _MOST_ARGUMENTS:
        raise ValueError(f"{name} has {len(parts)} arguments; at most {_MOST_ARGUMENTS} are understood")
    args = tuple(_argument(part, places) for part in parts)
    if int(word or 0) > _LAST_WORD:
        raise ValueError(f"{name}: [{word}] is no word of an answer; the first is [0], the last [{_LAST_WORD}]")
    fn = Fn(f"{name}({','.join(a.kind for a in args)})")
    return CallText(fn, args, int(word or 0), address(at) if at else None)


def _argument(text: str, places: tuple[str, ...]) -> _Argument:
    match = _ARGUMENT.match(text)
    if match is None:
        raise ValueError(f'{text[:80]!r} is not an argument: write its type and ":owner", or its type and "=" a value')
    kind, place, literal = match.groups()
    _check_kind(kind)
    if literal is not None:
        return _Argument(kind, "", _literal(kind, literal))
    if place not in places:
        raise ValueError(f"{text!r}: there is no {place!r} here; placeholders: {', '.join(places)}")
    if (place == AMOUNT) != kind.startswith("uint") or (place != AMOUNT and kind != "address"):
        wanted = "uint256" if place == AMOUNT else "address"
        raise ValueError(f"{text!r}: {place} is of type {wanted}, e.g. {wanted}:{place}")
    return _Argument(kind, place)


def _check_kind(kind: str) -> None:
    number = _NUMBER.match(kind)
    if number is not None and number[2] is None:
        raise ValueError(f"{kind} must say its size: {number[1]}256")
    bits = int(number[2]) if number else 8
    if (number is None and kind not in {"address", "bool", "bytes32"}) or bits % 8 or not 8 <= bits <= 256:
        raise ValueError(f"{kind!r} is not a type that is understood here: address, bool, bytes32, uint256, int256 ...")


def _literal(kind: str, text: str) -> str | int | bool | bytes:
    """Read a value of a type. Raises ValueError."""
    wrong = ValueError(f"{text[:80]!r} is no {kind}")
    value: str | int | bool | bytes
    if kind == "bool":
        if text not in {"true", "false"}:
            raise wrong
        return text == "true"
    try:
        if kind == "address":
            value = address(text)
        elif kind == "bytes32":
            value = bytes.fromhex(text.removeprefix("0x"))
        else:
            value = int(text, 16 if text.startswith("0x") else 10)
        encode((kind,), (value,))
    except ValueError:
        raise wrong from None
    return value


def _filled(argument: _Argument, places: Mapping[str, Address]) -> str | int | bool | bytes:
    if argument.place == AMOUNT:
        return 0
    return places[argument.place] if argument.place else argument.value
