"""What the tests of sans-I/O adapters share: contracts as dictionaries, filled legs, and a permission matcher.

The codec here is eth_abi, not keeper's own; the matcher is a second opinion beside the signer's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import eth_abi
from eth_hash.auto import keccak

from keeper.domain.block import BlockRef
from keeper.domain.money import BPS, Address, Token
from keeper.domain.plan import Call, Deadline, Leg, MinOut, Share
from keeper.domain.reads import Read, ReadResult
from keeper.ports import Permission, Questions
from keeper.signers.policy import matches

OWNER = Address("0x" + "aa" * 20)
STRANGER = Address("0x" + "66" * 20)
BLOCK = BlockRef("test", 1_000, "0x" + "11" * 32, 1_700_000_000)


def addr(n: int) -> Address:
    return Address(f"0x{n + (1 << 150 if n else 0):040x}")


def token(n: int, symbol: str = "TKN", decimals: int = 18) -> Token:
    return Token("test", addr(n), symbol, decimals)


@dataclass
class World:
    """Contracts as a dictionary: what is not in it reverts, what has no code answers nothing."""

    answers: dict[tuple[str, bytes], bytes] = field(default_factory=dict)
    codeless: set[str] = field(default_factory=set)
    asked: list[Read] = field(default_factory=list)

    def put(self, target: str, signature: str, args: Sequence, types: str, *values) -> None:
        name_types = re.search(r"\((.*)\)", signature).group(1)
        inputs = name_types.split(",") if name_types else []
        data = keccak(signature.encode())[:4] + eth_abi.encode(inputs, list(args))
        self.answers[target, data] = eth_abi.encode(types.split(","), list(values))

    def put_token(self, t: Token) -> None:
        self.put(t.address, "symbol()", (), "string", t.symbol)
        self.put(t.address, "decimals()", (), "uint8", t.decimals)

    def put_pair(self, pair: Token, first: Token, second: Token, reserves=(10**24, 10**24), supply=10**24) -> None:
        for t in (pair, first, second):
            self.put_token(t)
        self.put(pair.address, "token0()", (), "address", first.address)
        self.put(pair.address, "token1()", (), "address", second.address)
        self.put(pair.address, "factory()", (), "address", addr(0xFAC))
        self.put(pair.address, "getReserves()", (), "uint112,uint112,uint32", *reserves, 1)
        self.put(pair.address, "totalSupply()", (), "uint256", supply)

    def remove(self, target: str, signature: str) -> None:
        selector = keccak(signature.encode())[:4]
        for key in [k for k in self.answers if k[0] == target and k[1][:4] == selector]:
            del self.answers[key]

    def answer(self, reads: Sequence[Read]) -> list[ReadResult]:
        self.asked += reads
        return [self._one(read) for read in reads]

    def _one(self, read: Read) -> ReadResult:
        if read.target in self.codeless:
            return ReadResult(True, b"")
        data = self.answers.get((read.target, read.data))
        return ReadResult(data is not None, data or b"")

    def talk(self, questions: Questions):
        """Hold a conversation to its end."""
        return converse(questions, self.answer)


def converse(questions: Questions, answer):
    try:
        reads = next(questions)
        while True:
            reads = questions.send(answer(reads))
    except StopIteration as stop:
        return stop.value


def fill(leg: Leg, have: dict[str, int], now: int) -> Call:
    """Fill a leg's patches the plain way: shares of what is there, floors below it, a deadline after now."""
    data = bytearray(leg.template)
    for patch in leg.patches:
        start = 4 + 32 * patch.word
        assert data[start : start + 32] == bytes(32), f"{leg.label}: word {patch.word} of the template is not zero"
        data[start : start + 32] = _value(patch.rule, have, now).to_bytes(32, "big")
    return Call(leg.kind, leg.label, leg.to, bytes(data))


def _value(rule: Share | MinOut | Deadline, have: dict[str, int], now: int) -> int:
    if isinstance(rule, Deadline):
        return now + rule.seconds
    if isinstance(rule, Share):
        return have[rule.token.address] * rule.bps // BPS
    spent = _value(rule.spent, have, now)
    if spent == 0 and rule.spent.optional:
        return 0
    return max(1, spent * rule.numerator // rule.denominator * (BPS - rule.slippage_bps) // BPS)


def permitted(permissions: Sequence[Permission], to: str, data: bytes) -> bool:
    """Whether any permission covers the call exactly: target, selector, length, every ruled word.

    The signer's own matcher must be of the same opinion.
    """
    ours = any(_covers(p, to, data) for p in permissions)
    refusal = matches(permissions, to, data, 0)
    assert ours is (refusal is None), f"the signer's matcher differs: {refusal or 'allowed'}"
    return ours


def _covers(p: Permission, to: str, data: bytes) -> bool:
    if to != p.to or data[:4] != p.selector or len(data) != 4 + 32 * p.words:
        return False
    for rule in p.args:
        value = int.from_bytes(data[4 + 32 * rule.word : 36 + 32 * rule.word], "big")
        if (rule.allowed and value not in rule.allowed) or not rule.at_least <= value <= rule.at_most:
            return False
    return True


def mutations(call: Call, owner: str, amounts: Sequence[int] = ()) -> list[tuple[str, str, bytes]]:
    """Calls that a thief would rather have: (what was changed, to, data)."""
    data = call.data
    out = [
        ("other target", STRANGER, data),
        ("other selector", call.to, bytes([data[0] ^ 1]) + data[1:]),
        ("transfer", call.to, keccak(b"transfer(address,uint256)")[:4] + data[4:]),
        ("extra word", call.to, data + bytes(32)),
        ("extra byte", call.to, data + b"\0"),
        ("missing word", call.to, data[:-32] if len(data) > 4 else b""),
    ]
    for word in range((len(data) - 4) // 32):
        start = 4 + 32 * word
        value = int.from_bytes(data[start : start + 32], "big")
        if 2**140 < value < 2**160:  # an address
            for who, label in ((STRANGER, "stranger"), (owner, "owner")):
                if int(who, 16) != value:
                    swapped = data[:start] + bytes(12) + bytes.fromhex(who[2:]) + data[start + 32 :]
                    out.append((f"{label} in word {word}", call.to, swapped))
        if value in amounts:
            endless = data[:start] + b"\xff" * 32 + data[start + 32 :]
            out.append((f"unlimited amount in word {word}", call.to, endless))
    return out
