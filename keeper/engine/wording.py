"""Sentences for decisions: why now, why not yet, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence

from keeper.domain.decision import Reason, ReasonCode, Verdict
from keeper.domain.money import WAD, usd_text
from keeper.domain.observation import Accrual, Observation
from keeper.domain.position import Position
from keeper.strategy.batching import Round
from keeper.strategy.threshold import Economics, Thresholds

__all__ = ["why_harvest", "why_patient", "why_round", "why_wait"]

_DAY = 86_400


def why_harvest(code: ReasonCode, e: Economics, t: Thresholds, *, rated: bool = True) -> Reason:
    """Word a harvest: by the rule, by a person, or because the longest interval has passed.

    ``rated``: how fast rewards accrue is known.
    """
    lead = {
        ReasonCode.FORCED: "forced by a person; ",
        ReasonCode.MAX_INTERVAL: "max_interval has passed, and the reward is worth fetching; ",
    }.get(code, "")
    return Reason(code, f"{lead}{_standing(e, t, rated=rated)}")


def why_patient(e: Economics, t: Thresholds, weight_ppm: int, price_wei: int, normal_wei: int | None) -> Reason:
    """Word a wait for cheaper gas: the reward would do, were gas not dearer than it normally is."""
    now = f"gas of {price_wei / 10**9:.3g} gwei counts {weight_ppm / 10**6:.2g}-fold"
    normal = "" if normal_wei is None else f", as {normal_wei / 10**9:.3g} gwei is normal soon"
    waiting = f"waiting costs {usd_text(t.waiting_cost_per_day)} a day"
    text = f"{usd_text(e.reward)} pending is worth the {usd_text(e.cost)}, but {now}{normal}; {waiting}"
    return Reason(ReasonCode.CHEAPER_SOON, text)


def why_round(position: Position, batch: Round, e: Economics, t: Thresholds) -> tuple[Verdict, tuple[Reason, ...]]:
    """Give the verdict of a batch for one of its positions, and word it."""
    name = position.options.batch
    own = f"this one is worth {usd_text(t.budget)} and costs {usd_text(e.cost)}"
    if position.id not in batch.included or e.reward <= e.cost or t.budget < e.cost or not t.pays_back:
        text = f"not worth its own cost in a round of batch {name} yet: {own}"
        return Verdict.WAIT, (Reason(ReasonCode.BATCH_WAITS, text),)
    together = f"{len(batch.included)} positions together are worth {usd_text(batch.surplus)} more than they cost"
    if batch.due:
        text = f"batch {name} is due: {together}, the round itself costs {usd_text(batch.shared)}"
        return Verdict.HARVEST, (Reason(ReasonCode.BATCH_DUE, text),)
    lacking = f"the round itself costs {usd_text(batch.shared)}; {usd_text(batch.missing)} more is needed"
    return Verdict.WAIT, (Reason(ReasonCode.BATCH_WAITS, f"batch {name} waits: {together}, {lacking}; {own}"),)


def why_wait(  # noqa: PLR0911  (one line for each reason, the most fundamental first)
    accruals: Sequence[Accrual], observation: Observation, horizon: int | None, e: Economics, t: Thresholds
) -> Reason:
    """Word why the rule waits, most fundamental reason first."""
    if _ended(accruals, observation) and (t.reward is None or e.yield_wad <= 0):
        text = f"rewards have ended; claim the {usd_text(e.reward)} when you leave, re-staking it earns nothing here"
        return Reason(ReasonCode.REWARDS_ENDED, text)
    if not accruals:
        text = "how fast rewards accrue is not known yet; it follows from the next looks at the position"
        return Reason(ReasonCode.RATE_UNKNOWN, text)
    if horizon is not None and horizon <= 0:
        return Reason(ReasonCode.EXIT_NEAR, f"the exit date is here; claim the {usd_text(e.reward)} as you leave")
    if t.reward is None and e.yield_wad > 0:
        text = f"no compound would earn its {usd_text(e.cost)} back in time at this size and yield: claim at exit"
        return Reason(ReasonCode.PAYBACK_TOO_LONG, text)
    if t.reward is None:
        text = (
            f"re-depositing earns nothing over holding the reward ({_percent(e.yield_wad)} a year after its drift): "
            "claim at exit"
        )
        return Reason(ReasonCode.NO_YIELD, text)
    if e.reward <= e.cost:
        text = f"{usd_text(e.reward)} pending is less than the {usd_text(e.cost)} it costs to fetch"
        return Reason(ReasonCode.BELOW_COST, text)
    if horizon is not None and not t.pays_back and (e.reward >= t.reward or t.eta_seconds is None):
        text = (
            f"the {usd_text(e.cost)} would not be earned back in the {_span(horizon)} that are left: claim at the end"
        )
        return Reason(ReasonCode.EXIT_NEAR, text)
    if e.reward >= t.reward and not t.pays_back:
        return Reason(ReasonCode.PAYBACK_TOO_LONG, f"the {usd_text(e.cost)} would not be earned back in time")
    return Reason(ReasonCode.BELOW_THRESHOLD, f"{_standing(e, t)}; {_missing(e.reward, t.reward)}")


def _ended(accruals: Sequence[Accrual], observation: Observation) -> bool:
    now = observation.block.timestamp
    return bool(accruals) and all(a.ends_at is not None and a.ends_at <= now for a in accruals)


def _standing(e: Economics, t: Thresholds, *, rated: bool = True) -> str:
    if not rated:
        costs = f"{usd_text(e.reward)} pending, a compound costs {usd_text(e.cost)}"
        return f"{costs}; the rate is not known yet, so nobody can say what more it earns"
    if t.reward is None:
        return f"{usd_text(e.reward)} pending, a compound costs {usd_text(e.cost)}, and nothing more is earned by it"
    word = "has passed" if e.reward >= t.reward else "has not reached"
    pending, wanted = usd_text(e.reward), usd_text(t.reward)
    return f"{pending} pending {word} the threshold of {wanted}; a compound costs {usd_text(e.cost)}"


def _missing(reward: int, wanted: int) -> str:
    """Say how much is missing: in percent when it is near, as a multiple when it is far."""
    percent = -(-(wanted - reward) * 100 // reward)
    return f"needs {percent} % more" if percent < 100 else f"needs {wanted * 10 // reward / 10:.1f}x as much"


def _span(seconds: int) -> str:
    return f"{seconds // _DAY} days" if seconds >= 2 * _DAY else f"{max(seconds // 3_600, 1)} hours"


def _percent(wad: int) -> str:
    return f"{wad * 10_000 // WAD / 100:.2f} %"
