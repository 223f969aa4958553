"""Gauges of Aerodrome and Velodrome V2: an LP token staked, one reward token by the week, nothing paid on deposit."""

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
from keeper.erc20 import AMOUNT_CAP, BALANCE_OF, TOTAL_SUPPLY, approve_legs, approve_permission, ask_tokens, fixed_word
from keeper.ports import ArgRule, Found, ParamSpec, Permission, Questions
from keeper.protocols.gauges import ask_staked_gauges
from keeper.protocols.shared import YEAR_SECONDS, accrual, expect

__all__ = ["IS_ALIVE", "WEEK", "Aerodrome", "WeeklyGauge"]

REWARD_TOKEN: Final = Fn("rewardToken()", "address")
VOTER: Final = Fn("voter()", "address")
EARNED: Final = Fn("earned(address)", "uint256")
#: Base units per second for the whole gauge; keeps its last value after ``periodFinish``.
REWARD_RATE: Final = Fn("rewardRate()", "uint256")
PERIOD_FINISH: Final = Fn("periodFinish()", "uint256")
#: Of the voter: a killed gauge takes no deposits, what it owes is paid all the same.
IS_ALIVE: Final = Fn("isAlive(address)", "bool")
DEPOSIT: Final = Fn("deposit(uint256)")

#: Emission ends every Thursday, until the voter distributes the next week's.
WEEK: Final = 7 * 86_400

#: Gas of a compound: claim, two swaps, adding liquidity, staking, with their approvals.
_GAS: Final = 850_000


class WeeklyGauge:
    """What gauges with one weekly reward token share; names, the claim and what stops deposits differ."""

    name: str
    typical_gas = _GAS
    params: Mapping[str, ParamSpec] = MappingProxyType({})
    #: For people.
    kind: str
    #: The gauge's view of what is staked.
    staking: Fn
    claim: Fn
    #: Why deposits are refused when they are.
    stopped: str

    def claim_args(self, position: Position) -> tuple[Address, ...]:
        """Arguments of the claim."""
        raise NotImplementedError

    def alive_read(self, position: Position, market: Market) -> Read:
        """View that tells whether deposits are taken."""
        raise NotImplementedError

    def is_alive(self, answer: ReadResult, position: Position) -> bool:
        """Decode it."""
        raise NotImplementedError

    def ask_contracts(self, position: Position) -> Questions[Mapping[str, Address]]:
        """Ask for further contracts that the reads need."""
        raise NotImplementedError

    def resolve(self, position: Position) -> Questions[Market]:
        """Ask for the two tokens, and for what can stop the gauge."""
        fns = (self.staking, REWARD_TOKEN)
        results = yield [fn.read(position.target) for fn in fns]
        staking, paid = (expect(fn, each, position, self.kind) for fn, each in zip(fns, results, strict=True))
        contracts = yield from self.ask_contracts(position)
        stake, reward = yield from ask_tokens(position.chain, (staking, paid))
        return Market(
            stake_token=stake,
            reward_tokens=(reward,),
            contracts=contracts,
            typical_gas=_GAS,
            side_effects=frozenset({SideEffect.OWNER_ONLY}),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """Stake, pending, emission, what the gauge holds of the reward token, and whether it is alive."""
        gauge = position.target
        return (
            BALANCE_OF.read(gauge, position.owner),
            EARNED.read(gauge, position.owner, gas=30_000),
            TOTAL_SUPPLY.read(gauge),
            REWARD_RATE.read(gauge),
            PERIOD_FINISH.read(gauge),
            BALANCE_OF.read(market.reward_tokens[0].address, gauge),
            self.alive_read(position, market),
        )

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; accrual is zero between the end of an epoch and the next distribution."""
        fns = (BALANCE_OF, EARNED, TOTAL_SUPPLY, REWARD_RATE, PERIOD_FINISH, BALANCE_OF)
        values = [expect(fn, result, position, self.kind) for fn, result in zip(fns, results[:6], strict=True)]
        stake, earned, total, rate, finish, held = values
        alive = self.is_alive(results[6], position)
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
            deposits_paused=not alive,
            paused_because="" if alive else self.stopped,
            underfunded=(reward.symbol,) if held < earned else (),
            epoch_seconds=WEEK,
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:  # noqa: ARG002
        """``getReward`` pays the account, and nobody else can call it for the owner."""
        label = f"claim {market.reward_tokens[0].symbol}"
        data = self.claim.encode(*self.claim_args(position))
        return (Leg(LegKind.CLAIM, label, position.target, data, brings=market.reward_tokens),)

    def deposit(
        self,
        position: Position,
        market: Market,
        amount: Share,
        observation: Observation | None = None,  # noqa: ARG002
    ) -> Sequence[Leg]:
        """Approve exactly, then deposit."""
        stake = Leg(
            kind=LegKind.DEPOSIT,
            label=f"stake {market.stake_token.symbol}",
            to=position.target,
            template=DEPOSIT.encode(0),
            patches=(Patch(0, amount),),
            spends=(market.stake_token,),
        )
        return (*approve_legs(position.target, amount), stake)

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """Claim for the owner, stake, and approve the gauge for the staked token."""
        args = tuple(fixed_word(word, each) for word, each in enumerate(self.claim_args(position)))
        claim = Permission(position.target, self.claim.selector, len(args), args, "claim rewards")
        stake = Permission(position.target, DEPOSIT.selector, 1, (ArgRule(0, at_most=AMOUNT_CAP),), "stake")
        return (claim, stake, approve_permission(market.stake_token, position.target))

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Find the account's stakes: ``target`` of the place is a gauge, or the voter that lists them all."""
        return (yield from ask_staked_gauges(chain, place, owner, self.staking))


class Aerodrome(WeeklyGauge):
    """Adapter for https://github.com/aerodrome-finance/contracts/blob/main/contracts/gauges/Gauge.sol .

    ``target`` is the gauge. Its rewards come by the week: between the end of one (``periodFinish``, a Thursday) and the
    voter's next distribution nothing accrues. Swap fees go to voters while staked. A deposit never pays, and one of
    nothing reverts, so that claiming is a call of its own. A killed gauge refuses deposits and goes on paying.
    """

    name = "aerodrome"
    kind = "an Aerodrome gauge"
    staking = Fn("stakingToken()", "address")
    #: Only the account itself (or the voter) may call it.
    claim = Fn("getReward(address)")
    stopped = "the gauge is killed: it takes no deposits, and gets no more rewards"

    def claim_args(self, position: Position) -> tuple[Address, ...]:
        """The account."""
        return (position.owner,)

    def alive_read(self, position: Position, market: Market) -> Read:
        """Ask the voter."""
        return IS_ALIVE.read(market.contracts["voter"], position.target)

    def is_alive(self, answer: ReadResult, position: Position) -> bool:
        """Decode the voter's answer."""
        return bool(expect(IS_ALIVE, answer, position, self.kind))

    def ask_contracts(self, position: Position) -> Questions[Mapping[str, Address]]:
        """Ask for the voter, which can kill the gauge."""
        (answer,) = yield [VOTER.read(position.target)]
        return MappingProxyType({"voter": expect(VOTER, answer, position, self.kind)})
