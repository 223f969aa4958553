"""PancakeSwap's syrup pools (SmartChef), a contract each: stake one token, earn another until a last block or time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn, checksum
from keeper.domain.block import BlockRef
from keeper.domain.facts import Place
from keeper.domain.money import Address, Amount
from keeper.domain.observation import Observation
from keeper.domain.plan import Leg, Share
from keeper.domain.position import Market, Position, SideEffect
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import BALANCE_OF, approve_permission, ask_tokens, optional
from keeper.errors import ReadFailed
from keeper.ports import Found, ParamSpec, Permission, Questions
from keeper.protocols.chefs import BLOCK_TIME, ask_staked, bounded, claim_leg, grown, stake_legs, step_ms
from keeper.protocols.shared import accrual, expect

__all__ = ["SmartChef"]

STAKED: Final = Fn("stakedToken()", "address")
#: The first pools staked SYRUP, later ones of that build other tokens, under this name.
SYRUP: Final = Fn("syrup()", "address")
REWARD: Final = Fn("rewardToken()", "address")
#: amount, and a reward debt or whatever else.
USER_INFO: Final = Fn("userInfo(address)", "uint256")
PENDING: Final = Fn("pendingReward(address)", "uint256")
PER_BLOCK: Final = Fn("rewardPerBlock()", "uint256")
PER_SECOND: Final = Fn("rewardPerSecond()", "uint256")
START_BLOCK: Final = Fn("startBlock()", "uint256")
END_BLOCK: Final = Fn("bonusEndBlock()", "uint256")
START_TIME: Final = Fn("startTimestamp()", "uint256")
END_TIME: Final = Fn("endTimestamp()", "uint256")
HAS_LIMIT: Final = Fn("hasUserLimit()", "bool")
LIMIT: Final = Fn("poolLimitPerUser()", "uint256")
DEPOSIT: Final = Fn("deposit(uint256)")

_KIND: Final = "a PancakeSwap SmartChef"

#: Gas of a compound on code of this kind: claim, approve, swap, approve, stake.
_GAS: Final = 480_000


class SmartChef:
    """Adapter for SmartChef and SmartChefInitializable, which count blocks, and for later builds that count seconds.

    Once the last block has passed nothing accrues, though a harvest still costs its gas. Pools may limit what each
    account stakes, for ever or for the first weeks: a full position waits. The compound that would step over the limit
    is stopped by its simulation. Pools that ask for a profile refuse the stake in the same way.
    """

    name = "smart-chef"
    #: Gas units of one compound in the dearest case; what `keeper plan` reckons with.
    typical_gas = _GAS
    params: Mapping[str, ParamSpec] = MappingProxyType({"block_time_ms": BLOCK_TIME})

    def resolve(self, position: Position) -> Questions[Market]:
        """Ask for both tokens, and whether the pool counts blocks or seconds."""
        pool = position.target
        fns = (STAKED, SYRUP, REWARD, PER_SECOND, PER_BLOCK)
        results = yield [fn.read(pool) for fn in fns]
        named = [n for n in (optional(fn, r) for fn, r in zip(fns[:2], results[:2], strict=True)) if n]
        if not named:
            raise ReadFailed(
                f"position {position.id}: {checksum(pool)} on {position.chain} names no token to stake, as {_KIND} "
                "does by stakedToken() or syrup(); check target, chain and protocol"
            )
        paid = expect(REWARD, results[2], position, _KIND)
        by_second = optional(PER_SECOND, results[3]) is not None
        if not by_second:
            expect(PER_BLOCK, results[4], position, _KIND)
            step_ms(position)
        stake, reward = yield from ask_tokens(position.chain, (Address(f"0x{named[0]:040x}"), paid))
        effects = {SideEffect.OWNER_ONLY, SideEffect.DEPOSIT_PAYS, SideEffect.NO_HARVEST_EVENT}
        return Market(
            stake_token=stake,
            reward_tokens=(reward,),
            typical_gas=_GAS,
            side_effects=frozenset(effects if by_second else effects | {SideEffect.PER_BLOCK}),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """Stake, pending, emission with its first and last step, the limit, and what the pool holds."""
        pool, me = position.target, position.owner
        rate, start, end = _clock(market)
        return (
            USER_INFO.read(pool, me, result_bytes=128),
            PENDING.read(pool, me, gas=40_000),
            rate.read(pool),
            start.read(pool),
            end.read(pool),
            BALANCE_OF.read(market.stake_token.address, pool),
            BALANCE_OF.read(market.reward_tokens[0].address, pool),
            HAS_LIMIT.read(pool),
            LIMIT.read(pool),
        )

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; nothing accrues before the first step or after the last."""
        rate, start, end = _clock(market)
        fns = (USER_INFO, PENDING, rate, start, end, BALANCE_OF, BALANCE_OF)
        values = [expect(fn, result, position, _KIND) for fn, result in zip(fns, results[:7], strict=True)]
        stake, pending, per_step, first, last, staked, held = values
        by_block = SideEffect.PER_BLOCK in market.side_effects
        step, now = (step_ms(position), block.number) if by_block else (1000, block.timestamp)
        reward = market.reward_tokens[0]
        if reward.address == market.stake_token.address:
            held -= staked  # everybody's stake lies in the same balance, and is not there to be paid out
        per_year = grown(per_step, step) if first <= now < last else 0
        ends_at = block.timestamp + max(0, last - now) * step // 1000
        limit = optional(LIMIT, results[8]) or 0
        full = optional(HAS_LIMIT, results[7]) == 1 and 0 < limit <= stake
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, stake),
            pending=(Amount(reward, pending),),
            accruals=(accrual(reward, per_year, stake, staked, ends_at),),
            deposits_paused=full,
            paused_because="the stake is as large as the pool lets one account have" if full else "",
            underfunded=(reward.symbol,) if held < pending else (),
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:  # noqa: ARG002
        """``deposit(0)`` pays what is pending and stakes nothing."""
        return (claim_leg(position, market, DEPOSIT.encode(0)),)

    def deposit(
        self,
        position: Position,
        market: Market,
        amount: Share,
        observation: Observation | None = None,  # noqa: ARG002
    ) -> Sequence[Leg]:
        """Approve exactly, then deposit, which also pays what accrued since the claim."""
        return stake_legs(position, market, amount, DEPOSIT.encode(0), 0)

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """``deposit``, which claims and stakes, and approving the pool for the staked token."""
        return (
            Permission(position.target, DEPOSIT.selector, 1, (bounded(0),), "claim and stake"),
            approve_permission(market.stake_token, position.target),
        )

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Look for a stake in this pool; the factory keeps no list of pools."""
        pool = place.target
        fns = (USER_INFO, STAKED, SYRUP)
        amount, *named = (
            optional(fn, result)
            for fn, result in zip(
                fns,
                (yield [USER_INFO.read(pool, owner, result_bytes=128), STAKED.read(pool), SYRUP.read(pool)]),
                strict=True,
            )
        )
        tokens = [Address(f"0x{token:040x}") for token in named if token][:1]
        known = yield from ask_staked(chain, tokens)
        return [
            Found(place, pool, place.params, Amount(token, amount), f"stake of {token.symbol}")
            for token in known.values()
            if amount
        ]


def _clock(market: Market) -> tuple[Fn, Fn, Fn]:
    """Return the getters of the emission and of its first and last step."""
    if SideEffect.PER_BLOCK in market.side_effects:
        return PER_BLOCK, START_BLOCK, END_BLOCK
    return PER_SECOND, START_TIME, END_TIME
