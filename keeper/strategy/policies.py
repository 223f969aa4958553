"""keeper's rule and every baseline that it is measured against, each written once, for floats and for arrays alike.

Only + - * / and comparisons joined by & and | are used, so that the same line decides one live position and thousands
of simulated ones. Where a formula would divide by zero or take the root of a negative number, it is multiplied out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from keeper.strategy.arithmetic import E, high, ln, low
from keeper.strategy.patience import patience
from keeper.strategy.policy import Bool, Number, Policy, Scene
from keeper.strategy.threshold import Rule

__all__ = ["DEFAULT", "POLICIES", "Named", "best_constants", "constant", "describe", "policy", "rule"]

_DAY: Final = 86_400
_YEAR: Final = 365 * _DAY
_HOURS: Final = 8_760.0
_TINY: Final = 1e-300
#: Hours: no cycle is shorter than a minute.
_SHORTEST: Final = 1 / 60
#: No cycle is longer than a million years, by its square; and no price is further from its level, in logarithms.
_LONGEST: Final = 1e12
_APART: Final = 100.0

#: The policy that keeper uses where the config names none.
DEFAULT: Final = "rule"

#: TVL buckets: value of the stake in USD from which on it is harvested this often, seconds. Keepers of vaults such as
#: Beefy's harvest by size: small vaults every few days, large ones every hour.
BUCKETS: Final = (
    (0.0, 3 * _DAY),
    (10_000.0, _DAY),
    (100_000.0, 12 * 3_600),
    (1_000_000.0, 4 * 3_600),
    (10_000_000.0, 3_600),
)

#: Buckets wait while gas is above this multiple of its mean, unless three times their interval has passed.
BUCKET_GAS_CAP: Final = 2.0

#: The multiples that "best constant k in hindsight" picks from, cell by cell: 2 to 4096 in half octaves.
HINDSIGHT: Final = tuple(round(2 ** (step / 2), 4) for step in range(2, 25))


@dataclass(frozen=True, slots=True)
class Named:
    """A policy made of one formula."""

    #: The name it has in the config.
    name: str
    #: What it does, and where the field does so.
    about: str
    formula: Callable[[Scene], Bool]
    #: More reward, or cheaper gas, never turns harvest into wait.
    monotone: bool = True
    #: It decides alike when everything is worth ten times as much, its cost included.
    scale_invariant: bool = True

    def wants(self, scene: Scene) -> Bool:
        """Say whether to harvest now."""
        return self.formula(scene)


def describe(item: Policy) -> str:
    """Return the policy's line for tables and docs; its name where it has none."""
    return str(getattr(item, "about", item.name))


def rule(terms: Rule | None = None, *, patient: bool = True, fading: bool = True) -> Callable[[Scene], Bool]:
    """Return keeper's rule: harvest where m > 0, R > g, R >= R* and the cost is earned back in time.

    R* = z + 4g/3, where z, faded by what a harvest earns only long after, is a*sqrt(2*rho*g*F/k), k = m + 2F/L. It is
    squared, so that no root is taken. rho says how much dearer today's gas counts than it is; 1 without patience.
    """
    chosen = terms or Rule()
    factor = chosen.risk_factor_bps / 10_000
    payback = chosen.payback_seconds / _YEAR

    def wants(scene: Scene) -> Bool:
        r, g, f, m = scene.reward, scene.cost, scene.forward, scene.yield_
        above = r - g * (4.0 / 3.0)
        pays = (m > 0) & (f > 0) & (r > 0) & (r > g) & (r * m * payback >= g)
        rho = _weight(scene) if patient else 1.0
        # as a sum of reciprocals, so that rounding cannot make it fall when the reward rises
        faded = 1.0 / (1.0 / high(above, _TINY) + 1.0 / high(6.0 * payback * f, _TINY)) if fading else above
        return pays & (above >= 0) & (faded * faded * _pressure(scene) >= factor * factor * 2.0 * rho * g * f)

    return wants


def _weight(scene: Scene) -> Number:
    """Rho for the cycle that the position has at this season's gas."""
    levels = scene.memory.levels
    assert levels.values is not None, "the present price is part of the memory"
    gas = high(scene.gas, _TINY)
    apart = low(high(levels.values[2] - ln(gas), -_APART), _APART)
    at_level = high(scene.cost, 0.0) * E**apart
    worth = high(scene.forward, 0.0) * high(_pressure(scene), 0.0)
    cycle = (2.0 * at_level / (worth + at_level / _LONGEST + _TINY)) ** 0.5 * _HOURS
    return patience(levels, high(cycle, _SHORTEST)).weight(gas)


def constant(multiple: float) -> Named:
    """Return the policy that harvests where R > k*g."""
    name = f"r>{multiple:g}g" if multiple != 1 else "r>g"
    return Named(name, f"reward above {multiple:g} times its cost", lambda s: s.reward > multiple * s.cost)


def best_constants() -> tuple[Named, ...]:
    """Return the constants that "best k in hindsight" picks from; no single one of them knows which is best."""
    return tuple(constant(multiple) for multiple in HINDSIGHT)


def policy(name: str) -> Policy:
    """Return the policy of that name; ``r>6g`` and the like for any multiple.

    Raises:
        KeyError: no policy has that name.
    """
    if name in POLICIES:
        return POLICIES[name]
    if name.startswith("r>") and name.endswith("g"):
        try:
            return constant(float(name[2:-1] or 1))
        except ValueError:
            raise KeyError(name) from None
    raise KeyError(name)


def _pressure(scene: Scene) -> Number:
    return scene.yield_ + 2.0 * scene.forward / scene.depth


def _never(scene: Scene) -> Bool:
    return (scene.reward < 0) & (scene.reward > 0)


def _every(seconds: int) -> Callable[[Scene], Bool]:
    return lambda scene: (scene.since >= seconds) & (scene.reward > 0)


def _share(scene: Scene) -> Bool:
    return (scene.reward > 0) & (scene.reward >= 0.0005 * scene.principal)


def _buckets(scene: Scene) -> Bool:
    due: Any = scene.reward < 0
    overdue: Any = scene.reward < 0
    for least, seconds in BUCKETS:
        following = [more for more, _ in BUCKETS if more > least] or [float("inf")]
        inside = (scene.principal >= least) & (scene.principal < following[0])
        due = due | (inside & (scene.since >= seconds))
        overdue = overdue | (inside & (scene.since >= 3 * seconds))
    cheap = scene.gas <= BUCKET_GAS_CAP * scene.memory.mean
    return (scene.reward > 0) & ((due & cheap) | overdue)


def _yearn(scene: Scene) -> Bool:
    return (scene.reward > 100.0 * scene.cost) | ((scene.since >= _DAY) & (scene.reward > 0))


def _calendar(scene: Scene) -> Bool:
    """T* = 1/n* years with n* = sqrt(F*k/(2g)) at mean gas, so that (since/year)^2 * F * k >= 2 * g."""
    mean_cost = scene.cost * scene.memory.mean / high(scene.gas, _TINY)
    years = scene.since / _YEAR
    pays = (scene.reward > 0) & (scene.yield_ > 0) & (scene.forward > 0)
    return pays & (years * years * scene.forward * _pressure(scene) >= 2 * mean_cost)


def _sqrt_week(scene: Scene) -> Bool:
    """R >= sqrt(2gF/k) at the mean gas of seven days."""
    cost = scene.cost * scene.memory.mean_7d / high(scene.gas, _TINY)
    return _above_root(scene, cost)


def _sqrt_spot(scene: Scene) -> Bool:
    return _above_root(scene, scene.cost)


def _above_root(scene: Scene, cost: Number) -> Bool:
    pays = (scene.reward > 0) & (scene.yield_ > 0) & (scene.forward > 0)
    return pays & (scene.reward * scene.reward * _pressure(scene) >= 2.0 * cost * scene.forward)


def _catalogue() -> dict[str, Policy]:
    known = (
        Named("never", "never compound, claim once at the end", _never),
        Named("daily", "every 24 hours, as a cron job does (REStake)", _every(_DAY)),
        Named("weekly", "every 7 days, as a cron job does", _every(7 * _DAY)),
        Named("r>g", "reward above its cost: most public harvest bots", constant(1).formula),
        Named("r>6g", "reward above 6 times its cost: bots with a margin", constant(6).formula),
        Named("r>20g", "reward above 20 times its cost: bots with a margin", constant(20).formula),
        Named("r>100g", "reward above 100 times its cost (Revert)", constant(100).formula),
        Named("share", "reward above 0.05 % of the stake", _share),
        Named(
            "buckets",
            "timers by size of the stake, waiting while gas is above twice its mean (like Beefy)",
            _buckets,
            scale_invariant=False,
        ),
        Named("yearn", "24 hours, or sooner at 100 times its cost (like Yearn v2)", _yearn),
        Named("calendar", "every T* = 1/n*, from the mean gas so far", _calendar),
        Named("sqrt-7d", "reward above sqrt(2gF/k) at the mean gas of 7 days", _sqrt_week),
        Named("sqrt-spot", "reward above sqrt(2gF/k) at the gas of now (sqrt(2PC) bots)", _sqrt_spot),
        Named("plain", "keeper's rule without its memory of gas", rule(patient=False)),
        Named(DEFAULT, "keeper's rule", rule()),
    )
    return {item.name: item for item in known}


#: Every built-in policy by its name in the config, in the order of tables.
POLICIES: Final[Mapping[str, Policy]] = _catalogue()
