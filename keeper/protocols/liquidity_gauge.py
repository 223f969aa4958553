"""What Curve's and Balancer's liquidity gauges have in common: an emission that is minted, and rewards streamed beside.

``claimable_tokens`` is no view: it makes a checkpoint, and a static call throws that away. Asked first in a batch it
also brings the controller's weight and the emission up to date for the reads behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn, checksum, decode
from keeper.domain.block import BlockRef
from keeper.domain.facts import Place
from keeper.domain.money import WAD, Address, Amount, Token
from keeper.domain.observation import Accrual, Observation, RateSource
from keeper.domain.plan import Leg, LegKind, Patch, Share
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
from keeper.protocols.gauge_listing import LP_TOKEN, find_stakes
from keeper.protocols.shared import YEAR_SECONDS, accrual, address_param, expect

__all__ = ["GaugeFamily", "LiquidityGauge"]

#: Nonpayable in the ABI; every call of it is a static one here.
CLAIMABLE_TOKENS: Final = Fn("claimable_tokens(address)", "uint256")
WORKING_BALANCES: Final = Fn("working_balances(address)", "uint256")
WORKING_SUPPLY: Final = Fn("working_supply()", "uint256")
IS_KILLED: Final = Fn("is_killed()", "bool")
#: Emission of all gauges together, base units per second.
INFLATION_RATE: Final = Fn("inflation_rate()", "uint256")
RELATIVE_WEIGHT: Final = Fn("gauge_relative_weight(address)", "uint256")
MINTED: Final = Fn("minted(address,address)", "uint256")
GAUGE_FACTORY: Final = Fn("factory()", "address")
IS_VALID_GAUGE: Final = Fn("is_valid_gauge(address)", "bool")

#: V4 and later, and child gauges; V2 and V3 have ``reward_tokens`` alone.
REWARD_COUNT: Final = Fn("reward_count()", "uint256")
REWARD_TOKENS: Final = Fn("reward_tokens(uint256)", "address")
#: Exact from V4 on; stale in V3; in V2 no view at all: it pays.
CLAIMABLE_REWARD: Final = Fn("claimable_reward(address,address)", "uint256")
#: V3: nonpayable, and as exact as a claim.
CLAIMABLE_REWARD_WRITE: Final = Fn("claimable_reward_write(address,address)", "uint256")
#: V4, V5: token, distributor, period_finish, rate, last_update, integral; without the token in V6 and child gauges.
REWARD_DATA: Final = Fn("reward_data(address)", "uint256,uint256,uint256,uint256,uint256")
REWARDS_RECEIVER: Final = Fn("rewards_receiver(address)", "address")

MINT: Final = Fn("mint(address)")
CLAIM_REWARDS: Final = Fn("claim_rewards()")
DEPOSIT: Final = Fn("deposit(uint256)")

_MAX_REWARDS: Final = 8

#: Gas of the checkpoint inside ``claimable_tokens``, some idle weeks included.
_CHECKPOINT_GAS: Final = 600_000
#: Gas of a compound as seen on real code: mint, claim_rewards, two sales, one-sided liquidity, deposit.
_GAS: Final = 1_250_000


@dataclass(frozen=True, slots=True)
class GaugeFamily:
    """What differs between the DAOs."""

    #: For messages, e.g. ``"a Curve gauge"``.
    kind: str
    #: Getters of a gauge that name who mints its emission.
    minter: tuple[Fn, ...]
    #: Getters of the minter: the emission's token, and the controller, where there is one.
    token: tuple[Fn, ...]
    controller: Fn
    #: The main chain's minter, which most gauges there have built in and do not tell.
    default_minter: Address


class LiquidityGauge:
    """Base of the adapters; they set ``name`` and ``family``.

    Market contracts: ``minter``; ``controller`` where emission is minted by weight, else ``bank``, which pays what
    bridges brought; ``streams``, ``v3`` or ``v2`` for how rewards beside the emission are told.
    """

    name: str
    family: GaugeFamily
    #: Gas units of one compound in the dearest case; what `keeper plan` reckons with.
    typical_gas = _GAS
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "minter": ParamSpec(
                "address", False, "Who mints the gauge's emission; asked of the gauge, else the main chain's own."
            ),
            "reward": ParamSpec("address", False, "Token of the emission, where the minter does not tell it."),
        }
    )

    def resolve(self, position: Position) -> Questions[Market]:
        """Find the staked token, the minter with its token, and the rewards beside the emission."""
        gauge, owner = position.target, position.owner
        asks = [LP_TOKEN.read(gauge), REWARD_COUNT.read(gauge), REWARDS_RECEIVER.read(gauge, owner)]
        asks += [CLAIMABLE_TOKENS.read(gauge, owner, gas=_CHECKPOINT_GAS)]
        asks += [REWARD_TOKENS.read(gauge, index) for index in range(_MAX_REWARDS)]
        lp_token, count, receiver, claimable, *listed = yield asks
        stake = expect(LP_TOKEN, lp_token, position, self.family.kind)
        _refuse_other_receiver(position, optional(REWARDS_RECEIVER, receiver))
        extras = _listed(listed)
        contracts: dict[str, Address] = {}
        emitted: list[Address] = []
        if optional(CLAIMABLE_TOKENS, claimable) is not None:
            contracts, token = yield from self._minter(position)
            emitted = [token]
        elif not extras:
            raise ReadFailed(
                f"position {position.id}: {checksum(gauge)} has neither claimable_tokens nor reward_tokens, unlike "
                f"{self.family.kind}; check target and protocol"
            )
        if extras:
            streams = optional(REWARD_COUNT, count) is not None
            contracts |= {"streams": gauge} if streams else (yield from _old_extras(gauge, owner, extras[0]))
        unique = list(dict.fromkeys((*emitted, *extras)))
        staked, *paid = yield from ask_tokens(position.chain, (stake, *unique))
        effects = {SideEffect.OWNER_ONLY}
        return Market(
            stake_token=staked,
            reward_tokens=tuple(paid),
            contracts=MappingProxyType(contracts),
            typical_gas=_GAS,
            side_effects=frozenset(effects | ({SideEffect.DEPOSIT_PAYS} if "v2" in contracts else set())),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """The checkpoint first; then stake, boost, emission and weight (or the bank's funds), then other rewards."""
        gauge, owner, contracts = position.target, position.owner, market.contracts
        reads = [BALANCE_OF.read(gauge, owner), TOTAL_SUPPLY.read(gauge), IS_KILLED.read(gauge)]
        if "minter" in contracts:
            reads.insert(0, CLAIMABLE_TOKENS.read(gauge, owner, gas=_CHECKPOINT_GAS))
            reads += [WORKING_BALANCES.read(gauge, owner), WORKING_SUPPLY.read(gauge)]
            if "controller" in contracts:
                reads += [
                    INFLATION_RATE.read(gauge),
                    RELATIVE_WEIGHT.read(contracts["controller"], gauge, gas=30_000),
                ]
            else:
                emitted = market.reward_tokens[0].address
                reads += [BALANCE_OF.read(emitted, contracts["bank"]), BALANCE_OF.read(emitted, gauge)]
        for token in _extras(market):
            reads += [BALANCE_OF.read(token.address, gauge)]
            if "streams" in contracts:
                reads += [REWARD_DATA.read(gauge, token.address, result_bytes=192, gas=20_000)]
            view = CLAIMABLE_REWARD_WRITE if "v3" in contracts else CLAIMABLE_REWARD
            reads += [view.read(gauge, owner, token.address, gas=200_000)]
        return reads

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; the emission's rate is inflation x weight x the boosted share, of a child gauge it is learnt."""
        kind, answers = self.family.kind, iter(results)
        pending: list[Amount] = []
        short: list[str] = []
        emits = "minter" in market.contracts
        if emits:
            pending.append(Amount(market.reward_tokens[0], expect(CLAIMABLE_TOKENS, next(answers), position, kind)))
        stake, total = (expect(fn, next(answers), position, kind) for fn in (BALANCE_OF, TOTAL_SUPPLY))
        killed = optional(IS_KILLED, next(answers)) == 1
        accruals: list[Accrual] = []
        if emits:
            boosted = [expect(WORKING_SUPPLY, next(answers), position, kind) for _ in range(2)]
            source = [expect(TOTAL_SUPPLY, next(answers), position, kind) for _ in range(2)]
            per_second = 0 if killed else source[0] * source[1] // WAD
            minted = accrual(pending[0].token, per_second * YEAR_SECONDS, boosted[0], boosted[1], None)
            if "bank" in market.contracts:
                minted = replace(minted, per_year=Amount(pending[0].token, 0), source=RateSource.OBSERVED)
                short += [pending[0].token.symbol] if sum(source) < pending[0].raw else []
            accruals.append(minted)
        for token in _extras(market):
            held = expect(BALANCE_OF, next(answers), position, kind)
            rate = Accrual(Amount(token, 0), 0, None, RateSource.OBSERVED)
            if "streams" in market.contracts:
                rate = _streamed(token, next(answers), stake, total, block)
            owed = expect(CLAIMABLE_REWARD, next(answers), position, kind)
            own_stake = total if token.address == market.stake_token.address else 0
            # V2 and V3 take in more when they pay: what they hold by now proves nothing.
            if "streams" in market.contracts and held - own_stake < owed:
                short.append(token.symbol)
            pending.append(Amount(token, owed))
            accruals.append(rate)
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, stake),
            pending=tuple(pending),
            accruals=tuple(accruals),
            deposits_paused=killed,
            paused_because="the gauge is killed and emits nothing more" if killed else "",
            underfunded=tuple(short),
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:
        """``mint`` by the minter, which pays its caller only, and ``claim_rewards`` where another reward is pending.

        One reward that the gauge cannot pay makes all of ``claim_rewards`` fail, so it is left out then. ``mint_for``
        is never used: without the owner's leave it succeeds and pays nothing.
        """
        owed = {amount.token: amount.raw for amount in observation.pending}
        extras, legs = _extras(market), self._claims(position, market)
        payable = any(owed[t] for t in extras) and not any(t.symbol in observation.underfunded for t in extras)
        wanted = [
            leg for leg in legs if (payable if set(leg.brings) <= set(extras) else any(owed[t] for t in leg.brings))
        ]
        return wanted or legs

    def deposit(
        self,
        position: Position,
        market: Market,
        amount: Share,
        observation: Observation | None = None,  # noqa: ARG002
    ) -> Sequence[Leg]:
        """Approve exactly, then ``deposit``; it pays nothing (V2: the rewards beside the emission)."""
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
        """Mint for this gauge, claim, deposit into it, and approve it for the staked token."""
        gauge, minter = position.target, market.contracts.get("minter")
        return (
            *([] if minter is None else [Permission(minter, MINT.selector, 1, (fixed_word(0, gauge),), "mint")]),
            *([Permission(gauge, CLAIM_REWARDS.selector, 0, (), "claim rewards")] if _extras(market) else []),
            Permission(gauge, DEPOSIT.selector, 1, (ArgRule(0, at_most=AMOUNT_CAP),), "stake"),
            approve_permission(market.stake_token, gauge),
        )

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Ask a gauge controller or a child factory for all its gauges, or a single gauge, what ``owner`` has there."""
        return (yield from find_stakes(chain, place, owner))

    def _claims(self, position: Position, market: Market) -> list[Leg]:
        legs = []
        if "minter" in market.contracts:
            token = market.reward_tokens[0]
            data = MINT.encode(position.target)
            legs.append(Leg(LegKind.CLAIM, f"mint {token.symbol}", market.contracts["minter"], data, brings=(token,)))
        if extras := _extras(market):
            label = "claim " + ", ".join(token.symbol for token in extras)
            legs.append(Leg(LegKind.CLAIM, label, position.target, CLAIM_REWARDS.encode(), brings=extras))
        return legs

    def _minter(self, position: Position) -> Questions[tuple[dict[str, Address], Address]]:
        """Find who mints, in which token, and by whose weights."""
        gauge, family = position.target, self.family
        said = yield [fn.read(gauge) for fn in (*family.minter, GAUGE_FACTORY)]
        named = [optional(fn, answer) for fn, answer in zip(family.minter, said[:-1], strict=True)]
        factory = _address(optional(GAUGE_FACTORY, said[-1])) or ZERO_ADDRESS
        (valid,) = yield [IS_VALID_GAUGE.read(factory, gauge)]
        candidates = [address_param(position, "minter")] if "minter" in position.params else []
        candidates += [found for found in map(_address, named) if found]
        candidates += [factory] if optional(IS_VALID_GAUGE, valid) == 1 else []
        minter = [*candidates, family.default_minter][0]
        answers = yield [MINTED.read(minter, position.owner, gauge), *(fn.read(minter) for fn in self._getters)]
        tokens = [optional(fn, a) for fn, a in zip(family.token, answers[1:-1], strict=True)]
        token = next((found for found in map(_address, tokens) if found), None)
        if "reward" in position.params:
            token = address_param(position, "reward")
        if optional(MINTED, answers[0]) is None or token is None:
            raise ConfigError(
                f"position {position.id}: {checksum(gauge)} does not tell who mints its emission, and "
                f"{checksum(minter)} does not answer like its minter; set params minter and reward"
            )
        controller = _address(optional(family.controller, answers[-1]))
        source = {"bank": minter} if controller is None else {"controller": controller}
        return {"minter": minter, **source}, token

    @property
    def _getters(self) -> tuple[Fn, ...]:
        return (*self.family.token, self.family.controller)


def _extras(market: Market) -> tuple[Token, ...]:
    return market.reward_tokens[1:] if "minter" in market.contracts else market.reward_tokens


def _address(number: int | None) -> Address | None:
    return Address(f"0x{number:040x}") if number else None


def _listed(answers: Sequence[ReadResult]) -> list[Address]:
    """Return reward tokens up to the first empty place."""
    found: list[Address] = []
    for answer in answers:
        token = _address(optional(REWARD_TOKENS, answer))
        if token is None:
            break
        found.append(token)
    return found


def _old_extras(gauge: Address, owner: Address, token: Address) -> Questions[dict[str, Address]]:
    """Tell V3 from V2."""
    (answer,) = yield [CLAIMABLE_REWARD_WRITE.read(gauge, owner, token, gas=200_000)]
    return {"v2" if optional(CLAIMABLE_REWARD_WRITE, answer) is None else "v3": gauge}


def _refuse_other_receiver(position: Position, receiver: int | None) -> None:
    if receiver not in (None, 0, int(position.owner, 16)):
        raise ConfigError(
            f"position {position.id}: the owner has told the gauge to send rewards to "
            f"{checksum(f'0x{receiver:040x}')} (rewards_receiver); undo that with set_rewards_receiver first"
        )


def _streamed(token: Token, answer: ReadResult, stake: int, total: int, block: BlockRef) -> Accrual:
    """Size a stream; what it says is five words long, or six with the token before them."""
    REWARD_DATA.values(answer)
    skip = 2 if len(answer.data) >= 192 else 1
    finish, rate = decode(("uint256",) * 2, answer.data[32 * skip : 32 * skip + 64])
    per_year = rate * YEAR_SECONDS if block.timestamp < finish else 0
    return accrual(token, per_year, stake, total, finish)
