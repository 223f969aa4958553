"""Yearn V3: a TokenizedStrategy's report, or an allocator vault's, books the profit for every depositor."""

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
from keeper.erc20 import BALANCE_OF, TOTAL_SUPPLY, ask_tokens, fixed_word, optional
from keeper.errors import ConfigError
from keeper.ports import Found, ParamSpec, Permission, Questions
from keeper.protocols.shared import address_param, expect, flag_param, share_ppm

__all__ = ["YearnV3"]

ASSET: Final = Fn("asset()", "address")
TOTAL_ASSETS: Final = Fn("totalAssets()", "uint256")
CONVERT: Final = Fn("convertToAssets(uint256)", "uint256")
UNLOCK_TIME: Final = Fn("profitMaxUnlockTime()", "uint256")
LAST_REPORT: Final = Fn("lastReport()", "uint256")
KEEPER: Final = Fn("keeper()", "address")
MANAGEMENT: Final = Fn("management()", "address")
PERFORMANCE_FEE: Final = Fn("performanceFee()", "uint16")
#: Whether it asks for a ``tend``, and the calldata of that, which is not looked at.
TENDS: Final = Fn("tendTrigger()", "bool")
#: Profit and loss; refuses everybody but the keeper and the management.
REPORT: Final = Fn("report()", "uint256,uint256")
TEND: Final = Fn("tend()")
REPORTED: Final = EventSig("Reported(uint256,uint256,uint256,uint256)")
#: Of an allocator vault; bit 5 of ``roles`` lets an account do it.
PROCESS_REPORT: Final = Fn("process_report(address)", "uint256,uint256")
ROLES: Final = Fn("roles(address)", "uint256")
_REPORTING_MANAGER: Final = 32
#: Activation, last report, current debt, most debt.
STRATEGIES: Final = Fn("strategies(address)", "uint256,uint256,uint256,uint256")
STRATEGY_REPORTED: Final = EventSig("StrategyReported(address,uint256,uint256,uint256,uint256,uint256,uint256)")
#: yHaaS' Keeper, which everybody may call: https://github.com/yearn/vault-periphery (contracts/Keeper.sol).
VIA_REPORT: Final = Fn("report(address)", "uint256,uint256")
VIA_TEND: Final = Fn("tend(address)")
VIA_PROCESS: Final = Fn("process_report(address,address)", "uint256,uint256")

_KIND: Final = "a Yearn V3 TokenizedStrategy"
_VAULT: Final = "a Yearn V3 vault"

#: Gas of a report of real code with a simple strategy; what it does with its farms comes on top.
_GAS: Final = 260_000
#: A static report runs the whole of it.
_REPORT_GAS: Final = 2_000_000


class YearnV3:
    """Adapter: ``target`` is a TokenizedStrategy, or an allocator vault whose ``strategy`` is reported.

    Only the strategy's keeper and management may call ``report()``, only accounts with the role REPORTING_MANAGER a
    vault's ``process_report``; ``via`` names a Keeper contract that everybody may call and that has the role instead.
    What a report would book is asked by a static call of it, as the owner. The profit unlocks evenly over
    ``profitMaxUnlockTime`` (10 days unless set otherwise), so who means to leave should report that much earlier.
    Principal and pending are the whole vault's, fees taken off; locked profit counts for nobody yet.
    """

    name = "yearn-v3"
    #: Gas units of one report in the dearest case; what `keeper plan` reckons with.
    typical_gas = _GAS
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "strategy": ParamSpec("address", False, "Where target is an allocator vault: its strategy to report."),
            "via": ParamSpec("address", False, "Keeper contract that has the role and that everybody may call."),
            "tend": ParamSpec("bool", False, "true: call tend() before the report when tendTrigger asks for it."),
        }
    )

    def resolve(self, position: Position) -> Questions[Market]:
        """Ask for the asset, and check that target, strategy and role holder are what they are said to be."""
        target, whole = position.target, "strategy" in position.params
        if whole and flag_param(position, "tend"):
            raise ConfigError(f"position {position.id}: tend is for a strategy as target; remove it or strategy")
        via = address_param(position, "via") if "via" in position.params else None
        strategy = address_param(position, "strategy") if whole else None
        fns = (ASSET, TOTAL_ASSETS, *((STRATEGIES, ROLES) if whole else (LAST_REPORT, KEEPER)))
        results = yield [
            ASSET.read(target),
            TOTAL_ASSETS.read(target),
            STRATEGIES.read(target, strategy) if whole else LAST_REPORT.read(target),
            ROLES.read(target, position.owner) if whole else KEEPER.read(target),
        ]
        asset, *_ = (expect(fn, r, position, _VAULT if whole else _KIND) for fn, r in zip(fns, results, strict=True))
        if strategy is not None and not STRATEGIES.values(results[2])[0]:
            raise ConfigError(f"position {position.id}: {checksum(strategy)} is no strategy of this vault; check it")
        (stake,) = yield from ask_tokens(position.chain, (asset,))
        return Market(
            stake_token=stake,
            reward_tokens=(stake,),
            contracts=MappingProxyType({"caller": via or target, **({"strategy": strategy} if strategy else {})}),
            typical_gas=_GAS,
            side_effects=frozenset({SideEffect.FOR_EVERYBODY})
            | ({SideEffect.ANYONE_MAY_HARVEST} if via else {SideEffect.OWNER_ONLY}),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """Shares and assets, who may report, and what a report would book: a static call as the owner."""
        target = position.target
        strategy = market.contracts.get("strategy")
        to, data = _report(position, market)
        state = (
            (LAST_REPORT.read(target), KEEPER.read(target), MANAGEMENT.read(target), PERFORMANCE_FEE.read(target))
            if strategy is None
            else (STRATEGIES.read(target, strategy), ROLES.read(target, _who(position)))
        )
        return (
            BALANCE_OF.read(target, position.owner, gas=30_000),
            TOTAL_SUPPLY.read(target, gas=30_000),
            BALANCE_OF.read(target, target, gas=30_000),
            TOTAL_ASSETS.read(target),
            UNLOCK_TIME.read(target),
            Read(to, data, 64, _REPORT_GAS, position.owner),
            TENDS.read(target, result_bytes=1024, gas=300_000),
            *state,
        )

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; a report that would book a loss has nothing pending."""
        fns = (BALANCE_OF, TOTAL_SUPPLY, BALANCE_OF, TOTAL_ASSETS)
        shares, supply, locked, total = (expect(fn, r, position, _KIND) for fn, r in zip(fns, results[:4], strict=True))
        last, fee, refused = _state(position, market, results[7:])
        booked = results[5]
        profit = 0
        if booked.success and not refused:
            gain, loss = REPORT.values(booked)
            profit = max(0, gain - loss) * (BPS - min(fee, BPS)) // BPS
        tends = optional(TENDS, results[6]) == 1
        unlock = optional(UNLOCK_TIME, results[4]) or 0
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, total),
            pending=(Amount(market.stake_token, profit),),
            accruals=(),
            harvest_paused=bool(refused) or not booked.success,
            paused_because=refused,
            vault_share_ppm=share_ppm(shares, supply - locked),
            notes=(("last_report", last), ("tend_trigger", int(tends)), ("unlock_seconds", unlock)),
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:
        """``report`` or ``process_report``, after a ``tend`` where that is wanted and asked for."""
        to, data = _report(position, market)
        strategy = market.contracts.get("strategy")
        legs = []
        if flag_param(position, "tend") and observation.note("tend_trigger"):
            tend_to, tend = _tend(position, market)
            legs.append(Leg(LegKind.STAKE, "tend the strategy", tend_to, tend))
        event, view = (
            (REPORTED, LAST_REPORT.read(position.target))
            if strategy is None
            else (STRATEGY_REPORTED, STRATEGIES.read(position.target, strategy))
        )
        return (
            *legs,
            Leg(
                kind=LegKind.CLAIM,
                label=f"report for everybody in {market.stake_token.symbol}",
                to=to,
                template=data,
                proves=(Proof(position.target, event.topic),),
                changes=view,
            ),
        )

    def deposit(
        self,
        position: Position,  # noqa: ARG002
        market: Market,  # noqa: ARG002
        amount: Share,  # noqa: ARG002
        observation: Observation | None = None,  # noqa: ARG002
    ) -> Sequence[Leg]:
        """Nothing: a report books what is there already."""
        return ()

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """The report of this strategy, and ``tend`` where that is wanted."""
        calls = [_report(position, market)]
        if flag_param(position, "tend"):
            calls.append(_tend(position, market))
        return tuple(
            Permission(
                to,
                data[:4],
                (len(data) - 4) // 32,
                tuple(
                    fixed_word(index, int.from_bytes(data[4 + 32 * index : 36 + 32 * index], "big"))
                    for index in range((len(data) - 4) // 32)
                ),
                "report for everybody" if number == 0 else "tend",
            )
            for number, (to, data) in enumerate(calls)
        )

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Ask one vault for the owner's shares."""
        vault = place.target
        asset, shares = yield [ASSET.read(vault), BALANCE_OF.read(vault, owner)]
        held, token = optional(BALANCE_OF, shares), optional(ASSET, asset)
        if not held or not token:
            return ()
        (worth,) = yield [CONVERT.read(vault, held, gas=60_000)]
        (stake,) = yield from ask_tokens(chain, (Address(f"0x{token:040x}"),))
        staked = Amount(stake, optional(CONVERT, worth) or 0)
        return (Found(place, vault, place.params, staked, f"{place.name}, {stake.symbol}"),)


def _who(position: Position) -> Address:
    """Return the account that calls the strategy or the vault in the end."""
    return address_param(position, "via") if "via" in position.params else position.owner


def _report(position: Position, market: Market) -> tuple[Address, bytes]:
    """Return contract and calldata of the report."""
    strategy, caller = market.contracts.get("strategy"), market.contracts["caller"]
    if caller == position.target:
        return caller, REPORT.encode() if strategy is None else PROCESS_REPORT.encode(strategy)
    if strategy is None:
        return caller, VIA_REPORT.encode(position.target)
    return caller, VIA_PROCESS.encode(position.target, strategy)


def _tend(position: Position, market: Market) -> tuple[Address, bytes]:
    caller = market.contracts["caller"]
    return caller, TEND.encode() if caller == position.target else VIA_TEND.encode(position.target)


def _state(position: Position, market: Market, results: Sequence[ReadResult]) -> tuple[int, int, str]:
    """Return the last report, the fee in basis points, and why the owner may not report (empty when it may)."""
    caller = _who(position)
    if "strategy" in market.contracts:
        expect(STRATEGIES, results[0], position, _VAULT)
        roles = expect(ROLES, results[1], position, _VAULT)
        why = "" if roles & _REPORTING_MANAGER else f"{checksum(caller)} has not the vault's role REPORTING_MANAGER"
        return (
            STRATEGIES.values(results[0])[1],
            0,
            f"{why}; ask its role manager, or name a Keeper in via" if why else "",
        )
    fns = (LAST_REPORT, KEEPER, MANAGEMENT, PERFORMANCE_FEE)
    last, keeper, management, fee = (expect(fn, r, position, _KIND) for fn, r in zip(fns, results, strict=True))
    if caller in (keeper, management):
        return last, fee, ""
    why = f"{checksum(caller)} may not report: the strategy's keeper is {checksum(keeper)}"
    return last, fee, f"{why}; have it made keeper, or name the Keeper contract in via"
