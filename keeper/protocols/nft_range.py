"""What all positions in a Uniswap V3 range share, wherever the NFT is: its facts, its fees, and how it is added to.

The stake stands for the NFT's liquidity; a harvest pays both tokens of the pool, and a deposit takes both of them in
the mix that the pool's price and the range ask for. What a deposit does not take stays in the wallet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn, checksum, keccak
from keeper.domain.money import BPS, Address, Amount, Token
from keeper.domain.observation import Observation
from keeper.domain.plan import Deadline, Leg, LegKind, MinOut, Nft, Patch, Share
from keeper.domain.position import Market, Position
from keeper.domain.reads import Read, ReadResult
from keeper.domain.spec import PriceSpec
from keeper.erc20 import (
    AMOUNT_CAP,
    FACTORY,
    SYMBOL,
    ZERO_ADDRESS,
    approve_legs,
    approve_permission,
    ask_symbols,
    ask_tokens,
    fixed_word,
)
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import ArgRule, Permission, Questions
from keeper.protocols.shared import expect
from keeper.ranges import (
    amounts_for_liquidity,
    fee_growth_inside,
    fees_since,
    liquidity_for_amounts,
    mix_ppm,
    side_floors_bps,
    sqrt_ratio_at_tick,
)

__all__ = [
    "NFTS_LOOKED_AT",
    "OWNER_OF",
    "POSITIONS",
    "SLOT0",
    "Looked",
    "Range",
    "amounts_of",
    "ask_nfts",
    "ask_pair_names",
    "ask_range",
    "collect_leg",
    "collect_permission",
    "deposit_legs",
    "deposit_permissions",
    "look",
    "mix",
    "price_notes",
    "range_reads",
    "stake_token",
    "ticker",
    "ticks_of",
]

#: nonce, operator, token0, token1, fee, tickLower, tickUpper, liquidity, feeGrowthInside0LastX128,
#: feeGrowthInside1LastX128, tokensOwed0, tokensOwed1.
#: https://docs.uniswap.org/contracts/v3/reference/periphery/NonfungiblePositionManager
POSITIONS: Final = Fn(
    "positions(uint256)",
    "uint96,address,address,address,uint24,int24,int24,uint128,uint256,uint256,uint128,uint128",
)
OWNER_OF: Final = Fn("ownerOf(uint256)", "address")
BALANCE_OF_NFTS: Final = Fn("balanceOf(address)", "uint256")
TOKEN_BY_INDEX: Final = Fn("tokenOfOwnerByIndex(address,uint256)", "uint256")
GET_POOL: Final = Fn("getPool(address,address,uint24)", "address")
#: sqrtPriceX96, tick, and words that forks differ in.
SLOT0: Final = Fn("slot0()", "uint160,int24")
GROWTH0: Final = Fn("feeGrowthGlobal0X128()", "uint256")
GROWTH1: Final = Fn("feeGrowthGlobal1X128()", "uint256")
#: liquidityGross, liquidityNet, feeGrowthOutside0X128, feeGrowthOutside1X128, and words not needed here.
TICKS: Final = Fn("ticks(int24)", "uint128,int128,uint256,uint256")

#: tokenId, recipient, amount0Max, amount1Max.
COLLECT: Final = Fn("collect((uint256,address,uint128,uint128))", "uint256,uint256")
#: tokenId, amount0Desired, amount1Desired, amount0Min, amount1Min, deadline.
INCREASE: Final = Fn("increaseLiquidity((uint256,uint256,uint256,uint256,uint256,uint256))", "uint128,uint256,uint256")

#: NFTs of an account that ``discover`` looks at, newest first.
NFTS_LOOKED_AT: Final = 500

_SLOT0_BYTES: Final = 32 * 7
_TICK_BYTES: Final = 32 * 8

_SYMBOL_LENGTH: Final = 16

#: What two swaps may cost beyond slippage where no route says more, basis points.
_USUAL_FEE_BPS: Final = 30


@dataclass(frozen=True, slots=True)
class Range:
    """What an NFT says once and for all."""

    manager: Address
    token_id: int
    pool: Address
    tokens: tuple[Token, Token]
    fee_ppm: int
    ticks: tuple[int, int]
    stake: Token

    @property
    def price(self) -> PriceSpec:
        """How its liquidity is valued: by the tokens' own prices, never by the pool's."""
        settings: dict[str, str | int] = {
            "token0": self.tokens[0].address,
            "token1": self.tokens[1].address,
            "tick_lower": self.ticks[0],
            "tick_upper": self.ticks[1],
        }
        return PriceSpec("uniswap-v3-range", MappingProxyType(settings))


@dataclass(frozen=True, slots=True)
class Looked:
    """What ``range_reads`` answer."""

    liquidity: int
    #: Uncollected, of both tokens: what the NFT remembers and what the pool has counted since.
    fees: tuple[int, int]
    sqrt_price: int
    tick: int

    def within(self, ticks: tuple[int, int]) -> bool:
        """Whether the price is inside the range, so that it earns."""
        return ticks[0] <= self.tick < ticks[1]


def stake_token(chain: str, manager: Address, token_id: int, symbol: str = "NFT") -> Token:
    """Make the token that stands for an NFT's liquidity; its address is a hash that no contract has."""
    digest = keccak(bytes.fromhex(manager[2:]) + token_id.to_bytes(32, "big"))
    return Token(chain, Address("0x" + digest[12:].hex()), f"{symbol} #{token_id}", 18)


def ask_range(position: Position, manager: Address, token_id: int) -> Questions[Range]:
    """Ask a position manager for an NFT's tokens, fee, range and pool.

    Raises:
        ReadFailed: it is no such manager, or has no such NFT.
        ConfigError: there is no pool for what the NFT says.
    """
    kind = f"a Uniswap V3 position manager with an NFT {token_id}"
    reads = [POSITIONS.read(manager, token_id), FACTORY.read(manager), SYMBOL.read(manager, result_bytes=96)]
    held, factory, symbol = yield reads
    expect(POSITIONS, held, position, kind)
    _, _, first, second, fee, lower, upper, *_ = POSITIONS.values(held)
    pools = yield [GET_POOL.read(expect(FACTORY, factory, position, kind), first, second, fee)]
    pool = expect(GET_POOL, pools[0], position, kind)
    if pool == ZERO_ADDRESS:
        raise ConfigError(f"position {position.id}: NFT {token_id} of {checksum(manager)} belongs to no pool")
    first_token, second_token = yield from ask_tokens(position.chain, (first, second))
    stake = stake_token(position.chain, manager, token_id, ticker(symbol))
    return Range(manager, token_id, pool, (first_token, second_token), fee, (lower, upper), stake)


def range_reads(manager: Address, token_id: int, pool: Address, ticks: tuple[int, int]) -> tuple[Read, ...]:
    """Return the six views that tell liquidity, fees and price; ``Looked`` is made of them by ``look``."""
    return (
        POSITIONS.read(manager, token_id, gas=30_000),
        SLOT0.read(pool, result_bytes=_SLOT0_BYTES),
        GROWTH0.read(pool),
        GROWTH1.read(pool),
        TICKS.read(pool, ticks[0], result_bytes=_TICK_BYTES, gas=20_000),
        TICKS.read(pool, ticks[1], result_bytes=_TICK_BYTES, gas=20_000),
    )


def look(results: Sequence[ReadResult], position: Position) -> Looked:
    """Decode ``range_reads``. The NFT's ``tokensOwed`` is as of its last change; the rest follows from the pool.

    Raises:
        ReadFailed: the NFT is gone, or the pool does not answer.
    """
    held, slot0, *rest = results
    try:
        *_, lower, upper, liquidity, last0, last1, owed0, owed1 = POSITIONS.values(held)
        sqrt_price, tick = SLOT0.values(slot0)
        everywhere = GROWTH0.value(rest[0]), GROWTH1.value(rest[1])
        _, _, low0, low1 = TICKS.values(rest[2])
        _, _, high0, high1 = TICKS.values(rest[3])
    except ReadFailed as error:
        raise ReadFailed(
            f"position {position.id}: its NFT or its pool does not answer ({error}); was it burnt?"
        ) from error
    ticks = (lower, upper)
    inside0 = fee_growth_inside(tick, ticks, everywhere[0], (low0, high0))
    inside1 = fee_growth_inside(tick, ticks, everywhere[1], (low1, high1))
    fees = owed0 + fees_since(inside0, last0, liquidity), owed1 + fees_since(inside1, last1, liquidity)
    return Looked(liquidity, fees, sqrt_price, tick)


def ticks_of(market: Market) -> tuple[int, int]:
    """Return the range of a market, as its price spec keeps it."""
    settings = market.prices[market.stake_token.address].settings
    return int(settings["tick_lower"]), int(settings["tick_upper"])


def price_notes(looked: Looked, ticks: tuple[int, int]) -> tuple[tuple[str, int], ...]:
    """Note what the floors of a deposit are made of."""
    lower, upper = _ends(ticks)
    return (("sqrt_price_x96", looked.sqrt_price), ("sqrt_lower_x96", lower), ("sqrt_upper_x96", upper))


def mix(looked: Looked, ticks: tuple[int, int]) -> tuple[int, int]:
    """Spread a deposit's value over both tokens at the pool's price, parts per million."""
    return mix_ppm(looked.sqrt_price, *_ends(ticks))


def amounts_of(parts: Sequence[Token], fees: tuple[int, int]) -> tuple[Amount, ...]:
    """Return the fees as amounts."""
    return tuple(Amount(token, raw) for token, raw in zip(parts, fees, strict=True))


def collect_leg(to: Address, token_id: int, owner: Address, tokens: Sequence[Token]) -> Leg:
    """Leg that brings all fees of an NFT to its owner."""
    names = " and ".join(token.symbol for token in tokens)
    data = COLLECT.encode((token_id, owner, AMOUNT_CAP, AMOUNT_CAP))
    return Leg(LegKind.CLAIM, f"collect {names}", to, data, brings=tuple(tokens))


def collect_permission(to: Address, token_id: int, owner: Address) -> Permission:
    """Permission for ``collect_leg``: this NFT, to the owner."""
    args = (
        fixed_word(0, token_id),
        fixed_word(1, owner),
        fixed_word(2, AMOUNT_CAP),
        fixed_word(3, AMOUNT_CAP),
    )
    return Permission(to, COLLECT.selector, 4, args, "collect fees")


def deposit_legs(
    to: Address, nft: Nft, position: Position, stake: Token, parts: Sequence[Token], observation: Observation | None
) -> tuple[Leg, ...]:
    """Approve both sides exactly, then add what the range takes of them.

    Each side has a floor: what the deposit would take of it after the price has moved by the allowed slippage. A pool
    pushed off its price takes another mix and is refused. A side that the range does not take at all has none: some
    dust of it is always there.
    """
    first, second = (Share(part, optional=True) for part in parts)
    floors = zip((3, 4), (first, second), _floors(position, observation), strict=True)
    add = Leg(
        kind=LegKind.DEPOSIT,
        label=f"add {parts[0].symbol} and {parts[1].symbol} to {stake.symbol}",
        to=to,
        template=INCREASE.encode((nft.token_id, 0, 0, 0, 0, 0)),
        patches=(
            Patch(1, first),
            Patch(2, second),
            *(Patch(word, MinOut(side, 1, 1, short)) for word, side, short in floors if short is not None),
            Patch(5, Deadline()),
        ),
        spends=tuple(parts),
    )
    return (*approve_legs(to, first), *approve_legs(to, second), add)


def deposit_permissions(to: Address, token_id: int, parts: Sequence[Token]) -> tuple[Permission, ...]:
    """Permissions for ``deposit_legs``: this NFT only, bounded amounts; a side that the range does not take is 0."""
    bounded = (ArgRule(word, at_most=AMOUNT_CAP) for word in range(1, 5))
    add = Permission(to, INCREASE.selector, 6, (fixed_word(0, token_id), *bounded), f"add to NFT {token_id}")
    return (add, *(approve_permission(part, to) for part in parts))


def ask_nfts(owner: Address, holder: Address) -> Questions[list[int]]:
    """Ask an enumerable contract for an account's newest NFTs."""
    (count,) = yield [BALANCE_OF_NFTS.read(holder, owner)]
    try:
        total = int(BALANCE_OF_NFTS.value(count))
    except ReadFailed as error:
        raise ReadFailed(f"{checksum(holder)} does not answer like a holder of NFTs ({error}); check it") from error
    indices = range(total - 1, max(total - NFTS_LOOKED_AT, 0) - 1, -1)
    if not indices:
        return []
    answers = yield [TOKEN_BY_INDEX.read(holder, owner, index, gas=20_000) for index in indices]
    return [int(TOKEN_BY_INDEX.value(answer)) for answer in answers if answer.success]


def ask_pair_names(chain: str, positions: Sequence[tuple[object, ...]]) -> Questions[list[str]]:
    """Word what NFTs hold for people: ``"WETH/USDC 0.3 %"``, from what ``positions`` answered of each."""
    sides = list(dict.fromkeys(Address(str(one[side])) for one in positions for side in (2, 3)))
    names = yield from ask_symbols(chain, sides)
    return [
        f"{names[Address(str(one[2]))]}/{names[Address(str(one[3]))]} {int(str(one[4])) / 10_000:g} %"
        for one in positions
    ]


def ticker(result: ReadResult) -> str:
    """Return a manager's ticker without its "-POS": "UNI-V3", "PCS-V3"."""
    try:
        text = str(SYMBOL.value(result))
    except ReadFailed:
        return "NFT"
    kept = "".join(each for each in text if each.isprintable()).removesuffix("-POS")
    return kept[:_SYMBOL_LENGTH] or "NFT"


def _floors(position: Position, observation: Observation | None) -> tuple[int | None, int | None]:
    # Buying the two sides may cost two pools' fees, so they are apart by that much before anything has slipped.
    fee = max((route.fee_bps for route in position.routes), default=_USUAL_FEE_BPS)
    slippage = min(position.options.max_slippage_bps + 2 * fee, BPS - 1)
    if observation is None:
        return slippage, slippage
    numbers = dict(observation.notes)
    ends = numbers["sqrt_lower_x96"], numbers["sqrt_upper_x96"]
    price = numbers["sqrt_price_x96"]
    if "have0" in numbers:
        return _floors_of((numbers["have0"], numbers["have1"]), price, ends, slippage)
    floors = side_floors_bps(price, *ends, slippage)
    return None if price >= ends[1] else floors[0], None if price <= ends[0] else floors[1]


def _floors_of(
    have: tuple[int, int], price: int, ends: tuple[int, int], slippage: int
) -> tuple[int | None, int | None]:
    """Return how far each side may fall short of what there is: as it would when the price moves by the slippage."""
    prices = (price * isqrt((BPS - slippage) * BPS) // BPS, price, price * isqrt((BPS + slippage) * BPS) // BPS)
    taken = [amounts_for_liquidity(at, *ends, liquidity_for_amounts(at, *ends, have)) for at in prices]
    least = min(each[0] for each in taken), min(each[1] for each in taken)
    first, second = (
        -(-(raw - low) * BPS // raw) if raw and low * BPS >= raw else None for raw, low in zip(have, least, strict=True)
    )
    return first, second


def _ends(ticks: tuple[int, int]) -> tuple[int, int]:
    return sqrt_ratio_at_tick(ticks[0]), sqrt_ratio_at_tick(ticks[1])
