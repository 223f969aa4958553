"""ERC-4626 vaults as a pool with one side: turns the asset into shares, where a share is what is staked."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn
from keeper.domain.money import BPS, Address, Token
from keeper.domain.plan import Leg, LegKind, Patch, Share
from keeper.domain.position import Basket, RouteSpec
from keeper.domain.reads import Read, ReadResult
from keeper.domain.spec import PriceSpec
from keeper.erc20 import AMOUNT_CAP, TOTAL_SUPPLY, approve_legs, approve_permission, ask_tokens, fixed_word, optional
from keeper.errors import ReadFailed
from keeper.ports import ArgRule, Permission, Questions

__all__ = ["Erc4626Pool"]

ASSET: Final = Fn("asset()", "address")
TO_ASSETS: Final = Fn("convertToAssets(uint256)", "uint256")
TO_SHARES: Final = Fn("convertToShares(uint256)", "uint256")
PREVIEW: Final = Fn("previewDeposit(uint256)", "uint256")
MAX_DEPOSIT: Final = Fn("maxDeposit(address)", "uint256")
DEPOSIT: Final = Fn("deposit(uint256,address)", "uint256")

#: Gas of a view that may ask a strategy behind the vault.
_VIEW_GAS: Final = 200_000

#: Base units of a share in existence below which a donation could make the next deposit round down to nothing.
_LEAST_SUPPLY: Final = 10**6

#: Largest fee on entering that is put up with, basis points.
_MOST_FEE: Final = 200

_ALL: Final = 1_000_000


class Erc4626Pool:
    """Pool maker. The standard's ``deposit`` takes no least number of shares, so nothing in the call can protect it.

    What protects instead: a vault whose preview falls short of its own share price by more than the fee it was
    recognised with, or that is so empty that a donation could swallow a deposit, is not entered; the simulation of
    exactly the signed call must bring shares; and the receipt must show them. An asset that taxes its transfers is the
    vault's loss, spread over all its shares, and shows in the share price afterwards.
    """

    name = "erc4626"

    def recognise(self, token: Token, routes: Sequence[RouteSpec]) -> Questions[Basket | None]:  # noqa: ARG002
        """Ask whether the token is a vault's share; its fee on entering is what the preview lacks."""
        results = yield [
            ASSET.read(token.address),
            TO_ASSETS.read(token.address, token.unit, gas=_VIEW_GAS),
            PREVIEW.read(token.address, token.unit, gas=_VIEW_GAS),
        ]
        values = [optional(fn, result) for fn, result in zip((ASSET, TO_ASSETS, PREVIEW), results, strict=True)]
        if None in values:
            return None
        (asset,) = yield from ask_tokens(token.chain, (ASSET.value(results[0]),))
        shares, preview = yield [fn.read(token.address, asset.unit, gas=_VIEW_GAS) for fn in (TO_SHARES, PREVIEW)]
        fair, made = optional(TO_SHARES, shares) or 0, optional(PREVIEW, preview) or 0
        return Basket(
            kind=self.name,
            token=token,
            parts=(asset,),
            entry=token.address,
            price=PriceSpec("erc4626", {}),
            fee_bps=_lacking(made, fair),
            contracts=MappingProxyType({"asset": asset.address}),
        )

    def reads(self, basket: Basket) -> Sequence[Read]:
        """What a whole asset would make, by preview and by share price, and how many shares there are."""
        vault, unit = basket.entry, basket.parts[0].unit
        return (
            PREVIEW.read(vault, unit, gas=_VIEW_GAS),
            TO_SHARES.read(vault, unit, gas=_VIEW_GAS),
            TOTAL_SUPPLY.read(vault),
        )

    def mix(self, basket: Basket, results: Sequence[ReadResult]) -> tuple[int, ...]:
        """All of it. Raises ReadFailed while entering the vault would lose more than its fee."""
        made, fair, supply = (
            fn.value(result) for fn, result in zip((PREVIEW, TO_SHARES, TOTAL_SUPPLY), results, strict=True)
        )
        name = basket.token.symbol
        if supply < _LEAST_SUPPLY:
            raise ReadFailed(f"the vault {name} is almost empty: a donation could swallow a deposit; keeper waits")
        lost = _lacking(made, fair)
        if made == 0 or lost > max(basket.fee_bps, 0) + 1 or lost > _MOST_FEE:
            raise ReadFailed(
                f"the vault {name} would keep {lost} basis points of a deposit, not {basket.fee_bps} as when keeper "
                f"began (at most {_MOST_FEE}); keeper waits, or restart it if the fee is meant"
            )
        return (_ALL,)

    def join(
        self,
        basket: Basket,
        owner: Address,
        rates: Sequence[tuple[int, int]],  # noqa: ARG002
        slippage_bps: int,  # noqa: ARG002
    ) -> Sequence[Leg]:
        """Approve the vault exactly, then deposit everything for the owner."""
        asset = basket.parts[0]
        amount = Share(asset)
        deposit = Leg(
            kind=LegKind.ADD_LIQUIDITY,
            label=f"put {asset.symbol} into {basket.token.symbol}",
            to=basket.entry,
            template=DEPOSIT.encode(0, owner),
            patches=(Patch(0, amount),),
            spends=(asset,),
            brings=(basket.token,),
        )
        return (*approve_legs(basket.entry, amount), deposit)

    def permissions(self, basket: Basket, owner: Address) -> Sequence[Permission]:
        """Deposit for the owner, and approve the vault for its asset."""
        args = (ArgRule(0, at_most=AMOUNT_CAP), fixed_word(1, owner))
        return (
            Permission(basket.entry, DEPOSIT.selector, 2, args, f"make {basket.token.symbol}"),
            approve_permission(basket.parts[0], basket.entry),
        )


def _lacking(made: int, fair: int) -> int:
    """How far ``made`` falls short of ``fair``, basis points, rounded up."""
    return -(-max(0, fair - made) * BPS // fair) if fair else BPS
