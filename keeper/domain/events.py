"""Everything that happens, as one stream. Logs, metrics, notifications and the demo's table are sinks of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Event", "EventName", "Level"]


class Level(StrEnum):
    """How loudly an event is told."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class EventName(StrEnum):
    """All events, noun.verb. Adding one means documenting it in docs/reference/events.md (a test checks)."""

    DAEMON_STARTED = "daemon.started"
    DAEMON_DRAINING = "daemon.draining"
    DAEMON_STOPPED = "daemon.stopped"
    CONFIG_RELOADED = "config.reloaded"
    CONFIG_REJECTED = "config.rejected"
    CYCLE_DONE = "cycle.done"
    CYCLE_FAILED = "cycle.failed"
    GAS_POLLED = "gas.polled"
    HISTORY_THINNED = "history.thinned"
    POSITION_RESOLVED = "position.resolved"
    POSITION_FAILED = "position.failed"
    POSITION_QUARANTINED = "position.quarantined"
    DECISION_CHANGED = "decision.changed"
    HARVEST_PLANNED = "harvest.planned"
    HARVEST_SIMULATED = "harvest.simulated"
    HARVEST_SENT = "harvest.sent"
    HARVEST_MINED = "harvest.mined"
    HARVEST_DONE = "harvest.done"
    HARVEST_FAILED = "harvest.failed"
    HARVEST_RESUMED = "harvest.resumed"
    POLICY_DENIED = "policy.denied"
    POLICY_FAILED = "policy.failed"
    POLICY_RECOVERED = "policy.recovered"
    POLICY_SAID = "policy.said"
    LANE_HALTED = "lane.halted"
    LANE_PAUSED = "lane.paused"
    LANE_RESUMED = "lane.resumed"
    TX_REORGED = "tx.reorged"
    TX_STUCK = "tx.stuck"
    TX_CANCELLED = "tx.cancelled"
    TX_FOREIGN = "tx.foreign"
    GAP_FILLED = "gap.filled"
    RPC_DISAGREED = "rpc.disagreed"
    CHAIN_STALLED = "chain.stalled"
    CHAIN_RESUMED = "chain.resumed"
    RPC_FAILED = "rpc.failed"
    RPC_RECOVERED = "rpc.recovered"
    BALANCE_LOW = "balance.low"
    BALANCE_READ = "balance.read"
    RUNWAY_LOW = "runway.low"
    RACE_FAILED = "race.failed"
    OUTSIDE_FAILED = "outside.failed"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. Values are plain (str, int, bool, None); money is already in strings for people."""

    name: EventName
    level: Level = Level.INFO
    fields: Mapping[str, str | int | bool | None] = field(default_factory=lambda: MappingProxyType({}))
