"""What a position's finished compounds teach: how far gas is off, how much fails, how good the predictions were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from keeper.domain.harvest import Harvest, HarvestState

__all__ = ["Accuracy", "Bias", "bias", "failure_allowance_ppm", "gas_correction_ppm"]

_PPM: Final = 10**6

#: Compounds that the gas correction looks at: contracts change, and old compounds tell of what was.
_LOOKED_AT: Final = 10

#: So many compounds with a ratio of one are assumed before the first, so that a single odd one moves little.
_ASSUMED_RIGHT: Final = 2

#: The correction stays within these; beyond them something else is wrong than an estimate.
_LEAST_PPM: Final = _PPM // 2
_MOST_PPM: Final = 2 * _PPM

#: Compounds that the allowance for failures looks at.
_REMEMBERED: Final = 50

#: What is assumed to fail before anything has been seen, and how many compounds that assumption counts for.
_PRIOR_PPM: Final = 10_000
_PRIOR_COMPOUNDS: Final = 10

#: A position that fails more than this is set aside anyway.
_MOST_FAILURE_PPM: Final = _PPM // 2


def gas_correction_ppm(harvests: Sequence[Harvest]) -> int:
    """Return realised over simulated gas, parts per million: the median of the last compounds, drawn towards one.

    Args:
        harvests: of one position, newest first; only those that were done, and simulated, count.
    """
    seen = [h for h in harvests if h.state is HarvestState.DONE and h.predicted_gas > 0 and h.gas_used > 0]
    ratios = sorted(h.gas_used * _PPM // h.predicted_gas for h in seen[:_LOOKED_AT])
    if not ratios:
        return _PPM
    middle = (ratios[(len(ratios) - 1) // 2] + ratios[len(ratios) // 2]) // 2
    drawn = (middle * len(ratios) + _PPM * _ASSUMED_RIGHT) // (len(ratios) + _ASSUMED_RIGHT)
    return min(max(drawn, _LEAST_PPM), _MOST_PPM)


def failure_allowance_ppm(harvests: Sequence[Harvest]) -> int:
    """Return the gas that failed compounds wasted for each unit of gas that was of use, parts per million.

    Transactions that reverted inside a compound that was done in the end are in its gas, so in the correction above.

    Args:
        harvests: of one position, newest first; those under way and those dropped before they were signed do not count.
    """
    ended = [h for h in harvests if h.state in (HarvestState.DONE, HarvestState.FAILED) and h.gas_used > 0]
    ended = ended[:_REMEMBERED]
    if not ended:
        return _PRIOR_PPM
    useful = sum(h.gas_used for h in ended if h.state is HarvestState.DONE)
    wasted = sum(h.gas_used for h in ended) - useful
    # The assumed compounds are as large as the real ones were on average: (useful + wasted) / count each.
    assumed = _PRIOR_COMPOUNDS * (useful + wasted)
    allowance = (wasted * len(ended) * _PPM + assumed * _PRIOR_PPM) // (useful * len(ended) + assumed)
    return min(allowance, _MOST_FAILURE_PPM)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """One quantity as it was predicted, beside what it came to. Sums over the same compounds."""

    predicted: int
    realised: int
    #: Mean of each compound's error over its prediction, parts per million: above zero when more came than was said.
    error_ppm: int
    #: The same without signs: how far off a single prediction is on average.
    spread_ppm: int
    #: How many compounds had a prediction.
    count: int


@dataclass(frozen=True, slots=True)
class Bias:
    """Predicted against realised, for ``explain``: rewards and costs in USD wad, gas in units."""

    reward: Accuracy
    cost: Accuracy
    gas: Accuracy


def bias(harvests: Sequence[Harvest]) -> Bias | None:
    """Set predictions against what came of them; ``None`` before any compound was done.

    Args:
        harvests: of one position, in any order; only those that were done count.
    """
    done = [h for h in harvests if h.state is HarvestState.DONE]
    if not done:
        return None
    return Bias(
        reward=_accuracy([(h.predicted_reward_usd, h.received_usd) for h in done]),
        cost=_accuracy([(h.predicted_cost_usd, h.cost_usd) for h in done]),
        gas=_accuracy([(h.predicted_gas, h.gas_used) for h in done]),
    )


def _accuracy(pairs: Sequence[tuple[int, int]]) -> Accuracy:
    """Compare; what was never predicted (found by a recovery) tells nothing."""
    told = [(predicted, realised) for predicted, realised in pairs if predicted > 0]
    errors = [(realised - predicted) * _PPM // predicted for predicted, realised in told]
    count = len(told)
    return Accuracy(
        predicted=sum(predicted for predicted, _ in told),
        realised=sum(realised for _, realised in told),
        error_ppm=sum(errors) // count if count else 0,
        spread_ppm=sum(map(abs, errors)) // count if count else 0,
        count=count,
    )
