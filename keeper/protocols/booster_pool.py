"""What Convex and Aura have in common: a booster that stakes LP tokens for all, and reward pools that stream to them.

Nothing reaches a pool until somebody calls ``earmarkRewards`` of the booster: it takes in what the gauge owes, pays its
caller a part of it, and streams the rest for a week. Where a stream has run dry, a harvest does this first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn, checksum
from keeper.domain.block import BlockRef
from keeper.domain.facts import Place
from keeper.domain.money import BPS, Address, Amount, Token
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
from keeper.protocols.shared import YEAR_SECONDS, accrual, expect

__all__ = ["BoosterPool"]

PID: Final = Fn("pid()", "uint256")
OPERATOR: Final = Fn("operator()", "address")
REWARD_TOKEN: Final = Fn("rewardToken()", "address")
EXTRA_COUNT: Final = Fn("extraRewardsLength()", "uint256")
EXTRA: Final = Fn("extraRewards(uint256)", "address")
#: Of a wrapper of another reward: the pool that it pays for; a token that merely has ``token()`` has none.
WRAPPED_FOR: Final = Fn("rewardPool()", "address")
#: What such a wrapper stands for: Aura's stash token, Convex' token wrapper.
WRAPPED: Final = (Fn("baseToken()", "address"), Fn("token()", "address"))
EARNED: Final = Fn("earned(address)", "uint256")
#: Base units per second for the whole pool; keeps its last value after ``periodFinish``.
REWARD_RATE: Final = Fn("rewardRate()", "uint256")
PERIOD_FINISH: Final = Fn("periodFinish()", "uint256")
QUEUED: Final = Fn("queuedRewards()", "uint256")

POOL_LENGTH: Final = Fn("poolLength()", "uint256")
#: lptoken, token, gauge, crvRewards, stash, shutdown.
POOL_INFO: Final = Fn("poolInfo(uint256)", "address,address,address,address,address,bool")
IS_SHUTDOWN: Final = Fn("isShutdown()", "bool")
STAKER: Final = Fn("staker()", "address")
#: CVX or AURA.
BONUS: Final = Fn("minter()", "address")
EARMARK_INCENTIVE: Final = Fn("earmarkIncentive()", "uint256")
#: Nonpayable; a static call of it says what the gauge owes the booster's staker.
CLAIMABLE_TOKENS: Final = Fn("claimable_tokens(address)", "uint256")

GET_REWARD: Final = Fn("getReward(address,bool)")
EARMARK: Final = Fn("earmarkRewards(uint256)")
PROCESS_IDLE: Final = Fn("processIdleRewards()")
DEPOSIT: Final = Fn("deposit(uint256,uint256,bool)")

#: Reads before that of the multiplier, which come before those of further rewards.
_FIXED_READS: Final = 12
_READS_PER_EXTRA: Final = 3
_MOST_EXTRAS: Final = 8
_BATCH: Final = 200

#: Gas of a compound as seen on real code: getReward, two sales, one-sided liquidity, deposit; earmarking comes on top.
_GAS: Final = 1_300_000


@dataclass(slots=True)
class _Sums:
    """What is pending and accrues of each reward token; a token may come from several pools."""

    pending: dict[Address, int]
    per_year: dict[Address, int]
    share_ppm: dict[Address, int]
    ends_at: dict[Address, int]

    def add(self, token: Token, pending: int, rate: Accrual) -> None:
        """Count one source in; the first end of all is the token's."""
        at = token.address
        self.pending[at] = self.pending.get(at, 0) + pending
        self.per_year[at] = self.per_year.get(at, 0) + rate.per_year.raw
        self.share_ppm[at] = max(self.share_ppm.get(at, 0), rate.own_share_ppm)
        self.ends_at[at] = min(self.ends_at.get(at, rate.ends_at or 0), rate.ends_at or 0)


class BoosterPool:
    """Base of the adapters; they set ``name`` and ``kind``, and say how much of the bonus token is minted.

    Market contracts: ``booster``, ``gauge``, ``staker``; ``extra_N`` and ``token_N`` for each further reward.
    """

    name: str
    kind: str
    #: Rewards that wait may be started by anybody (Aura).
    starts_idle = False
    #: Gas units of one compound in the dearest case; what `keeper plan` reckons with.
    typical_gas = _GAS + 640_000
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "earmark": ParamSpec(
                "bool", False, "Whether a harvest restarts a stream that has run dry (640,000 gas); default true."
            )
        }
    )

    def bonus(self, earned: int, supply: int, multiplier: int) -> int:
        """Return what is minted of the bonus token for so much claimed, at the present supply."""
        raise NotImplementedError

    def multiplier_reads(self, position: Position, market: Market) -> Sequence[Read]:  # noqa: ARG002
        """Read what part of a claim counts for the bonus; nothing where all of it does."""
        return ()

    def resolve(self, position: Position) -> Questions[Market]:
        """Find the booster, its pool, the gauge behind it, and all rewards."""
        pool = position.target
        fns = (PID, OPERATOR, REWARD_TOKEN, EXTRA_COUNT)
        answers = yield [fn.read(pool) for fn in fns]
        pid, booster, reward, count = (expect(fn, a, position, self.kind) for fn, a in zip(fns, answers, strict=True))
        asks = [POOL_INFO.read(booster, pid), STAKER.read(booster), BONUS.read(booster)]
        info, *found = yield [*asks, *(EXTRA.read(pool, i) for i in range(min(count, _MOST_EXTRAS)))]
        staker, bonus = (expect(fn, a, position, self.kind) for fn, a in zip((STAKER, BONUS), found[:2], strict=True))
        lp_token, _, gauge, rewards, _, _ = self._pool_info(position, info)
        if rewards != pool:
            raise ConfigError(
                f"position {position.id}: pool {pid} of {checksum(booster)} pays by {checksum(rewards)}, not by "
                f"{checksum(pool)}; the target must be the pool's reward contract (crvRewards)"
            )
        extras = [EXTRA.value(answer) for answer in found[2:]]
        paid = yield from _extra_tokens(extras)
        stake, *tokens = yield from ask_tokens(position.chain, (lp_token, *dict.fromkeys((reward, bonus, *paid))))
        contracts = {"booster": booster, "staker": staker, "gauge": gauge}
        contracts |= {f"extra_{i}": extra for i, extra in enumerate(extras)}
        contracts |= {f"token_{i}": token for i, token in enumerate(paid)}
        effects = {SideEffect.ANYONE_MAY_HARVEST, SideEffect.TWO_STEPS}
        return Market(
            stake_token=stake,
            reward_tokens=tuple(tokens),
            contracts=MappingProxyType(contracts),
            typical_gas=_GAS,
            side_effects=frozenset(effects),
            numbers=MappingProxyType({"pid": pid}),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """Stake, stream and queue; what the gauge owes; the bonus token's supply; the streams beside."""
        pool, owner, at = position.target, position.owner, market.contracts
        reward, bonus = market.reward_tokens[:2]
        reads = [
            BALANCE_OF.read(pool, owner),
            EARNED.read(pool, owner, gas=30_000),
            TOTAL_SUPPLY.read(pool),
            REWARD_RATE.read(pool),
            PERIOD_FINISH.read(pool),
            QUEUED.read(pool),
            BALANCE_OF.read(reward.address, pool),
            POOL_INFO.read(at["booster"], market.numbers["pid"], gas=25_000),
            IS_SHUTDOWN.read(at["booster"]),
            EARMARK_INCENTIVE.read(at["booster"]),
            TOTAL_SUPPLY.read(bonus.address),
            CLAIMABLE_TOKENS.read(at["gauge"], at["staker"], gas=600_000),
            *self.multiplier_reads(position, market),
        ]
        for extra, _ in _extras(market):
            reads += [EARNED.read(extra, owner, gas=30_000), REWARD_RATE.read(extra), PERIOD_FINISH.read(extra)]
        return reads

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; the bonus follows from what is claimed, and the fee for earmarking counts where it will be earned."""
        fns = (BALANCE_OF, EARNED, TOTAL_SUPPLY, REWARD_RATE, PERIOD_FINISH, QUEUED, BALANCE_OF)
        values = [expect(fn, a, position, self.kind) for fn, a in zip(fns, results, strict=False)]
        stake, earned, total, rate, finish, queued, held = values
        shut, incentive, supply, owes = (optional(TOTAL_SUPPLY, a) or 0 for a in results[8:_FIXED_READS])
        closed = shut or self._pool_info(position, results[7])[5]
        weighed = results[_FIXED_READS : len(results) - _READS_PER_EXTRA * len(_extras(market))]
        multiplier = expect(TOTAL_SUPPLY, weighed[0], position, self.kind) if weighed else BPS
        dry = block.timestamp >= finish
        wanted = dry and not closed and stake > 0 and position.params.get("earmark", True)
        fee = owes * incentive // BPS if wanted else 0
        reward, bonus = market.reward_tokens[:2]
        sums = _Sums({}, {}, {}, {})
        streamed = accrual(reward, 0 if dry else rate * YEAR_SECONDS, stake, total, finish)
        minted = self.bonus(streamed.per_year.raw, supply, multiplier)
        sums.add(reward, earned + fee, streamed)
        sums.add(
            bonus,
            self.bonus(earned, supply, multiplier),
            Accrual(Amount(bonus, minted), streamed.own_share_ppm, finish),
        )
        for index, (_, token) in enumerate(_extras(market)):
            start = _FIXED_READS + len(weighed) + index * _READS_PER_EXTRA
            some = results[start : start + _READS_PER_EXTRA]
            owed, per_second, ends = (expect(EARNED, a, position, self.kind) for a in some)
            per_year = per_second * YEAR_SECONDS if block.timestamp < ends else 0
            sums.add(token, owed, accrual(token, per_year, stake, total, ends))
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, stake),
            pending=tuple(Amount(t, sums.pending[t.address]) for t in market.reward_tokens),
            accruals=tuple(
                Accrual(Amount(t, sums.per_year[t.address]), sums.share_ppm[t.address], sums.ends_at[t.address])
                for t in market.reward_tokens
            ),
            deposits_paused=bool(closed),
            paused_because="the pool or its booster was shut down: it only pays out" if closed else "",
            underfunded=(reward.symbol,) if held < earned else (),
            notes=(("earmark", int(fee > 0)), ("idle", int(bool(wanted and queued)))),
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:
        """``getReward``, which pays the owner whoever calls; before it the public step that restarts a dry stream."""
        notes, reward = dict(observation.notes), market.reward_tokens[0]
        first: list[Leg] = []
        if notes["earmark"]:
            data = EARMARK.encode(market.numbers["pid"])
            first = [Leg(LegKind.CLAIM, f"earmark {reward.symbol}", market.contracts["booster"], data)]
        elif notes["idle"] and self.starts_idle:
            first = [Leg(LegKind.CLAIM, "start idle rewards", position.target, PROCESS_IDLE.encode())]
        label = "claim " + ", ".join(token.symbol for token in market.reward_tokens)
        data = GET_REWARD.encode(position.owner, bool(_extras(market)))
        return (*first, Leg(LegKind.CLAIM, label, position.target, data, brings=market.reward_tokens))

    def deposit(
        self,
        position: Position,  # noqa: ARG002
        market: Market,
        amount: Share,
        observation: Observation | None = None,  # noqa: ARG002
    ) -> Sequence[Leg]:
        """Approve the booster exactly, then ``deposit(pid, amount, true)``: into the gauge, staked for the caller."""
        booster = market.contracts["booster"]
        stake = Leg(
            kind=LegKind.DEPOSIT,
            label=f"stake {market.stake_token.symbol}",
            to=booster,
            template=DEPOSIT.encode(market.numbers["pid"], 0, True),
            patches=(Patch(1, amount),),
            spends=(market.stake_token,),
        )
        return (*approve_legs(booster, amount), stake)

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """Claim for the owner, restart this pool's stream, deposit into it, approve the booster for the LP token."""
        booster = market.contracts["booster"]
        claim = (fixed_word(0, position.owner), fixed_word(1, int(bool(_extras(market)))))
        pid = fixed_word(0, market.numbers["pid"])
        deposit = (pid, ArgRule(1, at_most=AMOUNT_CAP), fixed_word(2, 1))
        idle = Permission(position.target, PROCESS_IDLE.selector, 0, (), "start idle rewards")
        return (
            Permission(position.target, GET_REWARD.selector, 2, claim, "claim rewards"),
            Permission(booster, EARMARK.selector, 1, (pid,), "earmark rewards"),
            *([idle] if self.starts_idle else []),
            Permission(booster, DEPOSIT.selector, 3, deposit, "stake"),
            approve_permission(market.stake_token, booster),
        )

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Ask all pools of a booster, newest first, what ``owner`` has staked there."""
        (length,) = yield [POOL_LENGTH.read(place.target)]
        indices = list(range(optional(POOL_LENGTH, length) or 0))[::-1]
        staked: list[tuple[int, Address, Address, int]] = []
        for start in range(0, len(indices), _BATCH):
            some = indices[start : start + _BATCH]
            infos = yield [POOL_INFO.read(place.target, pid) for pid in some]
            pools = [(pid, POOL_INFO.values(info)) for pid, info in zip(some, infos, strict=True) if info.success]
            held = yield [BALANCE_OF.read(info[3], owner) for _, info in pools]
            for (pid, info), answer in zip(pools, held, strict=True):
                if raw := optional(BALANCE_OF, answer):
                    staked.append((pid, info[3], info[0], raw))
        tokens = yield from ask_tokens(chain, [lp_token for _, _, lp_token, _ in staked])
        return tuple(
            Found(place, pool, place.params, Amount(token, raw), f"pool {pid}, {token.symbol}")
            for (pid, pool, _, raw), token in zip(staked, tokens, strict=True)
        )

    def _pool_info(
        self, position: Position, answer: ReadResult
    ) -> tuple[Address, Address, Address, Address, Address, bool]:
        expect(POOL_INFO, answer, position, self.kind)
        info = POOL_INFO.values(answer)
        return info[0], info[1], info[2], info[3], info[4], info[5]


def _extras(market: Market) -> list[tuple[Address, Token]]:
    """Return the pools that pay further rewards, each with its token."""
    tokens = {token.address: token for token in market.reward_tokens}
    count = sum(name.startswith("extra_") for name in market.contracts)
    return [(market.contracts[f"extra_{i}"], tokens[market.contracts[f"token_{i}"]]) for i in range(count)]


def _extra_tokens(extras: Sequence[Address]) -> Questions[list[Address]]:
    """Ask which tokens extra pools pay; a wrapper pays what it stands for."""
    answers = yield [REWARD_TOKEN.read(extra) for extra in extras]
    named = [Address(REWARD_TOKEN.value(answer)) for answer in answers]
    fns = (WRAPPED_FOR, *WRAPPED)
    inner = yield [fn.read(token) for token in named for fn in fns]
    found = []
    for index, (extra, token) in enumerate(zip(extras, named, strict=True)):
        some = inner[len(fns) * index : len(fns) * (index + 1)]
        pays_for, *numbers = (optional(fn, a) for fn, a in zip(fns, some, strict=True))
        number = next((n for n in numbers if n), None)
        wraps = number is not None and pays_for == int(extra, 16)
        found.append(Address(f"0x{number:040x}") if wraps else token)
    return found
