"""Trader Joe's StableJoeStaking (sJOE): stake JOE for a fee, earn whatever tokens are sent to the contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn
from keeper.domain.block import BlockRef
from keeper.domain.facts import Place
from keeper.domain.money import BPS, WAD, Address, Amount
from keeper.domain.observation import Accrual, Observation, RateSource
from keeper.domain.plan import Leg, Share
from keeper.domain.position import Market, Position, SideEffect
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import BALANCE_OF, approve_permission, ask_tokens, fixed_word, optional
from keeper.errors import ReadFailed
from keeper.ports import Found, ParamSpec, Permission, Questions
from keeper.protocols.chefs import USER_AMOUNT, ask_staked, bounded, claim_leg, stake_legs
from keeper.protocols.shared import expect, share_ppm

__all__ = ["StableJoeStaking"]

JOE: Final = Fn("joe()", "address")
REWARD_COUNT: Final = Fn("rewardTokensLength()", "uint256")
REWARD_AT: Final = Fn("rewardTokens(uint256)", "address")
#: amount, reward debt of this token.
USER_INFO: Final = Fn("getUserInfo(address,address)", "uint256,uint256")
PENDING: Final = Fn("pendingReward(address,address)", "uint256")
#: Everybody's JOE, what came as a reward left out.
STAKES: Final = Fn("internalJoeBalance()", "uint256")
#: 10**18 is all of a deposit.
FEE: Final = Fn("depositFeePercent()", "uint256")
DEPOSIT: Final = Fn("deposit(uint256)")
WITHDRAW: Final = Fn("withdraw(uint256)")

#: The contract allows 25 reward tokens; so many of them are compounded.
_MOST_REWARDS: Final = 8

_KIND: Final = "StableJoeStaking"

#: Gas of a compound on real code: claim, approve, swap, approve, deposit.
_GAS: Final = 500_000


class StableJoeStaking:
    """Adapter for https://github.com/traderjoe-xyz/joe-core/blob/main/contracts/StableJoeStaking.sol .

    A part of every deposit is kept (up to half): declared, and charged to each compound. Rewards are what the contract
    finds in its balances, so there is no rate to read. It pays silently less when it holds less.
    """

    name = "stable-joe-staking"
    #: Gas units of one compound in the dearest case; what `keeper plan` reckons with.
    typical_gas = _GAS
    params: Mapping[str, ParamSpec] = MappingProxyType({})

    def resolve(self, position: Position) -> Questions[Market]:
        """Ask for JOE and the reward tokens."""
        fns = (JOE, REWARD_COUNT, STAKES, FEE)
        results = yield [fn.read(position.target) for fn in fns]
        joe, count, _, fee = (expect(fn, r, position, _KIND) for fn, r in zip(fns, results, strict=True))
        listed = yield [REWARD_AT.read(position.target, index) for index in range(min(count, _MOST_REWARDS))]
        rewards = [expect(REWARD_AT, result, position, _KIND) for result in listed]
        if not rewards:
            raise ReadFailed(f"position {position.id}: the contract pays no reward at present; check target")
        stake, *paid = yield from ask_tokens(position.chain, (joe, *rewards))
        effects = {SideEffect.OWNER_ONLY, SideEffect.DEPOSIT_PAYS}
        return Market(
            stake_token=stake,
            reward_tokens=tuple(paid),
            typical_gas=_GAS,
            side_effects=frozenset(effects | ({SideEffect.DEPOSIT_FEE} if fee else set())),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """Stake, everybody's, the fee; what is pending and held of each reward."""
        farm, me = position.target, position.owner
        reads = [USER_INFO.read(farm, me, market.stake_token.address), STAKES.read(farm), FEE.read(farm)]
        for token in market.reward_tokens:
            reads.append(PENDING.read(farm, me, token.address, gas=60_000))
            reads.append(BALANCE_OF.read(token.address, farm))
        return reads

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; a token that is no reward any more has nothing pending."""
        fns = (USER_INFO, STAKES, FEE)
        stake, total, fee = (expect(fn, r, position, _KIND) for fn, r in zip(fns, results[:3], strict=True))
        pending, short = [], []
        for token, owed, held in zip(market.reward_tokens, results[3::2], results[4::2], strict=True):
            amount = optional(PENDING, owed) or 0
            free = expect(BALANCE_OF, held, position, _KIND) - (total if token == market.stake_token else 0)
            pending.append(Amount(token, amount))
            if free < amount:
                short.append(token.symbol)
        share = share_ppm(stake, total)
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, stake),
            pending=tuple(pending),
            accruals=tuple(Accrual(Amount(a.token, 0), share, None, RateSource.OBSERVED) for a in pending),
            underfunded=tuple(short),
            deposit_fee_bps=-(-fee * BPS // WAD),
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:  # noqa: ARG002
        """``withdraw(0)`` pays all rewards."""
        return (claim_leg(position, market, WITHDRAW.encode(0)),)

    def deposit(
        self,
        position: Position,
        market: Market,
        amount: Share,
        observation: Observation | None = None,  # noqa: ARG002
    ) -> Sequence[Leg]:
        """Approve exactly, then deposit, which also pays what came in since the claim."""
        return stake_legs(position, market, amount, DEPOSIT.encode(0), 0)

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """Withdraw nothing (which claims), deposit, and approve the contract for JOE."""
        return (
            Permission(position.target, WITHDRAW.selector, 1, (fixed_word(0, 0),), "claim"),
            Permission(position.target, DEPOSIT.selector, 1, (bounded(0),), "stake"),
            approve_permission(market.stake_token, position.target),
        )

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Look for a stake in this contract."""
        (answer,) = yield [JOE.read(place.target)]
        joe = Address(f"0x{optional(JOE, answer) or 0:040x}")
        (user,) = yield [USER_INFO.read(place.target, owner, joe)]
        known = yield from ask_staked(chain, [joe])
        amount = optional(USER_AMOUNT, user)
        return [
            Found(place, place.target, place.params, Amount(token, amount), f"stake of {token.symbol}")
            for token in known.values()
            if amount
        ]
