"""PancakeSwap's CakeVault and its copies: one harvest compounds for every depositor, and pays its caller a bounty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import EventSig, Fn, checksum
from keeper.domain.block import BlockRef
from keeper.domain.facts import Place
from keeper.domain.money import BPS, Address, Amount
from keeper.domain.observation import Observation, Restart
from keeper.domain.plan import Leg, LegKind, Proof, Share
from keeper.domain.position import Market, Position, SideEffect
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import BALANCE_OF, ask_tokens, optional
from keeper.errors import ConfigError
from keeper.ports import Found, ParamSpec, Permission, Questions
from keeper.protocols.chefs import BLOCK_TIME, ask_staked, getter, grown, share_of, step_ms, words_of
from keeper.protocols.shared import accrual, expect, int_param, share_ppm

__all__ = ["CakeVault"]

TOKEN: Final = Fn("token()", "address")
CHEF: Final = Fn("masterchef()", "address")
#: shares, time of the last deposit, and two more.
USER_INFO: Final = Fn("userInfo(address)", "uint256,uint256")
TOTAL_SHARES: Final = Fn("totalShares()", "uint256")
#: Everybody's stake, what is not staked yet included.
BALANCE: Final = Fn("balanceOf()", "uint256")
PENDING: Final = Fn("calculateTotalPendingCakeRewards()", "uint256")
PERFORMANCE_FEE: Final = Fn("performanceFee()", "uint256")
CALL_FEE: Final = Fn("callFee()", "uint256")
WITHDRAW_FEE: Final = Fn("withdrawFee()", "uint256")
WITHDRAW_FEE_PERIOD: Final = Fn("withdrawFeePeriod()", "uint256")
PAUSED: Final = Fn("paused()", "bool")
LAST_HARVEST: Final = Fn("lastHarvestedTime()", "uint256")
HARVEST: Final = Fn("harvest()")
HARVESTED: Final = EventSig("Harvest(address,uint256,uint256)")

#: lpToken, allocPoint, last reward block, accumulated per share.
POOL_INFO: Final = Fn("poolInfo(uint256)", "address,uint256,uint256,uint256")
TOTAL_ALLOC: Final = Fn("totalAllocPoint()", "uint256")

_KIND: Final = "a CakeVault"

#: Gas of a harvest on code of this kind.
_GAS: Final = 225_000


class CakeVault:
    """Adapter: ``target`` is the vault, the principal all that it has staked, the bounty a fee in its token.

    The performance fee and the bounty are taken from what is pending before it is staked again, and so they are here.
    A harvest restarts nothing: the fee for leaving within three days counts from one's own last deposit.

    ``notContract`` refuses accounts with code: an owner whose account delegates to a contract (EIP-7702) is refused
    as well, and its harvests wait.
    """

    name = "cake-vault"
    #: Gas units of one compound in the dearest case; what `keeper plan` reckons with.
    typical_gas = _GAS
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "pid": ParamSpec("int", False, "Pool of the chef that the vault stakes in; default 0."),
            "per_block": ParamSpec("str", False, 'Chef\'s getter of the emission; default "cakePerBlock()".'),
            "pending": ParamSpec(
                "str", False, 'Vault\'s view of all that is pending; default "calculateTotalPendingCakeRewards()".'
            ),
            "block_time_ms": BLOCK_TIME,
        }
    )

    def resolve(self, position: Position) -> Questions[Market]:
        """Ask for the token and the chef, and whether the chef's pool is one of this token."""
        vault = position.target
        step_ms(position)
        fns = (TOKEN, CHEF, TOTAL_SHARES, _pending(position))
        results = yield [fn.read(vault, gas=90_000) for fn in fns]
        token, chef, _, _ = (expect(fn, r, position, _KIND) for fn, r in zip(fns, results, strict=True))
        (pool,) = yield [POOL_INFO.read(chef, _pid(position), result_bytes=320)]
        staked = expect(POOL_INFO, pool, position, f"{_KIND} over a MasterChef with pool {_pid(position)}")
        if staked != token:
            raise ConfigError(
                f"position {position.id}: the vault holds {checksum(token)}, but pool {_pid(position)} of its chef "
                f"stakes {checksum(staked)}; check param pid"
            )
        (stake,) = yield from ask_tokens(position.chain, (token,))
        effects = {SideEffect.FOR_EVERYBODY, SideEffect.ANYONE_MAY_HARVEST, SideEffect.PER_BLOCK}
        return Market(
            stake_token=stake,
            reward_tokens=(stake,),
            contracts=MappingProxyType({"chef": chef}),
            typical_gas=_GAS,
            side_effects=frozenset(effects),
            fee_tokens=(stake,),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """The owner's shares of all, what is pending and who is paid of it, the exit fee, the chef's emission."""
        vault, chef = position.target, market.contracts["chef"]
        return (
            USER_INFO.read(vault, position.owner, result_bytes=128),
            TOTAL_SHARES.read(vault),
            BALANCE.read(vault, gas=30_000),
            _pending(position).read(vault, gas=90_000),
            PERFORMANCE_FEE.read(vault),
            CALL_FEE.read(vault),
            WITHDRAW_FEE.read(vault),
            WITHDRAW_FEE_PERIOD.read(vault),
            PAUSED.read(vault),
            POOL_INFO.read(chef, _pid(position), result_bytes=320),
            TOTAL_ALLOC.read(chef),
            _per_block(position).read(chef),
            BALANCE_OF.read(market.stake_token.address, chef),
        )

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; all amounts are everybody's, net of what the treasury and the caller get."""
        fns = (USER_INFO, TOTAL_SHARES, BALANCE, _pending(position), PERFORMANCE_FEE, CALL_FEE)
        values = [expect(fn, result, position, _KIND) for fn, result in zip(fns, results[:6], strict=True)]
        shares, total, balance, gross, performance, call = values
        token, kept = market.stake_token, BPS - performance - call
        optionals = zip((WITHDRAW_FEE, WITHDRAW_FEE_PERIOD, PAUSED), results[6:9], strict=True)
        leaving, period, paused = (optional(fn, result) or 0 for fn, result in optionals)
        free_at = USER_INFO.values(results[0])[1] + period
        _, alloc = POOL_INFO.values(results[9])[:2]
        chef_fns = (TOTAL_ALLOC, _per_block(position), BALANCE_OF)
        chef = [expect(fn, r, position, "a MasterChef") for fn, r in zip(chef_fns, results[10:], strict=True)]
        total_alloc, per_block, supply = chef
        per_year = grown(share_of(per_block, alloc, total_alloc), step_ms(position)) * kept // BPS
        # A deposit of one's own would start the clock; a harvest starts it for no time at all.
        clock = Restart(0, leaving, free_at) if shares and leaving and free_at > block.timestamp else None
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(token, balance),
            pending=(Amount(token, gross * kept // BPS),),
            accruals=(accrual(token, per_year, balance, supply, None),),
            harvest_paused=paused == 1,
            restarts=() if clock is None else (clock,),
            call_fee=(Amount(token, gross * call // BPS),),
            vault_share_ppm=share_ppm(shares, total),
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:  # noqa: ARG002
        """``harvest()``: anybody without code may, and is paid the bounty."""
        return (
            Leg(
                kind=LegKind.CLAIM,
                label=f"harvest for everybody in {market.stake_token.symbol}",
                to=position.target,
                template=HARVEST.encode(),
                brings=market.fee_tokens,
                proves=(Proof(position.target, HARVESTED.topic),),
                changes=LAST_HARVEST.read(position.target),
            ),
        )

    def deposit(
        self,
        position: Position,  # noqa: ARG002
        market: Market,  # noqa: ARG002
        amount: Share,  # noqa: ARG002
        observation: Observation | None = None,  # noqa: ARG002
    ) -> Sequence[Leg]:
        """Nothing: the harvest itself puts back what it brings."""
        return ()

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:  # noqa: ARG002
        """``harvest()`` and nothing else."""
        return (Permission(position.target, HARVEST.selector, 0, (), "harvest for everybody, bounty to the caller"),)

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Look for shares of this vault."""
        vault = place.target
        user, *views = yield [
            USER_INFO.read(vault, owner, result_bytes=128),
            TOTAL_SHARES.read(vault),
            BALANCE.read(vault, gas=30_000),
            TOKEN.read(vault),
        ]
        shares = (words_of(user) or (0,))[0]
        fns = (TOTAL_SHARES, BALANCE, TOKEN)
        total, balance, named = (optional(fn, result) or 0 for fn, result in zip(fns, views, strict=True))
        if not shares or not total or not named:
            return ()
        known = yield from ask_staked(chain, [Address(f"0x{named:040x}")])
        return [
            Found(place, vault, place.params, Amount(token, balance * shares // total), f"shares of {token.symbol}")
            for token in known.values()
        ]


def _pid(position: Position) -> int:
    return int_param(position, "pid") if "pid" in position.params else 0


def _pending(position: Position) -> Fn:
    return getter(position, "pending", "calculateTotalPendingCakeRewards()", "uint256")


def _per_block(position: Position) -> Fn:
    return getter(position, "per_block", "cakePerBlock()", "uint256")
