"""Uniswap V3 positions (and forks with its position manager): the pool's fees are collected and added to the range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.domain.block import BlockRef
from keeper.domain.facts import Place
from keeper.domain.money import Address, Amount
from keeper.domain.observation import Accrual, Observation
from keeper.domain.plan import Leg, Nft, Share
from keeper.domain.position import Market, Position, SideEffect
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import SYMBOL
from keeper.ports import Found, ParamSpec, Permission, Questions
from keeper.protocols.nft_range import (
    OWNER_OF,
    POSITIONS,
    amounts_of,
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
from keeper.protocols.shared import expect, int_param

__all__ = ["UniswapV3"]

_KIND: Final = "a Uniswap V3 position manager"

#: Gas of a compound on real code: collect, approve, swap, two approvals, increase.
_GAS: Final = 400_000


class UniswapV3:
    """Adapter for https://docs.uniswap.org/contracts/v3/reference/periphery/NonfungiblePositionManager .

    ``target`` is the position manager. What it says is owed (``tokensOwed``) is as of the NFT's last change, so the
    fees are reckoned from the pool's own counters. They follow trade: nothing names a rate, except outside the range,
    where nothing is earned. A collect also brings what an earlier decrease of liquidity left behind.
    """

    name = "uniswap-v3"
    typical_gas = _GAS
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {"token_id": ParamSpec("int", True, "Number of the NFT, as the exchange's page of the position shows it.")}
    )

    def resolve(self, position: Position) -> Questions[Market]:
        """Ask for the NFT's pool, tokens and range."""
        held = yield from ask_range(position, position.target, int_param(position, "token_id"))
        return Market(
            stake_token=held.stake,
            reward_tokens=held.tokens,
            stake_parts=held.tokens,
            contracts=MappingProxyType({"pool": held.pool}),
            typical_gas=_GAS,
            side_effects=frozenset({SideEffect.OWNER_ONLY, SideEffect.NFT}),
            virtual=True,
            prices=MappingProxyType({held.stake.address: held.price}),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """Who owns the NFT, its liquidity, the pool's price, and the pool's counters of fees."""
        manager, token_id = position.target, int_param(position, "token_id")
        views = range_reads(manager, token_id, market.contracts["pool"], ticks_of(market))
        return (OWNER_OF.read(manager, token_id), *views)

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; an NFT that has gone to somebody else is nothing of ours."""
        ours = expect(OWNER_OF, results[0], position, _KIND) == position.owner
        looked, ticks = look(results[1:], position), ticks_of(market)
        idle = tuple(Accrual(Amount(token, 0)) for token in market.reward_tokens)
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, looked.liquidity if ours else 0),
            pending=amounts_of(market.reward_tokens, looked.fees if ours else (0, 0)),
            accruals=() if ours and looked.within(ticks) else idle,
            mix_ppm=mix(looked, ticks),
            notes=price_notes(looked, ticks),
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:  # noqa: ARG002
        """``collect`` all fees to the owner."""
        token_id = int_param(position, "token_id")
        return (collect_leg(position.target, token_id, position.owner, market.reward_tokens),)

    def deposit(
        self,
        position: Position,
        market: Market,
        amount: Share,  # noqa: ARG002
        observation: Observation | None = None,
    ) -> Sequence[Leg]:
        """Approve both tokens exactly, then ``increaseLiquidity``."""
        nft = Nft(position.target, int_param(position, "token_id"))
        return deposit_legs(position.target, nft, position, market.stake_token, market.stake_parts, observation)

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """Collect this NFT's fees to the owner, add to this NFT, and approve the manager for both tokens."""
        token_id = int_param(position, "token_id")
        return (
            collect_permission(position.target, token_id, position.owner),
            *deposit_permissions(position.target, token_id, market.stake_parts),
        )

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Find the account's NFTs that hold liquidity, newest first."""
        ids = yield from ask_nfts(owner, place.target)
        if not ids:
            return ()
        symbol, *answers = yield [SYMBOL.read(place.target, result_bytes=96)] + [
            POSITIONS.read(place.target, token_id, gas=30_000) for token_id in ids
        ]
        held = {i: POSITIONS.values(answer) for i, answer in zip(ids, answers, strict=True) if answer.success}
        held = {token_id: each for token_id, each in held.items() if each[7] > 0}
        labels = yield from ask_pair_names(chain, tuple(held.values()))
        return tuple(
            Found(
                place=place,
                target=place.target,
                params={**place.params, "token_id": token_id},
                staked=Amount(stake_token(chain, place.target, token_id, ticker(symbol)), each[7]),
                label=label,
            )
            for (token_id, each), label in zip(held.items(), labels, strict=True)
        )
