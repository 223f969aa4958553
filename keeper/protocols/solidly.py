"""Gauges of Solidly V1 and its forks, and Thena's: several reward tokens or one, boosts by an NFT, weekly rewards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn
from keeper.domain.block import BlockRef
from keeper.domain.facts import Place
from keeper.domain.money import Address, Amount, Token
from keeper.domain.observation import Accrual, Observation
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
from keeper.protocols.aerodrome import WEEK, WeeklyGauge
from keeper.protocols.gauges import ask_staked_gauges
from keeper.protocols.shared import YEAR_SECONDS, accrual, expect, int_param

__all__ = ["Solidly", "Thena"]

STAKE: Final = Fn("stake()", "address")
REWARDS: Final = Fn("rewards(uint256)", "address")
EARNED: Final = Fn("earned(address,address)", "uint256")
REWARD_RATE: Final = Fn("rewardRate(address)", "uint256")
PERIOD_FINISH: Final = Fn("periodFinish(address)", "uint256")
#: What a stake counts, its boost included; rewards are shared by it.
DERIVED_BALANCES: Final = Fn("derivedBalances(address)", "uint256")
DERIVED_SUPPLY: Final = Fn("derivedSupply()", "uint256")
#: account, tokens.
GET_REWARD: Final = Fn("getReward(address,address[])")
#: amount, number of the ve NFT.
DEPOSIT: Final = Fn("deposit(uint256,uint256)")

_KIND: Final = "a Solidly gauge"

#: Reward tokens that are looked at: the first is the exchange's own, the others may be anybody's.
_MOST_REWARDS: Final = 2

#: Words of getReward before its tokens: account, offset, length.
_HEAD_WORDS: Final = 3
_TOKENS_OFFSET: Final = 64

#: Gas of a compound: claim, two swaps, adding liquidity, staking, with their approvals.
_GAS: Final = 850_000


class Solidly:
    """Adapter for https://github.com/solidlyexchange/solidly/blob/master/contracts/BaseV1-core.sol (Gauge) and forks.

    ``target`` is the gauge. A stake counts 40 % unless a ve NFT is attached to it; rewards are shared by what stakes
    count (``derivedBalances``). Rewards are topped up about weekly and run for a week from then. The claim names the
    account and the tokens; deposits of nothing revert, and none pays. Tokens that the gauge holds too little of are
    told as underfunded: the claim would fail as a whole.
    """

    name = "solidly"
    typical_gas = _GAS
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "rewards": ParamSpec(
                "int", False, "Reward tokens that are claimed, from the gauge's first on: 1 (default) or 2."
            ),
            "ve_token_id": ParamSpec(
                "int", False, "Number of the ve NFT that boosts the stake, given with deposits; default 0, for none."
            ),
        }
    )

    def resolve(self, position: Position) -> Questions[Market]:
        """Ask for the staked token and the rewards. Raises ConfigError for more rewards than can be looked at."""
        wanted = _number(position, "rewards", 1)
        if not 1 <= wanted <= _MOST_REWARDS:
            raise ConfigError(f"position {position.id}: rewards must be 1 or 2, not {wanted}")
        reads = [STAKE.read(position.target), *(REWARDS.read(position.target, index) for index in range(wanted))]
        staking, *paid = yield reads
        addresses = [
            expect(STAKE, staking, position, _KIND),
            *(expect(REWARDS, each, position, _KIND) for each in paid),
        ]
        stake, *rewards = yield from ask_tokens(position.chain, addresses)
        return Market(
            stake_token=stake,
            reward_tokens=tuple(rewards),
            typical_gas=_GAS,
            side_effects=frozenset({SideEffect.OWNER_ONLY}),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """Stake and what it counts, and of each reward: pending, emission, and what the gauge holds."""
        gauge, owner = position.target, position.owner
        stake = (
            BALANCE_OF.read(gauge, owner),
            TOTAL_SUPPLY.read(gauge),
            DERIVED_BALANCES.read(gauge, owner),
            DERIVED_SUPPLY.read(gauge),
        )
        return (*stake, *(read for token in market.reward_tokens for read in _reward_reads(gauge, owner, token)))

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; forks without boosts count every stake in full."""
        stake = expect(BALANCE_OF, results[0], position, _KIND)
        total = expect(TOTAL_SUPPLY, results[1], position, _KIND)
        counted, of_all = optional(DERIVED_BALANCES, results[2]), optional(DERIVED_SUPPLY, results[3])
        if counted is None or of_all is None:
            counted, of_all = stake, total
        pending: list[Amount] = []
        accruals: list[Accrual] = []
        short: list[str] = []
        fns = (EARNED, REWARD_RATE, PERIOD_FINISH, BALANCE_OF)
        for index, token in enumerate(market.reward_tokens):
            own = results[4 + 4 * index : 8 + 4 * index]
            earned, rate, finish, held = (expect(fn, r, position, _KIND) for fn, r in zip(fns, own, strict=True))
            if token.address == market.stake_token.address:
                held -= total
            if held < earned:
                short.append(token.symbol)
            per_year = rate * YEAR_SECONDS if block.timestamp < finish else 0
            pending.append(Amount(token, earned))
            accruals.append(accrual(token, per_year, counted, of_all, finish))
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, stake),
            pending=tuple(pending),
            accruals=tuple(accruals),
            underfunded=tuple(short),
            epoch_seconds=WEEK,
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:  # noqa: ARG002
        """``getReward(account, tokens)``: only the account itself may call it."""
        names = " and ".join(token.symbol for token in market.reward_tokens)
        data = GET_REWARD.encode(position.owner, [token.address for token in market.reward_tokens])
        return (Leg(LegKind.CLAIM, f"claim {names}", position.target, data, brings=market.reward_tokens),)

    def deposit(
        self,
        position: Position,
        market: Market,
        amount: Share,
        observation: Observation | None = None,  # noqa: ARG002
    ) -> Sequence[Leg]:
        """Approve exactly, then deposit with the number of the ve NFT (0 keeps what is attached)."""
        stake = Leg(
            kind=LegKind.DEPOSIT,
            label=f"stake {market.stake_token.symbol}",
            to=position.target,
            template=DEPOSIT.encode(0, _number(position, "ve_token_id", 0)),
            patches=(Patch(0, amount),),
            spends=(market.stake_token,),
        )
        return (*approve_legs(position.target, amount), stake)

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """Claim these tokens for the owner, stake with this NFT, and approve the gauge for the staked token."""
        tokens = market.reward_tokens
        head = (fixed_word(0, position.owner), fixed_word(1, _TOKENS_OFFSET), fixed_word(2, len(tokens)))
        named = (fixed_word(_HEAD_WORDS + index, token.address) for index, token in enumerate(tokens))
        words = _HEAD_WORDS + len(tokens)
        claim = Permission(position.target, GET_REWARD.selector, words, (*head, *named), "claim rewards")
        args = (ArgRule(0, at_most=AMOUNT_CAP), fixed_word(1, _number(position, "ve_token_id", 0)))
        stake = Permission(position.target, DEPOSIT.selector, 2, args, "stake")
        return (claim, stake, approve_permission(market.stake_token, position.target))

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Find the account's stakes: ``target`` of the place is a gauge, or the voter that lists them all."""
        return (yield from ask_staked_gauges(chain, place, owner, STAKE))


class Thena(WeeklyGauge):
    """Adapter for https://github.com/ThenafiBNB/THENA-Contracts/blob/main/contracts/GaugeV2.sol and its copies.

    ``target`` is the gauge. One reward token, a week from each distribution. The claim takes no argument. In an
    emergency it takes no deposits. What a further rewarder contract pays on the side is not counted and not touched.
    """

    name = "thena"
    kind = "a Thena gauge"
    staking = Fn("TOKEN()", "address")
    claim = Fn("getReward()")
    stopped = "the gauge is in an emergency: it takes no deposits"

    #: Read of the gauge itself.
    emergency: Final = Fn("emergency()", "bool")

    def claim_args(self, position: Position) -> tuple[Address, ...]:  # noqa: ARG002
        """None."""
        return ()

    def alive_read(self, position: Position, market: Market) -> Read:  # noqa: ARG002
        """Ask the gauge."""
        return self.emergency.read(position.target)

    def is_alive(self, answer: ReadResult, position: Position) -> bool:  # noqa: ARG002
        """Copies without emergencies never stop."""
        return optional(self.emergency, answer) != 1

    def ask_contracts(self, position: Position) -> Questions[Mapping[str, Address]]:  # noqa: ARG002
        """Need no other contract."""
        return MappingProxyType({})
        yield []  # type: ignore[unreachable]  # makes this a generator, as the port wants


def _number(position: Position, key: str, default: int) -> int:
    return int_param(position, key) if key in position.params else default


def _reward_reads(gauge: Address, owner: Address, token: Token) -> tuple[Read, ...]:
    return (
        EARNED.read(gauge, token.address, owner, gas=60_000),
        REWARD_RATE.read(gauge, token.address),
        PERIOD_FINISH.read(gauge, token.address),
        BALANCE_OF.read(token.address, gauge),
    )
