"""MasterChef V1 (SushiSwap) and its many renamed forks: pools by number, rewards per block or per second, LP stakes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn, checksum, decode
from keeper.domain.block import BlockRef
from keeper.domain.money import Amount
from keeper.domain.observation import Observation
from keeper.domain.plan import Leg, LegKind, Patch, Share
from keeper.domain.position import Market, Position, SideEffect
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import (
    AMOUNT_CAP,
    BALANCE_OF,
    approve_legs,
    approve_permission,
    ask_tokens,
    fixed_word,
    optional,
)
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import ArgRule, ParamSpec, Permission, Questions
from keeper.protocols.shared import YEAR_SECONDS, accrual, expect, int_param, text_param

__all__ = ["MasterChef"]

#: lpToken, allocPoint, last reward block (or time), accumulated reward per share. Forks append words of their own.
POOL_INFO: Final = Fn("poolInfo(uint256)", "address,uint256,uint256,uint256")
#: amount, rewardDebt.
USER_INFO: Final = Fn("userInfo(uint256,address)", "uint256,uint256")
TOTAL_ALLOC: Final = Fn("totalAllocPoint()", "uint256")
MULTIPLIER: Final = Fn("getMultiplier(uint256,uint256)", "uint256")
BONUS_MULTIPLIER: Final = Fn("BONUS_MULTIPLIER()", "uint256")
BONUS_END: Final = Fn("bonusEndBlock()", "uint256")
DEPOSIT: Final = Fn("deposit(uint256,uint256)")

#: A block after every bonus: what ``getMultiplier`` says of it holds for good, and the read stays the same each cycle.
_FAR_BLOCK: Final = 2**64

_KIND: Final = "a MasterChef"
_GETTER: Final = re.compile(r"[A-Za-z_]\w*\(\)\Z")
_PENDING: Final = re.compile(r"[A-Za-z_]\w*\(uint256,address\)\Z")

#: Gas of a compound on real code: claim, approve, swap, approve, deposit.
#: The same with a second swap and the adding of liquidity.
_GAS_LP: Final = 780_000


class MasterChef:
    """Adapter for https://github.com/sushiswap/masterchef/blob/master/contracts/MasterChef.sol .

    Its views are one block behind: a harvest mined in the next block pays that block's reward too.
    ``safeTransfer`` silently pays less when the chef runs short, so a short chef is reported as underfunded.
    """

    name = "masterchef"
    #: Gas units of one compound in the dearest case; what `keeper plan` reckons with.
    typical_gas = _GAS_LP
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "pid": ParamSpec("int", True, "Number of the pool in the chef."),
            "pending": ParamSpec("str", False, 'Pending view; default "pendingSushi(uint256,address)".'),
            "reward": ParamSpec("str", False, 'Getter of the reward token; default "sushi()".'),
            "per_block": ParamSpec("str", False, 'Getter of the emission per block; default "sushiPerBlock()".'),
            "per_second": ParamSpec("str", False, "Getter of the emission per second, for forks that count seconds."),
            "block_time_ms": ParamSpec("int", False, "Milliseconds between blocks; filled in from the chain's facts."),
        }
    )

    def resolve(self, position: Position) -> Questions[Market]:
        """Ask for the pool's token and the reward, and refuse pools that take a fee on every deposit."""
        pid = int_param(position, "pid")
        _emission(position)
        reward_fn = _getter(position, "reward", "sushi()")
        pending = _pending(position).read(position.target, pid, position.owner, gas=60_000)
        results = yield [
            POOL_INFO.read(position.target, pid),
            reward_fn.read(position.target),
            pending,
            _emission(position)[0].read(position.target),
        ]
        staked = expect(POOL_INFO, results[0], position, f"{_KIND} with a pool {pid}")
        paid = expect(reward_fn, results[1], position, f"{_KIND} (param reward)")
        expect(_pending(position), results[2], position, f"{_KIND} (param pending)")
        expect(_emission(position)[0], results[3], position, f"{_KIND} (param per_block or per_second)")
        _refuse_deposit_fee(position, results[0].data)
        stake, reward = yield from ask_tokens(position.chain, (staked, paid))
        effects = {SideEffect.OWNER_ONLY, SideEffect.NO_HARVEST_EVENT, SideEffect.DEPOSIT_PAYS}
        return Market(
            stake_token=stake,
            reward_tokens=(reward,),
            typical_gas=_GAS_LP,
            side_effects=frozenset(effects if _per_second(position) else effects | {SideEffect.PER_BLOCK}),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """Stake, pending, the pool's share of the emission, and what the chef holds."""
        chef, pid = position.target, int_param(position, "pid")
        return (
            USER_INFO.read(chef, pid, position.owner),
            _pending(position).read(chef, pid, position.owner, gas=60_000),
            POOL_INFO.read(chef, pid),
            TOTAL_ALLOC.read(chef),
            _emission(position)[0].read(chef),
            BALANCE_OF.read(market.stake_token.address, chef),
            BALANCE_OF.read(market.reward_tokens[0].address, chef),
            MULTIPLIER.read(chef, _FAR_BLOCK, _FAR_BLOCK + 1),
            BONUS_MULTIPLIER.read(chef),
            BONUS_END.read(chef),
        )

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; the forward rate is the pool's part of the emission, with the multiplier that holds now."""
        fns = (USER_INFO, _pending(position), TOTAL_ALLOC, _emission(position)[0], BALANCE_OF, BALANCE_OF)
        required = (*results[:2], *results[3:7])
        values = [expect(fn, result, position, _KIND) for fn, result in zip(fns, required, strict=True)]
        stake, pending, total_alloc, rate, supply, held = values
        lp_token, alloc, last, _ = POOL_INFO.values(results[2])
        if lp_token != market.stake_token.address:
            raise ReadFailed(
                f"position {position.id}: pool {position.params['pid']} now stakes {checksum(lp_token)}, not "
                f"{market.stake_token.symbol}: the chef was migrated; check it and restart keeper"
            )
        multiplier, ends_at = _multiplier(results[7:10], position, block)
        pool_rate = rate * multiplier * alloc // total_alloc if total_alloc else 0
        now = block.timestamp if _per_second(position) else block.number
        unminted = pool_rate * max(0, now - last)
        reward = market.reward_tokens[0]
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, stake),
            pending=(Amount(reward, pending),),
            accruals=(accrual(reward, _per_year(position, pool_rate), stake, supply, ends_at),),
            # A chef mints what the pool has earned before it pays: what is not minted yet counts as held.
            underfunded=(reward.symbol,) if held + unminted < pending else (),
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:  # noqa: ARG002
        """``deposit(pid, 0)`` pays what is pending and stakes nothing."""
        label = f"claim {market.reward_tokens[0].symbol}"
        data = DEPOSIT.encode(int_param(position, "pid"), 0)
        return (Leg(LegKind.CLAIM, label, position.target, data, brings=market.reward_tokens),)

    def deposit(
        self,
        position: Position,
        market: Market,
        amount: Share,
        observation: Observation | None = None,  # noqa: ARG002
    ) -> Sequence[Leg]:
        """Approve exactly, then ``deposit(pid, amount)``, which also pays what accrued since the claim."""
        stake = Leg(
            kind=LegKind.DEPOSIT,
            label=f"stake {market.stake_token.symbol}",
            to=position.target,
            template=DEPOSIT.encode(int_param(position, "pid"), 0),
            patches=(Patch(1, amount),),
            spends=(market.stake_token,),
        )
        return (*approve_legs(position.target, amount), stake)

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """``deposit`` into this pool only (it claims and stakes), and approve the chef for the staked token."""
        pool = fixed_word(0, int_param(position, "pid"))
        bounded = ArgRule(1, at_most=AMOUNT_CAP)
        return (
            Permission(position.target, DEPOSIT.selector, 2, (pool, bounded), "claim and stake"),
            approve_permission(market.stake_token, position.target),
        )


@lru_cache(maxsize=256)
def _fn(signature: str, returns: str) -> Fn:
    """Make a call once: hashing a signature costs more than all else that a cycle does for a position."""
    return Fn(signature, returns)


def _getter(position: Position, key: str, default: str, returns: str = "address") -> Fn:
    signature = text_param(position, key, default)
    if not _GETTER.match(signature):
        raise ConfigError(f'position {position.id}: {key} must be a getter like "{default}", not {signature!r}')
    return _fn(signature, returns)


def _pending(position: Position) -> Fn:
    signature = text_param(position, "pending", "pendingSushi(uint256,address)")
    if not _PENDING.match(signature):
        raise ConfigError(
            f"position {position.id}: pending must take (uint256,address), "
            f'like "pendingCake(uint256,address)", not {signature!r}'
        )
    return _fn(signature, "uint256")


def _per_second(position: Position) -> bool:
    return "per_second" in position.params


def _emission(position: Position) -> tuple[Fn, int]:
    """Return the getter of the emission and milliseconds per step. Raises ConfigError when neither is known."""
    if _per_second(position):
        return _getter(position, "per_second", "joePerSec()", "uint256"), 1000
    step = int_param(position, "block_time_ms")
    if step == 0:
        raise ConfigError(f"position {position.id}: block_time_ms must be above 0")
    return _getter(position, "per_block", "sushiPerBlock()", "uint256"), step


def _per_year(position: Position, pool_rate: int) -> int:
    return pool_rate * YEAR_SECONDS * 1000 // _emission(position)[1]


def _multiplier(results: Sequence[ReadResult], position: Position, block: BlockRef) -> tuple[int, int | None]:
    """Return the emission's multiplier now, and when it ends.

    Sushi multiplies until ``bonusEndBlock``; Pancake's multiplier is a switch inside ``getMultiplier``; in forks
    where ``getMultiplier`` is 0 beyond ``bonusEndBlock`` that block is the end of the emission.
    """
    after, bonus, end_block = (
        optional(fn, result) for fn, result in zip((MULTIPLIER, BONUS_MULTIPLIER, BONUS_END), results, strict=True)
    )
    later = 1 if after is None else after
    if end_block is None or _per_second(position) or block.number >= end_block:
        return later, block.timestamp if later == 0 else None
    ends_at = block.timestamp + (end_block - block.number) * _emission(position)[1] // 1000
    return (1 if bonus is None else bonus), ends_at if later == 0 else None


def _refuse_deposit_fee(position: Position, pool_info: bytes) -> None:
    """Refuse forks whose fifth pool word is a fee in basis points (Goose): it would eat each re-deposit."""
    if len(pool_info) < 160:
        return
    fee = decode(("uint256",), pool_info[128:160])[0]
    if 0 < fee <= 10_000:
        raise ConfigError(
            f"position {position.id}: pool {position.params['pid']} of {checksum(position.target)} seems to take "
            f"{fee} basis points of every deposit; compounding would pay that fee each time, so keeper refuses"
        )
