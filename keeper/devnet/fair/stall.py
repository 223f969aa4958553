"""What a family shows at the fair: positions that keeper can compound, and how real their contracts are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from keeper.devnet.accounts import FARMER
from keeper.devnet.market import CHAIN_NAME, PRICES
from keeper.devnet.positions import SIGNER, chain_facts
from keeper.domain.facts import ChainFacts, Place
from keeper.domain.money import Address
from keeper.domain.position import Position, RouteSpec

__all__ = ["BLOCK_SECONDS", "FAKE", "Ground", "Stall"]

#: Seconds between blocks at the fair.
BLOCK_SECONDS: Final = 12

#: ``proven`` of a stall whose contracts are small fakes of our own.
FAKE: Final = "own fake"


@dataclass(frozen=True, slots=True)
class Ground:
    """Where the stalls stand: the world's addresses and the family's own, by name."""

    addresses: Mapping[str, Address]

    def __getitem__(self, name: str) -> Address:
        return self.addresses[name]

    @property
    def facts(self) -> ChainFacts:
        """Facts of the fair's chain."""
        return replace(chain_facts(self.addresses), block_time_ms=1_000 * BLOCK_SECONDS)

    @property
    def v2(self) -> RouteSpec:
        """The world's Uniswap V2 router, over WETH: UNI, SUSHI, AAVE and USDC all have deep pools with WETH there."""
        return RouteSpec("uniswap-v2", self["router"], (self["weth"],))

    @property
    def prices(self) -> dict[Address, str]:
        """US dollars per whole token of the world's tokens (weth, usdc, dai, uni, sushi, aave)."""
        return {self[symbol.lower()]: str(usd) for symbol, usd in PRICES.items()}

    def position(
        self,
        name: str,
        protocol: str,
        target: Address,
        params: Mapping[str, str | int | bool] | None = None,
        *routes: RouteSpec,
    ) -> Position:
        """Make a position of the farmer."""
        return Position(
            id=name,
            chain=CHAIN_NAME,
            protocol=protocol,
            owner=FARMER.address,
            signer=SIGNER,
            target=target,
            params=MappingProxyType(dict(params or {})),
            route=routes[0] if routes else None,
            other_routes=routes[1:],
        )


@dataclass(frozen=True, slots=True)
class Stall:
    """One position of the fair."""

    position: Position
    #: Where its contracts' code is from: an npm package with its version, or ``FAKE``.
    proven: str
    #: US dollars per whole token, for every token that its decisions need and ``Ground.prices`` does not know.
    prices: Mapping[Address, str] = field(default_factory=lambda: MappingProxyType({}))
    #: Where ``discover`` finds it; ``None`` where the family cannot be searched.
    place: Place | None = None
    #: Seconds after which something worth harvesting is pending.
    ripe_seconds: int = 86_400
    #: Nothing is ever harvested here; it grows by itself.
    grows: bool = False
    #: The harvest is for everybody: it brings the caller nothing, or a fee.
    for_everybody: bool = False
    #: What others do while it ripens (trades that pay fees): sender, contract, calldata. Sent at its end, in order.
    stir: tuple[tuple[Address, Address, bytes], ...] = ()
    #: The view of what is pending says less than a harvest pays; only a simulation tells.
    stale_view: bool = False
