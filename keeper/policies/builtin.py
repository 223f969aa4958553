"""Makers of the built-in policies, by which the entry points of ``keeper.policies`` name them."""

from __future__ import annotations

from functools import partial
from typing import Final

from keeper.strategy.policies import policy

__all__ = [
    "buckets",
    "calendar",
    "daily",
    "never",
    "plain",
    "r_1g",
    "r_6g",
    "r_20g",
    "r_100g",
    "rule",
    "share",
    "sqrt_7d",
    "sqrt_spot",
    "weekly",
    "yearn",
]  # fmt: skip

rule: Final = partial(policy, "rule")
plain: Final = partial(policy, "plain")
never: Final = partial(policy, "never")
daily: Final = partial(policy, "daily")
weekly: Final = partial(policy, "weekly")
r_1g: Final = partial(policy, "r>g")
r_6g: Final = partial(policy, "r>6g")
r_20g: Final = partial(policy, "r>20g")
r_100g: Final = partial(policy, "r>100g")
share: Final = partial(policy, "share")
buckets: Final = partial(policy, "buckets")
yearn: Final = partial(policy, "yearn")
calendar: Final = partial(policy, "calendar")
sqrt_7d: Final = partial(policy, "sqrt-7d")
sqrt_spot: Final = partial(policy, "sqrt-spot")
