"""Yearn V2 vaults (0.4.x): a strategy's harvest reports its profit to the vault, for every depositor; roles only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import EventSig, Fn, checksum
from keeper.domain.block import BlockRef
from keeper.domain.facts import Place
from keeper.domain.money import BPS, Address, Amount
from keeper.domain.observation import Observation
from keeper.domain.plan import Leg, LegKind, Proof, Share
from keeper.domain.position import Market, Position, SideEffect
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import BALANCE_OF, SYMBOL, TOTAL_SUPPLY, ZERO_ADDRESS, ask_tokens, optional
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import Found, ParamSpec, Permission, Questions
from keeper.protocols.shared import address_param, expect, flag_param, share_ppm

__all__ = ["YearnV2"]

TOKEN: Final = Fn("token()", "address")
QUEUE: Final = Fn("withdrawalQueue(uint256)", "address")
TOTAL_ASSETS: Final = Fn("totalAssets()", "uint256")
PRICE_PER_SHARE: Final = Fn("pricePerShare()", "uint256")
DECIMALS: Final = Fn("decimals()", "uint256")
PERFORMANCE_FEE: Final = Fn("performanceFee()", "uint256")
#: Performance fee, activation, debt ratio, least and most debt a harvest, last report, debt, gain, loss.
STRATEGIES: Final = Fn("strategies(address)", "uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256")
VAULT: Final = Fn("vault()", "address")
ESTIMATED: Final = Fn("estimatedTotalAssets()", "uint256")
#: The argument is what the call costs, wei; from 0.4.6 on it does not matter.
HARVEST_TRIGGER: Final = Fn("harvestTrigger(uint256)", "bool")
TEND_TRIGGER: Final = Fn("tendTrigger(uint256)", "bool")
HARVEST: Final = Fn("harvest()")
TEND: Final = Fn("tend()")
HARVESTED: Final = EventSig("Harvested(uint256,uint256,uint256,uint256)")

#: Who may harvest: views of the strategy, then of the vault.
_STRATEGY_ROLES: Final = ("keeper", "strategist")
_VAULT_ROLES: Final = ("governance", "guardian", "management")

_KIND: Final = "a Yearn V2 vault"
_STRATEGY: Final = "a Yearn V2 strategy"

#: Gas of a harvest with swaps, as seen on real code.
_GAS: Final = 270_000


class YearnV2:
    """Adapter: ``target`` is the vault, ``strategy`` the one of its strategies that is harvested.

    Principal and pending are the whole vault's; profit is what the strategy estimates above its debt, less the vault's
    and the strategist's fees. ``harvest`` refuses whoever is not its keeper, strategist, or the vault's governance,
    guardian or management, without a word: the owner's role is asked for at each look, and the position waits, saying
    so, while there is none. What a harvest brings enters the share price over about six hours.
    """

    name = "yearn-v2"
    #: Gas units of one harvest in the dearest case; what `keeper plan` reckons with.
    typical_gas = _GAS
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "strategy": ParamSpec("address", False, "Strategy to harvest; the first of the vault's queue unless said."),
            "wait_for_trigger": ParamSpec(
                "bool", False, "true: nothing counts as pending until the strategy's harvestTrigger says so."
            ),
            "tend": ParamSpec("bool", False, "true: call tend() before the harvest when tendTrigger asks for it."),
        }
    )

    def resolve(self, position: Position) -> Questions[Market]:
        """Find the strategy, check that vault and strategy belong together, and who the owner is to them."""
        results = yield [
            TOKEN.read(position.target),
            TOTAL_ASSETS.read(position.target),
            QUEUE.read(position.target, 0),
        ]
        token, _ = (expect(fn, r, position, _KIND) for fn, r in zip((TOKEN, TOTAL_ASSETS), results[:2], strict=True))
        given = "strategy" in position.params
        strategy = address_param(position, "strategy") if given else expect(QUEUE, results[2], position, _KIND)
        if strategy == ZERO_ADDRESS:
            raise ConfigError(f"position {position.id}: the vault has no strategy, so there is nothing to harvest")
        roles = _role_views(position.target, strategy)
        results = yield [
            VAULT.read(strategy),
            ESTIMATED.read(strategy, gas=300_000),
            STRATEGIES.read(position.target, strategy),
            *(Fn(f"{name}()", "address").read(at) for name, at in roles),
        ]
        vault, _ = (expect(fn, r, position, _STRATEGY) for fn, r in zip((VAULT, ESTIMATED), results[:2], strict=True))
        expect(STRATEGIES, results[2], position, _KIND)
        if vault != position.target or not STRATEGIES.values(results[2])[1]:
            raise ConfigError(
                f"position {position.id}: {checksum(strategy)} is no active strategy of this vault; check strategy"
            )
        held = [role for role, answer in zip(roles, results[3:], strict=True) if _is(answer, position.owner)]
        name, at = (held or roles)[0]
        (stake,) = yield from ask_tokens(position.chain, (token,))
        return Market(
            stake_token=stake,
            reward_tokens=(stake,),
            contracts=MappingProxyType({"strategy": strategy, f"role_{name}": at}),
            typical_gas=_GAS,
            side_effects=frozenset({SideEffect.FOR_EVERYBODY, SideEffect.OWNER_ONLY}),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """The owner's shares; what the strategy holds above its debt, and fees; triggers and the owner's role."""
        vault, strategy = position.target, market.contracts["strategy"]
        role, at = _role(market)
        return (
            BALANCE_OF.read(vault, position.owner),
            TOTAL_SUPPLY.read(vault),
            TOTAL_ASSETS.read(vault),
            PERFORMANCE_FEE.read(vault),
            STRATEGIES.read(vault, strategy),
            ESTIMATED.read(strategy, gas=300_000),
            HARVEST_TRIGGER.read(strategy, 0, gas=300_000),
            TEND_TRIGGER.read(strategy, 0, gas=300_000),
            role.read(at),
        )

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; a strategy at a loss has nothing pending."""
        fns = (BALANCE_OF, TOTAL_SUPPLY, TOTAL_ASSETS, PERFORMANCE_FEE)
        shares, supply, total, fee = (expect(fn, r, position, _KIND) for fn, r in zip(fns, results[:4], strict=True))
        own_fee, *_, last, debt, _, _ = STRATEGIES.values(results[4])
        estimated = expect(ESTIMATED, results[5], position, _STRATEGY)
        ripe, tends = (
            optional(fn, r) == 1 for fn, r in zip((HARVEST_TRIGGER, TEND_TRIGGER), results[6:8], strict=True)
        )
        profit = max(0, estimated - debt) * max(0, BPS - fee - own_fee) // BPS
        waiting = flag_param(position, "wait_for_trigger") and not ripe
        role, _ = _role(market)
        may = _is(results[8], position.owner)
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, total),
            pending=(Amount(market.stake_token, 0 if waiting else profit),),
            accruals=(),
            harvest_paused=not may,
            paused_because="" if may else _no_role(market, role, results[8]),
            vault_share_ppm=share_ppm(shares, supply),
            notes=(("last_report", last), ("harvest_trigger", int(ripe)), ("tend_trigger", int(tends))),
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:
        """``harvest()``, after a ``tend()`` where that is wanted and asked for."""
        strategy = market.contracts["strategy"]
        legs = []
        if flag_param(position, "tend") and observation.note("tend_trigger"):
            legs.append(Leg(LegKind.STAKE, "tend the strategy", strategy, TEND.encode()))
        return (
            *legs,
            Leg(
                kind=LegKind.CLAIM,
                label=f"harvest for everybody in {market.stake_token.symbol}",
                to=strategy,
                template=HARVEST.encode(),
                proves=(Proof(strategy, HARVESTED.topic),),
                changes=STRATEGIES.read(position.target, strategy),
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

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """``harvest`` of this strategy, and ``tend`` where that is wanted."""
        strategy = market.contracts["strategy"]
        tend = (Permission(strategy, TEND.selector, 0, (), "tend"),) if flag_param(position, "tend") else ()
        return (Permission(strategy, HARVEST.selector, 0, (), "harvest for everybody"), *tend)

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Ask one vault for the owner's shares."""
        vault = place.target
        fns = (TOKEN, BALANCE_OF, PRICE_PER_SHARE, DECIMALS)
        results = yield [
            TOKEN.read(vault),
            BALANCE_OF.read(vault, owner),
            PRICE_PER_SHARE.read(vault, gas=60_000),
            DECIMALS.read(vault),
            SYMBOL.read(vault, result_bytes=96),
        ]
        try:
            token, shares, price, decimals = (fn.value(r) for fn, r in zip(fns, results[:4], strict=True))
        except ReadFailed:
            return ()
        if not shares or decimals > 36:
            return ()
        (stake,) = yield from ask_tokens(chain, (token,))
        staked = Amount(stake, shares * price // 10**decimals)
        return (Found(place, vault, place.params, staked, f"{place.name}, {stake.symbol}"),)


def _role_views(vault: Address, strategy: Address) -> list[tuple[str, Address]]:
    return [*((name, strategy) for name in _STRATEGY_ROLES), *((name, vault) for name in _VAULT_ROLES)]


def _role(market: Market) -> tuple[Fn, Address]:
    """Return the view of the role that the owner had when it was asked for, or of the keeper's."""
    name, at = next((key, at) for key, at in market.contracts.items() if key.startswith("role_"))
    return _ROLES[name.removeprefix("role_")], at


_ROLES: Final = {name: Fn(f"{name}()", "address") for name in (*_STRATEGY_ROLES, *_VAULT_ROLES)}


def _is(answer: ReadResult, owner: Address) -> bool:
    return answer.success and int.from_bytes(answer.data, "big") == int(owner, 16)


def _no_role(market: Market, role: Fn, answer: ReadResult) -> str:
    holder = f"0x{optional(role, answer) or 0:040x}"
    return (
        f"the owner may not harvest strategy {checksum(market.contracts['strategy'])}: its {role.name} is "
        f"{checksum(holder)}, and only keeper, strategist, or the vault's governance, guardian or management may; ask "
        "them for a role, or only watch the position"
    )
