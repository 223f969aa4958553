"""Compound III (Comet) supplies of the base token: the balance grows by itself, the rewards are compounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn, checksum
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
    ZERO_ADDRESS,
    approve_legs,
    approve_permission,
    ask_tokens,
    fixed_word,
    optional,
)
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import ArgRule, Found, ParamSpec, Permission, Questions
from keeper.protocols.shared import YEAR_SECONDS, accrual, address_param, expect

__all__ = ["CompoundV3"]

BASE_TOKEN: Final = Fn("baseToken()", "address")
#: Base units of a millionth of the reward token, times the scale, that the whole pool tracks a second.
SPEED: Final = Fn("baseTrackingSupplySpeed()", "uint256")
TRACKING_SCALE: Final = Fn("trackingIndexScale()", "uint256")
#: Nothing is tracked while less than this is supplied.
MIN_FOR_REWARDS: Final = Fn("baseMinForRewards()", "uint256")
#: Four indices, total supply and borrow as principals, time, pause flags.
TOTALS: Final = Fn("totalsBasic()", "uint64,uint64,uint64,uint64,uint104,uint104,uint40,uint8")
#: principal (negative for who borrows), and what is tracked for the account.
USER: Final = Fn("userBasic(address)", "int104,uint64,uint64,uint16,uint8")
SUPPLY_PAUSED: Final = Fn("isSupplyPaused()", "bool")
#: token, factor, whether it multiplies; newer builds append a multiplier of 18 digits.
REWARD_CONFIG: Final = Fn("rewardConfig(address)", "address,uint64,bool")
#: No view in the ABI, because it accrues; asked as one all the same, and as often as one likes.
REWARD_OWED: Final = Fn("getRewardOwed(address,address)", "address,uint256")
CLAIM: Final = Fn("claim(address,address,bool)")
SUPPLY: Final = Fn("supply(address,uint256)")

_TOTAL_SUPPLY_WORD: Final = 4
#: Rewards are tracked in millionths of a token.
_TRACKED_ONE: Final = 10**6
_WAD: Final = 10**18
_KIND: Final = "a Comet of Compound III"
_REWARDS: Final = "its CometRewards (param rewards)"

#: Gas of a compound on real code: claim, approve, swap, approve, supply.
_GAS: Final = 450_000


class CompoundV3:
    """Adapter: ``target`` is the Comet, the principal its base token with interest.

    ``baseTrackingAccrued`` alone is neither up to date nor in the reward's units, so ``getRewardOwed`` is asked.
    A CometRewards that has run dry reverts; it is then reported as underfunded. ``claim`` pays the owner, whoever
    calls it.
    """

    name = "compound-v3"
    #: Gas units of one compound in the dearest case; what `keeper plan` reckons with.
    typical_gas = _GAS
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {"rewards": ParamSpec("address", True, "CometRewards of this chain, which pays COMP for all its Comets.")}
    )

    def resolve(self, position: Position) -> Questions[Market]:
        """Ask for the base token, and for what CometRewards pays."""
        rewards = address_param(position, "rewards")
        results = yield [
            BASE_TOKEN.read(position.target),
            TOTALS.read(position.target),
            REWARD_CONFIG.read(rewards, position.target, result_bytes=128),
        ]
        base = expect(BASE_TOKEN, results[0], position, _KIND)
        expect(TOTALS, results[1], position, _KIND)
        paid = expect(REWARD_CONFIG, results[2], position, _REWARDS)
        if paid == ZERO_ADDRESS:
            raise ConfigError(
                f"position {position.id}: {checksum(rewards)} pays nothing for this Comet, so there is nothing to "
                "harvest (interest compounds by itself); check param rewards, or remove the position"
            )
        stake, reward = yield from ask_tokens(position.chain, (base, paid))
        return Market(
            stake_token=stake,
            reward_tokens=(reward,),
            contracts=MappingProxyType({"rewards": rewards}),
            typical_gas=_GAS,
            side_effects=frozenset({SideEffect.ANYONE_MAY_HARVEST, SideEffect.REBASING_PRINCIPAL}),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """Balance, what is owed, the speed with all that turns it into a rate, the pause, the reward's funds."""
        comet, rewards = position.target, market.contracts["rewards"]
        return (
            BALANCE_OF.read(comet, position.owner, gas=40_000),
            REWARD_OWED.read(rewards, comet, position.owner, gas=150_000),
            USER.read(comet, position.owner),
            TOTALS.read(comet),
            SPEED.read(comet),
            TRACKING_SCALE.read(comet),
            MIN_FOR_REWARDS.read(comet),
            REWARD_CONFIG.read(rewards, comet, result_bytes=128),
            BALANCE_OF.read(market.reward_tokens[0].address, rewards),
            SUPPLY_PAUSED.read(comet),
        )

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; the rate is the tracking speed in the reward's units, and nothing below the pool's minimum."""
        fns = (BALANCE_OF, REWARD_OWED, USER, TOTALS, SPEED, TRACKING_SCALE, MIN_FOR_REWARDS)
        values = [expect(fn, result, position, _KIND) for fn, result in zip(fns, results[:7], strict=True)]
        balance, _, principal, _, speed, scale, minimum = values
        _, owed = REWARD_OWED.values(results[1])
        reward = market.reward_tokens[0]
        token = expect(REWARD_CONFIG, results[7], position, _REWARDS)
        if token != reward.address:
            raise ReadFailed(
                f"position {position.id}: CometRewards now pays {checksum(token)}, not {reward.symbol}; restart keeper"
            )
        held = expect(BALANCE_OF, results[8], position, _KIND)
        total = TOTALS.values(results[3])[_TOTAL_SUPPLY_WORD]
        tracked = speed * YEAR_SECONDS * _TRACKED_ONE if total >= minimum and scale else 0
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, balance),
            pending=(Amount(reward, owed),),
            accruals=(accrual(reward, _rescaled(results[7], tracked) // (scale or 1), max(0, principal), total, None),),
            deposits_paused=optional(SUPPLY_PAUSED, results[9]) == 1,
            underfunded=(reward.symbol,) if held < owed else (),
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:  # noqa: ARG002
        """Claim for the owner, with everything accrued until then."""
        data = CLAIM.encode(position.target, position.owner, True)
        label = f"claim {market.reward_tokens[0].symbol}"
        return (Leg(LegKind.CLAIM, label, market.contracts["rewards"], data, brings=market.reward_tokens),)

    def deposit(
        self,
        position: Position,
        market: Market,
        amount: Share,
        observation: Observation | None = None,  # noqa: ARG002
    ) -> Sequence[Leg]:
        """Approve exactly, then supply for the caller."""
        supply = Leg(
            kind=LegKind.DEPOSIT,
            label=f"supply {market.stake_token.symbol}",
            to=position.target,
            template=SUPPLY.encode(market.stake_token.address, 0),
            patches=(Patch(1, amount),),
            spends=(market.stake_token,),
        )
        return (*approve_legs(position.target, amount), supply)

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """Claim this Comet's rewards for the owner, supply the base token, and approve the Comet for it."""
        claim = (fixed_word(0, position.target), fixed_word(1, position.owner), fixed_word(2, 1))
        supply = (fixed_word(0, market.stake_token.address), ArgRule(1, at_most=AMOUNT_CAP))
        return (
            Permission(market.contracts["rewards"], CLAIM.selector, 3, claim, "claim for the owner"),
            Permission(position.target, SUPPLY.selector, 2, supply, f"supply {market.stake_token.symbol}"),
            approve_permission(market.stake_token, position.target),
        )

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Ask the Comet itself; its place carries the param ``rewards``."""
        balance, base = yield [BALANCE_OF.read(place.target, owner, gas=40_000), BASE_TOKEN.read(place.target)]
        if not optional(BALANCE_OF, balance):
            return ()
        (token,) = yield from ask_tokens(chain, (BASE_TOKEN.value(base),))
        staked = Amount(token, BALANCE_OF.value(balance))
        return (Found(place, place.target, place.params, staked, f"{token.symbol} supplied"),)


def _rescaled(config: ReadResult, tracked: int) -> int:
    """Turn millionths of a reward into its base units, as CometRewards does."""
    _, factor, upscale = REWARD_CONFIG.values(config)
    multiplier = int.from_bytes(config.data[96:128], "big") if len(config.data) >= 128 else _WAD
    return (tracked * factor if upscale else tracked // (factor or 1)) * multiplier // _WAD
