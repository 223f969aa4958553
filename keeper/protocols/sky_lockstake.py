"""Sky's LockstakeEngine: SKY (once MKR) locked in an urn, whose farm's rewards are sold and locked again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import EventSig, Fn, checksum
from keeper.domain.block import BlockRef
from keeper.domain.facts import Place
from keeper.domain.money import Address, Amount
from keeper.domain.observation import Observation
from keeper.domain.plan import Leg, LegKind, Patch, Proof, Share
from keeper.domain.position import Market, Position, SideEffect
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import (
    AMOUNT_CAP,
    BALANCE_OF,
    TOTAL_SUPPLY,
    ZERO_ADDRESS,
    approve_legs,
    approve_permission,
    ask_tokens,
    fixed_word,
    optional,
)
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import ArgRule, Found, ParamSpec, Permission, Questions
from keeper.protocols.shared import YEAR_SECONDS, accrual, expect, int_param

__all__ = ["SkyLockstake"]

#: The engine of 2024 locks MKR; the one of 2025 has no such getter, and locks SKY.
MKR: Final = Fn("mkr()", "address")
SKY: Final = Fn("sky()", "address")
URNS_COUNT: Final = Fn("ownerUrnsCount(address)", "uint256")
OWNER_URNS: Final = Fn("ownerUrns(address,uint256)", "address")
URN_FARMS: Final = Fn("urnFarms(address)", "address")
#: 0 unsupported, 1 active, 2 deleted.
FARMS: Final = Fn("farms(address)", "uint8")
#: Taken from what is freed, in 18 digits.
EXIT_FEE: Final = Fn("fee()", "uint256")
REWARDS_TOKEN: Final = Fn("rewardsToken()", "address")
EARNED: Final = Fn("earned(address)", "uint256")
REWARD_RATE: Final = Fn("rewardRate()", "uint256")
PERIOD_FINISH: Final = Fn("periodFinish()", "uint256")
PAUSED: Final = Fn("paused()", "bool")
#: owner, index, farm, to.
GET_REWARD: Final = Fn("getReward(address,uint256,address,address)", "uint256")
#: owner, index, wad, referral.
LOCK: Final = Fn("lock(address,uint256,uint256,uint16)")
LOCKED: Final = EventSig("Lock(address,uint256,uint256,uint16)")

#: Urns of one account that are looked through.
_MOST_URNS: Final = 100
_ACTIVE: Final = 1
_WAD: Final = 10**18

#: Name of the note: the fee on what is freed one day, parts per million.
EXIT_FEE_PPM: Final = "exit_fee_ppm"

_KIND: Final = "Sky's LockstakeEngine"
_FARM: Final = f"{_KIND} (the urn's farm)"

#: Gas of a compound: claim through the urn, approve, swap, approve, lock and stake.
_GAS: Final = 750_000


class SkyLockstake:
    """Adapter: ``target`` is the engine, the stake is the urn ``index`` of the owner, in the farm selected for it.

    Rewards are claimed to the owner, who signs for himself: a signer of another address would need the engine's
    ``hope``, which keeper never gives. A farm that Sky has deleted still pays, but locking into it reverts. The
    engine's exit fee is taken from everything freed, what was compounded included, and noted.
    """

    name = "sky-lockstake"
    #: Gas units of one compound in the dearest case; what `keeper plan` reckons with.
    typical_gas = _GAS
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "index": ParamSpec("int", True, "Number of the owner's urn; the first is 0."),
            "referral": ParamSpec("int", False, "Referral code given with each lock; default 0."),
        }
    )

    def resolve(self, position: Position) -> Questions[Market]:
        """Find the urn, its farm, and what the two pay in and out."""
        index, _ = int_param(position, "index"), _referral(position)
        results = yield [
            OWNER_URNS.read(position.target, position.owner, index),
            URNS_COUNT.read(position.target, position.owner),
            SKY.read(position.target),
            MKR.read(position.target),
        ]
        urn = expect(OWNER_URNS, results[0], position, _KIND)
        count = expect(URNS_COUNT, results[1], position, _KIND)
        sky = expect(SKY, results[2], position, _KIND)
        staked = sky if optional(MKR, results[3]) is None else MKR.value(results[3])
        if urn == ZERO_ADDRESS:
            raise ConfigError(f"position {position.id}: the owner has {count} urns and none with index {index}")
        (selected,) = yield [URN_FARMS.read(position.target, urn)]
        farm = expect(URN_FARMS, selected, position, _KIND)
        if farm == ZERO_ADDRESS:
            raise ConfigError(
                f"position {position.id}: urn {index} has no farm selected, so it earns nothing; select one"
            )
        answers = yield [REWARDS_TOKEN.read(farm), EARNED.read(farm, urn, gas=40_000)]
        paid = expect(REWARDS_TOKEN, answers[0], position, _FARM)
        expect(EARNED, answers[1], position, _FARM)
        stake, reward = yield from ask_tokens(position.chain, (staked, paid))
        return Market(
            stake_token=stake,
            reward_tokens=(reward,),
            contracts=MappingProxyType({"urn": urn, "farm": farm}),
            typical_gas=_GAS,
            side_effects=frozenset({SideEffect.OWNER_ONLY}),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """The urn's stake in its farm, the farm's emission and funds, and whether both still take part."""
        engine, urn, farm = position.target, market.contracts["urn"], market.contracts["farm"]
        return (
            BALANCE_OF.read(farm, urn),
            EARNED.read(farm, urn, gas=40_000),
            TOTAL_SUPPLY.read(farm),
            REWARD_RATE.read(farm),
            PERIOD_FINISH.read(farm),
            BALANCE_OF.read(market.reward_tokens[0].address, farm),
            URN_FARMS.read(engine, urn),
            FARMS.read(engine, farm),
            OWNER_URNS.read(engine, position.owner, int_param(position, "index")),
            PAUSED.read(farm),
            EXIT_FEE.read(engine),
        )

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; an urn that was moved to another farm must be looked at anew."""
        fns = (BALANCE_OF, EARNED, TOTAL_SUPPLY, REWARD_RATE, PERIOD_FINISH, BALANCE_OF, URN_FARMS, FARMS)
        pairs = zip((*fns, OWNER_URNS), results[:9], strict=True)
        values = [expect(fn, result, position, _KIND) for fn, result in pairs]
        stake, earned, total, rate, finish, held, farm, status, urn = values
        if urn != market.contracts["urn"]:
            raise ReadFailed(f"position {position.id}: this urn belongs to another owner; check owner and index")
        if farm != market.contracts["farm"]:
            raise ReadFailed(
                f"position {position.id}: the urn's farm is now {checksum(farm)}; harvest what the old one still owes "
                "by hand, and restart keeper"
            )
        reward = market.reward_tokens[0]
        per_year = rate * YEAR_SECONDS if block.timestamp < finish else 0
        fee = (optional(EXIT_FEE, results[10]) or 0) * 10**6 // _WAD
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, stake),
            pending=(Amount(reward, earned),),
            accruals=(accrual(reward, per_year, stake, total, finish),),
            deposits_paused=status != _ACTIVE or optional(PAUSED, results[9]) == 1,
            harvest_paused=status == 0,
            underfunded=(reward.symbol,) if held < earned else (),
            notes=((EXIT_FEE_PPM, fee),),
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:  # noqa: ARG002
        """Claim from the farm through the urn, to the owner."""
        index = int_param(position, "index")
        data = GET_REWARD.encode(position.owner, index, market.contracts["farm"], position.owner)
        label = f"claim {market.reward_tokens[0].symbol}"
        return (Leg(LegKind.CLAIM, label, position.target, data, brings=market.reward_tokens),)

    def deposit(
        self,
        position: Position,
        market: Market,
        amount: Share,
        observation: Observation | None = None,  # noqa: ARG002
    ) -> Sequence[Leg]:
        """Approve exactly, then lock into the same urn, which stakes in its farm at once."""
        lock = Leg(
            kind=LegKind.DEPOSIT,
            label=f"lock {market.stake_token.symbol}",
            to=position.target,
            template=LOCK.encode(position.owner, int_param(position, "index"), 0, _referral(position)),
            patches=(Patch(2, amount),),
            spends=(market.stake_token,),
            proves=(Proof(position.target, LOCKED.topic),),
        )
        return (*approve_legs(position.target, amount), lock)

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """Claim from this farm to the owner, lock into this urn, and approve the engine for the locked token."""
        urn = (fixed_word(0, position.owner), fixed_word(1, int_param(position, "index")))
        claim = (*urn, fixed_word(2, market.contracts["farm"]), fixed_word(3, position.owner))
        lock = (*urn, ArgRule(2, at_most=AMOUNT_CAP), fixed_word(3, _referral(position)))
        return (
            Permission(position.target, GET_REWARD.selector, 4, claim, "claim to the owner"),
            Permission(position.target, LOCK.selector, 4, lock, f"lock {market.stake_token.symbol}"),
            approve_permission(market.stake_token, position.target),
        )

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Look through all urns of the account for those with a stake in a farm."""
        counted, sky, mkr = yield [URNS_COUNT.read(place.target, owner), SKY.read(place.target), MKR.read(place.target)]
        count = min(optional(URNS_COUNT, counted) or 0, _MOST_URNS)
        if not count:
            return ()
        answers = yield [OWNER_URNS.read(place.target, owner, index) for index in range(count)]
        urns = [OWNER_URNS.value(answer) for answer in answers]
        answers = yield [URN_FARMS.read(place.target, urn) for urn in urns]
        farms = [URN_FARMS.value(answer) for answer in answers]
        chosen = [index for index, farm in enumerate(farms) if farm != ZERO_ADDRESS]
        if not chosen:
            return ()
        answers = yield [BALANCE_OF.read(farms[index], urns[index]) for index in chosen]
        staked = {i: optional(BALANCE_OF, answer) for i, answer in zip(chosen, answers, strict=True)}
        locked = SKY.value(sky) if optional(MKR, mkr) is None else MKR.value(mkr)
        (token,) = yield from ask_tokens(chain, (locked,))
        return [
            Found(place, place.target, {**place.params, "index": index}, Amount(token, stake), f"urn {index}")
            for index, stake in staked.items()
            if stake
        ]


def _referral(position: Position) -> int:
    """Return the referral code. Raises ConfigError when it is none."""
    code = int_param(position, "referral") if "referral" in position.params else 0
    if code >= 1 << 16:
        raise ConfigError(f"position {position.id}: referral must be below 65536, not {code}")
    return code
