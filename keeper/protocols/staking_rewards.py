"""Synthetix StakingRewards and its many copies (Uniswap's liquidity-staker, QuickSwap, Sky): one token in, one out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn
from keeper.domain.block import BlockRef
from keeper.domain.facts import Place
from keeper.domain.money import Address, Amount
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
    fixed_word,
    optional,
)
from keeper.errors import ConfigError
from keeper.ports import ArgRule, Found, ParamSpec, Permission, Questions
from keeper.protocols.chefs import ask_staked
from keeper.protocols.shared import YEAR_SECONDS, accrual, expect, int_param

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
#: Sky's: a referral code is credited with the stake.
STAKE_REFERRED: Final = Fn("stake(uint256,uint16)")

#: A registry's list of farms, where there is one (QuickSwap's and Uniswap's StakingRewardsFactory): token by number.
REGISTERED: Final = Fn("stakingTokens(uint256)", "address")
#: The farm of a staked token there; forks append more to the answer.
FARM_OF: Final = Fn("stakingRewardsInfoByStakingToken(address)", "address")

#: Most farms of one registry that are looked at, and how many in one batch.
_MOST_FARMS: Final = 2_000
_BATCH: Final = 200

#: Largest referral code.
_MAX_REFERRAL: Final = 2**16 - 1

_KIND: Final = "Synthetix StakingRewards"

#: Gas of a compound on real code where the stake is an LP token: claim, two swaps, adding of liquidity, stake, each
#: with its approval; a first swap's cold slots included. 480,000 where one swap does.
_GAS_LP: Final = 840_000


class StakingRewards:
    """Adapter for https://github.com/Synthetixio/synthetix/blob/develop/contracts/StakingRewards.sol .

    Synthetix' and Sky's builds can be paused, which stops staking while claims go on: reported, so that a reward is not
    claimed and sold for a stake that would be refused.
    """

    name = "synthetix-staking-rewards"
    #: Gas units of one compound in the dearest case; what `keeper plan` reckons with.
    typical_gas = _GAS_LP
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "referral": ParamSpec(
                "int", False, "Sky farms: referral code of each stake, 0 for none; default: stake without one."
            )
        }
    )

    def resolve(self, position: Position) -> Questions[Market]:
        """Ask for the two tokens."""
        _referral(position)
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
        """Approve exactly, then stake, with the referral code where there is one."""
        referral = _referral(position)
        stake = Leg(
            kind=LegKind.DEPOSIT,
            label=f"stake {market.stake_token.symbol}",
            to=position.target,
            template=STAKE.encode(0) if referral is None else STAKE_REFERRED.encode(0, referral),
            patches=(Patch(0, amount),),
            spends=(market.stake_token,),
        )
        return (*approve_legs(position.target, amount), stake)

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """Claim, stake (with this referral code only), and approve the farm for the staked token."""
        referral, bounded = _referral(position), ArgRule(0, at_most=AMOUNT_CAP)
        if referral is None:
            stake = Permission(position.target, STAKE.selector, 1, (bounded,), "stake")
        else:
            rules = (bounded, fixed_word(1, referral))
            stake = Permission(position.target, STAKE_REFERRED.selector, 2, rules, f"stake, referral {referral}")
        return (
            Permission(position.target, GET_REWARD.selector, 0, (), "claim rewards"),
            stake,
            approve_permission(market.stake_token, position.target),
        )

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Look into one farm, or into every farm of a StakingRewardsFactory."""
        farms = (yield from _registered(place.target)) or [place.target]
        found: list[Found] = []
        for start in range(0, len(farms), _BATCH):
            batch = farms[start : start + _BATCH]
            results = yield [
                read for farm in batch for read in (BALANCE_OF.read(farm, owner), STAKING_TOKEN.read(farm))
            ]
            for farm, stake, token in zip(batch, results[::2], results[1::2], strict=True):
                amount, staked = optional(BALANCE_OF, stake), optional(STAKING_TOKEN, token)
                if amount and staked:
                    known = yield from ask_staked(chain, [Address(f"0x{staked:040x}")])
                    found += [
                        Found(place, farm, place.params, Amount(t, amount), f"stake of {t.symbol}")
                        for t in known.values()
                    ]
        return found


def _registered(registry: Address) -> Questions[list[Address]]:
    """List a registry's farms; empty when the contract is none (a farm itself)."""
    tokens: list[Address] = []
    for start in range(0, _MOST_FARMS, _BATCH):
        answers = yield [REGISTERED.read(registry, number) for number in range(start, start + _BATCH)]
        listed = [answer for answer in (optional(REGISTERED, result) for result in answers) if answer]
        tokens += [Address(f"0x{token:040x}") for token in listed]
        if len(listed) < _BATCH:
            break
    if not tokens:
        return []
    farms = yield [FARM_OF.read(registry, token, result_bytes=160) for token in tokens]
    return [Address(f"0x{farm:040x}") for farm in (optional(FARM_OF, result) for result in farms) if farm]


def _referral(position: Position) -> int | None:
    """Return the referral code, or ``None`` for farms that take none."""
    if "referral" not in position.params:
        return None
    referral = int_param(position, "referral")
    if referral > _MAX_REFERRAL:
        raise ConfigError(f"position {position.id}: referral must be 0 to {_MAX_REFERRAL}, not {referral}")
    return referral
