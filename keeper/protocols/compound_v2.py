"""Compound v2 and Venus supplies: interest grows the exchange rate by itself, COMP or XVS is compounded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from keeper.abi import EventSig, Fn
from keeper.domain.block import BlockRef
from keeper.domain.facts import Place
from keeper.domain.money import Address, Amount
from keeper.domain.observation import Observation
from keeper.domain.plan import Leg, LegKind, Patch, Proof, Share
from keeper.domain.position import Market, Position, SideEffect
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import (
    AMOUNT_CAP,
    BALANCE_OF,
    TOTAL_SUPPLY,
    approve_legs,
    approve_permission,
    ask_tokens,
    fixed_word,
    optional,
)
from keeper.errors import ConfigError
from keeper.ports import ArgRule, Found, ParamSpec, Permission, Questions
from keeper.protocols.income import income_ppm
from keeper.protocols.shared import YEAR_SECONDS, accrual, expect, int_param, text_param

__all__ = ["CompoundV2", "Venus"]

UNDERLYING: Final = Fn("underlying()", "address")
COMPTROLLER: Final = Fn("comptroller()", "address")
EXCHANGE_RATE: Final = Fn("exchangeRateStored()", "uint256")
SUPPLY_RATE: Final = Fn("supplyRatePerBlock()", "uint256")
#: Returns 0, or an error code with everything left as it was.
MINT: Final = Fn("mint(uint256)", "uint256")
MINTED: Final = EventSig("Mint(address,uint256,uint256)")
ALL_MARKETS: Final = Fn("getAllMarkets()", "address[]")
#: isListed; further words differ from build to build.
MARKETS: Final = Fn("markets(address)", "bool")
SUPPLY_CAPS: Final = Fn("supplyCaps(address)", "uint256")

#: Indices are fixed-point numbers of 36 digits, and begin at one.
_INDEX_ONE: Final = 10**36
_WAD: Final = 10**18

#: Markets asked for in one batch.
_BATCH: Final = 200
_MOST_MARKETS: Final = 400

_GETTER: Final = re.compile(r"[A-Za-z_]\w*\(\)\Z")
_PREFIX: Final = re.compile(r"[a-z]\w*\Z")

#: Gas of a compound on real code: claim, approve, swap, approve, mint.
_GAS: Final = 560_000


@dataclass(frozen=True, slots=True)
class _Names:
    """The functions of a Comptroller, which carry the name of its token."""

    accrued: Fn
    #: index, and the block it holds for.
    state: Fn
    index: Fn
    speeds: Fn
    claim: Fn


@lru_cache(maxsize=16)
def _names(prefix: str) -> _Names:
    title = prefix[0].upper() + prefix[1:]
    return _Names(
        accrued=Fn(f"{prefix}Accrued(address)", "uint256"),
        state=Fn(f"{prefix}SupplyState(address)", "uint224,uint32"),
        index=Fn(f"{prefix}SupplierIndex(address,address)", "uint256"),
        speeds=Fn(f"{prefix}SupplySpeeds(address)", "uint256"),
        claim=Fn(f"claim{title}(address,address[])"),
    )


@lru_cache(maxsize=16)
def _getter(signature: str) -> Fn:
    return Fn(signature, "address")


class CompoundV2:
    """Adapter: ``target`` is the cToken, the principal is in the underlying's units (exchangeRateStored).

    What is pending is reckoned from the reward index, as the lenses do. The view ``compAccrued`` knows nothing since
    the account was last touched; and ``CompoundLens.getCompBalanceMetadataExt`` really claims: within one batched call
    everything asked after it, also for other positions of the account, would see nothing left.

    A claim with an empty reservoir succeeds and pays nothing (all or nothing), so a short one is reported as
    underfunded. cTokens of 2019 and 2020 answer a refused ``mint`` by an error code and a ``Failure`` event, not by a
    revert: the deposit therefore has to prove itself by its ``Mint`` event. Rewards for borrowing are claimed with the
    rest, and not foreseen.
    """

    name = "compound-v2"
    #: Gas units of one compound in the dearest case; what `keeper plan` reckons with.
    typical_gas = _GAS
    #: What the Comptroller's functions are called after, and its getter of the reward token.
    prefix = "comp"
    reward = "getCompAddress()"
    paused = Fn("mintGuardianPaused(address)", "bool")
    paused_arguments: tuple[int, ...] = ()
    #: Whether supply caps are kept, 0 meaning that nothing may be supplied.
    capped = False
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "names": ParamSpec("str", False, 'What the Comptroller\'s functions are named after; default "comp".'),
            "reward": ParamSpec("str", False, 'Comptroller\'s getter of the reward; default "getCompAddress()".'),
            "block_time_ms": ParamSpec("int", False, "Milliseconds between blocks; filled in from the chain's facts."),
        }
    )

    @property
    def _kind(self) -> str:
        return "a cToken of Compound v2"

    def resolve(self, position: Position) -> Questions[Market]:
        """Ask the cToken for its underlying and Comptroller, and that for the reward token."""
        _blocks_per_year(position)
        names, reward_fn = self._functions(position)
        results = yield [fn.read(position.target) for fn in (COMPTROLLER, UNDERLYING, EXCHANGE_RATE)]
        comptroller = expect(COMPTROLLER, results[0], position, self._kind)
        expect(EXCHANGE_RATE, results[2], position, self._kind)
        if not results[1].success:
            raise ConfigError(
                f"position {position.id}: this market holds the gas token itself, which cannot be supplied from "
                "harvested tokens; watch it without a signer, or supply the wrapped token elsewhere"
            )
        underlying = expect(UNDERLYING, results[1], position, self._kind)
        answers = yield [
            reward_fn.read(comptroller),
            names.speeds.read(comptroller, position.target),
            names.accrued.read(comptroller, position.owner),
        ]
        what = f"{self._kind} (its Comptroller; params names and reward)"
        paid = expect(reward_fn, answers[0], position, what)
        for fn, answer in zip((names.speeds, names.accrued), answers[1:], strict=True):
            expect(fn, answer, position, what)
        stake, reward = yield from ask_tokens(position.chain, (underlying, paid))
        effects = (SideEffect.ANYONE_MAY_HARVEST, SideEffect.REBASING_PRINCIPAL, SideEffect.PER_BLOCK)
        return Market(
            stake_token=stake,
            reward_tokens=(reward,),
            contracts=MappingProxyType({"comptroller": comptroller}),
            typical_gas=_GAS,
            side_effects=frozenset(effects),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """Shares and what one is worth, the reward index with what has moved it since, the reservoir, the switches."""
        c_token, comptroller, owner = position.target, market.contracts["comptroller"], position.owner
        names, _ = self._functions(position)
        reads = [
            BALANCE_OF.read(c_token, owner),
            EXCHANGE_RATE.read(c_token, gas=40_000),
            TOTAL_SUPPLY.read(c_token),
            names.accrued.read(comptroller, owner),
            names.state.read(comptroller, c_token),
            names.index.read(comptroller, c_token, owner),
            names.speeds.read(comptroller, c_token),
            BALANCE_OF.read(market.reward_tokens[0].address, comptroller),
            self.paused.read(comptroller, c_token, *self.paused_arguments),
            MARKETS.read(comptroller, c_token, result_bytes=256),
            SUPPLY_RATE.read(c_token, gas=80_000),
        ]
        return [*reads, SUPPLY_CAPS.read(comptroller, c_token)] if self.capped else reads

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode, and carry the reward index on to this block."""
        names, _ = self._functions(position)
        fns = (BALANCE_OF, EXCHANGE_RATE, TOTAL_SUPPLY, names.accrued, names.state, names.index, names.speeds)
        required = zip((*fns, BALANCE_OF), results[:8], strict=True)
        values = [expect(fn, result, position, self._kind) for fn, result in required]
        shares, rate, supply, accrued, index, own_index, speed, held = values
        _, updated = names.state.values(results[4])
        if supply > 0:
            index += max(0, block.number - updated) * speed * _INDEX_ONE // supply
        # Who has supplied before the market was rewarded earns from the beginning.
        own_index = own_index or (_INDEX_ONE if index >= _INDEX_ONE else 0)
        pending = accrued + shares * max(0, index - own_index) // _INDEX_ONE
        reward, per_year = market.reward_tokens[0], _blocks_per_year(position)
        listed = optional(MARKETS, ReadResult(results[9].success, results[9].data[:32]))
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, shares * rate // _WAD),
            pending=(Amount(reward, pending),),
            accruals=(accrual(reward, speed * per_year, shares, supply, None),),
            deposits_paused=listed == 0 or self._refuses_mint(results, supply * rate // _WAD),
            harvest_paused=listed == 0,
            underfunded=(reward.symbol,) if held < pending else (),
            notes=income_ppm((optional(SUPPLY_RATE, results[10]) or 0) * per_year, _WAD),
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:  # noqa: ARG002
        """Claim for the owner from this market; what others had left accrued to the account comes along."""
        names, _ = self._functions(position)
        data = names.claim.encode(position.owner, [position.target])
        label = f"claim {market.reward_tokens[0].symbol}"
        return (Leg(LegKind.CLAIM, label, market.contracts["comptroller"], data, brings=market.reward_tokens),)

    def deposit(
        self,
        position: Position,
        market: Market,
        amount: Share,
        observation: Observation | None = None,  # noqa: ARG002
    ) -> Sequence[Leg]:
        """Approve exactly, then mint; only the event and the shares tell that an old cToken has not just refused."""
        mint = Leg(
            kind=LegKind.DEPOSIT,
            label=f"supply {market.stake_token.symbol}",
            to=position.target,
            template=MINT.encode(0),
            patches=(Patch(0, amount),),
            spends=(market.stake_token,),
            proves=(Proof(position.target, MINTED.topic),),
            changes=BALANCE_OF.read(position.target, position.owner),
        )
        return (*approve_legs(position.target, amount), mint)

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """Claim for the owner from this market, mint here, and approve the cToken for the underlying."""
        names, _ = self._functions(position)
        claim = (
            fixed_word(0, position.owner),
            fixed_word(1, 64),
            fixed_word(2, 1),
            fixed_word(3, position.target),
        )
        return (
            Permission(market.contracts["comptroller"], names.claim.selector, 4, claim, "claim for the owner"),
            Permission(position.target, MINT.selector, 1, (ArgRule(0, at_most=AMOUNT_CAP),), "supply"),
            approve_permission(market.stake_token, position.target),
        )

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Ask the Comptroller for all its markets, and each of them for the account's shares."""
        (listed,) = yield [ALL_MARKETS.read(place.target, result_bytes=64 + 32 * _MOST_MARKETS, gas=1_500_000)]
        markets = [Address(a) for a in ALL_MARKETS.value(listed)[:_MOST_MARKETS]]
        held: list[tuple[Address, int]] = []
        for start in range(0, len(markets), _BATCH):
            batch = markets[start : start + _BATCH]
            answers = yield [BALANCE_OF.read(market, owner) for market in batch]
            found = ((market, optional(BALANCE_OF, answer)) for market, answer in zip(batch, answers, strict=True))
            held += [(market, shares) for market, shares in found if shares]
        if not held:
            return ()
        asked = yield [fn.read(market, gas=40_000) for market, _ in held for fn in (EXCHANGE_RATE, UNDERLYING)]
        # A market of the gas token itself has no underlying, and cannot be compounded into.
        plain = [
            (market, shares * EXCHANGE_RATE.value(asked[2 * i]) // _WAD, UNDERLYING.value(asked[2 * i + 1]))
            for i, (market, shares) in enumerate(held)
            if asked[2 * i].success and asked[2 * i + 1].success
        ]
        tokens = yield from ask_tokens(chain, [asset for _, _, asset in plain])
        return [
            Found(place, market, place.params, Amount(token, staked), f"{token.symbol} supplied")
            for (market, staked, _), token in zip(plain, tokens, strict=True)
        ]

    def _functions(self, position: Position) -> tuple[_Names, Fn]:
        """Return the Comptroller's functions by the position's names. Raises ConfigError for names that are none."""
        prefix = text_param(position, "names", self.prefix)
        getter = text_param(position, "reward", self.reward)
        if not _PREFIX.match(prefix):
            raise ConfigError(f'position {position.id}: names must be a word like "{self.prefix}", not {prefix!r}')
        if not _GETTER.match(getter):
            raise ConfigError(f'position {position.id}: reward must be a getter like "{self.reward}", not {getter!r}')
        return _names(prefix), _getter(getter)

    def _refuses_mint(self, results: Sequence[ReadResult], supplied: int) -> bool:
        if optional(self.paused, results[8]) == 1:
            return True
        cap = optional(SUPPLY_CAPS, results[11]) if self.capped else None
        return cap is not None and supplied >= cap


class Venus(CompoundV2):
    """Adapter of Venus' core pool: Compound v2 with names of its own, supply caps, and a switch for each action."""

    name = "venus"
    prefix = "venus"
    reward = "getXVSAddress()"
    #: Action 0 is minting.
    paused = Fn("actionPaused(address,uint8)", "bool")
    paused_arguments = (0,)
    capped = True
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "names": ParamSpec("str", False, 'What the Comptroller\'s functions are named after; default "venus".'),
            "reward": ParamSpec("str", False, 'Comptroller\'s getter of the reward; default "getXVSAddress()".'),
            "block_time_ms": CompoundV2.params["block_time_ms"],
        }
    )

    @property
    def _kind(self) -> str:
        return "a vToken of Venus"


def _blocks_per_year(position: Position) -> int:
    step = int_param(position, "block_time_ms")
    if step == 0:
        raise ConfigError(f"position {position.id}: block_time_ms must be above 0")
    return YEAR_SECONDS * 1000 // step
