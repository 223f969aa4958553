"""Slipstream gauges (Velodrome's and Aerodrome's concentrated liquidity): an NFT staked, rewards while in range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn, checksum
from keeper.domain.block import BlockRef
from keeper.domain.facts import Place
from keeper.domain.money import Address, Amount, Token
from keeper.domain.observation import Observation
from keeper.domain.plan import Leg, LegKind, Nft, Share
from keeper.domain.position import Market, Position, SideEffect
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import APPROVE, BALANCE_OF, SYMBOL, TOKEN0, TOKEN1, ask_tokens, fixed_word, optional
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import Found, ParamSpec, Permission, Questions
from keeper.protocols.aerodrome import IS_ALIVE, WEEK
from keeper.protocols.gauges import ask_gauges
from keeper.protocols.nft_range import (
    NFTS_LOOKED_AT,
    OWNER_OF,
    POSITIONS,
    SLOT0,
    Range,
    ask_pair_names,
    deposit_legs,
    deposit_permissions,
    stake_token,
    ticker,
    ticks_of,
)
from keeper.protocols.shared import YEAR_SECONDS, accrual, expect, int_param
from keeper.ranges import mix_ppm, sqrt_ratio_at_tick

__all__ = ["Slipstream"]

POOL: Final = Fn("pool()", "address")
MANAGER: Final = Fn("nft()", "address")
REWARD_TOKEN: Final = Fn("rewardToken()", "address")
VOTER: Final = Fn("voter()", "address")
#: Keeps the penalty; gauges of the first kind have none.
GAUGE_FACTORY: Final = Fn("gaugeFactory()", "address")
STAKED_CONTAINS: Final = Fn("stakedContains(address,uint256)", "bool")
STAKED_VALUES: Final = Fn("stakedValues(address)", "uint256[]")
#: Net of the penalty; reverts for an NFT that is not staked by the account.
EARNED: Final = Fn("earned(address,uint256)", "uint256")
REWARD_RATE: Final = Fn("rewardRate()", "uint256")
PERIOD_FINISH: Final = Fn("periodFinish()", "uint256")
#: Of the pool: staked and in range.
STAKED_LIQUIDITY: Final = Fn("stakedLiquidity()", "uint128")
DEPOSIT_TIMESTAMP: Final = Fn("depositTimestamp(uint256)", "uint256")
MIN_STAKE_TIMES: Final = Fn("minStakeTimes(address)", "uint256")
#: Basis points of the reward.
PENALTY_RATE: Final = Fn("penaltyRate()", "uint256")
GET_REWARD: Final = Fn("getReward(uint256)")
WITHDRAW: Final = Fn("withdraw(uint256)")
DEPOSIT: Final = Fn("deposit(uint256)")

_KIND: Final = "a Slipstream gauge"

#: Gas of a compound: claim, two swaps, out of the gauge, increase, back into it, with their approvals.
_GAS: Final = 1_250_000

#: Gauges asked for an account's NFTs at once.
_BATCH: Final = 300


class Slipstream:
    """Adapter for https://github.com/velodrome-finance/slipstream (CLGauge), on Velodrome and Aerodrome.

    ``target`` is the gauge. While staked an NFT earns rewards by its share of the staked liquidity in range, and no
    swap fees (they are the voters'). Nothing can be added to it there: it is taken out, added to, and put back. Each
    time it is put back a clock starts: a claim (also the one that a withdrawal makes) before ``minStakeTime`` loses
    ``penaltyRate`` of the rewards, so that keeper waits until it has run down. Emission ends every Thursday until the
    voter distributes the next week's. An NFT that lies in the wallet is told; put it back to go on.
    """

    name = "slipstream"
    typical_gas = _GAS
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {"token_id": ParamSpec("int", True, "Number of the staked NFT.")}
    )

    def resolve(self, position: Position) -> Questions[Market]:
        """Ask for the gauge's pool, position manager, reward, voter and factory, and for the NFT's range."""
        fns = (POOL, MANAGER, REWARD_TOKEN, VOTER)
        *answers, factory = yield [fn.read(position.target) for fn in (*fns, GAUGE_FACTORY)]
        pool, manager, paid, voter = (expect(fn, each, position, _KIND) for fn, each in zip(fns, answers, strict=True))
        held = yield from _ask_staked_range(position, manager, pool)
        (reward,) = yield from ask_tokens(position.chain, (paid,))
        contracts = {"pool": pool, "manager": manager, "voter": voter, "factory": position.target}
        if factory.success:
            contracts["factory"] = expect(GAUGE_FACTORY, factory, position, _KIND)
        effects = {SideEffect.OWNER_ONLY, SideEffect.NFT, SideEffect.RESTARTS_CLOCK}
        return Market(
            stake_token=held.stake,
            reward_tokens=(reward,),
            stake_parts=held.tokens,
            contracts=MappingProxyType(contracts),
            typical_gas=_GAS,
            side_effects=frozenset(effects),
            virtual=True,
            prices=MappingProxyType({held.stake.address: held.price}),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """Whose the NFT is, its liquidity, the price, pending, emission and the penalty's clock."""
        gauge, token_id, known = position.target, int_param(position, "token_id"), market.contracts
        return (
            STAKED_CONTAINS.read(gauge, position.owner, token_id, gas=20_000),
            OWNER_OF.read(known["manager"], token_id),
            POSITIONS.read(known["manager"], token_id, gas=30_000),
            SLOT0.read(known["pool"], result_bytes=32 * 7),
            STAKED_LIQUIDITY.read(known["pool"], gas=20_000),
            EARNED.read(gauge, position.owner, token_id, gas=90_000),
            REWARD_RATE.read(gauge),
            PERIOD_FINISH.read(gauge),
            BALANCE_OF.read(market.reward_tokens[0].address, gauge),
            IS_ALIVE.read(known["voter"], gauge),
            DEPOSIT_TIMESTAMP.read(gauge, token_id),
            MIN_STAKE_TIMES.read(known["factory"], known["pool"]),
            PENALTY_RATE.read(known["factory"]),
        )

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; only what is staked by the owner counts, and only liquidity in range earns."""
        # By the NFT's own contract as well: a gauge that only says so would be handed an NFT out of the wallet.
        holder = _owner_of(results[1])
        staked = bool(expect(STAKED_CONTAINS, results[0], position, _KIND)) and holder == position.target
        loose = holder == position.owner
        expect(POSITIONS, results[2], position, _KIND)
        liquidity = POSITIONS.values(results[2])[7]
        sqrt_price, tick = SLOT0.values(results[3])
        fns = (STAKED_LIQUIDITY, EARNED, REWARD_RATE, PERIOD_FINISH, BALANCE_OF, IS_ALIVE)
        total = expect(STAKED_LIQUIDITY, results[4], position, _KIND)
        earned = expect(EARNED, results[5], position, _KIND) if staked else 0
        rate, finish, held, alive = (
            expect(fn, r, position, _KIND) for fn, r in zip(fns[2:], results[6:10], strict=True)
        )
        ticks, reward = ticks_of(market), market.reward_tokens[0]
        earning = liquidity if staked and ticks[0] <= tick < ticks[1] else 0
        per_year = rate * YEAR_SECONDS if block.timestamp < finish else 0
        ends = sqrt_ratio_at_tick(ticks[0]), sqrt_ratio_at_tick(ticks[1])
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, liquidity if staked or loose else 0),
            pending=(Amount(reward, earned),),
            accruals=(accrual(reward, per_year, earning, total, finish),),
            deposits_paused=not alive or not staked,
            harvest_paused=not staked,
            paused_because=_why(position, alive=alive, loose=loose),
            underfunded=(reward.symbol,) if held < earned else (),
            epoch_seconds=WEEK,
            mix_ppm=mix_ppm(sqrt_price, *ends),
            harvest_opens_at=_opens_at(results[10:13], block.timestamp) if staked else None,
            notes=(("sqrt_price_x96", sqrt_price), ("sqrt_lower_x96", ends[0]), ("sqrt_upper_x96", ends[1])),
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:  # noqa: ARG002
        """``getReward(tokenId)`` pays who staked the NFT, and nobody else may call it."""
        data = GET_REWARD.encode(int_param(position, "token_id"))
        label = f"claim {market.reward_tokens[0].symbol}"
        return (Leg(LegKind.CLAIM, label, position.target, data, brings=market.reward_tokens),)

    def deposit(
        self,
        position: Position,
        market: Market,
        amount: Share,  # noqa: ARG002
        observation: Observation | None = None,
    ) -> Sequence[Leg]:
        """Approve both tokens exactly, take the NFT out, add to it, and put it back."""
        gauge, stake = position.target, market.stake_token
        nft = Nft(market.contracts["manager"], int_param(position, "token_id"))
        legs = deposit_legs(nft.contract, nft, position, stake, market.stake_parts, observation)
        out = Leg(LegKind.STAKE, f"take {stake.symbol} out", gauge, WITHDRAW.encode(nft.token_id))
        allow = Leg(LegKind.STAKE, f"approve {stake.symbol}", nft.contract, APPROVE.encode(gauge, nft.token_id))
        back = Leg(LegKind.STAKE, f"put {stake.symbol} back", gauge, DEPOSIT.encode(nft.token_id), nfts=(nft,))
        return (*legs[:-1], out, legs[-1], allow, back)

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """Claim, take out, add to and put back this NFT only, and approve the gauge for it."""
        gauge, manager, token_id = position.target, market.contracts["manager"], int_param(position, "token_id")
        this = (fixed_word(0, token_id),)
        return (
            Permission(gauge, GET_REWARD.selector, 1, this, "claim rewards"),
            Permission(gauge, WITHDRAW.selector, 1, this, "take the NFT out of the gauge"),
            Permission(gauge, DEPOSIT.selector, 1, this, "put the NFT back into the gauge"),
            Permission(
                manager,
                APPROVE.selector,
                2,
                (fixed_word(0, gauge), fixed_word(1, token_id)),
                f"approve the gauge for NFT {token_id}",
            ),
            *deposit_permissions(manager, token_id, market.stake_parts),
        )

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Find the account's staked NFTs: ``target`` of the place is a gauge, or the voter that lists them all."""
        listed = yield from ask_gauges(place)
        gauges = [place.target] if listed is None else listed
        staked: list[tuple[Address, int]] = []
        for start in range(0, len(gauges), _BATCH):
            batch = gauges[start : start + _BATCH]
            answers = yield [STAKED_VALUES.read(gauge, owner, result_bytes=640, gas=60_000) for gauge in batch]
            if listed is None and not answers[0].success:
                raise ReadFailed(f"{checksum(place.target)} is neither a voter nor {_KIND}; check it")
            for gauge, answer in zip(batch, answers, strict=True):
                # Gauges of LP tokens have no such list.
                staked += [(gauge, token_id) for token_id in _ids(answer)]
        return (yield from _found(chain, place, staked[:NFTS_LOOKED_AT]))


def _ask_staked_range(position: Position, manager: Address, pool: Address) -> Questions[Range]:
    """Ask for the NFT's range; its pool is the gauge's own. Raises ConfigError when it is another pool's."""
    token_id = int_param(position, "token_id")
    kind = f"a position manager with an NFT {token_id}"
    reads = [
        POSITIONS.read(manager, token_id),
        SYMBOL.read(manager, result_bytes=96),
        TOKEN0.read(pool),
        TOKEN1.read(pool),
    ]
    held, symbol, *sides = yield reads
    expect(POSITIONS, held, position, kind)
    # Where Uniswap's NFTs name a fee, Slipstream's name the pool's tick spacing.
    _, _, first, second, spacing, lower, upper, *_ = POSITIONS.values(held)
    if (first, second) != tuple(
        expect(fn, each, position, _KIND) for fn, each in zip((TOKEN0, TOKEN1), sides, strict=True)
    ):
        raise ConfigError(
            f"position {position.id}: NFT {token_id} is of another pool than the gauge {checksum(position.target)}; "
            "check target and token_id"
        )
    first_token, second_token = yield from ask_tokens(position.chain, (first, second))
    stake = stake_token(position.chain, manager, token_id, ticker(symbol))
    return Range(manager, token_id, pool, (first_token, second_token), spacing, (lower, upper), stake)


def _opens_at(results: Sequence[ReadResult], now: int) -> int | None:
    """Say when claims stop to be penalised; ``None`` when they are not now (older gauges never do)."""
    since, least, rate = (
        optional(fn, each) for fn, each in zip((DEPOSIT_TIMESTAMP, MIN_STAKE_TIMES, PENALTY_RATE), results, strict=True)
    )
    if not since or not least or not rate:
        return None
    return since + least if since + least > now else None


def _why(position: Position, *, alive: bool, loose: bool) -> str:
    if loose:
        return (
            f"NFT {int_param(position, 'token_id')} lies in the wallet; "
            f"approve the gauge {checksum(position.target)} for it and deposit it there again"
        )
    return "" if alive else "the gauge is killed: it takes no NFTs back, and gets no more rewards"


def _owner_of(result: ReadResult) -> Address | None:
    return OWNER_OF.value(result) if result.success else None


def _ids(answer: ReadResult) -> list[int]:
    try:
        return [int(each) for each in STAKED_VALUES.value(answer)]
    except ReadFailed:
        return []


def _found(chain: str, place: Place, staked: Sequence[tuple[Address, int]]) -> Questions[Sequence[Found]]:
    if not staked:
        return ()
    gauges = list(dict.fromkeys(gauge for gauge, _ in staked))
    named = yield [MANAGER.read(gauge) for gauge in gauges]
    managers: dict[Address, Address] = {
        gauge: MANAGER.value(each) for gauge, each in zip(gauges, named, strict=True) if each.success
    }
    staked = [(gauge, token_id) for gauge, token_id in staked if gauge in managers]
    reads = [POSITIONS.read(managers[gauge], token_id, gas=30_000) for gauge, token_id in staked]
    views = yield reads + [SYMBOL.read(managers[gauge], result_bytes=96) for gauge in managers]
    symbols: Mapping[Address, ReadResult] = dict(zip(managers, views[len(reads) :], strict=True))
    held = [(each, POSITIONS.values(view)) for each, view in zip(staked, views, strict=False) if view.success]
    labels = yield from _ask_names(chain, [values for _, values in held])
    return tuple(
        Found(
            place,
            gauge,
            {**place.params, "token_id": token_id},
            Amount(_stake(chain, managers[gauge], token_id, symbols[gauge]), values[7]),
            label,
        )
        for ((gauge, token_id), values), label in zip(held, labels, strict=True)
    )


def _stake(chain: str, manager: Address, token_id: int, symbol: ReadResult) -> Token:
    return stake_token(chain, manager, token_id, ticker(symbol))


def _ask_names(chain: str, positions: Sequence[tuple[object, ...]]) -> Questions[list[str]]:
    """Word the pools for people: the number behind the names is a tick spacing here, not a fee."""
    names = yield from ask_pair_names(chain, positions)
    return [f"{name.split(' ')[0]} spacing {each[4]}" for name, each in zip(names, positions, strict=True)]
