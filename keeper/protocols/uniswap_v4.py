"""Uniswap V4 positions: the pool's fees are put back into the range in one call, without passing through the wallet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from keeper.abi import EventSig, Fn, checksum, encode, keccak
from keeper.domain.block import BlockRef
from keeper.domain.facts import Place
from keeper.domain.money import BPS, Address, Amount
from keeper.domain.observation import Accrual, Observation
from keeper.domain.plan import Deadline, Leg, LegKind, Patch, Proof, Share
from keeper.domain.position import Market, Position, SideEffect
from keeper.domain.reads import Read, ReadResult
from keeper.domain.spec import PriceSpec
from keeper.erc20 import SYMBOL, ZERO_ADDRESS, ask_symbols, ask_tokens
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import Found, ParamSpec, Permission, Questions
from keeper.protocols.nft_range import OWNER_OF, Looked, amounts_of, mix, price_notes, stake_token, ticker, ticks_of
from keeper.protocols.shared import address_param, expect, int_param
from keeper.protocols.v4_calls import DEADLINE_WORD, calls_permissions, put_back, take_fees
from keeper.ranges import amounts_for_liquidity, fees_since, liquidity_for_amounts

__all__ = ["UniswapV4"]

_POOL_KEY: Final = "(address,address,uint24,int24,address)"
#: currency0, currency1, fee, tickSpacing, hooks; and packed: poolId (200 bits), upper and lower tick, subscriber.
#: https://docs.uniswap.org/contracts/v4/reference/periphery/PositionManager
POSITION_INFO: Final = Fn("getPoolAndPositionInfo(uint256)", f"{_POOL_KEY},uint256")
POSITION_LIQUIDITY: Final = Fn("getPositionLiquidity(uint256)", "uint128")
NEXT_TOKEN_ID: Final = Fn("nextTokenId()", "uint256")
POOL_MANAGER: Final = Fn("poolManager()", "address")
#: Of StateView, https://docs.uniswap.org/contracts/v4/guides/state-view : sqrtPriceX96, tick, fees.
SLOT0: Final = Fn("getSlot0(bytes32)", "uint160,int24,uint24,uint24")
GROWTH_INSIDE: Final = Fn("getFeeGrowthInside(bytes32,int24,int24)", "uint256,uint256")
#: liquidity, fee growth inside as of its last change.
IN_POOL: Final = Fn("getPositionInfo(bytes32,address,int24,int24,bytes32)", "uint128,uint256,uint256")

#: The PoolManager's word for every change of liquidity, one by nothing included.
MODIFIED: Final = EventSig("ModifyLiquidity(bytes32,address,int24,int24,int256,bytes32)")

#: Hooks say in their address's lowest bits what they do. These two let them take of what is added and removed.
#: https://github.com/Uniswap/v4-core/blob/main/src/libraries/Hooks.sol
_HOOKS_THAT_TAKE: Final = 0b11

#: Price move, basis points, that the liquidity put back leaves room for. What the room does not use goes to the wallet.
_ROOM_BPS: Final = 20

#: Part of the fees' value, parts per million, that must find its way back for a compound to be worth its gas.
_LEAST_PPM: Final = 500_000
_PPM: Final = 10**6

#: Gas of a compound on real code, with a margin for hooks and subscribers.
_GAS: Final = 250_000

#: NFTs looked at by ``discover``, newest first, and at once.
_LOOKED_AT: Final = 2_000
_BATCH: Final = 500


class UniswapV4:
    """Adapter for https://docs.uniswap.org/contracts/v4/reference/periphery/PositionManager .

    ``target`` is the PositionManager, ``state_view`` the chain's StateView. Fees are reckoned exactly from the pool's
    counters; they follow trade, so that no rate is named. A compound is one call: adding liquidity credits the fees,
    and what both sides of them pay for is added. Nothing leaves the wallet and nothing is approved; what the range's
    ratio leaves over of one side comes to the wallet. While the fees are mostly of one side, keeper waits: a deposit
    from the wallet would need a standing Permit2 approval, which keeper never signs. Pools of the native coin, and
    pools whose hooks can take of deposits or withdrawals, are refused (the latter unless ``allow_hooks``).
    """

    name = "uniswap-v4"
    typical_gas = _GAS
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "token_id": ParamSpec("int", True, "Number of the NFT, as the exchange's page of the position shows it."),
            "state_view": ParamSpec("address", True, "The chain's StateView contract of Uniswap V4."),
            "allow_hooks": ParamSpec("bool", False, "Accept a pool whose hooks can take of deposits and withdrawals."),
        }
    )
    #: What else a place in the config may say.
    place_params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "ids": ParamSpec(
                "str", False, 'Numbers of the NFTs to look at, "12,13,20-30"; the newest where it is not there.'
            )
        }
    )

    def resolve(self, position: Position) -> Questions[Market]:
        """Ask for the NFT's pool, tokens and range. Raises ConfigError for pools that are not served."""
        token_id, view = int_param(position, "token_id"), address_param(position, "state_view")
        kind = f"Uniswap V4's PositionManager with an NFT {token_id}"
        held, symbol, pools, seen = yield [
            POSITION_INFO.read(position.target, token_id),
            SYMBOL.read(position.target, result_bytes=96),
            POOL_MANAGER.read(position.target),
            POOL_MANAGER.read(view),
        ]
        expect(POSITION_INFO, held, position, kind)
        key, packed = POSITION_INFO.values(held)
        if key == (ZERO_ADDRESS, ZERO_ADDRESS, 0, 0, ZERO_ADDRESS):
            raise ConfigError(f"position {position.id}: there is no NFT {token_id}, or it was burnt; check token_id")
        _check_pool(position, key)
        manager = expect(POOL_MANAGER, pools, position, kind)
        if not seen.success or POOL_MANAGER.value(seen) != manager:
            raise ConfigError(
                f"position {position.id}: state_view {checksum(view)} does not look at the pools of "
                f"{checksum(position.target)}; name the chain's own StateView"
            )
        first, second = yield from ask_tokens(position.chain, key[:2])
        stake = stake_token(position.chain, position.target, token_id, ticker(symbol).removesuffix("-POSM"))
        lower, upper = _ticks(packed)
        settings: dict[str, str | int] = {
            "token0": first.address,
            "token1": second.address,
            "tick_lower": lower,
            "tick_upper": upper,
        }
        return Market(
            stake_token=stake,
            reward_tokens=(first, second),
            stake_parts=(first, second),
            contracts=MappingProxyType({"pool_manager": manager, "pool_id": _as_text(_pool_id(key))}),
            typical_gas=_GAS,
            side_effects=frozenset({SideEffect.OWNER_ONLY, SideEffect.NFT, SideEffect.ONE_CALL}),
            virtual=True,
            prices=MappingProxyType({stake.address: PriceSpec("uniswap-v3-range", MappingProxyType(settings))}),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """Who owns the NFT, the pool's price, its counters of fees inside the range, and the position's own."""
        view, pool = address_param(position, "state_view"), bytes.fromhex(market.contracts["pool_id"][2:])
        token_id, (lower, upper) = int_param(position, "token_id"), ticks_of(market)
        salt = token_id.to_bytes(32, "big")
        return (
            OWNER_OF.read(position.target, token_id),
            SLOT0.read(view, pool, gas=20_000),
            GROWTH_INSIDE.read(view, pool, lower, upper, gas=60_000),
            IN_POOL.read(view, pool, position.target, lower, upper, salt, gas=40_000),
        )

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; an NFT that is burnt or has gone to somebody else is nothing of ours."""
        ours = results[0].success and OWNER_OF.value(results[0]) == position.owner
        looked, ticks = _look(results, position), ticks_of(market)
        fees = looked.fees if ours else (0, 0)
        notes = price_notes(looked, ticks)
        waits = ours and any(fees) and _part_put_back(notes, fees) < _LEAST_PPM
        idle = tuple(Accrual(Amount(token, 0)) for token in market.reward_tokens)
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, looked.liquidity if ours else 0),
            pending=amounts_of(market.reward_tokens, fees),
            accruals=() if ours and looked.within(ticks) else idle,
            deposits_paused=waits,
            paused_because="the fees so far are mostly of one side, and only what both sides pay can be put back; "
            "it waits for trade the other way"
            if waits
            else "",
            mix_ppm=mix(looked, ticks),
            notes=notes,
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:  # noqa: ARG002
        """Remove no liquidity at all, which credits the fees, and take both sides to the owner."""
        names = " and ".join(token.symbol for token in market.reward_tokens)
        first, second = market.reward_tokens
        data = take_fees(int_param(position, "token_id"), (first.address, second.address), position.owner)
        proof = (Proof(market.contracts["pool_manager"], MODIFIED.topic),)
        until = (Patch(DEADLINE_WORD, Deadline()),)
        return (
            Leg(
                LegKind.CLAIM, f"take {names}", position.target, data, until, brings=market.reward_tokens, proves=proof
            ),
        )

    def compound(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:
        """Add the liquidity that both sides of the fees pay for; what is left over comes to the wallet.

        The most that may go in are the fees themselves, so that nothing is ever taken out of the wallet.
        """
        fees = observation.pending[0].raw, observation.pending[1].raw
        liquidity = _liquidity(observation.notes, fees)
        if liquidity == 0:
            return ()
        names = " and ".join(token.symbol for token in market.reward_tokens)
        pair = market.reward_tokens[0].address, market.reward_tokens[1].address
        return (
            Leg(
                kind=LegKind.COMPOUND,
                label=f"put {names} back into {market.stake_token.symbol}",
                to=position.target,
                template=put_back(int_param(position, "token_id"), pair, liquidity, fees),
                patches=(Patch(DEADLINE_WORD, Deadline()),),
                proves=(Proof(market.contracts["pool_manager"], MODIFIED.topic),),
            ),
        )

    def deposit(
        self,
        position: Position,  # noqa: ARG002
        market: Market,  # noqa: ARG002
        amount: Share,  # noqa: ARG002
        observation: Observation | None = None,  # noqa: ARG002
    ) -> Sequence[Leg]:
        """Nothing: it would need a standing approval by Permit2, which is never signed."""
        return ()

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """Take this NFT's fees to the owner, and put them back into this NFT; every other word is fixed."""
        token_id, (first, second) = int_param(position, "token_id"), market.reward_tokens
        pair = first.address, second.address
        return calls_permissions(position.target, token_id, pair, position.owner)

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Find the account's NFTs among the newest, or among those that ``ids`` of the place names ("12,20-30").

        The contract keeps no list of an account's NFTs; older ones are in its Transfer logs only. The place's params
        name ``state_view``.
        """
        ids = yield from _ask_ids(place)
        mine: list[int] = []
        for start in range(0, len(ids), _BATCH):
            some = ids[start : start + _BATCH]
            answers = yield [OWNER_OF.read(place.target, token_id) for token_id in some]
            mine += [i for i, answer in zip(some, answers, strict=True) if answer.success and _is(answer, owner)]
        if not mine:
            return ()
        symbol, *views = yield [
            SYMBOL.read(place.target, result_bytes=96),
            *(POSITION_LIQUIDITY.read(place.target, i, gas=30_000) for i in mine),
            *(POSITION_INFO.read(place.target, i, gas=30_000) for i in mine),
        ]
        liquid, infos = views[: len(mine)], views[len(mine) :]
        held = [
            (i, POSITION_LIQUIDITY.value(raw), POSITION_INFO.values(info)[0])
            for i, raw, info in zip(mine, liquid, infos, strict=True)
            if raw.success and info.success and POSITION_LIQUIDITY.value(raw) > 0
        ]
        held = [each for each in held if each[2][0] != ZERO_ADDRESS]  # pools of the native coin are not served
        sides = list(dict.fromkeys(side for _, _, key in held for side in key[:2]))
        names = yield from ask_symbols(chain, sides)
        name = ticker(symbol).removesuffix("-POSM")
        kept = {key: value for key, value in place.params.items() if key != "ids"}
        return tuple(
            Found(
                place=place,
                target=place.target,
                params={**kept, "token_id": i},
                staked=Amount(stake_token(chain, place.target, i, name), raw),
                label=f"{names[key[0]]}/{names[key[1]]}",
            )
            for i, raw, key in held
        )


def _check_pool(position: Position, key: Sequence[Any]) -> None:
    if key[0] == ZERO_ADDRESS:
        raise ConfigError(
            f"position {position.id}: its pool holds the chain's native coin itself, which keeper cannot account for "
            "in a harvest; positions in pools of the wrapped coin are served"
        )
    hooks = key[4]
    if int(hooks, 16) & _HOOKS_THAT_TAKE and position.params.get("allow_hooks") is not True:
        raise ConfigError(
            f"position {position.id}: the pool's hooks {checksum(hooks)} can take of what is added and removed; "
            "set allow_hooks = true only if you know what they do"
        )


def _ticks(packed: int) -> tuple[int, int]:
    """Cut the range out of the packed word: a byte for the subscriber, then lower and upper tick, 24 bits each."""
    lower, upper = packed >> 8 & 0xFFFFFF, packed >> 32 & 0xFFFFFF
    return (lower ^ 0x800000) - 0x800000, (upper ^ 0x800000) - 0x800000


def _pool_id(key: Sequence[Any]) -> bytes:
    return keccak(encode((_POOL_KEY,), (tuple(key),)))


def _as_text(word: bytes) -> Address:
    """Keep a pool's id among a market's contracts: pools here are no contracts of their own."""
    return Address("0x" + word.hex())


def _look(results: Sequence[ReadResult], position: Position) -> Looked:
    try:
        sqrt_price, tick, _, _ = SLOT0.values(results[1])
        inside = GROWTH_INSIDE.values(results[2])
        liquidity, *last = IN_POOL.values(results[3])
    except ReadFailed as error:
        raise ReadFailed(f"position {position.id}: its pool does not answer ({error}); check state_view") from error
    fees = fees_since(inside[0], last[0], liquidity), fees_since(inside[1], last[1], liquidity)
    return Looked(liquidity, fees, sqrt_price, tick)


def _liquidity(notes: Sequence[tuple[str, int]], fees: tuple[int, int]) -> int:
    """Return the liquidity that the fees pay for, wherever the price is within the room."""
    numbers = dict(notes)
    price, ends = numbers["sqrt_price_x96"], (numbers["sqrt_lower_x96"], numbers["sqrt_upper_x96"])
    # Half as much of the square root.
    prices = (price * (2 * BPS - _ROOM_BPS) // (2 * BPS), price, price * (2 * BPS + _ROOM_BPS) // (2 * BPS))
    return min(liquidity_for_amounts(each, *ends, fees) for each in prices)


def _part_put_back(notes: Sequence[tuple[str, int]], fees: tuple[int, int]) -> int:
    """Return which part of the fees' value a compound would put back, parts per million."""
    numbers = dict(notes)
    price, ends = numbers["sqrt_price_x96"], (numbers["sqrt_lower_x96"], numbers["sqrt_upper_x96"])
    taken = amounts_for_liquidity(price, *ends, _liquidity(notes, fees))
    whole, used = (side0 * price * price + (side1 << 192) for side0, side1 in (fees, taken))
    return _PPM * used // whole


def _is(answer: ReadResult, owner: Address) -> bool:
    return bool(OWNER_OF.value(answer) == owner)


def _ask_ids(place: Place) -> Questions[list[int]]:
    """Read the ids that a place names, newest first; the newest of all where it names none."""
    text = place.params.get("ids")
    if text is not None:
        return _named_ids(place, str(text))
    (answer,) = yield [NEXT_TOKEN_ID.read(place.target)]
    try:
        count = int(NEXT_TOKEN_ID.value(answer))
    except ReadFailed as error:
        raise ReadFailed(
            f"{checksum(place.target)} does not answer like Uniswap V4's PositionManager ({error}); check it"
        ) from error
    return list(range(count - 1, max(count - _LOOKED_AT, 1) - 1, -1))


def _named_ids(place: Place, text: str) -> list[int]:
    out: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            raise ConfigError(f'{place.name}: ids must be numbers and spans of them, like "12,20-30", not {text!r}')
        out += range(int(first), min(int(last or first), int(first) + _LOOKED_AT) + 1)
    if len(out) > _LOOKED_AT:
        raise ConfigError(f"{place.name}: ids names more than {_LOOKED_AT} NFTs; name fewer")
    return sorted(set(out), reverse=True)
