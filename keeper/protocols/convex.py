"""Convex on Ethereum: a booster stakes Curve LP tokens for all, CRV streams to reward pools, claims mint CVX."""

from __future__ import annotations

from typing import Final

from keeper.protocols.booster_pool import BoosterPool

__all__ = ["Convex", "cvx_minted"]

#: https://github.com/convex-eth/platform/blob/main/contracts/contracts/Cvx.sol , as deployed: 100 million at most, in
#: 1000 cliffs, each of which mints a thousandth less for a CRV.
CVX_MOST: Final = 100_000_000 * 10**18
CVX_CLIFFS: Final = 1_000
CVX_PER_CLIFF: Final = CVX_MOST // CVX_CLIFFS


def cvx_minted(claimed: int, supply: int) -> int:
    """Return the CVX that comes with so much claimed CRV at this supply of CVX."""
    cliff = supply // CVX_PER_CLIFF
    if cliff >= CVX_CLIFFS:
        return 0
    return min(claimed * (CVX_CLIFFS - cliff) // CVX_CLIFFS, CVX_MOST - supply)


class Convex(BoosterPool):
    """Adapter: ``target`` is the pool's reward contract (BaseRewardPool, ``crvRewards`` of the booster's pool).

    - ``earned`` is 0 until somebody has called ``earmarkRewards``; a harvest does so where the week's stream has run
      dry, and takes the caller's fee in CRV. Rewards that come while a stream is fresh wait in ``queuedRewards``.
    - ``earned`` counts CRV alone; CVX follows from the cliffs, and further rewards have pools of their own.
    - A stream ends after a week, and is renewed again and again.
    """

    name = "convex"
    kind = "a Convex reward pool"

    def bonus(self, earned: int, supply: int, multiplier: int) -> int:  # noqa: ARG002
        """CVX by its cliffs."""
        return cvx_minted(earned, supply)
