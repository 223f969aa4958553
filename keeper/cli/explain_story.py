"""Everything that ``keeper explain`` tells about one position, gathered; and the same for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from keeper.cli.explain_rows import Told, waiting_saves
from keeper.cli.journal import Known, chain_now, read_known, transactions
from keeper.cli.output import usd_text
from keeper.cli.pause import pause_json, present_stop
from keeper.cli.track_record import bias_json
from keeper.cli.views import decision_json, harvest_json, known_json, reasons_json
from keeper.cli.whatnext import Scene, what_next
from keeper.domain.decision import Decision, Reason
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.money import BPS, Address
from keeper.domain.position import Position, StrategyOptions
from keeper.strategy.advice import Candidate, advise
from keeper.strategy.learning import Bias, bias

if TYPE_CHECKING:
    from keeper.config.loader import Loaded
    from keeper.config.models import PositionConfig
    from keeper.engine.lap import Prepared
    from keeper.engine.pause import Pause
    from keeper.store.sqlite import SqliteStore

__all__ = ["Story", "story_json", "story_of"]

#: Past decisions and harvests shown.
_HISTORY = 5

#: Past harvests that predictions are judged by.
_JUDGED = 50

#: Compounds that the gas correction looks at.
_LEARNT_FROM = 10

#: Stands for an owner whom only the opened key knows; nothing is asked of it.
_NOBODY = Address("0x" + "0" * 40)


@dataclass(frozen=True, slots=True)
class Story:
    """Everything there is to tell."""

    known: Known
    scene: Scene | None = None
    told: Told | None = None
    decisions: Sequence[Decision] = ()
    harvests: Sequence[tuple[Harvest, list[dict[str, object]]]] = ()
    bias: Bias | None = None
    advice: Sequence[Reason] = ()
    #: What stops keeper from signing anything now.
    stop: Pause | None = None
    #: Why the account is halted, and under which name `keeper unblock` knows it.
    halt: tuple[str, str] | None = None
    #: How the chain was asked to simulate; empty without a simulation.
    method: str = ""
    live: bool = False
    options: StrategyOptions = field(default_factory=StrategyOptions)
    #: A compound that ended after the decision: the numbers are from before it.
    ended: Harvest | None = None


def story_of(
    loaded: Loaded, store: SqliteStore | None, known: Known, *, prepared: Prepared | None = None, live: bool = False
) -> Story:
    """Gather what the journal knows about a position, and what was just seen on the chain where it was asked."""
    from keeper.cli.status import daemon_state

    position = _domain(loaded, known.position)
    stop, decision = present_stop(loaded), known.decision
    if store is None or decision is None:
        return Story(known, stop=stop, live=live, options=position.options)
    past = store.harvests(position.id, limit=_JUDGED)
    rehearsal = prepared.rehearsal if prepared is not None else None
    now, owner = chain_now([known]), loaded.owner_of(known.position)
    told = Told(
        decision,
        now,
        known.observation,
        position.options,
        () if rehearsal is None else rehearsal.claimed,
        min(sum(h.state is HarvestState.DONE for h in past), _LEARNT_FROM),
    )
    symbol, halt = loaded.chain_facts(position.chain).native_symbol, _halt(store, position, owner)
    running, stopped = bool(daemon_state(loaded)["running"]), stop is not None or halt is not None
    ended = next((h for h in past if (h.finished_at or 0) > decision.block.timestamp), None)
    return Story(
        known,
        Scene(decision, now, position.options, running, owner, symbol, stopped, ended is not None),
        told,
        store.decisions(position.id, limit=_HISTORY),
        [(harvest, transactions(store, harvest.id)) for harvest in past[:_HISTORY]],
        bias(past),
        decision.advice or _advice(loaded, store, position, told, past),
        stop,
        halt,
        "" if rehearsal is None else rehearsal.simulation.method,
        live,
        position.options,
        ended,
    )


def _domain(loaded: Loaded, position: PositionConfig) -> Position:
    owner = loaded.owner_of(position) or _NOBODY
    return position.to_domain(owner, can_sign=position.signer is not None)


def _advice(
    loaded: Loaded, store: SqliteStore, position: Position, told: Told, past: Sequence[Harvest]
) -> Sequence[Reason]:
    """Work the advice out where the decision carries none: candidates may be on chains that it did not look at."""
    if told.observation is None:
        return ()
    configured = {p.id: p for p in loaded.settings.positions}
    candidates = []
    for name in position.options.candidates:
        if name in configured and name != position.id:
            other = read_known(store, configured[name])
            numbers = other.decision.numbers if other.decision else None
            at = other.decision.block.timestamp if other.decision else 0
            candidates.append(Candidate(_domain(loaded, configured[name]), other.observation, numbers, at))
    return advise(position, told.observation, told.decision.numbers, past, candidates=candidates, now=told.now)


def _halt(store: SqliteStore, position: Position, owner: Address | None) -> tuple[str, str] | None:
    from keeper.cli.unblock import halts

    return next(
        ((name, text) for name, text in halts(store).items() if name == f"{position.chain}:{owner}"),
        None,
    )


# ---------------------------------------------------------------------------- for programs


def story_json(story: Story) -> dict[str, Any]:
    """The whole story; docs/reference/explain-json.md names every key."""
    decision, scene, told = story.known.decision, story.scene, story.told
    now = chain_now([story.known])
    nexts = decision.reasons if decision is not None and scene is not None else ()
    return {
        "live": story.live,
        "age_seconds": None if decision is None else max(0, now - decision.block.timestamp),
        "paused": pause_json(story.stop),
        "halted": None if story.halt is None else {"account": story.halt[0], "text": story.halt[1]},
        "position": known_json(story.known),
        "options": _options_json(story.options),
        "next": [{"code": r.code.value, "text": what_next(r.code, scene)} for r in nexts if scene is not None],
        "outdated": story.ended is not None,
        "advice": reasons_json(story.advice),
        "waiting": _waiting_json(told),
        "simulated": {"method": story.method, "claimed": list(told.simulated)} if story.method and told else None,
        "bias": bias_json(story.bias),
        "past_decisions": [decision_json(item) for item in story.decisions],
        "harvests": [harvest_json(harvest, sent) for harvest, sent in story.harvests],
    }


def _waiting_json(told: Told | None) -> dict[str, Any] | None:
    """What waiting for the expected price of gas costs and saves."""
    numbers = told.decision.numbers if told is not None else None
    saves = None if numbers is None else waiting_saves(numbers)
    return None if saves is None else {"costs_usd": usd_text(saves[0]), "saves_usd": usd_text(saves[1])}


def _options_json(o: StrategyOptions) -> dict[str, Any]:
    """The strategy's options as they hold for this position."""
    return {
        "policy": o.policy or None,
        "risk_factor": str(Decimal(o.risk_factor_bps) / BPS),
        "payback_seconds": o.payback_seconds,
        "min_interval_seconds": o.min_interval_seconds,
        "max_interval_seconds": o.max_interval_seconds,
        "max_harvests_per_year": o.max_harvests_per_year,
        "exit_at": o.exit_at,
        "rewards_end": o.rewards_end.value,
        "target_yield_bps": o.target_yield_bps,
        "reward_drift_bps": o.reward_drift_bps,
        "rate_drift_bps": o.rate_drift_bps,
        "payout_bps": o.payout_bps,
        "payout_to": o.payout_to,
        "gas_keep_wei": str(o.gas_keep_wei),
        "gas_share_bps": o.gas_share_bps,
        "batch": o.batch or None,
        "candidates": list(o.candidates),
        "exit_cost_bps": o.exit_cost_bps,
        "entry_cost_bps": o.entry_cost_bps,
    }
