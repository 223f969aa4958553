"""The journal's file: made private, kept sound, and refused in plain words when something is wrong with it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from keeper.domain.transaction import INTENT_TRANSITIONS, AttemptState
from keeper.errors import IllegalTransition, JournalTooNew, LaneHeld, StoreUnavailable
from keeper.store import database, open_store
from keeper.store.lock import LaneLock
from keeper.store.schema import META, REVISION


@pytest.fixture
def path(tmp_path) -> Path:
    made = tmp_path / "state" / "journal.db"
    open_store(made).close()
    return made


def run(code: str, *args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def sql(path: Path, *statements: str) -> list[tuple]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return [row for statement in statements for row in connection.execute(statement).fetchall()]


# ------------------------------------------------------------------ making and opening


def test_folder_and_file_are_private_and_durable(path):
    store = open_store(path)
    store.set_flag("a", "b")

    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes == {f"journal.db{suffix}": 0o600 for suffix in ("", "-wal", "-shm", ".id")}
    with store._db.read() as connection:
        settings = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
        assert settings == ["wal", 2]
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    store.close()


def test_the_journal_has_an_identity_that_stays(path):
    first = dict(sql(path, "SELECT key, value FROM meta"))
    open_store(path).close()

    assert dict(sql(path, "SELECT key, value FROM meta")) == first
    assert set(first) == {"journal_id", "created", "keeper_version"}
    assert len(first["journal_id"]) == 32


def test_an_up_to_date_file_opens_without_alembic(path):
    code = (
        "import sys; from pathlib import Path; from keeper.store import open_store;"
        "print('sqlalchemy' in sys.modules); open_store(Path(sys.argv[1])); print('alembic' in sys.modules)"
    )

    assert run(code, path).stdout.split() == ["False", "False"]


def test_several_processes_make_one_journal(tmp_path):
    code = "import sys; from pathlib import Path; from keeper.store import open_store; open_store(Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(tmp_path / "journal.db")]
    racers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]

    assert [racer.communicate(timeout=60)[1] for racer in racers] == ["", "", ""]
    assert sql(tmp_path / "journal.db", "SELECT count(*) FROM alembic_version") == [(1,)]


def test_reading_makes_and_changes_nothing(path, tmp_path):
    with pytest.raises(StoreUnavailable, match="no journal"):
        open_store(tmp_path / "other.db", read_only=True)
    assert not (tmp_path / "other.db").exists()

    store = open_store(path, read_only=True)
    assert store.get_flag("a") is None
    with pytest.raises(StoreUnavailable, match="read-only"):
        store.set_flag("a", "b")
    store.close()


def test_the_tables_are_those_that_the_code_means(path):
    """The migrations and schema.py are written apart; this is what keeps them together."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    store = open_store(path)
    with store._db.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        differences = compare_metadata(context, META)
        strict = connection.exec_driver_sql("SELECT name FROM pragma_table_list WHERE strict = 0 AND schema = 'main'")
        loose = {row[0] for row in strict}
    store.close()

    assert differences == []
    assert loose <= {"alembic_version", "sqlite_schema"}


# ------------------------------------------------------------------ what is refused


def test_a_newer_journal_is_refused_and_left_alone(path):
    sql(
        path,
        "UPDATE alembic_version SET version_num = '0999'",
        "UPDATE meta SET value = '9.9' WHERE key LIKE 'keeper%'",
    )
    before = path.read_bytes()

    for read_only in (False, True):
        with pytest.raises(JournalTooNew, match=r"9\.9"):
            open_store(path, read_only=read_only)
    assert path.read_bytes() == before


def test_a_damaged_journal_is_refused(path):
    content = bytearray(path.read_bytes())
    for page in range(2, len(content) // 4096):
        content[page * 4096 : page * 4096 + 200] = os.urandom(200)
    path.write_bytes(content)

    with pytest.raises(StoreUnavailable, match="damaged"):
        open_store(path)


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" + os.urandom(5000)])
def test_a_file_that_is_no_database_is_refused(tmp_path, content):
    (tmp_path / "j").write_bytes(content)

    with pytest.raises(StoreUnavailable, match=r"damaged|not a SQLite file"):
        open_store(tmp_path / "j")


def test_a_database_of_something_else_is_refused(tmp_path):
    sql(tmp_path / "j", "CREATE TABLE bookmarks (url)")

    with pytest.raises(StoreUnavailable, match="something else"):
        open_store(tmp_path / "j")


def test_a_folder_or_a_place_without_rights_is_refused(tmp_path):
    (tmp_path / "file").touch()

    for wrong in (tmp_path, tmp_path / "file" / "journal.db"):
        with pytest.raises(StoreUnavailable):
            open_store(wrong)


def test_a_full_disk_is_said_and_nothing_is_half_written(path):
    store = open_store(path)
    with store._db.read() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    with pytest.raises(StoreUnavailable, match="disk is full"):
        store.set_flag("big", "x" * 1_000_000)

    assert store.get_flag("big") is None
    store.set_flag("small", "goes on")
    assert store.get_flag("small") == "goes on"
    store.close()


def test_a_full_file_system_is_said(path):
    """A real limit of the operating system, in another process: writes beyond it fail."""
    code = """
import resource, signal, sys
from pathlib import Path
from keeper.errors import StoreUnavailable
from keeper.store import open_store
store = open_store(Path(sys.argv[1]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
try:
    store.set_flag("big", "x" * 1_000_000)
except StoreUnavailable as error:
    print(error)
"""
    ran = run(code, path)

    assert "disk" in ran.stdout, ran.stderr
    assert open_store(path).get_flag("big") is None


def test_a_lock_held_too_long_is_said(path, monkeypatch):
    monkeypatch.setattr(database, "_PRAGMAS", ("busy_timeout=50",))
    store = open_store(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked by another process"):
            store.set_flag("a", "b")
        assert store.get_flag("a") is None
    store.set_flag("a", "b")
    store.close()


def test_a_read_only_file_is_said(path):
    sql(path, "PRAGMA journal_mode=DELETE")
    code = """
import os, sys
from pathlib import Path
from keeper.errors import StoreUnavailable
from keeper.store import open_store, opening, sqlite
if os.geteuid() == 0:
    os.setuid(65534)
try:
    open_store(Path(sys.argv[1]))
except StoreUnavailable as error:
    print(error)
"""
    folder = Path("/tmp") / f"keeper-readonly-{os.getpid()}"  # tmp_path itself may be closed to that other user
    folder.mkdir()
    shutil.copy(path, folder / "journal.db")
    (folder / "journal.db").chmod(0o444)
    folder.chmod(0o555)
    try:
        ran = run(code, folder / "journal.db")
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)

    assert "writable" in ran.stdout, ran.stderr


def test_a_closed_store_says_so(path):
    store = open_store(path)
    store.close()
    store.close()

    with pytest.raises(StoreUnavailable, match="closed"):
        store.get_flag("a")


def test_a_number_that_no_chain_has_is_refused(path):
    store = open_store(path)

    with pytest.raises(StoreUnavailable, match="too large"):
        store.forget_before(2**70)
    store.close()


# ------------------------------------------------------------------ the file defends itself

HARVEST = (
    "INSERT INTO harvests VALUES (1, 'h', 'p', 'c', 'o', 'open', 'x', '{}', 1, 1, '0', '0', 1, NULL, '[]', NULL, 0,"
    " '0', '0', '0', '0', '', NULL)"
)


def other_tool(path: Path, state: str = "planned") -> sqlite3.Connection:
    """Another program with the file open, and an intent in the state given."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(HARVEST)
    columns = "(id, key, harvest_id, leg_index, chain, chain_id, sender, kind, label, to_address, data, value, state, created_at)"
    connection.execute(
        f"INSERT INTO intents {columns} VALUES ('i', 'k', 'h', 0, 'c', 1, 's', 'claim', '', 't', x'00', '0', 'planned', 1)"
    )
    way = {"planned": [], "signed": ["signed"], "broadcast": ["signed", "broadcast"]}
    way["mined"], way["cancelled"] = [*way["broadcast"], "mined"], ["signed", "cancelled"]
    way["confirmed"], way["reverted"] = [*way["mined"], "confirmed"], [*way["mined"], "reverted"]
    for step in way[state]:
        connection.execute("UPDATE intents SET state = ?, nonce = 5", (step,))
    return connection


@pytest.mark.parametrize("before", INTENT_TRANSITIONS)
@pytest.mark.parametrize("after", INTENT_TRANSITIONS)
def test_no_tool_breaks_the_table_of_transitions(path, before, after):
    with closing(other_tool(path, before.value)) as connection:
        change = "UPDATE intents SET state = ?, nonce = coalesce(nonce, CASE ? WHEN 'signed' THEN 5 END)"
        if after in INTENT_TRANSITIONS[before] or after is before:
            connection.execute(change, (after.value, after.value))
        else:
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(change, (after.value, after.value))


ATTEMPT = (
    "INSERT INTO attempts (hash, intent_id, raw, nonce, gas, max_fee_wei, max_tip_wei, state, signed_block, max_fee_usd,"
    " created_at) VALUES ('0xa', 'i', x'02', 5, 1, '1', '1', 'signed', 1, '0', 1)"
)


COPY = (
    "INSERT INTO intents (id, key, harvest_id, leg_index, chain, chain_id, sender, kind, label, to_address, data, value,"
    " state, nonce, created_at, final) SELECT 'j', '{key}', {harvest}, 0, chain, 1, sender, '{kind}', '', 't', x'', '0',"
    " '{state}', {nonce}, 1, {final} FROM intents"
)


def copy(**more: str) -> str:
    """Return the making of a second intent; without arguments it is allowed."""
    usual = {"key": "l", "harvest": "harvest_id", "kind": "claim", "state": "planned", "nonce": "NULL", "final": "0"}
    return COPY.format(**(usual | more))


SECOND_NONCE = "UPDATE intents SET state = 'signed', nonce = 5 WHERE id = 'j'"


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM intents",
        "DELETE FROM attempts",
        "UPDATE intents SET nonce = 6",
        "UPDATE intents SET nonce = NULL",
        "UPDATE intents SET data = x'ff'",
        "UPDATE intents SET to_address = 'elsewhere'",
        "UPDATE intents SET state = 'unheard of'",
        "UPDATE attempts SET raw = x'03'",
        "UPDATE attempts SET nonce = 6",
        "UPDATE attempts SET hash = '0xb'",
        ATTEMPT,
        ATTEMPT.replace("'0xa'", "'0xb'"),
        ATTEMPT.replace("'0xa'", "'0xb'").replace("'signed'", "'broadcast'"),
        "UPDATE intents SET harvest_id = NULL",
        "UPDATE intents SET chain = 'elsewhere'",
        "UPDATE intents SET kind = 'cancel'",
        "UPDATE intents SET final = 1",
        "UPDATE attempts SET purpose = 'cancel'",
        ATTEMPT.replace("'0xa'", "'0xb'")
        .replace(" created_at)", " created_at, purpose)")
        .replace(", 1)", ", 1, 'joke')"),
        copy(key="k"),
        copy(state="signed", nonce="9"),
        copy(final="1"),
        copy(harvest="NULL"),
        copy(harvest="NULL", kind="cancel"),
    ],
)
def test_no_tool_changes_what_was_signed(path, statement):
    with closing(other_tool(path, "signed")) as connection:
        connection.execute(ATTEMPT)
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(statement)
        assert connection.execute("SELECT state FROM attempts").fetchall() == [(AttemptState.SIGNED.value,)]


def test_a_nonce_belongs_to_one_intent_whoever_writes(path):
    with closing(other_tool(path, "signed")) as connection:
        connection.execute(copy(harvest="NULL", kind="cancel", key="gap:1:s:5"))
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            connection.execute(SECOND_NONCE)
        connection.execute(SECOND_NONCE.replace("nonce = 5", "nonce = 6"))


def test_what_never_had_a_nonce_stays_cancelled(path):
    with closing(other_tool(path, "planned")) as connection:
        connection.execute("UPDATE intents SET state = 'cancelled'")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("UPDATE intents SET state = 'broadcast', nonce = 5")


RECEIPT = (
    "INSERT INTO receipts (intent_id, tx_hash, block_number, block_hash, status, gas_used, effective_gas_price_wei,"
    " l1_fee_wei, transfers, cost_usd, recorded_at, final) VALUES ('i', '0xa', 9, '0xb', 1, 1, '1', '0', '[]', '0', 1, {})"
)


def test_a_receipt_is_not_final_before_its_intent_has_settled(path):
    with closing(other_tool(path, "signed")) as connection:
        connection.execute(ATTEMPT)
        connection.execute("UPDATE intents SET state = 'mined'")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(RECEIPT.format(1))
        connection.execute(RECEIPT.format(0))
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("UPDATE receipts SET final = 1")
        connection.execute("UPDATE receipts SET orphaned = 1")
        connection.execute("UPDATE intents SET state = 'cancelled'")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("UPDATE receipts SET final = 1")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE receipts SET orphaned = 1",
        "UPDATE receipts SET final = 0",
        "UPDATE receipts SET status = 0",
        "UPDATE receipts SET block_hash = '0xc'",
        "UPDATE intents SET state = 'broadcast'",
        "UPDATE intents SET state = 'broadcast', final = 0",
        "DELETE FROM receipts",
        RECEIPT.format(0),
        RECEIPT.format(0).replace(", final)", ", orphaned)").replace(", 0)", ", 1)"),
    ],
)
@pytest.mark.parametrize("both", [True, False])
def test_what_is_final_stays_whoever_writes(path, statement, both):
    with closing(other_tool(path, "signed")) as connection:
        connection.execute(ATTEMPT)
        connection.execute("UPDATE intents SET state = 'mined'")
        connection.execute(RECEIPT.format(0))
        connection.execute("UPDATE intents SET state = 'confirmed'")
        connection.execute("UPDATE receipts SET final = 1")
        if both:
            connection.execute("UPDATE intents SET final = 1")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(statement)


def test_a_cancelled_nonce_that_is_final_is_not_reopened(path):
    with closing(other_tool(path, "cancelled")) as connection:
        connection.execute("UPDATE intents SET final = 1")
        for statement in ("state = 'broadcast'", "final = 0", "state = 'broadcast', final = 0"):
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(f"UPDATE intents SET {statement}")


def test_what_the_file_refuses_is_an_illegal_transition(path):
    store = open_store(path)
    with pytest.raises(IllegalTransition), store._db.write() as connection:
        connection.exec_driver_sql("INSERT INTO receipts (intent_id) VALUES ('nothing')")
    store.close()


# ------------------------------------------------------------------ threads and processes


def test_many_threads_write_and_read_at_once_and_nothing_is_lost(path):
    store = open_store(path)
    failures = []

    def work(number: int) -> None:
        try:
            for step in range(20):
                store.set_flag(f"{number}-{step}", "x")
                assert store.get_flag(f"{number}-{step}") == "x"
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    store.close()

    assert failures == []
    assert sql(path, "SELECT count(*) FROM flags") == [(160,)]


def test_threads_that_end_leave_no_connection_behind(path):
    store = open_store(path)
    for _ in range(30):
        one = threading.Thread(target=store.get_flag, args=("a",))
        one.start()
        one.join()

    assert len(store._db._idle) == 1
    store.close()


def test_processes_write_at_once_and_nothing_is_lost(path):
    code = """
import sys
from pathlib import Path
from keeper.store import open_store
store = open_store(Path(sys.argv[1]))
for step in range(50):
    store.set_flag(f"{sys.argv[2]}-{step}", "x")
"""
    command = [sys.executable, "-c", code, str(path)]
    writers = [subprocess.Popen([*command, str(n)], stderr=subprocess.PIPE, text=True) for n in range(3)]

    assert [writer.communicate(timeout=60)[1] for writer in writers] == ["", "", ""]
    assert sql(path, "SELECT count(*) FROM flags") == [(150,)]


# ------------------------------------------------------------------ one writer per lane

HOLD = """
import sys, time
from pathlib import Path
from keeper.store.lock import LaneLock
lock = LaneLock(Path(sys.argv[1]), "local:0x11")
lock.acquire()
print("held", "sqlalchemy" in sys.modules, flush=True)
time.sleep(60)
"""


def test_a_second_process_is_told_who_holds_the_lane_until_that_dies(path):
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == "held False\n"
            with pytest.raises(LaneHeld, match=rf"process {holder.pid} on .+ since 20"):
                LaneLock(path, "local:0x11").acquire()
            with LaneLock(path, "local:0x22"):
                pass
        finally:
            holder.kill()
            holder.wait()

    with LaneLock(path, "local:0x11") as mine:
        with pytest.raises(LaneHeld, match=f"process {os.getpid()} "):
            LaneLock(path, "local:0x11").acquire()
        mine.release()
        mine.release()
    with LaneLock(path, "local:0x11"):
        pass


def test_a_lock_in_a_folder_that_is_not_there_is_refused(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(StoreUnavailable, match="cannot lock"):
        LaneLock(tmp_path / "file" / "journal.db", "lane").acquire()


def test_the_revision_in_the_file_is_the_one_of_the_tables(path):
    assert sql(path, "SELECT version_num FROM alembic_version") == [(REVISION,)]
