"""Beefy vaults (BeefyVaultV7): the harvest of a strategy serves every depositor, and pays its caller a small fee."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import EventSig, Fn, checksum
from keeper.domain.block import BlockRef
from keeper.domain.facts import Place
from keeper.domain.money import WAD, Address, Amount
from keeper.domain.observation import Observation
from keeper.domain.plan import Leg, LegKind, Proof, Share
from keeper.domain.position import Market, Position, SideEffect
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import BALANCE_OF, SYMBOL, TOTAL_SUPPLY, ask_tokens, fixed_word, optional
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import Found, ParamSpec, Permission, Questions
from keeper.protocols.grammar import CallText, parse_call
from keeper.protocols.shared import address_param, expect, share_ppm, text_param

__all__ = ["Beefy"]

WANT: Final = Fn("want()", "address")
STRATEGY: Final = Fn("strategy()", "address")
#: Want per share times 10**18; profit of the last harvest enters it evenly over ``lockDuration``.
PRICE_PER_SHARE: Final = Fn("getPricePerFullShare()", "uint256")
VAULT: Final = Fn("vault()", "address")
NATIVE: Final = Fn("native()", "address")
#: Strategies for one reward name it; those for several keep a list.
OUTPUT: Final = Fn("output()", "address")
REWARDS: Final = Fn("rewards(uint256)", "address")
REWARDS_AVAILABLE: Final = Fn("rewardsAvailable()", "uint256")
CALL_REWARD: Final = Fn("callReward()", "uint256")
PAUSED: Final = Fn("paused()", "bool")
LAST_HARVEST: Final = Fn("lastHarvest()", "uint256")
LOCK_DURATION: Final = Fn("lockDuration()", "uint256")
#: Performance fee (total of the harvest, its split, label, active), deposit and withdrawal fee; parts of 10**18.
ALL_FEES: Final = Fn("getAllFees()", "((uint256,uint256,uint256,uint256,string,bool),uint256,uint256)")
_FEES_BYTES: Final = 32 * 14
#: There is a ``harvest()`` too, which pays ``tx.origin``.
HARVEST: Final = Fn("harvest(address)")
STRAT_HARVEST: Final = EventSig("StratHarvest(address,uint256,uint256)")

_KIND: Final = "a BeefyVaultV7"

#: Gas of a harvest of a V2 LP in a MasterChef, every slot cold.
_GAS: Final = 670_000


class Beefy:
    """Adapter: ``target`` is the vault; the strategy is asked of it and checked at each look.

    Principal and pending are the whole vault's. Below its own minimum a strategy's harvest succeeds and does nothing:
    it must change ``lastHarvest()`` in simulation and emit ``StratHarvest``. The call fee is paid in the wrapped gas
    token, straight to the owner. What a harvest brings enters the share price over ``lockDuration`` (a day): who means
    to leave should harvest that much earlier. A gas throttle of the strategy is met by ``limits.max_gas_price_gwei``.

    Many strategies answer 0 to ``rewardsAvailable()``; the params ``farm``, ``pending`` and ``reward`` name the farm
    that knows better.
    """

    name = "beefy"
    #: Gas units of one harvest in the dearest case; what `keeper plan` reckons with.
    typical_gas = _GAS
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "farm": ParamSpec("address", False, "Farm that the strategy stakes in, where rewardsAvailable() says 0."),
            "pending": ParamSpec(
                "str", False, 'Its pending view for the strategy, e.g. "pendingSushi(uint256=3,address:strategy)".'
            ),
            "reward": ParamSpec("address", False, "Reward token, where the strategy does not name it."),
        }
    )

    def resolve(self, position: Position) -> Questions[Market]:
        """Ask the vault for want and strategy, the strategy for the gas token and its reward."""
        fns = (WANT, STRATEGY, PRICE_PER_SHARE)
        results = yield [fn.read(position.target) for fn in fns]
        want, strategy, _ = (expect(fn, r, position, _KIND) for fn, r in zip(fns, results, strict=True))
        fns = (VAULT, NATIVE, LAST_HARVEST)
        results = yield [
            *(fn.read(strategy) for fn in fns),
            OUTPUT.read(strategy),
            REWARDS.read(strategy, 0),
            ALL_FEES.read(strategy, result_bytes=_FEES_BYTES, gas=60_000),
        ]
        vault, native, _ = (
            expect(fn, r, position, "the vault of a Beefy strategy") for fn, r in zip(fns, results[:3], strict=True)
        )
        if vault != position.target:
            raise ReadFailed(
                f"position {position.id}: strategy {checksum(strategy)} works for vault {checksum(vault)}; check target"
            )
        reward = _reward(position, results[3:5])
        stake, paid, gas_token = yield from ask_tokens(position.chain, (want, reward, native))
        farm = _pending(position)
        return Market(
            stake_token=stake,
            reward_tokens=(paid,),
            contracts=MappingProxyType({"strategy": strategy, **({"farm": farm[0]} if farm else {})}),
            typical_gas=_GAS,
            side_effects=frozenset({SideEffect.FOR_EVERYBODY, SideEffect.ANYONE_MAY_HARVEST}),
            fee_tokens=(gas_token,) if _fees(results[5])[1] else (),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """The owner's shares and what they are worth; what the strategy has earned, pays, and whether it may run."""
        vault, strategy = position.target, market.contracts["strategy"]
        farm = _pending(position)
        return (
            BALANCE_OF.read(vault, position.owner),
            TOTAL_SUPPLY.read(vault),
            PRICE_PER_SHARE.read(vault, gas=60_000),
            STRATEGY.read(vault),
            REWARDS_AVAILABLE.read(strategy, gas=150_000)
            if farm is None
            else farm[1].read(farm[0], {"strategy": strategy}, gas=150_000),
            CALL_REWARD.read(strategy, gas=250_000),
            PAUSED.read(strategy),
            LAST_HARVEST.read(strategy),
            LOCK_DURATION.read(strategy),
            ALL_FEES.read(strategy, result_bytes=_FEES_BYTES, gas=60_000),
        )

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode. What is pending is what the depositors would get of it: the vault's fees are taken off."""
        fns = (BALANCE_OF, TOTAL_SUPPLY, PRICE_PER_SHARE, STRATEGY)
        shares, supply, price, strategy = (
            expect(fn, r, position, _KIND) for fn, r in zip(fns, results[:4], strict=True)
        )
        if strategy != market.contracts["strategy"]:
            raise ReadFailed(
                f"position {position.id}: the vault has changed its strategy to {checksum(strategy)}; check it and "
                "restart keeper"
            )
        paused, last = (
            expect(fn, r, position, "a Beefy strategy")
            for fn, r in zip((PAUSED, LAST_HARVEST), results[6:8], strict=True)
        )
        taken, _ = _fees(results[9])
        farm = _pending(position)
        gross = (optional(REWARDS_AVAILABLE, results[4]) or 0) if farm is None else farm[1].value(results[4])
        fee = optional(CALL_REWARD, results[5]) or 0
        locked_until = last + (optional(LOCK_DURATION, results[8]) or 0)
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, supply * price // WAD),
            pending=(Amount(market.reward_tokens[0], gross * (WAD - taken) // WAD),),
            accruals=(),
            harvest_paused=paused,
            call_fee=tuple(Amount(token, fee) for token in market.fee_tokens),
            vault_share_ppm=share_ppm(shares, supply),
            notes=(("last_harvest", last), ("profit_locked_until", locked_until)),
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:  # noqa: ARG002
        """``harvest(owner)``: anybody may, and the call fee goes where the argument says."""
        strategy = market.contracts["strategy"]
        return (
            Leg(
                kind=LegKind.CLAIM,
                label=f"harvest for everybody in {market.stake_token.symbol}",
                to=strategy,
                template=HARVEST.encode(position.owner),
                brings=market.fee_tokens,
                proves=(Proof(strategy, STRAT_HARVEST.topic),),
                changes=LAST_HARVEST.read(strategy),
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
        """``harvest`` of this strategy, its call fee to the owner."""
        to_owner = (fixed_word(0, position.owner),)
        return (
            Permission(market.contracts["strategy"], HARVEST.selector, 1, to_owner, "harvest, call fee to the owner"),
        )

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Ask one vault for the owner's shares."""
        vault = place.target
        results = yield [
            WANT.read(vault),
            BALANCE_OF.read(vault, owner),
            PRICE_PER_SHARE.read(vault, gas=60_000),
            SYMBOL.read(vault, result_bytes=96),
        ]
        try:
            want, shares, price = (
                fn.value(r) for fn, r in zip((WANT, BALANCE_OF, PRICE_PER_SHARE), results[:3], strict=True)
            )
        except ReadFailed:
            return ()
        if not shares:
            return ()
        (token,) = yield from ask_tokens(chain, (want,))
        return (
            Found(place, vault, place.params, Amount(token, shares * price // WAD), f"{place.name}, {token.symbol}"),
        )


def _reward(position: Position, answers: Sequence[ReadResult]) -> Address:
    if "reward" in position.params:
        return address_param(position, "reward")
    for fn, result in zip((OUTPUT, REWARDS), answers, strict=True):
        number = optional(fn, result)
        if number:
            return Address(f"0x{number:040x}")
    raise ConfigError(
        f"position {position.id}: the strategy names no reward token; add reward, the token that its farm pays"
    )


def _pending(position: Position) -> tuple[Address, CallText] | None:
    """Return the farm and its view that say what is pending; ``None`` where the strategy is asked."""
    if ("farm" in position.params) != ("pending" in position.params):
        raise ConfigError(f"position {position.id}: farm and pending belong together; write both or neither")
    if "farm" not in position.params:
        return None
    try:
        call = parse_call(text_param(position, "pending", ""), ("strategy",))
    except ValueError as error:
        raise ConfigError(f"position {position.id}: pending: {error}") from error
    return call.target(address_param(position, "farm")), call


def _fees(result: ReadResult) -> tuple[int, int]:
    """Return what is taken of a harvest, and the caller's part of that; parts of 10**18. Old strategies say nothing."""
    try:
        (performance, _, _) = ALL_FEES.value(result)
    except ReadFailed:
        return 0, WAD
    total, _, call, *_ = performance
    return min(total, WAD), call if total else 0
