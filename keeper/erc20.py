"""What protocols, exchanges and prices all need of ERC-20 tokens: calls, metadata and exact approvals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from keeper.abi import Fn, checksum
from keeper.domain.money import Address, Token
from keeper.domain.plan import Leg, LegKind, Patch, Share
from keeper.domain.reads import Read, ReadResult
from keeper.errors import ReadFailed
from keeper.ports import ArgRule, Permission, Questions

__all__ = [
    "AMOUNT_CAP",
    "APPROVE",
    "BALANCE_OF",
    "DECIMALS",
    "FACTORY",
    "GET_RESERVES",
    "SYMBOL",
    "TOKEN0",
    "TOKEN1",
    "TOTAL_SUPPLY",
    "TRANSFER",
    "UNWRAP",
    "ZERO_ADDRESS",
    "allowance",
    "approve_leg",
    "approve_legs",
    "approve_permission",
    "ask_parts",
    "ask_symbols",
    "ask_tokens",
    "fixed_word",
    "optional",
    "token_from",
    "token_reads",
    "word_of",
]

BALANCE_OF: Final = Fn("balanceOf(address)", "uint256")
DECIMALS: Final = Fn("decimals()", "uint8")
SYMBOL: Final = Fn("symbol()", "string")
TOTAL_SUPPLY: Final = Fn("totalSupply()", "uint256")
ALLOWANCE: Final = Fn("allowance(address,address)", "uint256")
APPROVE: Final = Fn("approve(address,uint256)", "bool")
TRANSFER: Final = Fn("transfer(address,uint256)", "bool")

#: WETH9, and wrappers of other gas tokens like it: burns the caller's and pays the gas token.
#: https://etherscan.io/token/0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2#code
UNWRAP: Final = Fn("withdraw(uint256)")

#: Uniswap V2 pair, https://docs.uniswap.org/contracts/v2/reference/smart-contracts/pair
TOKEN0: Final = Fn("token0()", "address")
TOKEN1: Final = Fn("token1()", "address")
FACTORY: Final = Fn("factory()", "address")
#: reserve0, reserve1, blockTimestampLast.
GET_RESERVES: Final = Fn("getReserves()", "uint112,uint112,uint32")
#: Solidly's pairs answer everything that Uniswap V2's do, and this: some of them have another invariant.
_STABLE: Final = Fn("stable()", "bool")

ZERO_ADDRESS: Final = Address("0x" + "0" * 40)

#: Largest amount that a leg may approve or move: far above any real balance, far below an unlimited approval.
AMOUNT_CAP: Final = 2**128 - 1

#: Tokens that refuse to change an approval unless it is zero. Only adding liquidity leaves part of one unused, but that
#: would then stop the next harvest. https://etherscan.io/token/0xdac17f958d2ee523a2206206994597c13d831ec7#code
_RESET_FIRST: Final = frozenset({Address("0xdac17f958d2ee523a2206206994597c13d831ec7")})

#: Longest ticker that is kept; what a contract says about itself is shown to people, so it is cut and cleaned.
_SYMBOL_LENGTH: Final = 24

#: Most decimals a token may claim (10**36 base units per token); more is a broken or hostile contract.
_MAX_DECIMALS: Final = 36


def word_of(address: Address) -> int:
    """Return an address as the integer that its calldata word holds."""
    return int(address, 16)


def fixed_word(word: int, value: int | Address) -> ArgRule:
    """Rule that calldata word ``word`` is exactly ``value``."""
    return ArgRule(word, allowed=(value if isinstance(value, int) else word_of(value),))


def allowance(token: Address, owner: Address, spender: Address) -> Read:
    """Read how much ``spender`` may take of ``owner``'s ``token``."""
    return ALLOWANCE.read(token, owner, spender)


def approve_leg(spender: Address, amount: Share) -> Leg:
    """Leg that approves exactly what the next leg spends; an unlimited approval would outlive the harvest."""
    return Leg(
        kind=LegKind.APPROVE,
        label=f"approve {amount.token.symbol}",
        to=amount.token.address,
        template=APPROVE.encode(spender, 0),
        patches=(Patch(1, amount),),
    )


def approve_legs(spender: Address, amount: Share) -> tuple[Leg, ...]:
    """Legs that approve exactly ``amount``: one, or two for tokens that want the old approval gone first."""
    approve = approve_leg(spender, amount)
    if amount.token.address not in _RESET_FIRST:
        return (approve,)
    return (replace(approve, label=f"reset approval of {amount.token.symbol}", patches=()), approve)


def approve_permission(token: Token, spender: Address) -> Permission:
    """Permission for ``approve_legs``: this token, this spender, a bounded amount."""
    return Permission(
        to=token.address,
        selector=APPROVE.selector,
        words=2,
        args=(fixed_word(0, spender), ArgRule(1, at_most=AMOUNT_CAP)),
        label=f"approve {token.symbol} for {checksum(spender)}",
    )


def optional(fn: Fn, result: ReadResult) -> int | None:
    """Decode one unsigned word of a view that not every contract has; ``None`` when it does not answer with one."""
    try:
        value = fn.value(result)
    except ReadFailed:
        return None
    return int(value, 16) if isinstance(value, str) else int(value)


def token_reads(token: Address) -> list[Read]:
    """Views that ``token_from`` decodes."""
    return [SYMBOL.read(token, result_bytes=96), DECIMALS.read(token)]


def token_from(chain: str, token: Address, results: Sequence[ReadResult]) -> Token:
    """Make a token of what its contract answers; ``symbol`` may be ``string``, ``bytes32`` or missing.

    Raises:
        ReadFailed: when ``decimals()`` does not answer, or not sensibly: amounts would be guesses.
    """
    symbol, decimals = results
    try:
        places = int(DECIMALS.value(decimals))
    except ReadFailed as error:
        raise ReadFailed(
            f"{checksum(token)} on {chain} is not an ERC-20 token ({error}); check the address in the config"
        ) from error
    if places > _MAX_DECIMALS:
        raise ReadFailed(f"{checksum(token)} on {chain} claims {places} decimals; no sane token has more than 36")
    return Token(chain, token, _symbol(symbol) or f"{token[:6]}..{token[-4:]}", places)


def ask_tokens(chain: str, tokens: Sequence[Address]) -> Questions[tuple[Token, ...]]:
    """Ask tokens for symbol and decimals, all in one batch."""
    if not tokens:
        return ()
    results = yield [read for token in tokens for read in token_reads(token)]
    return tuple(token_from(chain, token, results[2 * i : 2 * i + 2]) for i, token in enumerate(tokens))


def ask_symbols(chain: str, tokens: Sequence[Address]) -> Questions[dict[Address, str]]:
    """Ask tokens for their tickers, to be shown only; one that is no sane token is named by its address.

    Anybody may put an NFT of a broken token into a wallet: that must hide none of the others.
    """
    names: dict[Address, str] = {}
    if not tokens:
        return names
    results = yield [read for token in tokens for read in token_reads(token)]
    for index, token in enumerate(tokens):
        try:
            names[token] = token_from(chain, token, results[2 * index : 2 * index + 2]).symbol
        except ReadFailed:
            names[token] = f"{token[:6]}..{token[-4:]}"
    return names


def ask_parts(token: Token) -> Questions[tuple[Token, ...]]:
    """Ask whether ``token`` is a Uniswap V2 pair; returns its two sides in order, or nothing when it is not."""
    fns = (TOKEN0, TOKEN1, FACTORY, GET_RESERVES)
    *results, stable = yield [fn.read(token.address) for fn in (*fns, _STABLE)]
    try:
        first, second, _, _ = (fn.value(result) for fn, result in zip(fns, results, strict=True))
    except ReadFailed:
        return ()
    if optional(_STABLE, stable) is not None:
        return ()
    return (yield from ask_tokens(token.chain, (first, second)))


def _symbol(result: ReadResult) -> str:
    """Decode a ticker and keep printable characters only: it ends up in terminals and logs."""
    if not result.success:
        return ""
    if len(result.data) == 32:
        text = result.data.rstrip(b"\0").decode(errors="replace")
    else:
        try:
            text = str(SYMBOL.value(result))
        except ReadFailed:
            return ""
    return "".join(c for c in text if c.isprintable()).strip()[:_SYMBOL_LENGTH]
