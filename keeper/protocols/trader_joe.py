"""Trader Joe's MasterChefJoeV2, V3 and BoostedMasterChefJoe: JOE per second, and a bonus token where a pool has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn, checksum
from keeper.domain.block import BlockRef
from keeper.domain.facts import Place
from keeper.domain.money import BPS, Address, Amount
from keeper.domain.observation import Accrual, Observation
from keeper.domain.plan import Leg, Share
from keeper.domain.position import Market, Position, SideEffect
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import BALANCE_OF, ZERO_ADDRESS, ask_tokens, optional
from keeper.errors import ReadFailed
from keeper.ports import Found, ParamSpec, Permission, Questions
from keeper.protocols.chefs import (
    GAS_LP,
    PID,
    USER_AMOUNT,
    address_at,
    bounded,
    claim_leg,
    find_pools,
    grown,
    moved,
    pool_params,
    share_of,
    stake_legs,
    words_of,
)
from keeper.protocols.shared import accrual, expect, int_param

__all__ = ["TraderJoe"]

#: Five words in V2 and V3, nine in the boosted chef; the token comes first in each.
POOL_INFO: Final = Fn("poolInfo(uint256)", "address")
#: Pending JOE, the bonus token with its ticker, and what is pending of it.
PENDING: Final = Fn("pendingTokens(uint256,address)", "uint256,address,string,uint256")
TOTAL_ALLOC: Final = Fn("totalAllocPoint()", "uint256")
PER_SECOND: Final = Fn("joePerSec()", "uint256")
#: V2's name of the token, and everybody else's.
JOE_V2: Final = Fn("joe()", "address")
JOE: Final = Fn("JOE()", "address")
MASTER_CHEF_V2: Final = Fn("MASTER_CHEF_V2()", "address")
MASTER_PID: Final = Fn("MASTER_PID()", "uint256")
VE_JOE: Final = Fn("VEJOE()", "address")
#: What V2 keeps of the emission, thousandths.
CUTS: Final = tuple(Fn(f"{who}Percent()", "uint256") for who in ("dev", "treasury", "investor"))
#: A rewarder that pays the gas token itself, not its wrapper.
IS_NATIVE: Final = Fn("isNative()", "bool")
BONUS_PER_SECOND: Final = Fn("tokenPerSec()", "uint256")
DEPOSIT: Final = Fn("deposit(uint256,uint256)")

_POOL_BYTES: Final = 288
#: A ticker of up to 96 bytes.
_PENDING_BYTES: Final = 256
_MILLE: Final = 1_000
_PPM: Final = 1_000_000

_KIND: Final = "a MasterChefJoe"


@dataclass(frozen=True, slots=True)
class _Words:
    """Where poolInfo keeps what; the boosted chef has three words more."""

    alloc: int
    last: int
    rewarder: int


_V2: Final = _Words(1, 2, 4)
_V3: Final = _Words(3, 2, 4)
_BOOSTED: Final = _Words(1, 4, 5)
#: The boosted chef's: part for veJOE holders (basis points), all of their factors, all stakes.
_VE_SHARE, _ALL_FACTORS, _ALL_STAKES = 6, 7, 8
#: Its userInfo: amount, reward debt, factor.
_FACTOR: Final = 2


class TraderJoe:
    """Adapter for https://github.com/traderjoe-xyz/joe-core ; which of the three chefs it is, the contract itself says.

    V3 and the boosted chef fetch JOE from V2 by themselves, and revert when that is too little; V2 mints what it owes
    and pays silently less when short, as rewarders do, which remember the rest. The boosted chef gives a part of its
    JOE by ``sqrt(stake * veJOE)``: that share grows slower than the stake. JOE which an update of veJOE set aside
    (``claimableJoe``) is in what is pending. A bonus in the gas token itself is paid with each harvest, too, but is no
    token to compound: it is left in the wallet. A bonus other than the one found at the start is seen after a restart.
    """

    name = "trader-joe"
    #: Gas units of one compound in the dearest case; what `keeper plan` reckons with.
    typical_gas = 1_000_000
    params: Mapping[str, ParamSpec] = MappingProxyType({"pid": PID})

    def resolve(self, position: Position) -> Questions[Market]:
        """Ask which chef it is, and for the pool's token, JOE, and the bonus with its rewarder."""
        chef, pid = position.target, int_param(position, "pid")
        results = yield [
            POOL_INFO.read(chef, pid, result_bytes=_POOL_BYTES),
            PENDING.read(chef, pid, position.owner, result_bytes=_PENDING_BYTES, gas=200_000),
            *(fn.read(chef) for fn in (JOE_V2, JOE, MASTER_CHEF_V2, MASTER_PID, VE_JOE)),
        ]
        staked = expect(POOL_INFO, results[0], position, f"{_KIND} with a pool {pid}")
        expect(PENDING, results[1], position, _KIND)
        joe_v2, joe, source, source_pid, ve_joe = (
            optional(fn, r)
            for fn, r in zip((JOE_V2, JOE, MASTER_CHEF_V2, MASTER_PID, VE_JOE), results[2:], strict=True)
        )
        paid = joe_v2 or joe
        if not paid or (joe and source is None):
            raise ReadFailed(
                f"position {position.id}: {checksum(chef)} on {position.chain} names no JOE, as {_KIND} does; check "
                "target, chain and protocol"
            )
        contracts: dict[str, Address] = {}
        if not joe_v2:
            contracts["source"] = _address(source)
            if ve_joe:
                contracts["ve_joe"] = _address(ve_joe)
        bonus, rewarder = yield from _bonus(results[1], words_of(results[0]), _layout(contracts), _address(paid))
        if bonus:
            contracts["rewarder"] = rewarder
        stake, *rewards = yield from ask_tokens(position.chain, (staked, *dict.fromkeys((_address(paid), *bonus))))
        return Market(
            stake_token=stake,
            reward_tokens=tuple(rewards),
            contracts=MappingProxyType(contracts),
            numbers=MappingProxyType({"source_pid": source_pid or 0}),
            typical_gas=self.typical_gas if contracts else GAS_LP,
            side_effects=frozenset({SideEffect.OWNER_ONLY, SideEffect.DEPOSIT_PAYS}),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """Stake, pending, the pool's share of the emission, what the chef holds or can fetch; the same of the bonus."""
        chef, pid, me = position.target, int_param(position, "pid"), position.owner
        reads = [
            USER_AMOUNT.read(chef, pid, me, result_bytes=96),
            PENDING.read(chef, pid, me, result_bytes=_PENDING_BYTES, gas=200_000),
            POOL_INFO.read(chef, pid, result_bytes=_POOL_BYTES),
            TOTAL_ALLOC.read(chef),
            PER_SECOND.read(chef, gas=60_000),
            BALANCE_OF.read(market.stake_token.address, chef),
            BALANCE_OF.read(market.reward_tokens[0].address, chef),
        ]
        if "source" in market.contracts:
            source, source_pid = market.contracts["source"], market.numbers["source_pid"]
            reads.append(PENDING.read(source, source_pid, chef, result_bytes=_PENDING_BYTES, gas=200_000))
        else:
            reads += [fn.read(chef) for fn in CUTS]
        if "rewarder" in market.contracts:
            rewarder = market.contracts["rewarder"]
            reads.append(BONUS_PER_SECOND.read(rewarder))
            reads.append(BALANCE_OF.read(market.reward_tokens[-1].address, rewarder))
        return reads

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; rates are those of JOE after V2's cuts, and of the bonus as long as its rewarder holds any."""
        fns = (USER_AMOUNT, PENDING, POOL_INFO, TOTAL_ALLOC, PER_SECOND, BALANCE_OF, BALANCE_OF)
        values = [expect(fn, result, position, _KIND) for fn, result in zip(fns, results[:7], strict=True)]
        stake, pending, token, total_alloc, rate, supply, held = values
        if token != market.stake_token.address:
            raise moved(position, market, token)
        pool, layout, joe = words_of(results[2]), _layout(market.contracts), market.reward_tokens[0]
        fetches = "source" in market.contracts
        if fetches:
            coming = optional(USER_AMOUNT, results[7]) or 0
        else:
            cuts = sum(expect(fn, r, position, _KIND) for fn, r in zip(CUTS, results[7:10], strict=True))
            rate = rate * (_MILLE - cuts) // _MILLE
            coming = share_of(rate, pool[layout.alloc], total_alloc) * max(0, block.timestamp - pool[layout.last])
        per_year = grown(share_of(rate, pool[layout.alloc], total_alloc), 1000)
        own = _joe_accrual(market, per_year, pool, words_of(results[0]), supply)
        bonus = _bonus_seen(market, results[1], results[8 if fetches else 10 :], stake, supply)
        amounts = (Amount(joe, pending), *(amount for amount, _, _ in bonus))
        short = tuple(amount.token.symbol for amount, _, funds in bonus if funds < amount.raw)
        if held + coming < pending:
            # V2 pays what it has; the others revert, and with JOE the bonus stays where it is.
            short = tuple(amount.token.symbol for amount in amounts) if fetches else (joe.symbol, *short)
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, stake),
            pending=amounts,
            accruals=(own, *(rate for _, rate, _ in bonus)),
            underfunded=short,
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:  # noqa: ARG002
        """``deposit(pid, 0)`` pays what is pending, the bonus included."""
        return (claim_leg(position, market, DEPOSIT.encode(int_param(position, "pid"), 0)),)

    def deposit(
        self,
        position: Position,
        market: Market,
        amount: Share,
        observation: Observation | None = None,  # noqa: ARG002
    ) -> Sequence[Leg]:
        """Approve exactly, then deposit, which also pays what accrued since the claim."""
        return stake_legs(position, market, amount, DEPOSIT.encode(int_param(position, "pid"), 0), 1)

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """``deposit`` into this pool only (it claims and stakes), and approve the chef for the staked token."""
        return pool_params(position, market, DEPOSIT, bounded(1))

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Find the pools of the chef in which ``owner`` has a stake."""
        target = place.target
        return (
            yield from find_pools(
                chain, place, owner, lambda pid: POOL_INFO.read(target, pid, result_bytes=_POOL_BYTES)
            )
        )


def _address(number: int | None) -> Address:
    return Address(f"0x{number or 0:040x}")


def _layout(contracts: Mapping[str, Address]) -> _Words:
    if "ve_joe" in contracts:
        return _BOOSTED
    return _V3 if "source" in contracts else _V2


def _bonus(
    pending: ReadResult, pool: Sequence[int], layout: _Words, joe: Address
) -> Questions[tuple[tuple[Address, ...], Address]]:
    """Return the bonus token, when the pool has one that is no gas token, and its rewarder."""
    rewarder = address_at(pool, layout.rewarder)
    token = PENDING.values(pending)[1]
    if rewarder == ZERO_ADDRESS or token in {ZERO_ADDRESS, joe}:
        return (), ZERO_ADDRESS
    (native,) = yield [IS_NATIVE.read(rewarder)]
    return ((), ZERO_ADDRESS) if optional(IS_NATIVE, native) == 1 else ((token,), rewarder)


def _joe_accrual(market: Market, per_year: int, pool: Sequence[int], user: Sequence[int], supply: int) -> Accrual:
    """Size the position's part of the pool's JOE."""
    joe, stake = market.reward_tokens[0], user[0]
    if "ve_joe" not in market.contracts:
        return accrual(joe, per_year, stake, supply, None)
    by_factor = per_year * pool[_VE_SHARE] // BPS if pool[_ALL_FACTORS] else 0
    by_stake = per_year * (BPS - pool[_VE_SHARE]) // BPS
    plain = accrual(joe, by_stake, stake, pool[_ALL_STAKES], None)
    boosted = accrual(joe, by_factor, user[_FACTOR], pool[_ALL_FACTORS], None)
    whole, own = by_factor + by_stake, plain.per_year.raw + boosted.per_year.raw
    return Accrual(Amount(joe, own), _PPM * own // whole if whole else 0)


def _bonus_seen(
    market: Market, pending: ReadResult, rest: Sequence[ReadResult], stake: int, supply: int
) -> list[tuple[Amount, Accrual, int]]:
    """Return what is pending of the bonus, its rate, and what its rewarder holds; nothing where there is none."""
    if "rewarder" not in market.contracts:
        return []
    token, (_, paid, _, amount) = market.reward_tokens[-1], PENDING.values(pending)
    rate, funds = (optional(fn, r) or 0 for fn, r in zip((BONUS_PER_SECOND, BALANCE_OF), rest, strict=True))
    owed = Amount(token, amount if paid == token.address else 0)
    per_year = grown(rate, 1000) if funds and paid == token.address else 0
    return [(owed, accrual(token, per_year, stake, supply, None), funds)]
