"""PancakeSwap's chefs: the first MasterChef, whose pool 0 has its own calls, and MasterChefV2 with boosted shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn
from keeper.domain.block import BlockRef
from keeper.domain.facts import Place
from keeper.domain.money import Address, Amount
from keeper.domain.observation import Observation
from keeper.domain.plan import Leg, Share
from keeper.domain.position import Market, Position, SideEffect
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import BALANCE_OF, approve_permission, ask_tokens, optional
from keeper.ports import Found, ParamSpec, Permission, Questions
from keeper.protocols.chefs import (
    BLOCK_TIME,
    GAS_LP,
    LP_TOKEN,
    PID,
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
)
from keeper.protocols.classic_chef import DEPOSIT, ClassicChef
from keeper.protocols.shared import accrual, expect, int_param

__all__ = ["PancakeMasterChef", "PancakeMasterChefV2"]

ENTER: Final = Fn("enterStaking(uint256)")
SYRUP: Final = Fn("syrup()", "address")

#: accumulated per share, last reward block, allocation points, all boosted stakes, whether it is a regular pool.
POOL_V2: Final = Fn("poolInfo(uint256)", "uint256,uint256,uint256,uint256,bool")
#: amount, reward debt, boost multiplier.
USER_V2: Final = Fn("userInfo(uint256,address)", "uint256,uint256,uint256")
BOOST: Final = Fn("getBoostMultiplier(address,uint256)", "uint256")
REGULAR_ALLOC: Final = Fn("totalRegularAllocPoint()", "uint256")
SPECIAL_ALLOC: Final = Fn("totalSpecialAllocPoint()", "uint256")
PER_BLOCK_V2: Final = Fn("cakePerBlock(bool)", "uint256")
WHITE_LIST: Final = Fn("whiteList(address)", "bool")
MASTER_CHEF: Final = Fn("MASTER_CHEF()", "address")
MASTER_PID: Final = Fn("MASTER_PID()", "uint256")

#: A multiplier of one.
_BOOST_ONE: Final = 10**12

_KIND: Final = "PancakeSwap's MasterChefV2"


class PancakeMasterChef(ClassicChef):
    """Adapter for https://github.com/pancakeswap/pancake-farm/blob/master/contracts/MasterChef.sol and its copies.

    Pool 0 stakes the reward token itself, by ``enterStaking``: ``deposit(0, ...)`` is refused there. It mints SYRUP to
    the owner, which ``leaveStaking`` burns again: whoever has moved SYRUP elsewhere cannot leave with as much. keeper
    never touches it. Rewards are paid out of what the SYRUP contract holds, silently less when that is short.
    """

    name = "pancake-masterchef"
    pending = "pendingCake(uint256,address)"
    reward = "cake()"
    per_block = "cakePerBlock()"
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "pid": PID,
            "pending": ParamSpec("str", False, 'Pending view; default "pendingCake(uint256,address)".'),
            "reward": ParamSpec("str", False, 'Getter of the reward token; default "cake()".'),
            "per_block": ParamSpec("str", False, 'Getter of the emission per block; default "cakePerBlock()".'),
            "block_time_ms": BLOCK_TIME,
        }
    )

    def verbs(self, position: Position) -> tuple[bytes, bytes, int]:
        """``enterStaking`` for pool 0, ``deposit`` for all others."""
        pid = int_param(position, "pid")
        if pid == 0:
            return ENTER.encode(0), ENTER.encode(0), 0
        return DEPOSIT.encode(pid, 0), DEPOSIT.encode(pid, 0), 1

    def ask_payer(self, position: Position) -> Questions[Mapping[str, Address]]:
        """Rewards lie in SYRUP's balance."""
        (answer,) = yield [SYRUP.read(position.target)]
        return {"payer": expect(SYRUP, answer, position, "PancakeSwap's MasterChef")}

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """The call that claims and stakes, for this pool only, and approving the chef for the staked token."""
        if int_param(position, "pid") != 0:
            return pool_params(position, market, DEPOSIT, bounded(1))
        return (
            Permission(position.target, ENTER.selector, 1, (bounded(0),), "claim and stake"),
            approve_permission(market.stake_token, position.target),
        )


class PancakeMasterChefV2:
    """Adapter for https://github.com/pancakeswap/pancake-smart-contracts/tree/master/projects/masterchef-v2 .

    Regular and special pools have emissions of their own; special ones take deposits of listed accounts only. A
    booster contract may multiply what an account's stake counts for: so does the rate. The chef fetches rewards from
    the first MasterChef when it holds too few, and pays silently less when that was not enough.
    """

    name = "pancake-masterchef-v2"
    #: Gas units of one compound in the dearest case; what `keeper plan` reckons with.
    typical_gas = GAS_LP
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "pid": PID,
            "pending": ParamSpec("str", False, 'Pending view; default "pendingCake(uint256,address)".'),
            "reward": ParamSpec("str", False, 'Getter of the reward token; default "CAKE()".'),
            "block_time_ms": BLOCK_TIME,
        }
    )

    def resolve(self, position: Position) -> Questions[Market]:
        """Ask for the pool's token, the reward, and the pool of the first chef that rewards come from."""
        chef, pid = position.target, int_param(position, "pid")
        step_ms(position)
        fns = (LP_TOKEN, _reward(position), MASTER_CHEF, MASTER_PID, POOL_V2)
        arguments: tuple[tuple[int, ...], ...] = ((pid,), (), (), (), (pid,))
        results = yield [fn.read(chef, *args) for fn, args in zip(fns, arguments, strict=True)]
        values = [expect(fn, r, position, f"{_KIND} with a pool {pid}") for fn, r in zip(fns, results, strict=True)]
        staked, paid, source, source_pid, _ = values
        stake, reward = yield from ask_tokens(position.chain, (staked, paid))
        effects = {
            SideEffect.OWNER_ONLY,
            SideEffect.NO_HARVEST_EVENT,
            SideEffect.DEPOSIT_PAYS,
            SideEffect.PER_BLOCK,
        }
        return Market(
            stake_token=stake,
            reward_tokens=(reward,),
            contracts=MappingProxyType({"source": source}),
            numbers=MappingProxyType({"source_pid": source_pid}),
            typical_gas=GAS_LP,
            side_effects=frozenset(effects),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """Stake and boost, pending, the pool's share of its kind's emission, and what the chef holds or can fetch."""
        chef, pid, me = position.target, int_param(position, "pid"), position.owner
        pending = of_pool(position, "pending", "pendingCake(uint256,address)")
        return (
            USER_V2.read(chef, pid, me),
            pending.read(chef, pid, me, gas=90_000),
            POOL_V2.read(chef, pid),
            BOOST.read(chef, me, pid),
            REGULAR_ALLOC.read(chef),
            SPECIAL_ALLOC.read(chef),
            PER_BLOCK_V2.read(chef, True, gas=40_000),
            PER_BLOCK_V2.read(chef, False, gas=40_000),
            WHITE_LIST.read(chef, me),
            LP_TOKEN.read(chef, pid),
            BALANCE_OF.read(market.reward_tokens[0].address, chef),
            pending.read(market.contracts["source"], market.numbers["source_pid"], chef, gas=60_000),
        )

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; the position's share is that of its boosted stake."""
        numbers = (USER_V2, BALANCE_OF, POOL_V2, BOOST, REGULAR_ALLOC, SPECIAL_ALLOC, PER_BLOCK_V2, PER_BLOCK_V2)
        values = [expect(fn, result, position, _KIND) for fn, result in zip(numbers, results[:8], strict=True)]
        stake, pending, _, boost, regular_alloc, special_alloc, regular_rate, special_rate = values
        _, _, alloc, boosted, regular = POOL_V2.values(results[2])
        token = expect(LP_TOKEN, results[9], position, _KIND)
        if token != market.stake_token.address:
            raise moved(position, market, token)
        rate, total_alloc = (regular_rate, regular_alloc) if regular else (special_rate, special_alloc)
        per_year = grown(share_of(rate, alloc, total_alloc), step_ms(position))
        reward = market.reward_tokens[0]
        held, fetched = expect(BALANCE_OF, results[10], position, _KIND), optional(BALANCE_OF, results[11]) or 0
        listed = regular or optional(WHITE_LIST, results[8]) == 1
        own = stake * max(boost, _BOOST_ONE) // _BOOST_ONE
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, stake),
            pending=(Amount(reward, pending),),
            accruals=(accrual(reward, per_year, own, boosted, None),),
            deposits_paused=not listed,
            paused_because="" if listed else "only accounts on the chef's white list may deposit into this pool",
            underfunded=(reward.symbol,) if held + fetched < pending else (),
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:  # noqa: ARG002
        """``deposit(pid, 0)`` pays what is pending."""
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
        return (yield from find_pools(chain, place, owner))


def _reward(position: Position) -> Fn:
    return getter(position, "reward", "CAKE()")
