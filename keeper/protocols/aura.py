"""Aura on Ethereum: Convex for Balancer's gauges; BAL streams to reward pools, AURA is minted on every claim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keeper.abi import Fn
from keeper.domain.money import BPS
from keeper.domain.position import Market, Position
from keeper.domain.reads import Read
from keeper.protocols.booster_pool import BoosterPool

__all__ = ["Aura", "aura_minted"]

#: What part of a claim counts for AURA, basis points. https://docs.aura.finance/developers/deployed-addresses
MULTIPLIERS: Final = Fn("getRewardMultipliers(address)", "uint256")

#: AURA minted at the start, and the most that claims mint on top, in 500 cliffs.
AURA_START: Final = 50_000_000 * 10**18
AURA_MOST: Final = 50_000_000 * 10**18
AURA_CLIFFS: Final = 500
AURA_PER_CLIFF: Final = AURA_MOST // AURA_CLIFFS


def aura_minted(claimed: int, supply: int) -> int:
    """Return the AURA that comes with so much claimed BAL at this supply: (500 - cliff) x 2.5 + 700, of 500."""
    emitted = supply - AURA_START
    cliff = emitted // AURA_PER_CLIFF
    if emitted < 0 or cliff >= AURA_CLIFFS:
        return 0
    return min(claimed * ((AURA_CLIFFS - cliff) * 5 // 2 + 700) // AURA_CLIFFS, AURA_MOST - emitted)


class Aura(BoosterPool):
    """Adapter: ``target`` is the pool's reward contract (BaseRewardPool4626, ``crvRewards`` of the booster's pool).

    As Convex, but: ``processIdleRewards`` of a pool starts what waits in its queue; the booster weighs claims for AURA;
    further rewards are paid by pools of wrapped tokens. What Aura's own minter has minted beside claims is not known
    from outside and counts as emitted here: AURA may come out low, and the simulation tells.
    """

    name = "aura"
    kind = "an Aura reward pool"
    starts_idle = True

    def bonus(self, earned: int, supply: int, multiplier: int) -> int:
        """AURA by its cliffs, of the part that counts."""
        return aura_minted(earned * multiplier // BPS, supply)

    def multiplier_reads(self, position: Position, market: Market) -> Sequence[Read]:
        """What part of this pool's claims counts."""
        return (MULTIPLIERS.read(market.contracts["booster"], position.target),)
