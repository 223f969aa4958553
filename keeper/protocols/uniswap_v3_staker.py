"""Uniswap V3 NFTs staked in a UniswapV3Staker for an incentive: taken out, paid and put back; what is sold is added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn, checksum, encode, keccak
from keeper.domain.block import BlockRef
from keeper.domain.facts import Place
from keeper.domain.money import Address, Amount
from keeper.domain.observation import Accrual, Observation, RateSource
from keeper.domain.plan import Leg, LegKind, Nft, Share
from keeper.domain.position import Market, Position, SideEffect
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import SYMBOL, ask_tokens, fixed_word, optional
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import Found, ParamSpec, Permission, Questions
from keeper.protocols.nft_range import (
    POSITIONS,
    ask_pair_names,
    ask_range,
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
from keeper.protocols.shared import address_param, expect, int_param

__all__ = ["UniswapV3Staker"]

#: https://docs.uniswap.org/contracts/v3/reference/periphery/staker/UniswapV3Staker
MANAGER: Final = Fn("nonfungiblePositionManager()", "address")
#: owner, numberOfStakes, tickLower, tickUpper.
DEPOSITS: Final = Fn("deposits(uint256)", "address,uint48,int24,int24")
#: secondsPerLiquidityInsideInitialX128, liquidity.
STAKES: Final = Fn("stakes(uint256,bytes32)", "uint160,uint128")
#: totalRewardUnclaimed, totalSecondsClaimedX128, numberOfStakes.
INCENTIVES: Final = Fn("incentives(bytes32)", "uint256,uint160,uint96")
#: What was earned and not yet claimed, of one token, by all NFTs of an account.
REWARDS: Final = Fn("rewards(address,address)", "uint256")

_KEY: Final = "(address,address,uint256,uint256,address)"
#: reward, secondsInsideX128; reverts for an NFT that is not staked.
REWARD_INFO: Final = Fn(f"getRewardInfo({_KEY},uint256)", "uint256,uint160")
UNSTAKE: Final = Fn(f"unstakeToken({_KEY},uint256)")
STAKE: Final = Fn(f"stakeToken({_KEY},uint256)")
#: rewardToken, to, amountRequested; 0 for all.
CLAIM: Final = Fn("claimReward(address,address,uint256)", "uint256")

_KIND: Final = "a UniswapV3Staker"

#: Gas of a compound on real code: out, claim, in, two swaps, two approvals, increase.
_GAS: Final = 820_000

#: Seconds before the end in which an NFT is not put back: it might come too late, and would earn next to nothing.
_TOO_LATE: Final = 900

#: NFTs of one place that are looked at.
_LOOKED_AT: Final = 200


class UniswapV3Staker:
    """Adapter for https://github.com/Uniswap/v3-staker/blob/main/contracts/UniswapV3Staker.sol .

    ``target`` is the staker, where the NFT has been deposited. Rewards follow the time that the liquidity was in range,
    so no rate is named, only the end. The pool's fees cannot be collected while the NFT is there; they wait in it. What
    is added to the NFT counts from the next time that it is put back: with each harvest.
    """

    name = "uniswap-v3-staker"
    typical_gas = _GAS
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "token_id": ParamSpec("int", True, "Number of the staked NFT."),
            "reward": ParamSpec("address", True, "Reward token of the incentive."),
            "pool": ParamSpec("address", True, "Pool of the incentive."),
            "start": ParamSpec("int", True, "Start of the incentive, unix seconds."),
            "end": ParamSpec("int", True, "End of the incentive, unix seconds."),
            "refundee": ParamSpec("address", True, "Who gets what the incentive leaves over; part of its name."),
        }
    )
    #: What else a place in the config may say.
    place_params: Mapping[str, ParamSpec] = MappingProxyType(
        {"ids": ParamSpec("str", True, 'Numbers of the NFTs to look at: "12,13,20-30".')}
    )

    def resolve(self, position: Position) -> Questions[Market]:
        """Ask for the NFT behind the staker, and whether there is such an incentive."""
        token_id, incentive = int_param(position, "token_id"), _incentive_id(position)
        results = yield [MANAGER.read(position.target), INCENTIVES.read(position.target, incentive)]
        manager = expect(MANAGER, results[0], position, _KIND)
        expect(INCENTIVES, results[1], position, _KIND)
        reward_left, claimed, stakes = INCENTIVES.values(results[1])
        if not (reward_left or claimed or stakes):
            raise ConfigError(
                f"position {position.id}: {checksum(position.target)} has no such incentive; "
                "check reward, pool, start, end and refundee"
            )
        held = yield from ask_range(position, manager, token_id)
        if held.pool != address_param(position, "pool"):
            raise ConfigError(f"position {position.id}: NFT {token_id} is in pool {checksum(held.pool)}, not in pool")
        (reward,) = yield from ask_tokens(position.chain, (address_param(position, "reward"),))
        return Market(
            stake_token=held.stake,
            reward_tokens=(reward,),
            stake_parts=held.tokens,
            contracts=MappingProxyType({"pool": held.pool, "manager": manager}),
            typical_gas=_GAS,
            side_effects=frozenset({SideEffect.OWNER_ONLY, SideEffect.NFT, SideEffect.COUNTS_NEXT_TIME}),
            virtual=True,
            prices=MappingProxyType({held.stake.address: held.price}),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """Whose the NFT is, whether it is staked, what it and the account have earned, its liquidity and the price."""
        staker, token_id = position.target, int_param(position, "token_id")
        incentive = _incentive_id(position)
        views = range_reads(market.contracts["manager"], token_id, market.contracts["pool"], ticks_of(market))
        return (
            DEPOSITS.read(staker, token_id),
            STAKES.read(staker, token_id, incentive, gas=20_000),
            REWARD_INFO.read(staker, _key(position), token_id, gas=120_000),
            REWARDS.read(staker, market.reward_tokens[0].address, position.owner),
            *views,
        )

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; an NFT that was taken out, or that is somebody else's, is nothing of ours."""
        ours = expect(DEPOSITS, results[0], position, _KIND) == position.owner
        expect(STAKES, results[1], position, _KIND)
        staked = ours and STAKES.values(results[1])[1] > 0
        earned = optional(REWARD_INFO, results[2]) or 0 if staked else 0
        earned += expect(REWARDS, results[3], position, _KIND)
        looked, ticks = look(results[4:], position), ticks_of(market)
        reward, end = market.reward_tokens[0], int_param(position, "end")
        open_now = int_param(position, "start") <= block.timestamp < end - _TOO_LATE
        earning = staked and looked.within(ticks) and block.timestamp < end
        source = RateSource.OBSERVED if earning else RateSource.CHAIN
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, looked.liquidity if ours else 0),
            pending=(Amount(reward, earned),),
            accruals=(Accrual(Amount(reward, 0), 0, end, source),),
            mix_ppm=mix(looked, ticks),
            notes=(*price_notes(looked, ticks), ("staked", int(staked)), ("back", int(ours and open_now))),
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:
        """Take the NFT out, claim, and put it back at once; not back where the incentive is over."""
        key, token_id, reward = _key(position), int_param(position, "token_id"), market.reward_tokens[0]
        legs = []
        if observation.note("staked"):
            data = UNSTAKE.encode(key, token_id)
            legs.append(Leg(LegKind.STAKE, f"unstake {market.stake_token.symbol}", position.target, data))
        data = CLAIM.encode(reward.address, position.owner, 0)
        legs.append(Leg(LegKind.CLAIM, f"claim {reward.symbol}", position.target, data, brings=(reward,)))
        if observation.note("back"):
            data = STAKE.encode(key, token_id)
            legs.append(Leg(LegKind.STAKE, f"stake {market.stake_token.symbol}", position.target, data))
        return legs

    def deposit(
        self,
        position: Position,
        market: Market,
        amount: Share,  # noqa: ARG002
        observation: Observation | None = None,
    ) -> Sequence[Leg]:
        """Approve both tokens exactly, then ``increaseLiquidity`` on the manager, where anybody may add."""
        manager = market.contracts["manager"]
        nft = Nft(manager, int_param(position, "token_id"))
        return deposit_legs(manager, nft, position, market.stake_token, market.stake_parts, observation)

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """Out of and into this incentive, claim this reward to the owner, and add to this NFT."""
        staker, token_id = position.target, int_param(position, "token_id")
        words: tuple[int | Address, ...] = (*_key(position), token_id)
        named = tuple(fixed_word(word, value) for word, value in enumerate(words))
        claim = (fixed_word(0, market.reward_tokens[0].address), fixed_word(1, position.owner), fixed_word(2, 0))
        return (
            Permission(staker, UNSTAKE.selector, 6, named, "take the NFT out of the incentive"),
            Permission(staker, CLAIM.selector, 3, claim, "claim rewards"),
            Permission(staker, STAKE.selector, 6, named, "put the NFT back into the incentive"),
            *deposit_permissions(market.contracts["manager"], token_id, market.stake_parts),
        )

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Find the account's NFTs among those that ``ids`` of the place names ("12,13,20-30").

        The staker keeps no list of an account's NFTs. The place's params name one incentive as a position's do.
        """
        ids = _ids(place)
        answers = yield [MANAGER.read(place.target), *(DEPOSITS.read(place.target, token_id) for token_id in ids)]
        try:
            manager = MANAGER.value(answers[0])
        except ReadFailed as error:
            raise ReadFailed(f"{checksum(place.target)} does not answer like {_KIND} ({error}); check it") from error
        named = zip(ids, answers[1:], strict=True)
        mine = [token_id for token_id, answer in named if answer.success and DEPOSITS.values(answer)[0] == owner]
        if not mine:
            return ()
        reads = [POSITIONS.read(manager, token_id, gas=30_000) for token_id in mine]
        symbol, *views = yield [SYMBOL.read(manager, result_bytes=96), *reads]
        held = {i: POSITIONS.values(view) for i, view in zip(mine, views, strict=True) if view.success}
        labels = yield from ask_pair_names(chain, tuple(held.values()))
        kept = {key: value for key, value in place.params.items() if key != "ids"}
        return tuple(
            Found(
                place=place,
                target=place.target,
                params={**kept, "token_id": token_id},
                staked=Amount(stake_token(chain, manager, token_id, ticker(symbol)), each[7]),
                label=label,
            )
            for (token_id, each), label in zip(held.items(), labels, strict=True)
        )


def _key(position: Position) -> tuple[Address, Address, int, int, Address]:
    return (
        address_param(position, "reward"),
        address_param(position, "pool"),
        int_param(position, "start"),
        int_param(position, "end"),
        address_param(position, "refundee"),
    )


def _incentive_id(position: Position) -> bytes:
    return keccak(encode((_KEY,), (_key(position),)))


def _ids(place: Place) -> list[int]:
    """Read "12,13,20-30". Raises ConfigError when there is no such list, or it is too long."""
    out: list[int] = []
    for part in str(place.params.get("ids", "")).split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            raise ConfigError(
                f'{place.name}: a UniswapV3Staker keeps no list of an account\'s NFTs; name them: ids = "12,20-30"'
            )
        out += range(int(first), min(int(last or first), int(first) + _LOOKED_AT) + 1)
    if len(out) > _LOOKED_AT:
        raise ConfigError(f"{place.name}: ids names more than {_LOOKED_AT} NFTs; name fewer")
    return out
