"""A journal of an earlier keeper, with something of every kind in it, becomes one of this keeper and loses nothing."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from keeper.domain.block import BlockRef
from keeper.domain.journal import AddAttempt, Reopen
from keeper.domain.money import Address, Amount, Token, usd
from keeper.domain.observation import Observation, Sample
from keeper.domain.transaction import Attempt, AttemptState, IntentState, Purpose
from keeper.errors import JournalTooNew, StoreUnavailable
from keeper.store import codec, open_store
from keeper.store.migrations.versions import m0001_journal
from keeper.store.migrations.versions import m0002_exactly_once as second
from keeper.store.schema import REVISION

OWNER = Address("0x" + "11" * 20)
LP = Token("local", Address("0x" + "22" * 20), "LP", 18)
NOW = int(time.time())
OLD = NOW - 10 * 86_400
#: How an intent of that state came to be, as revision 0001 allows it.
WAYS = {
    "planned": [],
    "dropped": ["cancelled"],
    "signed": ["signed"],
    "broadcast": ["signed", "broadcast"],
    "mined": ["signed", "mined"],
    "confirmed": ["signed", "mined", "confirmed"],
    "reverted": ["signed", "mined", "reverted"],
    "cancelled": ["signed", "cancelled"],
}


def observation(at: int) -> Observation:
    return Observation("farm", BlockRef("local", at, "0x00", at), Amount(LP, 5), (Amount(LP, at),), ())


def put(connection: sqlite3.Connection, table: str, **row: object) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))


def put_intent(connection: sqlite3.Connection, name: str, way: str, nonce: int, at: int) -> None:
    put(
        connection,
        "intents",
        id=name,
        key=f"h:{name}",
        harvest_id="h",
        leg_index=nonce,
        chain="local",
        chain_id=1,
        sender=OWNER,
        kind="claim",
        label="claim it",
        to_address="0x33",
        data=b"\0\xff",
        value=str(2**200),
        state="planned",
        created_at=at,
    )
    for state in WAYS[way]:
        given = nonce if way != "dropped" else None
        connection.execute("UPDATE intents SET state = ?, nonce = ? WHERE id = ?", (state, given, name))
    if "signed" not in WAYS[way]:
        return
    fees = {"gas": 21_000, "max_fee_wei": str(2**100), "max_tip_wei": "1", "max_fee_usd": str(usd(2))}
    told = {"hash": f"0x{name}", "raw": name.encode(), "nonce": nonce, "state": "signed", "signed_block": 5}
    put(connection, "attempts", intent_id=name, created_at=at, **told, **fees)
    if way == "signed":
        return
    connection.execute("UPDATE attempts SET state = 'broadcast' WHERE intent_id = ?", (name,))
    if "mined" in WAYS[way]:
        put_receipt(connection, name, at, status=int(way != "reverted"))


def put_receipt(connection: sqlite3.Connection, name: str, at: int, **more: int) -> None:
    connection.execute("UPDATE attempts SET state = 'mined' WHERE intent_id = ?", (name,))
    where = {"block_number": 9, "block_hash": "0xb", "gas_used": 1, "effective_gas_price_wei": "3", "l1_fee_wei": "0"}
    told = {"transfers": "[]", "cost_usd": str(usd(1)), "recorded_at": at}
    put(connection, "receipts", intent_id=name, tx_hash=f"0x{name}", **where, **told, **more)


def put_others(connection: sqlite3.Connection) -> None:
    """Put a row of every other kind."""
    put(connection, "meta", key="journal_id", value="ab" * 16)
    put(connection, "meta", key="created", value="2026-01-01")
    put(connection, "meta", key="keeper_version", value="0.1")
    numbers = {"decided_block": 1, "started_at": 1, "predicted_gas": 1, "gas_used": 0}
    dollars = ("predicted_reward_usd", "predicted_cost_usd", "received_usd", "compounded_usd", "cost_usd", "cost_wei")
    texts = {"position_id": "farm", "chain": "local", "owner": OWNER, "plan_id": "p", "plan": "{}", "received": "[]"}
    put(connection, "harvests", id="h", state="open", error="", **texts, **numbers, **dict.fromkeys(dollars, "7"))
    token = {"chain": "local", "token": "0x22", "symbol": "LP", "decimals": 18, "raw": "5", "value_usd": None}
    put(
        connection,
        "ledger",
        harvest_id="h",
        tx_hash="0xconfirmed-old",
        log_index=1,
        sign=1,
        block_number=9,
        timestamp=9,
        kind="claim",
        **token,
    )
    put(connection, "decisions", position_id="farm", block_number=1, timestamp=1, verdict="wait", code="x", body="{}")
    put(connection, "latest_decisions", position_id="farm", verdict="wait", code="x", since=1, body="{}")
    for at in (7_199, 7_200, 7_300):
        seen = {"position_id": "farm", "body": codec.dump(Observation, observation(at))}
        put(connection, "observations", block_number=at, timestamp=at, reward_usd="1", gas_price_wei=str(at), **seen)
    put(connection, "latest_observations", kept_at=7_200, **seen)
    put(connection, "gas_samples", chain="local", block_number=1, timestamp=1, base_fee_wei="1", tip_wei="1")
    put(connection, "leases", lane="local:0x99", holder="a", token=4, expires_at=5)
    put(connection, "flags", key="halt:local:x", value="why", updated_at=1)


def make(path: Path, revision: str = "0001") -> None:
    """Make a journal of an earlier revision."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA foreign_keys=ON")
        for statement in (*m0001_journal.TABLES, *m0001_journal.TRIGGERS):
            connection.execute(statement)
        key = "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)"
        connection.execute(f"CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, {key})")
        connection.execute("INSERT INTO alembic_version VALUES ('0001')")
        put_others(connection)
        for index, way in enumerate(WAYS):
            put_intent(connection, f"{way}-old", way, index, OLD)
            put_intent(connection, f"{way}-new", way, 100 + index, NOW)
        # A reorg took a receipt, and the same transaction was mined again.
        connection.execute("UPDATE receipts SET orphaned = 1 WHERE intent_id = 'mined-new'")
        put_receipt(connection, "mined-new", NOW, status=1)
        if revision == "0002":
            connection.execute("BEGIN")
            for statement in (*second.COLUMNS, *second.INTENTS, *second.FINAL, *second.TRIGGERS):
                connection.execute(statement)
            connection.execute("UPDATE alembic_version SET version_num = '0002'")
            connection.execute("COMMIT")


def content(path: Path) -> dict[str, list[dict[str, object]]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {
            name: [dict(row) for row in connection.execute(f"SELECT * FROM {name} ORDER BY rowid")] for name in names
        }


@pytest.fixture(params=["0001", "0002"])
def revision(request) -> str:
    return request.param


@pytest.fixture
def old(tmp_path, revision) -> Path:
    path = tmp_path / "journal.db"
    make(path, revision)
    return path


def test_every_row_is_kept_and_says_what_it_said(old):
    before = content(old)

    open_store(old, now=lambda: NOW).close()

    after = content(old)
    assert set(after) == set(before) - {"observations"} | {"samples"}
    assert [row["base_fee_wei"] for row in after.pop("gas_samples")[:1]] == ["1"]
    for table in set(before) - {"alembic_version", "meta", "observations", "gas_samples"}:
        assert before[table], table
        kept = [{name: row[name] for name in old_row} for row, old_row in zip(after[table], before[table], strict=True)]
        assert kept == before[table]
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (REVISION,)
    assert {row["key"]: row["value"] for row in after["meta"]}["journal_id"] == "ab" * 16


def test_what_was_observed_becomes_history_without_numbers(old):
    store = open_store(old, now=lambda: NOW)

    assert store.samples("farm") == [Sample(observation(at), None) for at in (7_199, 7_200, 7_300)]
    assert store.latest_observation("farm") == observation(7_300)
    assert store.gas_history("local") == [(1, 1, 1), (7_199, 7_199, 0), (7_200, 7_200, 0)]
    store.record_samples([Sample(observation(9_000), None, (("", usd(5)),))])
    assert store.samples("farm", since=7_300)[-1] == Sample(observation(9_000), None, (("", usd(5)),))
    store.close()


def test_the_file_as_it_was_is_kept_beside_and_opens_with_the_earlier_keeper(old, revision):
    before = content(old)

    open_store(old).close()
    open_store(old).close()

    (kept,) = old.parent.glob(f"journal.db.{revision}-*.bak")
    assert content(kept) == before


def test_what_is_in_flight_or_young_is_looked_at_again_and_the_rest_is_not(old):
    store = open_store(old, now=lambda: NOW)

    tracks = {track.intent.id: track for track in store.tracks("local", OWNER)}

    moving = {"planned", "signed", "broadcast", "mined"}
    young = {f"{way}-new" for way in ("confirmed", "reverted", "cancelled")}
    assert set(tracks) == young | {f"{way}-{age}" for way in moving for age in ("old", "new")}
    assert {a.purpose for track in tracks.values() for a in track.attempts} == {Purpose.WORK}
    for name in ("confirmed-old", "reverted-old", "cancelled-old", "dropped-old", "dropped-new"):
        assert store.track(name).final
    assert store.next_nonce(1, OWNER) == 108
    store.close()


def test_it_works_on_as_if_it_had_always_been_of_this_keeper(old):
    store = open_store(old, now=lambda: NOW)
    bump = Attempt("broadcast-new", "0xbump", b"raw", 103, 1, 1, 1, AttemptState.SIGNED, 6, Purpose.CANCEL)

    store.apply([AddAttempt(bump, usd(9)), Reopen("confirmed-new"), Reopen("cancelled-new")])

    assert store.track("broadcast-new").attempts[-1] == bump
    assert {store.track(f"{way}-new").intent.state for way in ("confirmed", "cancelled")} == {IntentState.BROADCAST}
    store.close()


def test_a_migrated_file_is_guarded_like_a_new_one(old, tmp_path):
    open_store(old).close()
    open_store(tmp_path / "new.db").close()

    def guards(path: Path) -> list[tuple[str, ...]]:
        with closing(sqlite3.connect(path)) as connection:
            ours = "FROM sqlite_schema WHERE tbl_name <> 'alembic_version' ORDER BY type, name"
            return connection.execute(f"SELECT type, name, tbl_name, sql {ours}").fetchall()

    assert guards(old) == guards(tmp_path / "new.db")


@pytest.mark.parametrize("revision", ["0001"], indirect=True)
def test_a_migration_that_fails_leaves_the_file_as_it_was(old):
    before = content(old)
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        # An intent that has lost its compound: the commit at the end of the migration must notice.
        connection.execute("PRAGMA foreign_keys=OFF")
        put_intent(connection, "orphan", "planned", 50, NOW)
        connection.execute("DROP TRIGGER intents_fixed")
        connection.execute("UPDATE intents SET harvest_id = 'gone' WHERE id = 'orphan'")

    with pytest.raises(Exception, match="FOREIGN KEY"):
        open_store(old)

    after = content(old)
    assert {row["id"] for row in after["intents"]} == {row["id"] for row in before["intents"]} | {"orphan"}
    assert after["alembic_version"] == [{"version_num": "0001"}]
    assert "intents_before" not in after


def test_looking_migrates_nothing(old):
    before = content(old)

    with pytest.raises(StoreUnavailable, match="earlier keeper"):
        open_store(old, read_only=True)

    assert content(old) == before
    assert not list(old.parent.glob("*.bak"))
    assert not (old.parent / "journal.db.id").exists()


def test_several_processes_migrate_it_once(old):
    code = "import sys; from pathlib import Path; from keeper.store import open_store; open_store(Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(old)]
    racers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]

    assert [racer.communicate(timeout=60)[1] for racer in racers] == ["", "", ""]
    store = open_store(old)
    assert len(store.recent_tracks(100)) == 2 * len(WAYS)
    assert len(list(old.parent.glob("*.bak"))) == 1
    store.close()


def test_a_revision_after_this_one_is_refused(old):
    open_store(old).close()
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    for rebuild in (False, True):
        with pytest.raises(JournalTooNew, match="9999"):
            open_store(old, rebuild=rebuild)
    assert old.is_file()
