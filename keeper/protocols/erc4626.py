"""Savings that grow by themselves and are never harvested: shares of ERC-4626 vaults, and DAI in Maker's Pot."""

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
from keeper.domain.spec import PriceSpec
from keeper.erc20 import BALANCE_OF, ZERO_ADDRESS, ask_tokens, optional
from keeper.ports import Found, ParamSpec, Permission, Questions
from keeper.protocols.income import RAY, compounded_ray, income_ppm
from keeper.protocols.shared import YEAR_SECONDS, address_param, expect

__all__ = ["Erc4626", "MakerDsr"]

ASSET: Final = Fn("asset()", "address")
TO_ASSETS: Final = Fn("convertToAssets(uint256)", "uint256")
MAX_DEPOSIT: Final = Fn("maxDeposit(address)", "uint256")
#: sUSDS names its own rate; sDAI names the Pot, which has it.
SSR: Final = Fn("ssr()", "uint256")
POT: Final = Fn("pot()", "address")

PIE: Final = Fn("pie(address)", "uint256")
CHI: Final = Fn("chi()", "uint256")
DSR: Final = Fn("dsr()", "uint256")
RHO: Final = Fn("rho()", "uint256")
LIVE: Final = Fn("live()", "uint256")

#: Name of the note: base units of the asset that a whole share is worth.
SHARE_PRICE: Final = "assets_per_share"

_VAULT: Final = "an ERC-4626 vault"
_POT: Final = "Maker's Pot"

_GROWS: Final = frozenset({SideEffect.GROWS_BY_ITSELF})


class _Untouched:
    """What never is harvested needs no calls."""

    #: Gas units of one compound: there is none.
    typical_gas = 0

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:  # noqa: ARG002
        """Nothing: the income is in the balance or in what a share is worth."""
        return ()

    def deposit(
        self,
        position: Position,  # noqa: ARG002
        market: Market,  # noqa: ARG002
        amount: Share,  # noqa: ARG002
        observation: Observation | None = None,  # noqa: ARG002
    ) -> Sequence[Leg]:
        """Nothing."""
        return ()

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:  # noqa: ARG002
        """Nothing is ever signed for it."""
        return ()


class Erc4626(_Untouched):
    """Adapter for shares of any ERC-4626 vault (sDAI, sUSDS, Yearn V3): ``target`` is the vault, shares the principal.

    Only ``convertToAssets`` is asked, never a stored rate: sDAI's chi is stale until somebody calls ``drip``. The rate
    of sDAI and sUSDS is theirs to name and noted; other vaults have none, and are seen to grow.
    """

    name = "erc4626"
    params: Mapping[str, ParamSpec] = MappingProxyType({})

    def resolve(self, position: Position) -> Questions[Market]:
        """Ask for the vault's asset, and for whoever names its rate."""
        fns = (ASSET, SSR, POT)
        results = yield [*(fn.read(position.target) for fn in fns), TO_ASSETS.read(position.target, 1, gas=150_000)]
        asset = expect(ASSET, results[0], position, _VAULT)
        expect(TO_ASSETS, results[3], position, _VAULT)
        share, _ = yield from ask_tokens(position.chain, (position.target, asset))
        named = ZERO_ADDRESS
        if optional(SSR, results[1]) is not None:
            named = position.target
        elif optional(POT, results[2]) is not None:
            named = POT.value(results[2])
        return Market(
            stake_token=share,
            reward_tokens=(),
            contracts=MappingProxyType({"asset": asset, "rate": named}),
            typical_gas=self.typical_gas,
            side_effects=_GROWS,
            prices=MappingProxyType({share.address: PriceSpec("erc4626", {})}),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """Shares, what one is worth, whether deposits are open, and the rate where it is named."""
        vault, rate = position.target, market.contracts["rate"]
        reads = [
            BALANCE_OF.read(vault, position.owner),
            TO_ASSETS.read(vault, market.stake_token.unit, gas=150_000),
            MAX_DEPOSIT.read(vault, position.owner, gas=150_000),
        ]
        return reads if rate == ZERO_ADDRESS else [*reads, (SSR if rate == vault else DSR).read(rate)]

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; a vault that takes no deposits now says so."""
        shares = expect(BALANCE_OF, results[0], position, _VAULT)
        price = expect(TO_ASSETS, results[1], position, _VAULT)
        rate = optional(DSR, results[3]) if len(results) > 3 else None
        income = () if rate is None else _income(rate)
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, shares),
            pending=(),
            accruals=(),
            deposits_paused=optional(MAX_DEPOSIT, results[2]) == 0,
            notes=((SHARE_PRICE, price), *income),
        )

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Ask the vault itself."""
        (shares,) = yield [BALANCE_OF.read(place.target, owner)]
        if not optional(BALANCE_OF, shares):
            return ()
        (token,) = yield from ask_tokens(chain, (place.target,))
        return (Found(place, place.target, place.params, Amount(token, BALANCE_OF.value(shares)), token.symbol),)


class MakerDsr(_Untouched):
    """Adapter for DAI in Maker's Pot: ``target`` is the Pot, the principal DAI with all interest to this second.

    ``chi`` is stale until somebody calls ``drip``; it is carried on by the Pot's own formula, to the last digit.
    """

    name = "maker-dsr"
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {"dai": ParamSpec("address", True, "The DAI token, which the Pot itself does not name.")}
    )

    def resolve(self, position: Position) -> Questions[Market]:
        """Ask whether it is a Pot; the token is a param."""
        dai = address_param(position, "dai")
        fns = (CHI, DSR, RHO)
        results = yield [PIE.read(position.target, position.owner), *(fn.read(position.target) for fn in fns)]
        for fn, result in zip((PIE, *fns), results, strict=True):
            expect(fn, result, position, _POT)
        (token,) = yield from ask_tokens(position.chain, (dai,))
        return Market(token, (), typical_gas=self.typical_gas, side_effects=_GROWS)

    def reads(self, position: Position, market: Market) -> Sequence[Read]:  # noqa: ARG002
        """The account's part, and how much one part is worth since when and at which rate."""
        return (
            PIE.read(position.target, position.owner),
            *(fn.read(position.target) for fn in (CHI, DSR, RHO, LIVE)),
        )

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode, with chi carried on to this block; a caged Pot takes no more."""
        pairs = zip((PIE, CHI, DSR, RHO), results[:4], strict=True)
        pie, chi, dsr, rho = (expect(fn, result, position, _POT) for fn, result in pairs)
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, pie * _current(chi, dsr, block.timestamp - rho) // RAY),
            pending=(),
            accruals=(),
            deposits_paused=optional(LIVE, results[4]) == 0,
            notes=_income(dsr),
        )

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Ask the Pot itself; its place carries the param ``dai``. What is found is worth at least this much."""
        pie, chi = yield [PIE.read(place.target, owner), CHI.read(place.target)]
        if not optional(PIE, pie):
            return ()
        (token,) = yield from ask_tokens(chain, (Address(str(place.params["dai"])),))
        staked = Amount(token, PIE.value(pie) * CHI.value(chi) // RAY)
        return (Found(place, place.target, place.params, staked, f"{token.symbol} savings"),)


def _current(chi: int, dsr: int, seconds: int) -> int:
    return compounded_ray(dsr, max(0, seconds)) * chi // RAY


def _income(rate: int) -> tuple[tuple[str, int], ...]:
    """Note a rate per second (a ray, one and a little) as what a year makes of it."""
    return income_ppm(compounded_ray(rate, YEAR_SECONDS) - RAY, RAY)
