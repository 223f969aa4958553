"""When to compound before a known end: an exit date, or emission that stops.

With D = R/F + tau (what is pending already, as time, and the time left) n harvests at equal distances D/(n+1) lose
n*g + k*F*D^2/(2(n+1)). One more harvest is worth its cost while n(n+1) <= k*F*D^2/(2g); with that n the next one is due
when R/F has reached D/(n+1), which is R*n >= F*tau. Without an end this becomes R* = sqrt(2*g*F/k). All money is USD
wad, k is wad per year, tau is seconds.
"""

from __future__ import annotations

from math import isqrt

from keeper.domain.money import BPS, WAD
from keeper.strategy.numbers import SECONDS_PER_YEAR, ceil_div, ceil_sqrt

__all__ = ["cost_worth", "gain", "harvests_left", "reward_wanted"]


def reward_wanted(cost: int, forward: int, k: int, tau: int, risk_factor_bps: int = BPS) -> int:
    """Return R*: the smallest reward at which the next harvest before the end is due.

    It is F*tau/n for the n that fit, or the reward that makes room for one harvest more, whichever is less.

    Args:
        cost: g, above zero.
        forward: F, above zero.
        k: what an idle dollar loses a year, above zero.
        tau: seconds until the end, above zero.
        risk_factor_bps: scales F*tau/n; lower harvests earlier.
    """
    coming = _coming(forward, tau)
    n = _rhythm(cost, forward, k, coming)
    room = ceil_sqrt(2 * cost * forward * (n + 1) * (n + 2) * WAD, k) - coming
    if n == 0:
        return max(room, 1)
    return max(min(ceil_div(coming * risk_factor_bps, n * BPS), room), 1)


def cost_worth(reward: int, forward: int, k: int, tau: int, risk_factor_bps: int = BPS) -> int:
    """Return the largest cost at which a harvest is due now: k*(R + F*tau)^2 / (2F*N(N+1)), N = ceil(F*tau/R)."""
    if reward <= 0 or tau <= 0:
        return 0
    coming = _coming(forward, tau)
    n = max(ceil_div(coming * risk_factor_bps, reward * BPS), 1)
    return k * (reward + coming) ** 2 // (2 * forward * n * (n + 1) * WAD)


def harvests_left(reward: int, cost: int, forward: int, k: int, tau: int) -> int:
    """Return how many harvests are still worth making before the end: the largest n with n(n+1) <= k*F*D^2/(2g)."""
    if cost <= 0 or forward <= 0 or k <= 0 or tau <= 0:
        return 0
    q = k * (reward + _coming(forward, tau)) ** 2 // (2 * cost * forward * WAD)
    return (isqrt(1 + 4 * q) - 1) // 2


def gain(reward: int, cost: int, forward: int, k: int, tau: int) -> int:
    """Return what these harvests bring over claiming at the end: k*F*D^2/2 * n/(n+1) - n*g; never below zero.

    What is pending may be more than one equal part already; then the harvest that is due has waited too long, and
    the best that is left is to make it now and go on from there.
    """
    n = harvests_left(reward, cost, forward, k, tau)
    if n == 0:
        return 0
    coming = _coming(forward, tau)
    if reward * n <= coming:
        most = k * (reward + coming) ** 2 * n // (2 * forward * WAD * (n + 1)) - n * cost
    else:
        now = k * reward * coming // (forward * WAD) - cost
        most = now + gain(0, cost, forward, k, tau)
    return max(most, 0)


def _coming(forward: int, tau: int) -> int:
    """F * tau: what accrues until the end."""
    return forward * tau // SECONDS_PER_YEAR


def _rhythm(cost: int, forward: int, k: int, coming: int) -> int:
    """Return the largest n with n^3/(n+1) <= k*F*tau^2/(2g): the n whose R = F*tau/n has room for n harvests."""
    top, bottom = k * coming * coming, 2 * cost * forward * WAD
    n = isqrt(top // bottom) + 2
    while n > 0 and n**3 * bottom > top * (n + 1):
        n -= 1
    return n
