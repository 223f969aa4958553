"""What the ops port may know: a snapshot of state that the daemon has anyway, never a question to a chain or a disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol, runtime_checkable

__all__ = ["ChainStatus", "LaneStatus", "Status", "StatusProvider"]


@dataclass(frozen=True, slots=True)
class ChainStatus:
    """One chain as the last cycle left it."""

    #: Height of the last block read; ``None`` until the chain was read once.
    last_block: int | None
    #: Seconds between that block's timestamp and the moment it was read.
    head_age: float | None
    #: Whether the last cycle succeeded.
    ok: bool


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """One account's queue on one chain."""

    #: Compounds under way or waiting.
    open_harvests: int
    #: Why nothing is sent from this lane; empty while all is well.
    halted: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """The daemon at one moment."""

    #: Unix seconds at which the process started.
    started_at: float
    #: Seconds since the process started, by a clock that never goes back.
    uptime: float
    #: Seconds since the supervisor's loop last went round; ``None`` before the first time.
    last_tick_age: float | None
    #: By chain name, every configured chain.
    chains: Mapping[str, ChainStatus]
    #: Whether the last write to the store succeeded.
    store_ok: bool
    #: By ``chain/owner``.
    lanes: Mapping[str, LaneStatus] = field(default_factory=lambda: MappingProxyType({}))
    #: Why nothing is signed although all is well, and how to undo it; empty while keeper is not paused.
    paused: str = ""


@runtime_checkable
class StatusProvider(Protocol):
    """The daemon, as the ops port sees it."""

    def snapshot(self) -> Status:
        """Tell the present state from memory; called from other threads, must neither block nor raise."""
        ...
