"""What farms of the MasterChef family share: calls and permissions of numbered pools, emissions, discovery."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from keeper.abi import Fn, checksum
from keeper.domain.facts import Place
from keeper.domain.money import Address, Amount, Token
from keeper.domain.plan import Leg, LegKind, Patch, Share
from keeper.domain.position import Market, Position
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import AMOUNT_CAP, ZERO_ADDRESS, approve_legs, approve_permission, fixed_word, optional
from keeper.erc20 import token_from as erc20_from
from keeper.erc20 import token_reads as erc20_reads
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import ArgRule, Found, ParamSpec, Permission, Questions
from keeper.protocols.shared import YEAR_SECONDS, int_param, text_param

__all__ = [
    "BLOCK_TIME",
    "GAS_LP",
    "LP_TOKEN",
    "PID",
    "POOL_LENGTH",
    "USER_AMOUNT",
    "address_at",
    "ask_staked",
    "bounded",
    "claim_leg",
    "find_pools",
    "fn_of",
    "getter",
    "grown",
    "moved",
    "named_token",
    "of_pool",
    "pool_params",
    "share_of",
    "stake_legs",
    "step_ms",
    "words_of",
]

POOL_LENGTH: Final = Fn("poolLength()", "uint256")
#: Where pools do not name their token themselves.
LP_TOKEN: Final = Fn("lpToken(uint256)", "address")
#: The staked amount comes first in every chef; what follows differs.
USER_AMOUNT: Final = Fn("userInfo(uint256,address)", "uint256")

PID: Final = ParamSpec("int", True, "Number of the pool in the chef.")
BLOCK_TIME: Final = ParamSpec("int", False, "Milliseconds between blocks; filled in from the chain's facts.")

#: Gas of a compound on real code where the stake is an LP token: claim, two swaps, adding of liquidity, stake, each
#: with its approval. 500,000 where one swap does.
GAS_LP: Final = 780_000

#: Most pools of one chef that are looked at, newest first, and how many in one batch.
_MOST_POOLS: Final = 4_000
_BATCH: Final = 400

_GETTER: Final = re.compile(r"[A-Za-z_]\w*\(\)\Z")
_OF_POOL: Final = re.compile(r"[A-Za-z_]\w*\(uint256,address\)\Z")


# ---------------------------------------------------------------------------- names that forks choose


@lru_cache(maxsize=256)
def fn_of(signature: str, returns: str = "uint256") -> Fn:
    """Make a call once: hashing a signature costs more than all else that a cycle does for a position."""
    return Fn(signature, returns)


def getter(position: Position, key: str, default: str, returns: str = "address") -> Fn:
    """Return the getter that a param names. Raises ConfigError when it is none."""
    signature = text_param(position, key, default)
    if not _GETTER.match(signature):
        raise ConfigError(f'position {position.id}: {key} must be a getter like "{default}", not {signature!r}')
    return fn_of(signature, returns)


def of_pool(position: Position, key: str, default: str) -> Fn:
    """Return the view of (pool, account) that a param names. Raises ConfigError when it is none."""
    signature = text_param(position, key, default)
    if not _OF_POOL.match(signature):
        raise ConfigError(
            f"position {position.id}: {key} must take (uint256,address), like "
            f'"pendingCake(uint256,address)", not {signature!r}'
        )
    return fn_of(signature)


def step_ms(position: Position) -> int:
    """Return milliseconds between blocks, for emissions per block. Raises ConfigError when they are not known."""
    step = int_param(position, "block_time_ms")
    if step == 0:
        raise ConfigError(f"position {position.id}: block_time_ms must be above 0")
    return step


# ---------------------------------------------------------------------------- answers


def words_of(result: ReadResult) -> tuple[int, ...]:
    """Split an answer into its words, however many there are; none where the view failed."""
    if not result.success:
        return ()
    return tuple(int.from_bytes(result.data[at : at + 32], "big") for at in range(0, len(result.data) - 31, 32))


def address_at(words: Sequence[int], index: int) -> Address:
    """Return a word as an address; the zero address where it is missing or none."""
    if index >= len(words) or words[index] >> 160:
        return ZERO_ADDRESS
    return Address(f"0x{words[index]:040x}")


def grown(rate: int, step: int) -> int:
    """Return base units a year of an emission of ``rate`` every ``step`` milliseconds."""
    return rate * YEAR_SECONDS * 1000 // step


def share_of(rate: int, alloc: int, total: int) -> int:
    """Return a pool's part of the emission."""
    return rate * alloc // total if total else 0


def named_token(position: Position, words: Sequence[int], index: int, kind: str) -> Address:
    """Return the token that a view names. Raises ReadFailed when it names none: the contract is another one."""
    token = address_at(words, index)
    if token == ZERO_ADDRESS:
        raise ReadFailed(
            f"position {position.id}: {checksum(position.target)} on {position.chain} names no token of its pool, as "
            f"{kind} does; check target, chain and protocol"
        )
    return token


def moved(position: Position, market: Market, token: Address) -> ReadFailed:
    """Word that a pool stakes something else than it did."""
    return ReadFailed(
        f"position {position.id}: pool {position.params['pid']} now stakes {checksum(token)}, not "
        f"{market.stake_token.symbol}: the chef was migrated; check it and restart keeper"
    )


# ---------------------------------------------------------------------------- calls


def claim_leg(position: Position, market: Market, data: bytes) -> Leg:
    """Leg that claims all rewards of the market by this call of the target."""
    label = "claim " + ", ".join(token.symbol for token in market.reward_tokens)
    return Leg(LegKind.CLAIM, label, position.target, data, brings=market.reward_tokens)


def stake_legs(position: Position, market: Market, amount: Share, template: bytes, word: int) -> tuple[Leg, ...]:
    """Approve exactly, then stake by this call of the target, whose word ``word`` takes the amount."""
    stake = Leg(
        kind=LegKind.DEPOSIT,
        label=f"stake {market.stake_token.symbol}",
        to=position.target,
        template=template,
        patches=(Patch(word, amount),),
        spends=(market.stake_token,),
    )
    return (*approve_legs(position.target, amount), stake)


def bounded(word: int) -> ArgRule:
    """Rule that calldata word ``word`` is an amount that a wallet may have."""
    return ArgRule(word, at_most=AMOUNT_CAP)


def pool_params(
    position: Position, market: Market, verb: Fn, *rules: ArgRule, label: str = "claim and stake"
) -> tuple[Permission, ...]:
    """Permissions for ``verb(pid, ...)`` of this pool only, and for approving the target for the staked token.

    ``rules`` say everything of the words after the pool's number.
    """
    pool = fixed_word(0, int_param(position, "pid"))
    call = Permission(position.target, verb.selector, 1 + len(rules), (pool, *rules), label)
    return (call, approve_permission(market.stake_token, position.target))


# ---------------------------------------------------------------------------- discovery


def ask_staked(chain: str, tokens: Sequence[Address]) -> Questions[dict[Address, Token]]:
    """Ask tokens what they are; those that do not answer like one are left out, as what is found cannot be staked."""
    if not tokens:
        return {}
    results = yield [read for token in tokens for read in erc20_reads(token)]
    known: dict[Address, Token] = {}
    for index, token in enumerate(tokens):
        try:
            known[token] = erc20_from(chain, token, results[2 * index : 2 * index + 2])
        except ReadFailed:
            continue
    return known


def find_pools(
    chain: str,
    place: Place,
    owner: Address,
    named: Callable[[int], Read] | None = None,
    staked: Callable[[ReadResult], Address] | None = None,
) -> Questions[Sequence[Found]]:
    """Find every pool of the chef at ``place`` in which ``owner`` has a stake; nothing where it has no ``poolLength``.

    Args:
        chain: chain name, for tokens.
        place: the chef, with the params that all of its positions share.
        owner: whose stakes.
        named: read that names a pool's token, by its number; ``lpToken(pid)`` by default.
        staked: how its answer names it; the first word by default.
    """
    ask = named or (lambda pid: LP_TOKEN.read(place.target, pid))
    (counted,) = yield [POOL_LENGTH.read(place.target)]
    count = optional(POOL_LENGTH, counted) or 0
    amounts: dict[int, int] = {}
    for top in range(count, max(0, count - _MOST_POOLS), -_BATCH):
        pids = range(max(0, top - _BATCH), top)
        answers = yield [USER_AMOUNT.read(place.target, pid, owner, result_bytes=160) for pid in pids]
        held = zip(pids, (optional(USER_AMOUNT, answer) for answer in answers), strict=True)
        amounts.update({pid: amount for pid, amount in held if amount})
    if not amounts:
        return ()
    staked_in = sorted(amounts)
    answers = yield [ask(pid) for pid in staked_in]
    tokens = [staked(a) if staked else address_at(words_of(a), 0) for a in answers]
    known = yield from ask_staked(chain, tuple(dict.fromkeys(t for t in tokens if t != ZERO_ADDRESS)))
    return [
        Found(
            place=place,
            target=place.target,
            params={**place.params, "pid": pid},
            staked=Amount(known[token], amounts[pid]),
            label=f"pool {pid}, {known[token].symbol}",
        )
        for pid, token in zip(staked_in, tokens, strict=True)
        if token in known
    ]
