"""SushiSwap's MasterChefV2 and MiniChefV2 (Pangolin's too): deposits pay nothing, rewarders add tokens of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn, checksum
from keeper.domain.block import BlockRef
from keeper.domain.facts import Place
from keeper.domain.money import Address, Amount, Token
from keeper.domain.observation import Accrual, Observation, RateSource
from keeper.domain.plan import Leg, LegKind, Share
from keeper.domain.position import Market, Position, SideEffect
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import BALANCE_OF, ZERO_ADDRESS, ask_tokens, fixed_word, optional
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import Found, ParamSpec, Permission, Questions
from keeper.protocols.chefs import (
    BLOCK_TIME,
    GAS_LP,
    LP_TOKEN,
    PID,
    USER_AMOUNT,
    bounded,
    claim_leg,
    find_pools,
    getter,
    grown,
    moved,
    of_pool,
    pool_params,
    share_of,
    stake_legs,
    step_ms,
    words_of,
)
from keeper.protocols.shared import YEAR_SECONDS, accrual, expect, int_param

__all__ = ["MiniChefV2", "SushiMasterChefV2"]

#: accumulated per share, last reward block or time, allocation points.
POOL_INFO: Final = Fn("poolInfo(uint256)", "uint128,uint64,uint64")
#: Reward debts are signed here: a deposit adds to them instead of paying.
USER_INFO: Final = Fn("userInfo(uint256,address)", "uint256,int256")
TOTAL_ALLOC: Final = Fn("totalAllocPoint()", "uint256")
REWARDER: Final = Fn("rewarder(uint256)", "address")
REWARDER_PENDING: Final = Fn("pendingTokens(uint256,address,uint256)", "address[],uint256[]")
MASTER_CHEF: Final = Fn("MASTER_CHEF()", "address")
MASTER_PID: Final = Fn("MASTER_PID()", "uint256")
FETCH: Final = Fn("harvestFromMasterChef()")
HARVEST: Final = Fn("harvest(uint256,address)")
DEPOSIT: Final = Fn("deposit(uint256,uint256,address)")

#: Longest answer of a rewarder: five tokens.
_REWARDER_BYTES: Final = 512

#: The first chef's own view of what is pending, whatever the second one calls it.
_SOURCE_PENDING: Final = "pendingSushi(uint256,address)"

#: The chef is refilled first when it holds less than is pending and what accrues in this time, and a tenth more:
#: others may be paid before us.
_MARGIN_SECONDS: Final = 600
_MARGIN_PART: Final = 10

_KIND: Final = "a MasterChefV2"


class MiniChefV2:
    """Adapter for https://github.com/sushiswap/sushiswap MiniChefV2, which counts seconds; Pangolin's by other names.

    The chef mints nothing: it pays out of what it was sent, and a harvest reverts when that is short. So does the
    harvest of everything when a rewarder cannot pay, unless it is of the kind that remembers what it owes (its
    ``userInfo`` has a third word). A deposit pays no SUSHI; rewarders pay their tokens with it. Rewards of another
    rewarder than the one found at the start are seen after a restart only.
    """

    name = "minichef-v2"
    #: Gas units of one compound in the dearest case; what `keeper plan` reckons with.
    typical_gas = GAS_LP
    #: Getter of the emission of a step, and the param that names it in forks.
    rate = "sushiPerSecond()"
    rate_param = "per_second"
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "pid": PID,
            "pending": ParamSpec("str", False, 'Pending view; default "pendingSushi(uint256,address)".'),
            "reward": ParamSpec("str", False, 'Getter of the reward token; default "SUSHI()".'),
            "per_second": ParamSpec("str", False, 'Getter of the emission per second; default "sushiPerSecond()".'),
        }
    )

    # ------------------------------------------------------------------ what MasterChefV2 replaces

    def step(self, position: Position) -> int:  # noqa: ARG002
        """Milliseconds between two steps of the emission."""
        return 1000

    def ask_source(self, position: Position) -> Questions[tuple[Mapping[str, Address], Mapping[str, int]]]:  # noqa: ARG002
        """Ask where the chef can fetch rewards; addresses and numbers for the market."""
        yield from ()
        return {}, {}

    # ------------------------------------------------------------------ the port

    def resolve(self, position: Position) -> Questions[Market]:
        """Ask for the pool's token, the reward, and the rewarder with its tokens."""
        chef, pid = position.target, int_param(position, "pid")
        self.step(position)
        fns = (LP_TOKEN, self._reward(position), self._rate(position), POOL_INFO, self._pending(position), REWARDER)
        arguments: tuple[tuple[object, ...], ...] = ((pid,), (), (), (pid,), (pid, position.owner), (pid,))
        results = yield [fn.read(chef, *args, gas=60_000) for fn, args in zip(fns, arguments, strict=True)]
        kind = f"{_KIND} or MiniChefV2 with a pool {pid}"
        staked, paid, *_ = (expect(fn, r, position, kind) for fn, r in zip(fns[:5], results[:5], strict=True))
        number = optional(REWARDER, results[5]) or 0
        rewarder = Address(f"0x{number:040x}")
        extra = yield from _extra_tokens(position, rewarder, pid)
        contracts, numbers = yield from self.ask_source(position)
        stake, *rewards = yield from ask_tokens(position.chain, (staked, *dict.fromkeys((paid, *extra))))
        effects = {SideEffect.OWNER_ONLY}
        if extra:
            effects.add(SideEffect.DEPOSIT_PAYS)
        if "block_time_ms" in self.params:
            effects.add(SideEffect.PER_BLOCK)
        if contracts:
            effects.add(SideEffect.TWO_STEPS)
        return Market(
            stake_token=stake,
            reward_tokens=tuple(rewards),
            contracts=MappingProxyType({**contracts, **({"rewarder": rewarder} if extra else {})}),
            numbers=MappingProxyType(dict(numbers)),
            typical_gas=GAS_LP,
            side_effects=frozenset(effects),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """Stake, pending, the pool's share of the emission, what the chef holds or can fetch; the same of rewarders."""
        chef, pid, me = position.target, int_param(position, "pid"), position.owner
        reads = [
            USER_INFO.read(chef, pid, me),
            self._pending(position).read(chef, pid, me, gas=90_000),
            POOL_INFO.read(chef, pid),
            LP_TOKEN.read(chef, pid),
            TOTAL_ALLOC.read(chef),
            self._rate(position).read(chef, gas=40_000),
            BALANCE_OF.read(market.stake_token.address, chef),
            BALANCE_OF.read(market.reward_tokens[0].address, chef),
        ]
        if "source" in market.contracts:
            source = of_pool(position, "source_pending", _SOURCE_PENDING)
            reads.append(source.read(market.contracts["source"], market.numbers["source_pid"], chef, gas=60_000))
        if "rewarder" in market.contracts:
            rewarder = market.contracts["rewarder"]
            reads.append(REWARDER_PENDING.read(rewarder, pid, me, 0, result_bytes=_REWARDER_BYTES, gas=120_000))
            reads.append(USER_AMOUNT.read(rewarder, pid, me, result_bytes=128))
            reads += [BALANCE_OF.read(token.address, rewarder) for token in market.reward_tokens[1:]]
        return reads

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; a rewarder's rate is not readable, so what it has paid lately has to tell."""
        numbers = (USER_INFO, self._pending(position), POOL_INFO, LP_TOKEN)
        values = [expect(fn, result, position, _KIND) for fn, result in zip(numbers, results[:4], strict=True)]
        stake, pending, _, token = values
        if token != market.stake_token.address:
            raise moved(position, market, token)
        reward, others = market.reward_tokens[0], market.reward_tokens[1:]
        rest = list(results[8:])
        held = expect(BALANCE_OF, results[7], position, _KIND)
        fetched = (optional(BALANCE_OF, rest.pop(0)) or 0) if "source" in market.contracts else 0
        extra, stuck = _extra(others, rest)
        short = [reward.symbol] if held + fetched < pending else []
        short += [amount.token.symbol for amount, funds in extra if funds < amount.raw]
        amounts = (Amount(reward, pending), *(amount for amount, _ in extra))
        # Whatever cannot be paid by a contract that reverts stops the whole harvest.
        if stuck or reward.symbol in short:
            short = [amount.token.symbol for amount in amounts]
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, stake),
            pending=amounts,
            accruals=(
                self._accrual(position, reward, stake, results),
                *(Accrual(Amount(other, 0), 0, None, RateSource.OBSERVED) for other in others),
            ),
            underfunded=tuple(short),
            notes=(("held", held), ("fetched", fetched)),
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:
        """``harvest(pid, owner)``, after the public call that refills the chef where it holds too little."""
        data = HARVEST.encode(int_param(position, "pid"), position.owner)
        claim = claim_leg(position, market, data)
        if "source" not in market.contracts or not _wants_refill(observation):
            return (claim,)
        label = f"fetch {market.reward_tokens[0].symbol} into the chef"
        return (Leg(LegKind.CLAIM, label, position.target, FETCH.encode()), claim)

    def deposit(
        self,
        position: Position,
        market: Market,
        amount: Share,
        observation: Observation | None = None,  # noqa: ARG002
    ) -> Sequence[Leg]:
        """Approve exactly, then ``deposit(pid, amount, owner)``."""
        template = DEPOSIT.encode(int_param(position, "pid"), 0, position.owner)
        return stake_legs(position, market, amount, template, 1)

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """Harvest this pool to the owner, stake into it for the owner, refill the chef, approve it."""
        to_owner = position.owner
        (claim, _) = pool_params(position, market, HARVEST, fixed_word(1, to_owner), label="claim to the owner")
        stake = pool_params(position, market, DEPOSIT, bounded(1), fixed_word(2, to_owner), label="stake for the owner")
        if "source" not in market.contracts:
            return (claim, *stake)
        return (claim, *stake, Permission(position.target, FETCH.selector, 0, (), "refill the chef"))

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Find the pools of the chef in which ``owner`` has a stake."""
        return (yield from find_pools(chain, place, owner))

    # ------------------------------------------------------------------ inside

    def _reward(self, position: Position) -> Fn:
        return getter(position, "reward", "SUSHI()")

    def _pending(self, position: Position) -> Fn:
        return of_pool(position, "pending", "pendingSushi(uint256,address)")

    def _rate(self, position: Position) -> Fn:
        return getter(position, self.rate_param, self.rate, "uint256")

    def _accrual(self, position: Position, reward: Token, stake: int, results: Sequence[ReadResult]) -> Accrual:
        """Size the rate; observed where a build keeps its allocation points to itself."""
        total_alloc, rate = optional(TOTAL_ALLOC, results[4]), optional(self._rate(position), results[5])
        if total_alloc is None or rate is None:
            return Accrual(Amount(reward, 0), 0, None, RateSource.OBSERVED)
        _, _, alloc = POOL_INFO.values(results[2])
        supply = expect(BALANCE_OF, results[6], position, _KIND)
        per_year = grown(share_of(rate, alloc, total_alloc), self.step(position))
        return accrual(reward, per_year, stake, supply, None)


class SushiMasterChefV2(MiniChefV2):
    """Adapter for https://github.com/sushiswap/sushiswap MasterChefV2, which counts blocks.

    It gets its SUSHI from a pool of the first MasterChef, whenever anybody calls ``harvestFromMasterChef``; until then
    a harvest reverts. That call is made first when the chef holds too little, and not else: it is dear. A deposit pays
    no SUSHI; rewarders pay their tokens with it.
    """

    name = "sushi-masterchef-v2"
    rate = "sushiPerBlock()"
    rate_param = "per_block"
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "pid": PID,
            "pending": ParamSpec("str", False, 'Pending view; default "pendingSushi(uint256,address)".'),
            "reward": ParamSpec("str", False, 'Getter of the reward token; default "SUSHI()".'),
            "per_block": ParamSpec("str", False, 'Getter of the emission per block; default "sushiPerBlock()".'),
            "source_pending": ParamSpec("str", False, "Pending view of the first chef; default as for SushiSwap."),
            "block_time_ms": BLOCK_TIME,
        }
    )

    def step(self, position: Position) -> int:
        """Milliseconds between blocks."""
        return step_ms(position)

    def ask_source(self, position: Position) -> Questions[tuple[Mapping[str, Address], Mapping[str, int]]]:
        """The first chef, and the number of this chef's pool there."""
        fns = (MASTER_CHEF, MASTER_PID)
        results = yield [fn.read(position.target) for fn in fns]
        source, pid = (expect(fn, r, position, _KIND) for fn, r in zip(fns, results, strict=True))
        return {"source": source}, {"source_pid": pid}


def _extra_tokens(position: Position, rewarder: Address, pid: int) -> Questions[tuple[Address, ...]]:
    """Ask a rewarder for its tokens; none where the pool has no rewarder."""
    if rewarder == ZERO_ADDRESS:
        return ()
    read = REWARDER_PENDING.read(rewarder, pid, position.owner, 0, result_bytes=_REWARDER_BYTES, gas=120_000)
    (answer,) = yield [read]
    try:
        tokens, _ = REWARDER_PENDING.values(answer)
    except ReadFailed as error:
        raise ConfigError(
            f"position {position.id}: the rewarder {checksum(rewarder)} of pool {pid} does not say what it pays "
            f"({error}), and no harvest can do without it; harvest by hand until it is replaced"
        ) from error
    return tuple(tokens)


def _extra(others: Sequence[Token], rest: Sequence[ReadResult]) -> tuple[list[tuple[Amount, int]], bool]:
    """Return each of the rewarder's amounts with the funds for it, and whether a missing one stops the harvest."""
    if not others:
        return [], False
    owed = dict(zip(*REWARDER_PENDING.values(rest[0]), strict=False))
    found = [
        (Amount(token, owed.get(token.address, 0)), optional(BALANCE_OF, funds) or 0)
        for token, funds in zip(others, rest[2:], strict=True)
    ]
    remembers = len(words_of(rest[1])) > 2
    return found, not remembers and any(funds < amount.raw for amount, funds in found)


def _wants_refill(observation: Observation) -> bool:
    pending, rate = observation.pending[0].raw, observation.accruals[0].per_year.raw
    wanted = pending + pending // _MARGIN_PART + rate * _MARGIN_SECONDS // YEAR_SECONDS
    return dict(observation.notes).get("held", 0) < wanted
