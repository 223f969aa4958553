"""A journal that is gone, emptied, damaged or swapped is noticed before anything is sent, and only recovery goes on."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.journal import AddAttempt, AddIntent
from keeper.domain.money import NO_USD, Address, Token
from keeper.domain.plan import LegKind, Plan
from keeper.domain.transaction import Attempt, AttemptState, Intent
from keeper.errors import JournalMissing, StoreUnavailable
from keeper.store import forget, marker, open_store

OWNER = Address("0x" + "11" * 20)
LP = Token("local", OWNER, "LP", 18)
SIDES = ("", "-wal", "-shm")


@pytest.fixture
def path(tmp_path) -> Path:
    made = tmp_path / "state" / "journal.db"
    store = open_store(made)
    store.set_flag("mark", "mine")
    store.close()
    return made


def journal_id(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT value FROM meta WHERE key = 'journal_id'").fetchone()[0]


def mark(path: Path) -> Path:
    return path.with_name("journal.db.id")


def remove(path: Path) -> None:
    for side in SIDES:
        path.with_name(path.name + side).unlink(missing_ok=True)


def empty(path: Path) -> None:
    remove(path)
    path.touch()


def swap(path: Path) -> None:
    remove(path)
    open_store(path.parent / "other.db").close()
    shutil.move(path.parent / "other.db", path)


def scribble(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for page in range(2, len(content) // 4096):
        content[page * 4096 : page * 4096 + 200] = os.urandom(200)
    path.write_bytes(content)


def overwrite(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 1000)


def replace_by_something_else(path: Path) -> None:
    remove(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url)")


def test_the_marker_names_the_journal_and_is_private(path):
    assert mark(path).read_text().strip() == journal_id(path)
    assert stat.S_IMODE(mark(path).stat().st_mode) == 0o600
    assert {each.name for each in path.parent.iterdir()} == {"journal.db", "journal.db.id"}


@pytest.mark.parametrize(
    ("harm", "said"), [(remove, "is gone"), (empty, "is empty now"), (swap, r"is another one \([0-9a-f]{32}\)")]
)
def test_a_journal_that_is_not_the_one_that_was_here_is_refused(path, harm, said):
    harm(path)
    there = path.exists()

    for _ in range(2):
        with pytest.raises(JournalMissing, match=said) as refused:
            open_store(path)
    assert path.exists() is there
    for word in ("nothing is sent", "keeper recover", "backup"):
        assert word in str(refused.value)


@pytest.mark.parametrize("harm", [scribble, overwrite])
def test_a_damaged_journal_offers_recovery(path, harm):
    harm(path)

    with pytest.raises(StoreUnavailable) as refused:
        open_store(path)
    for word in ("nothing is sent", "keeper recover", "backup"):
        assert word in str(refused.value)


@pytest.mark.parametrize("harm", [remove, empty, swap, scribble, overwrite, replace_by_something_else])
def test_a_rebuilt_journal_takes_its_place_and_what_stood_there_is_kept(path, harm):
    before = journal_id(path)
    harm(path)
    stood = path.read_bytes() if path.exists() else None

    store = open_store(path, rebuild=True)
    assert store.get_flag("mark") is None
    store.close()

    assert journal_id(path) == mark(path).read_text().strip() != before
    lost = [each for each in path.parent.glob("journal.db.lost-*") if not each.name.endswith(("-wal", "-shm"))]
    assert [each.read_bytes() for each in lost] == ([] if stood is None else [stood])
    open_store(path).close()


def test_a_sound_journal_is_not_rebuilt(path):
    before = journal_id(path)

    store = open_store(path, rebuild=True)

    assert store.get_flag("mark") == "mine"
    store.close()
    assert journal_id(path) == before
    assert not list(path.parent.glob("*.lost-*"))


def test_two_rebuilds_in_one_second_keep_both(path, monkeypatch):
    monkeypatch.setattr("keeper.store.marker.time.time", lambda: 1_800_000_000.5)
    for text in (b"first" * 1000, b"second" * 1000):
        remove(path)
        path.write_bytes(text)
        open_store(path, rebuild=True).close()

    kept = {each.read_bytes()[:5] for each in path.parent.glob("*.lost-1800000000*")}
    assert kept == {b"first", b"secon"}


@pytest.mark.parametrize("cut", ["set_aside", "remember"])
def test_a_rebuild_that_is_cut_short_does_not_pass_for_a_first_start(path, monkeypatch, cut):
    overwrite(path)
    mark(path).unlink()
    whole, calls = getattr(marker, cut), []

    def killed(*args: object) -> None:
        """Die on the way: after the old file has been moved, or before the new one is the one that belongs here."""
        calls.append(args)
        if cut == "set_aside" or len(calls) == 1:
            whole(*args)
        if cut == "set_aside" or len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(marker, cut, killed)
    with pytest.raises(KeyboardInterrupt):
        open_store(path, rebuild=True)
    monkeypatch.undo()

    with pytest.raises(JournalMissing):
        open_store(path)
    open_store(path, rebuild=True).close()
    open_store(path).close()


def test_a_database_of_something_else_is_not_moved_where_no_journal_ever_was(tmp_path):
    replace_by_something_else(tmp_path / "journal.db")

    with pytest.raises(StoreUnavailable, match="something else"):
        open_store(tmp_path / "journal.db", rebuild=True)
    assert [each.name for each in tmp_path.iterdir()] == ["journal.db"]


def test_a_journal_that_is_only_locked_is_not_moved(path, monkeypatch):
    monkeypatch.setattr("keeper.store.opening.BUSY_SECONDS", 0)
    monkeypatch.setattr("keeper.store.database.BUSY_SECONDS", 0)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode=EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable, match="locked"):
            open_store(path, rebuild=True)
    assert not list(path.parent.glob("*.lost-*"))


@pytest.mark.parametrize("text", [None, "", "half a", "\x00" * 33, "é"])
def test_a_sound_journal_gets_its_marker_back(path, text):
    mark(path).unlink()
    if text is not None:
        mark(path).write_text(text, encoding="latin-1")

    open_store(path).close()

    assert mark(path).read_text().strip() == journal_id(path)


def test_an_unreadable_marker_without_a_journal_is_no_first_start(path):
    remove(path)
    mark(path).write_text("")

    with pytest.raises(JournalMissing):
        open_store(path)


def test_a_restored_backup_of_the_same_journal_is_taken(path):
    shutil.copy(path, path.parent / "backup.db")
    remove(path)
    shutil.copy(path.parent / "backup.db", path)

    store = open_store(path)
    assert store.get_flag("mark") == "mine"
    store.close()


def test_looking_asks_for_no_marker_and_writes_none(path):
    mark(path).unlink()

    open_store(path, read_only=True).close()
    assert not mark(path).exists()

    mark(path).write_text("ab" * 16)
    open_store(path, read_only=True).close()
    remove(path)
    with pytest.raises(StoreUnavailable, match="no journal"):
        open_store(path, read_only=True)


def test_a_folder_that_takes_no_marker_is_said(path):
    mark(path).unlink()
    mark(path).mkdir()

    with pytest.raises(StoreUnavailable, match=r"journal\.db\.id"):
        open_store(path)


def test_a_rehearsals_journal_may_be_forgotten(path):
    store = open_store(path)
    store.set_flag("a", "b")
    forget(path)
    store.close()

    assert list(path.parent.iterdir()) == []
    open_store(path).close()


def test_processes_that_make_one_journal_agree_on_its_marker(tmp_path):
    code = "import sys; from pathlib import Path; from keeper.store import open_store; open_store(Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(tmp_path / "journal.db")]
    racers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]

    assert [racer.communicate(timeout=60)[1] for racer in racers] == ["", "", ""]
    assert mark(tmp_path / "journal.db").read_text().strip() == journal_id(tmp_path / "journal.db")


def test_a_rebuilt_journal_signs_for_no_account_before_its_nonces_have_a_floor(path):
    remove(path)
    store = open_store(path, rebuild=True)
    intent = Intent("i", "h:0", "h", 0, "local", 1, OWNER, LegKind.CLAIM, "", OWNER, b"1234", 0)
    signed = AddAttempt(Attempt("i", "0xi", b"raw", 7, 1, 1, 1, AttemptState.SIGNED, 1))
    plan = Plan("p", "farm", "local", OWNER, (), (LP,), LP)
    store.open_harvest(Harvest("h", "farm", "local", OWNER, HarvestState.OPEN, "p", 1, 1, NO_USD, NO_USD, 1), plan)
    store.apply([AddIntent(intent)])
    store.close()

    store = open_store(path)
    with pytest.raises(JournalMissing, match="keeper recover"):
        store.apply([signed])
    store.raise_floor(1, Address("0x" + "22" * 20), 5)
    with pytest.raises(JournalMissing, match=OWNER):
        store.apply([signed])
    store.raise_floor(1, OWNER, 0)
    store.apply([signed])

    assert store.track("i").attempts == (signed.attempt,)
    store.close()
