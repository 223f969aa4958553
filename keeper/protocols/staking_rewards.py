"""Synthetix StakingRewards and its many copies (Uniswap's liquidity-staker, QuickSwap, Sky): one token in, one out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn
from keeper.domain.block import BlockRef
from keeper.domain.money import Amount
from keeper.domain.observation import Observation
from keeper.domain.plan import Leg, LegKind, Patch, Share
from keeper.domain.position import Market, Position, SideEffect
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import (
    AMOUNT_CAP,
    BALANCE_OF,
    TOTAL_SUPPLY,
    approve_legs,
    approve_permission,
    ask_tokens,
    optional,
)
from keeper.ports import ArgRule, ParamSpec, Permission, Questions
from keeper.protocols.shared import YEAR_SECONDS, accrual, expect

__all__ = ["StakingRewards"]

STAKING_TOKEN: Final = Fn("stakingToken()", "address")
REWARDS_TOKEN: Final = Fn("rewardsToken()", "address")
EARNED: Final = Fn("earned(address)", "uint256")
#: Base units per second for the whole pool; keeps its last value after ``periodFinish``.
REWARD_RATE: Final = Fn("rewardRate()", "uint256")
PERIOD_FINISH: Final = Fn("periodFinish()", "uint256")
#: Synthetix' and Sky's builds can be paused, which stops ``stake`` only; Uniswap's has no such view.
PAUSED: Final = Fn("paused()", "bool")
GET_REWARD: Final = Fn("getReward()")
STAKE: Final = Fn("stake(uint256)")

_KIND: Final = "Synthetix StakingRewards"

#: Gas of a compound on real code (claim, approve, swap, approve, stake), a first swap's cold slots included.
#: The same where the stake is an LP token: a second swap and the adding of liquidity come on top.
_GAS_LP: Final = 840_000


class StakingRewards:
    """Adapter for https://github.com/Synthetixio/synthetix/blob/develop/contracts/StakingRewards.sol ."""

    name = "synthetix-staking-rewards"
    #: Gas units of one compound in the dearest case; what `keeper plan` reckons with.
    typical_gas = _GAS_LP
    params: Mapping[str, ParamSpec] = MappingProxyType({})

    def resolve(self, position: Position) -> Questions[Market]:
        """Ask for the two tokens, and for the sides of the staked one when it is an LP token."""
        fns = (STAKING_TOKEN, REWARDS_TOKEN)
        results = yield [fn.read(position.target) for fn in fns]
        addresses = [expect(fn, result, position, _KIND) for fn, result in zip(fns, results, strict=True)]
        stake, reward = yield from ask_tokens(position.chain, addresses)
        return Market(
            stake_token=stake,
            reward_tokens=(reward,),
            typical_gas=_GAS_LP,
            side_effects=frozenset({SideEffect.OWNER_ONLY}),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """Stake, pending, emission, and what the farm holds of the reward token."""
        farm = position.target
        return (
            BALANCE_OF.read(farm, position.owner),
            EARNED.read(farm, position.owner, gas=30_000),
            TOTAL_SUPPLY.read(farm),
            REWARD_RATE.read(farm),
            PERIOD_FINISH.read(farm),
            BALANCE_OF.read(market.reward_tokens[0].address, farm),
            PAUSED.read(farm),
        )

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; accrual is zero once ``periodFinish`` has passed, whatever ``rewardRate`` still says."""
        fns = (BALANCE_OF, EARNED, TOTAL_SUPPLY, REWARD_RATE, PERIOD_FINISH, BALANCE_OF)
        values = [expect(fn, result, position, _KIND) for fn, result in zip(fns, results[:6], strict=True)]
        stake, earned, total, rate, finish, held = values
        reward = market.reward_tokens[0]
        if reward.address == market.stake_token.address:
            held -= total  # everybody's stake lies in the same balance, and is not there to be paid out
        per_year = rate * YEAR_SECONDS if block.timestamp < finish else 0
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, stake),
            pending=(Amount(reward, earned),),
            accruals=(accrual(reward, per_year, stake, total, finish),),
            deposits_paused=optional(PAUSED, results[6]) == 1,
            underfunded=(reward.symbol,) if held < earned else (),
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:  # noqa: ARG002
        """``getReward()`` pays the caller, and nobody else can call it for the owner."""
        label = f"claim {market.reward_tokens[0].symbol}"
        return (Leg(LegKind.CLAIM, label, position.target, GET_REWARD.encode(), brings=market.reward_tokens),)

    def deposit(
        self,
        position: Position,
        market: Market,
        amount: Share,
        observation: Observation | None = None,  # noqa: ARG002
    ) -> Sequence[Leg]:
        """Approve exactly, then stake."""
        stake = Leg(
            kind=LegKind.DEPOSIT,
            label=f"stake {market.stake_token.symbol}",
            to=position.target,
            template=STAKE.encode(0),
            patches=(Patch(0, amount),),
            spends=(market.stake_token,),
        )
        return (*approve_legs(position.target, amount), stake)

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """Claim, stake, and approve the farm for the staked token."""
        return (
            Permission(position.target, GET_REWARD.selector, 0, (), "claim rewards"),
            Permission(position.target, STAKE.selector, 1, (ArgRule(0, at_most=AMOUNT_CAP),), "stake"),
            approve_permission(market.stake_token, position.target),
        )
