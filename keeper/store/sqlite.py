"""The store behind one door: ``keeper.ports.Store`` on one SQLite file, each method one durable commit.

What each method promises stands in ``keeper.ports``; how it is kept stands in the module it calls.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from keeper.domain.block import BlockRef
from keeper.domain.decision import Decision
from keeper.domain.harvest import Harvest, LedgerEntry, Standing
from keeper.domain.journal import Change, Track
from keeper.domain.money import Address, UsdWad
from keeper.domain.observation import Observation, Sample
from keeper.domain.plan import Plan
from keeper.domain.transaction import Attempt, FeeQuote, Intent, Receipt
from keeper.store import floors, harvests, history, journal, leases, samples
from keeper.store.changes import apply
from keeper.store.database import Database

__all__ = ["SqliteStore"]


class SqliteStore:
    """Thread-safe; several processes may have the file open. Made by ``keeper.store.open_store``."""

    __slots__ = ("_db",)

    def __init__(self, database: Database) -> None:
        self._db = database

    def __repr__(self) -> str:
        return f"SqliteStore({str(self.path)!r})"

    @property
    def path(self) -> Path:
        """The file."""
        return self._db.path

    def close(self) -> None:
        """Release files and connections; a second call does nothing."""
        self._db.close()

    # --------------------------------------------------------------------------------------------- journal

    def open_harvest(self, harvest: Harvest, plan: Plan) -> None:
        """Record a compound before its first leg."""
        journal.open_harvest(self._db, harvest, plan)

    def apply(self, changes: Sequence[Change]) -> None:
        """Make all changes in this order in one commit, or none."""
        apply(self._db, changes)

    def close_harvest(self, harvest: Harvest, entries: Sequence[LedgerEntry]) -> None:
        """Record outcome and ledger in one commit."""
        harvests.close_harvest(self._db, harvest, entries)

    def open_harvests(self, chain: str, owner: Address) -> list[tuple[Harvest, Plan]]:
        """Compounds that are not finished, oldest first."""
        return journal.open_harvests(self._db, chain, owner)

    def tracks_of(self, harvest_id: str) -> list[Track]:
        """Legs of a compound in order."""
        return journal.tracks_of(self._db, harvest_id)

    def tracks(self, chain: str, sender: Address) -> list[Track]:
        """What an account has in flight, or settled and not final."""
        return journal.tracks(self._db, chain, sender)

    def track(self, intent_id: str) -> Track | None:
        """One intent with all that is on record."""
        return journal.track(self._db, intent_id)

    def recent_tracks(self, limit: int = 50) -> list[Track]:
        """Newest first, all accounts."""
        return journal.recent_tracks(self._db, limit)

    def intents(self, harvest_id: str) -> list[Intent]:
        """Legs of a compound in order."""
        return [track.intent for track in self.tracks_of(harvest_id)]

    def attempts(self, intent_id: str) -> list[Attempt]:
        """Signed transactions of a leg, oldest first."""
        track = self.track(intent_id)
        return [] if track is None else list(track.attempts)

    def receipt_of(self, intent_id: str) -> Receipt | None:
        """Receipt on record."""
        track = self.track(intent_id)
        return None if track is None else track.receipt

    def nonces_used(self, chain_id: int, sender: Address, start: int) -> set[int]:
        """Nonces from ``start`` on that any intent on record has."""
        return floors.nonces_used(self._db, chain_id, sender, start)

    def raise_floor(self, chain_id: int, sender: Address, nonce: int) -> None:
        """Let ``next_nonce`` be at least this for ever; what `keeper recover` found on the chain."""
        floors.raise_floor(self._db, chain_id, sender, nonce)

    def next_nonce(self, chain_id: int, sender: Address) -> int:
        """One above the highest nonce on record."""
        return floors.next_nonce(self._db, chain_id, sender)

    def spent_usd(self, chain: str, sender: Address, since: int) -> UsdWad:
        """Fees since a unix time, caps of what is in flight included."""
        return journal.spent_usd(self._db, chain, sender, since)

    # --------------------------------------------------------------------------- what was decided and seen

    def record_decision(self, decision: Decision) -> bool:
        """Keep a decision when verdict or first reason changed."""
        return history.record_decisions(self._db, [decision])[0]

    def record_decisions(self, batch: Sequence[Decision]) -> list[bool]:
        """Record a cycle's decisions in one commit."""
        return history.record_decisions(self._db, batch)

    def decisions(self, position_id: str, limit: int = 20) -> list[Decision]:
        """Changes only, newest first."""
        return history.decisions_of(self._db, position_id, limit)

    def latest_decision(self, position_id: str) -> Decision | None:
        """Last decision with its fresh numbers."""
        return history.latest_decision(self._db, position_id)

    def verdict_since(self, position_id: str) -> int | None:
        """Block time at which the present verdict began."""
        return history.verdict_since(self._db, position_id)

    def record_samples(self, batch: Sequence[Sample]) -> None:
        """Record what a cycle saw and what it meant, in one commit."""
        samples.record_samples(self._db, batch)

    def latest_observation(self, position_id: str) -> Observation | None:
        """Last observation."""
        return samples.latest_observation(self._db, position_id)

    def samples(self, position_id: str, since: int = 0, until: int | None = None) -> list[Sample]:
        """Kept history between two block times, both included, oldest first."""
        return samples.samples_of(self._db, position_id, since, until)

    def record_gas(self, block: BlockRef, fees: FeeQuote) -> None:
        """Keep one sample of the price of gas an hour."""
        samples.record_gas(self._db, block, fees)

    def gas_history(self, chain: str, since: int = 0) -> list[tuple[int, int, int]]:
        """Samples, oldest first: (timestamp, base fee, tip), wei."""
        return samples.gas_history(self._db, chain, since)

    def forget_before(self, timestamp: int) -> int:
        """Drop samples of positions and gas older than a block time."""
        return samples.forget_before(self._db, timestamp)

    def thin(self, now: int, keep_seconds: int) -> int:
        """Thin the history by age; returns how many samples went."""
        return samples.thin(self._db, now, keep_seconds)

    # --------------------------------------------------------------------------------------- what was done

    def harvests(self, position_id: str | None = None, limit: int = 100) -> list[Harvest]:
        """Newest first."""
        return harvests.harvests_of(self._db, position_id, limit)

    def ledger(self, position_id: str | None = None, since: int = 0) -> list[LedgerEntry]:
        """Token movements in chain order, reversed ones left out."""
        return harvests.ledger_of(self._db, position_id, since)

    def last_gas(self, position_id: str) -> int | None:
        """Gas used by the last compound that was done."""
        return harvests.last_gas(self._db, position_id)

    def failures(self, position_id: str) -> int:
        """Failed compounds in a row."""
        return harvests.failures(self._db, position_id)

    def standings(self, position_ids: Collection[str]) -> dict[str, Standing]:
        """What the compounds of many positions come to."""
        return harvests.standings(self._db, position_ids)

    # ------------------------------------------------------------------------------------ flags and leases

    def set_flag(self, key: str, value: str | None) -> None:
        """Remember a small fact; ``None`` forgets it."""
        leases.set_flag(self._db, key, value)

    def set_flags(self, values: Mapping[str, str | None]) -> None:
        """Remember many small facts in one commit."""
        leases.set_flags(self._db, values)

    def get_flag(self, key: str) -> str | None:
        """A remembered fact."""
        return leases.get_flag(self._db, key)

    def flags(self, prefix: str) -> dict[str, str]:
        """Remembered facts whose key begins like this, by key."""
        return leases.flags_of(self._db, prefix)

    def acquire_lease(self, lane: str, holder: str, ttl: int) -> int:
        """Own a lane for ``ttl`` seconds; returns the fencing token."""
        return leases.acquire(self._db, lane, holder, ttl)

    def renew_lease(self, lane: str, token: int, ttl: int) -> None:
        """Own it for ``ttl`` seconds from now."""
        leases.renew(self._db, lane, token, ttl)

    def release_lease(self, lane: str, token: int) -> None:
        """Give the lane up."""
        leases.release(self._db, lane, token)
