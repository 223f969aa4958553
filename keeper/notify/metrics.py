"""Metrics: every event counted, as Prometheus series with bounded labels, in a registry of this sink's own.

What each series means stands in docs/reference/metrics.md. prometheus-client (0.1 s to import) is loaded when the first
sink is made.
"""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable, Mapping
from math import isfinite
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias

from keeper.domain.decision import ReasonCode
from keeper.domain.events import Event, EventName
from keeper.notify import series

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["MetricsSink"]

#: Positions beyond ``max_positions`` are counted together under this label value.
OTHER: Final = "other"

Fields: TypeAlias = Mapping[str, str | int | bool | None]


class MetricsSink:
    """Turns events into metrics. Odd fields never raise: they are counted in ``keeper_event_errors_total``."""

    def __init__(
        self,
        version: str = "",
        *,
        heartbeat: Callable[[], float] = lambda: 0.0,
        max_positions: int = 1000,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Make an empty registry.

        Args:
            version: keeper's version, for ``keeper_build_info``.
            heartbeat: unix seconds of the supervisor's last tick, asked at each scrape.
            max_positions: positions that get their own label value.
            wall: unix seconds.
        """
        self._series = series.build()
        self._wall = wall
        self._max_positions = max_positions
        self._lock = threading.Lock()
        self._positions: set[str] = set()
        self._open: set[str] = set()
        self._quarantined: set[str] = set()
        self._series.build_info.labels(version, platform.python_version()).set(1)
        self._series.start.set(wall())
        self._series.heartbeat.set_function(heartbeat)

    @property
    def registry(self) -> CollectorRegistry:
        """The registry of this sink; nothing is in the library's global one."""
        return self._series.registry

    def exposition(self) -> bytes:
        """Everything as Prometheus text (format 0.0.4)."""
        from prometheus_client import generate_latest  # noqa: PLC0415

        return generate_latest(self._series.registry)

    def emit(self, event: Event) -> None:
        """Count one event."""
        self._series.events.labels(event.name, event.level).inc()
        handler = self._handlers.get(event.name)
        if handler is None:
            return
        try:
            handler(self, event.fields)
        except (KeyError, ValueError, TypeError):
            self._series.event_errors.labels(event.name).inc()

    def measured(self, position: str, apr: float | None, over_never: float | None, over_daily: float | None) -> None:
        """Show how a position did; what is ``None`` is left as it was. Beyond ``max_positions`` nothing is shown."""
        label = self._position({"position": position})
        if label == OTHER:
            return
        series_of = (self._series.apr, self._series.over_never, self._series.over_daily)
        for gauge, value in zip(series_of, (apr, over_never, over_daily), strict=True):
            if value is not None and isfinite(value):
                gauge.labels(label).set(value)

    # ------------------------------------------------------------------ one method per kind of event

    def _started(self, _fields: Fields) -> None:
        self._series.draining.set(0)

    def _draining(self, _fields: Fields) -> None:
        self._series.draining.set(1)

    def _reloaded(self, _fields: Fields) -> None:
        self._series.reloads.labels("accepted").inc()

    def _rejected(self, _fields: Fields) -> None:
        self._series.reloads.labels("rejected").inc()

    def _cycle_done(self, fields: Fields) -> None:
        chain = _text(fields, "chain")
        now = self._wall()
        self._series.cycles.labels(chain, "done").inc()
        self._series.cycle_seconds.labels(chain).observe(_need(fields, "ms") / 1000)
        self._series.reads.labels(chain).inc(_need(fields, "reads"))
        self._series.positions.labels(chain).set(_need(fields, "positions"))
        self._series.due.labels(chain).set(_need(fields, "due"))
        self._series.cycle_time.labels(chain).set(now)
        if (block := _number(fields, "block")) is not None:
            self._series.head.labels(chain).set(block)
        if (age := _number(fields, "head_age_s")) is not None:
            self._series.head_time.labels(chain).set(now - age)
        self._series.stalled.labels(chain).set(0)
        self._gas(fields)

    def _cycle_failed(self, fields: Fields) -> None:
        self._series.cycles.labels(_text(fields, "chain"), "failed").inc()

    def _gas(self, fields: Fields) -> None:
        if (price := _number(fields, "gas_gwei")) is not None:
            self._series.gas_price.labels(_text(fields, "chain")).set(price)

    def _balance(self, fields: Fields) -> None:
        labels = _text(fields, "chain"), _text(fields, "owner")
        self._series.balance.labels(*labels).set(_need(fields, "balance_wei"))
        if (floor := _number(fields, "floor_wei")) is not None:
            self._series.balance_floor.labels(*labels).set(floor)
        if (days := _number(fields, "days")) is not None:
            self._series.runway.labels(*labels).set(days)

    def _runway_low(self, fields: Fields) -> None:
        self._series.runway.labels(_text(fields, "chain"), _text(fields, "account")).set(_need(fields, "days"))

    def _resolved(self, fields: Fields) -> None:
        position = self._position(fields)
        if position != OTHER:
            self._series.position_info.labels(position, _text(fields, "chain"), _text(fields, "protocol")).set(1)

    def _position_failed(self, fields: Fields) -> None:
        self._series.position_failures.labels(self._position(fields)).inc()

    def _quarantine(self, fields: Fields) -> None:
        position = self._position(fields)
        self._quarantined.add(position)
        self._series.quarantined.labels(position).set(1)

    def _decided(self, fields: Fields) -> None:
        code = _text(fields, "code")
        self._series.decisions.labels(_text(fields, "verdict"), code).inc()
        position = self._position(fields)
        if code != ReasonCode.QUARANTINED and position in self._quarantined:
            self._quarantined.discard(position)
            self._series.quarantined.labels(position).set(0)

    def _sent(self, fields: Fields) -> None:
        bumped = (_number(fields, "attempt") or 1) > 1
        self._series.transactions.labels(self._position(fields), "replaced" if bumped else "sent").inc()
        self._opened(fields)

    def _opened(self, fields: Fields) -> None:
        if fields["harvest"] is None:
            return  # it only fills or cancels a nonce
        with self._lock:
            self._open.add(_text(fields, "harvest"))
            self._series.open_harvests.set(len(self._open))

    def _mined(self, fields: Fields) -> None:
        self._series.transactions.labels(self._position(fields), "mined").inc()

    def _harvested(self, fields: Fields) -> None:
        position = self._position(fields)
        self._series.harvests.labels(position, "done").inc()
        self._closed(fields)
        self._spent(position, fields)
        self._series.rewards.labels(position).inc(_need(fields, "received_usd"))
        self._series.compounded.labels(position).inc(_need(fields, "compounded_usd"))
        self._series.predicted.labels(position).inc(_need(fields, "predicted_usd"))
        self._series.harvest_time.labels(position).set(self._wall())

    def _harvest_failed(self, fields: Fields) -> None:
        position = self._position(fields)
        self._series.harvests.labels(position, "failed").inc()
        self._closed(fields)
        self._spent(position, fields)

    def _closed(self, fields: Fields) -> None:
        with self._lock:
            self._open.discard(_text(fields, "harvest"))
            self._series.open_harvests.set(len(self._open))

    def _spent(self, position: str, fields: Fields) -> None:
        for name, counter in (
            ("gas", self._series.gas),
            ("cost_wei", self._series.cost_wei),
            ("cost_usd", self._series.cost_usd),
        ):
            counter.labels(position).inc(_number(fields, name) or 0)

    def _denied(self, fields: Fields) -> None:
        self._series.denials.labels(self._position(fields)).inc()

    def _halted(self, fields: Fields) -> None:
        self._series.halted.labels(_text(fields, "chain"), _text(fields, "owner")).set(1)

    def _paused(self, fields: Fields) -> None:
        self._series.paused.labels(_text(fields, "chain"), _text(fields, "owner")).set(1)

    def _resumed(self, fields: Fields) -> None:
        self._series.paused.labels(_text(fields, "chain"), _text(fields, "owner")).set(0)

    def _stuck(self, fields: Fields) -> None:
        self._series.stuck.labels(_text(fields, "chain")).inc()

    def _reorged(self, fields: Fields) -> None:
        self._series.reorged.labels(_text(fields, "chain")).inc()

    def _cancelled(self, fields: Fields) -> None:
        self._series.transactions.labels(self._position(fields), "cancelled").inc()

    def _foreign(self, fields: Fields) -> None:
        self._series.foreign.labels(_text(fields, "chain"), _text(fields, "owner")).inc()

    def _gap_filled(self, fields: Fields) -> None:
        self._series.gaps.labels(_text(fields, "chain"), _text(fields, "owner")).inc()

    def _stalled(self, fields: Fields) -> None:
        self._series.stalled.labels(_text(fields, "chain")).set(1)

    def _flows(self, fields: Fields) -> None:
        self._series.stalled.labels(_text(fields, "chain")).set(0)

    def _disagreed(self, fields: Fields) -> None:
        self._series.disagreements.labels(_text(fields, "chain"), _text(fields, "endpoint")).inc()

    def _rpc_failed(self, fields: Fields) -> None:
        labels = _text(fields, "chain"), _text(fields, "endpoint")
        self._series.rpc_failures.labels(*labels).inc()
        self._series.rpc_up.labels(*labels).set(0)

    def _rpc_recovered(self, fields: Fields) -> None:
        self._series.rpc_up.labels(_text(fields, "chain"), _text(fields, "endpoint")).set(1)

    def _position(self, fields: Fields) -> str:
        """Label of a position, empty where none is concerned; beyond ``max_positions`` they share a label."""
        name = str(fields.get("position") or "")
        with self._lock:
            if name not in self._positions and len(self._positions) >= self._max_positions:
                return OTHER
            self._positions.add(name)
        return name

    _handlers: ClassVar[Mapping[EventName, Callable[[MetricsSink, Fields], None]]] = {
        EventName.DAEMON_STARTED: _started,
        EventName.DAEMON_DRAINING: _draining,
        EventName.CONFIG_RELOADED: _reloaded,
        EventName.CONFIG_REJECTED: _rejected,
        EventName.CYCLE_DONE: _cycle_done,
        EventName.CYCLE_FAILED: _cycle_failed,
        EventName.GAS_POLLED: _gas,
        EventName.BALANCE_READ: _balance,
        EventName.BALANCE_LOW: _balance,
        EventName.POSITION_RESOLVED: _resolved,
        EventName.POSITION_FAILED: _position_failed,
        EventName.POSITION_QUARANTINED: _quarantine,
        EventName.DECISION_CHANGED: _decided,
        EventName.HARVEST_SENT: _sent,
        EventName.HARVEST_RESUMED: _opened,
        EventName.HARVEST_MINED: _mined,
        EventName.HARVEST_DONE: _harvested,
        EventName.HARVEST_FAILED: _harvest_failed,
        EventName.POLICY_DENIED: _denied,
        EventName.LANE_HALTED: _halted,
        EventName.LANE_PAUSED: _paused,
        EventName.LANE_RESUMED: _resumed,
        EventName.TX_STUCK: _stuck,
        EventName.TX_REORGED: _reorged,
        EventName.TX_CANCELLED: _cancelled,
        EventName.TX_FOREIGN: _foreign,
        EventName.GAP_FILLED: _gap_filled,
        EventName.CHAIN_STALLED: _stalled,
        EventName.CHAIN_RESUMED: _flows,
        EventName.RPC_DISAGREED: _disagreed,
        EventName.RUNWAY_LOW: _runway_low,
        EventName.RPC_FAILED: _rpc_failed,
        EventName.RPC_RECOVERED: _rpc_recovered,
    }


def _text(fields: Fields, name: str) -> str:
    return str(fields[name])


def _number(fields: Fields, name: str) -> float | None:
    return None if fields.get(name) is None else _need(fields, name)


def _need(fields: Fields, name: str) -> float:
    value = fields[name]
    if value is None or not isfinite(number := float(value)):
        raise ValueError(name)
    return number
