"""PancakeSwap V3 positions staked in MasterChefV3: CAKE and the pool's fees are harvested and added to the range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn, checksum
from keeper.domain.block import BlockRef
from keeper.domain.facts import Place
from keeper.domain.money import Address, Amount, Token
from keeper.domain.observation import Accrual, Observation, RateSource
from keeper.domain.plan import Leg, LegKind, Nft, Share
from keeper.domain.position import Market, Position, SideEffect
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import BALANCE_OF, SYMBOL, ask_tokens, fixed_word, optional
from keeper.errors import ConfigError
from keeper.ports import Found, ParamSpec, Permission, Questions
from keeper.protocols.nft_range import (
    POSITIONS,
    ask_nfts,
    ask_pair_names,
    ask_range,
    collect_leg,
    collect_permission,
    deposit_legs,
    deposit_permissions,
    look,
    mix,
    price_notes,
    range_reads,
    stake_token,
    ticker,
    ticks_of,
)
from keeper.protocols.shared import YEAR_SECONDS, expect, int_param

__all__ = ["PancakeV3"]

#: https://developer.pancakeswap.finance/contracts/v3/masterchefv3
CAKE: Final = Fn("CAKE()", "address")
MANAGER: Final = Fn("nonfungiblePositionManager()", "address")
#: liquidity, boostLiquidity, tickLower, tickUpper, rewardGrowthInside, reward, user, pid, boostMultiplier.
USER_INFO: Final = Fn(
    "userPositionInfos(uint256)", "uint128,uint128,int24,int24,uint256,uint256,address,uint256,uint256"
)
PENDING: Final = Fn("pendingCake(uint256)", "uint256")
#: Of a V3 pool: cakePerSecond (times 10**12), end of the period.
PERIOD: Final = Fn("getLatestPeriodInfo(address)", "uint256,uint256")
#: Of a V3 pool, and of what it names: the liquidity that shares the CAKE now, and until when it has been shared out.
LM_POOL: Final = Fn("lmPool()", "address")
LM_LIQUIDITY: Final = Fn("lmLiquidity()", "uint128")
LM_TIME: Final = Fn("lastRewardTimestamp()", "uint32")

HARVEST: Final = Fn("harvest(uint256,address)", "uint256")

_PRECISION: Final = 10**12
_KIND: Final = "a MasterChefV3"

#: Gas of a compound on real code: harvest, collect, three swaps, approvals, increase.
_GAS: Final = 970_000


class PancakeV3:
    """Adapter for MasterChefV3 of https://developer.pancakeswap.finance/contracts/v3/addresses .

    ``target`` is the MasterChefV3 that the NFT is staked in. Its ``pendingCake`` is as of the last swap, so what has
    accrued since is added from the emission. Fees are collected through the chef, liquidity is added through it. CAKE
    comes in periods that somebody has to open (``upkeep``); a chef that is short of it pays less without a word. For an
    NFT that is not staked use ``uniswap-v3`` with Pancake's position manager.
    """

    name = "pancake-v3"
    typical_gas = _GAS
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {"token_id": ParamSpec("int", True, "Number of the staked NFT, as the exchange's page of it shows it.")}
    )

    def resolve(self, position: Position) -> Questions[Market]:
        """Ask for the NFT behind the chef, for CAKE, and for what shares out the CAKE of its pool."""
        chef, token_id = position.target, int_param(position, "token_id")
        fns = (CAKE, MANAGER, USER_INFO, PENDING)
        results = yield [fn.read(chef, *((token_id,) if fn.inputs else ()), gas=40_000) for fn in fns]
        cake, manager, *_ = (expect(fn, result, position, _KIND) for fn, result in zip(fns, results, strict=True))
        if USER_INFO.values(results[2])[7] == 0:
            raise ConfigError(
                f"position {position.id}: NFT {token_id} is not staked in this MasterChefV3; stake it, or use the "
                "protocol uniswap-v3 with the position manager as target"
            )
        held = yield from ask_range(position, manager, token_id)
        (named,) = yield [LM_POOL.read(held.pool)]
        lm = optional(LM_POOL, named) or 0
        if lm == 0:
            raise ConfigError(
                f"position {position.id}: pool {checksum(held.pool)} shares out no CAKE; take the NFT out of the "
                "MasterChefV3, and use the protocol uniswap-v3 with the position manager as target"
            )
        (reward,) = yield from ask_tokens(position.chain, (cake,))
        contracts = {"pool": held.pool, "manager": manager, "lm_pool": Address(f"0x{lm:040x}")}
        return Market(
            stake_token=held.stake,
            reward_tokens=tuple(dict.fromkeys((reward, *held.tokens))),
            stake_parts=held.tokens,
            contracts=MappingProxyType(contracts),
            typical_gas=_GAS,
            side_effects=frozenset({SideEffect.OWNER_ONLY, SideEffect.NFT}),
            virtual=True,
            prices=MappingProxyType({held.stake.address: held.price}),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """Stake and CAKE of the NFT, the emission and who shares it, and the NFT's fees and price."""
        chef, token_id, at = position.target, int_param(position, "token_id"), market.contracts
        return (
            USER_INFO.read(chef, token_id, gas=30_000),
            PENDING.read(chef, token_id, gas=60_000),
            PERIOD.read(chef, at["pool"], gas=20_000),
            LM_LIQUIDITY.read(at["lm_pool"]),
            LM_TIME.read(at["lm_pool"]),
            BALANCE_OF.read(market.reward_tokens[0].address, chef),
            *range_reads(at["manager"], token_id, at["pool"], ticks_of(market)),
        )

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; an NFT that was taken out, or that is somebody else's, is nothing of ours."""
        for fn, result in zip((USER_INFO, PENDING, PERIOD, LM_LIQUIDITY, LM_TIME), results, strict=False):
            expect(fn, result, position, _KIND)
        _, boosted, _, _, _, _, user, _, _ = USER_INFO.values(results[0])
        (viewed,), (held,) = PENDING.values(results[1]), BALANCE_OF.values(results[5])
        looked, ticks = look(results[6:], position), ticks_of(market)
        ours, cake = user == position.owner, market.reward_tokens[0]
        accrued, accrual = _emission(cake, results, boosted if ours and looked.within(ticks) else 0, block)
        pending = viewed + accrued if ours else 0
        fees = looked.fees if ours else (0, 0)
        source = RateSource.OBSERVED if ours and looked.within(ticks) else RateSource.CHAIN
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, looked.liquidity if ours else 0),
            pending=_summed(market, pending, fees),
            accruals=(accrual, *(Accrual(Amount(token, 0), source=source) for token in market.reward_tokens[1:])),
            underfunded=(cake.symbol,) if held < pending else (),
            mix_ppm=mix(looked, ticks),
            notes=(*price_notes(looked, ticks), ("cake", pending), ("fees", max(fees))),
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:
        """``harvest`` the CAKE and ``collect`` the fees, each where there is any."""
        chef, token_id, cake = position.target, int_param(position, "token_id"), market.reward_tokens[0]
        data = HARVEST.encode(token_id, position.owner)
        harvest = Leg(LegKind.CLAIM, f"claim {cake.symbol}", chef, data, brings=(cake,))
        collect = collect_leg(chef, token_id, position.owner, market.stake_parts)
        legs = [leg for leg, name in ((harvest, "cake"), (collect, "fees")) if observation.note(name) > 0]
        return legs or (harvest, collect)

    def deposit(
        self,
        position: Position,
        market: Market,
        amount: Share,  # noqa: ARG002
        observation: Observation | None = None,
    ) -> Sequence[Leg]:
        """Approve both tokens exactly, then ``increaseLiquidity`` on the chef, so that it counts at once."""
        nft = Nft(market.contracts["manager"], int_param(position, "token_id"))
        return deposit_legs(position.target, nft, position, market.stake_token, market.stake_parts, observation)

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """Harvest and collect of this NFT to the owner, add to this NFT, and approve the chef for both tokens."""
        chef, token_id = position.target, int_param(position, "token_id")
        harvest = (fixed_word(0, token_id), fixed_word(1, position.owner))
        return (
            Permission(chef, HARVEST.selector, 2, harvest, "claim CAKE"),
            collect_permission(chef, token_id, position.owner),
            *deposit_permissions(chef, token_id, market.stake_parts),
        )

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Find the account's staked NFTs, newest first."""
        ids = yield from ask_nfts(owner, place.target)
        if not ids:
            return ()
        (said,) = yield [MANAGER.read(place.target)]
        manager = MANAGER.value(said)
        reads = [POSITIONS.read(manager, token_id, gas=30_000) for token_id in ids]
        symbol, *answers = yield [SYMBOL.read(manager, result_bytes=96), *reads]
        held = {i: POSITIONS.values(answer) for i, answer in zip(ids, answers, strict=True) if answer.success}
        labels = yield from ask_pair_names(chain, tuple(held.values()))
        return tuple(
            Found(
                place=place,
                target=place.target,
                params={**place.params, "token_id": token_id},
                staked=Amount(stake_token(chain, manager, token_id, ticker(symbol)), each[7]),
                label=label,
            )
            for (token_id, each), label in zip(held.items(), labels, strict=True)
        )


def _emission(cake: Token, results: Sequence[ReadResult], boosted: int, block: BlockRef) -> tuple[int, Accrual]:
    """Return what has accrued since the rewards were last brought up to date, and the rate from now on.

    ``boosted``: the position's part of the liquidity that shares them; 0 out of its range.
    """
    per_second, ends_at = PERIOD.values(results[2])
    total, since = LM_LIQUIDITY.value(results[3]), LM_TIME.value(results[4])
    if total == 0:
        return 0, Accrual(Amount(cake, 0), 0, ends_at)
    own = min(boosted, total)
    seconds = max(min(block.timestamp, ends_at) - since, 0)
    accrued = per_second * seconds * own // (total * _PRECISION)
    running = block.timestamp < ends_at
    per_year = per_second * YEAR_SECONDS * own // (total * _PRECISION) if running else 0
    return accrued, Accrual(Amount(cake, per_year), 1_000_000 * own // total, ends_at)


def _summed(market: Market, cake: int, fees: tuple[int, int]) -> tuple[Amount, ...]:
    """Return what is pending of each reward token: CAKE may be a side of the pool as well."""
    raw = dict.fromkeys((token.address for token in market.reward_tokens), 0)
    raw[market.reward_tokens[0].address] += cake
    for token, fee in zip(market.stake_parts, fees, strict=True):
        raw[token.address] += fee
    return tuple(Amount(token, raw[token.address]) for token in market.reward_tokens)
