"""A writer killed at random moments: every acknowledged commit is there afterwards, whole, and the file is sound."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from keeper.domain.transaction import AttemptState, IntentState
from keeper.store import open_store

#: Journals leg after leg, and says so only after the commit has returned.
WRITER = """
import os, sys
from pathlib import Path
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.journal import AddAttempt, AddIntent, MarkBroadcast
from keeper.domain.money import NO_USD, Address, Token
from keeper.domain.plan import LegKind, Plan
from keeper.domain.transaction import Attempt, AttemptState, Intent
from keeper.store import open_store

owner = Address("0x" + "11" * 20)
token = Token("local", owner, "LP", 18)
store = open_store(Path(sys.argv[1]))
start = store.next_nonce(1, owner)
if not store.open_harvests("local", owner):
    plan = Plan("p", "farm", "local", owner, (), (token,), token)
    store.open_harvest(Harvest("h", "farm", "local", owner, HarvestState.OPEN, "p", 1, 1, NO_USD, NO_USD, 1), plan)
done = {i.leg_index for i in store.intents("h")}
leg = max(done, default=-1)
while True:
    leg += 1
    name = f"i{leg}"
    nonce = store.next_nonce(1, owner)
    made = Intent(name, f"h:{leg}", "h", leg, "local", 1, owner, LegKind.CLAIM, "", owner, b"1234", 0)
    store.apply([AddIntent(made)])
    os.write(1, f"intent {name}\\n".encode())
    store.apply([AddAttempt(Attempt(name, f"0x{name}", os.urandom(200), nonce, 1, 1, 1, AttemptState.SIGNED, 1))])
    os.write(1, f"attempt {name}\\n".encode())
    store.apply([MarkBroadcast(name, f"0x{name}")])
    os.write(1, f"sent {name}\\n".encode())
"""


@pytest.mark.parametrize("seed", range(3))
def test_what_was_acknowledged_survives_a_kill(tmp_path, seed):
    path, dice, said = tmp_path / "journal.db", random.Random(seed), []
    open_store(path).close()

    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
            # Counted, not timed: on a busy machine the writer may get nowhere in any time.
            said += [writer.stdout.readline().strip() for _ in range(dice.randint(2, 7))]
            time.sleep(dice.uniform(0, 0.05))
            writer.kill()
            said += writer.stdout.read().split("\n")[:-1]
        survived(path, said)


def survived(path, said: list[str]) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    store = open_store(path)
    intents = {intent.id: intent for intent in store.intents("h")}
    assert len(said) >= 2
    assert all(said), "the writer ended by itself"
    for line in said:
        what, name = line.split()
        assert name in intents
        if what != "intent":
            (attempt,) = store.attempts(name)
            assert attempt.nonce == intents[name].nonce
            assert attempt.state is (AttemptState.BROADCAST if f"sent {name}" in said else attempt.state)
        if what == "sent":
            assert intents[name].state is IntentState.BROADCAST
    # A leg is whole or not there: no nonce without signed bytes, no signed bytes without a nonce.
    for intent in intents.values():
        assert (intent.nonce is None) == (store.attempts(intent.id) == [])
    store.close()


#: Journals window after window, each in three commits, and says so only after the commit has returned.
WINDOWS = """
import os, sys
from pathlib import Path
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.journal import AddAttempt, AddIntent, MarkBroadcast
from keeper.domain.money import NO_USD, Address, Token
from keeper.domain.plan import LegKind, Plan
from keeper.domain.transaction import Attempt, AttemptState, Intent
from keeper.store import open_store

owner = Address("0x" + "11" * 20)
token = Token("local", owner, "LP", 18)
store = open_store(Path(sys.argv[1]))
if not store.open_harvests("local", owner):
    plan = Plan("p", "farm", "local", owner, (), (token,), token)
    store.open_harvest(Harvest("h", "farm", "local", owner, HarvestState.OPEN, "p", 1, 1, NO_USD, NO_USD, 1), plan)
window = max((t.intent.leg_index for t in store.tracks_of("h")), default=-1) + 1
while True:
    names = [f"{window}-{n}" for n in range(32)]
    first = store.next_nonce(1, owner)
    store.apply([
        AddIntent(Intent(name, f"h:{name}", "h", window, "local", 1, owner, LegKind.CLAIM, "", owner, b"1234", 0))
        for name in names
    ])
    os.write(1, f"planned {window}\\n".encode())
    store.apply([
        AddAttempt(Attempt(name, f"0x{name}", os.urandom(400), first + n, 1, 1, 1, AttemptState.SIGNED, 1))
        for n, name in enumerate(names)
    ])
    os.write(1, f"signed {window}\\n".encode())
    store.apply([MarkBroadcast(name, f"0x{name}") for name in names])
    os.write(1, f"sent {window}\\n".encode())
    window += 1
"""

#: States of a window's intents that were acknowledged; a commit after that may have been made, unacknowledged.
AFTER = {
    "planned": {IntentState.PLANNED, IntentState.SIGNED, IntentState.BROADCAST},
    "signed": {IntentState.SIGNED, IntentState.BROADCAST},
    "sent": {IntentState.BROADCAST},
}


@pytest.mark.parametrize("seed", range(3))
def test_a_window_is_there_whole_or_not_at_all(tmp_path, seed):
    path, dice, said = tmp_path / "journal.db", random.Random(seed), []
    open_store(path).close()

    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", WINDOWS, str(path)], stdout=subprocess.PIPE, text=True) as writer:
            # Counted, not timed: on a busy machine the writer may get nowhere in any time.
            said += [writer.stdout.readline().strip() for _ in range(dice.randint(2, 7))]
            time.sleep(dice.uniform(0, 0.03))
            writer.kill()
            said += writer.stdout.read().split("\n")[:-1]
        whole(path, said)


def whole(path, said: list[str]) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    store = open_store(path)
    windows: dict[int, list] = {}
    for track in store.tracks_of("h"):
        windows.setdefault(track.intent.leg_index, []).append(track)
    assert len(said) >= 2
    assert all(said), "the writer ended by itself"
    for line in said:
        what, window = line.split()
        assert {track.intent.state for track in windows[int(window)]} <= AFTER[what]
    for tracks in windows.values():
        assert len(tracks) == 32
        assert len({track.intent.state for track in tracks}) == 1
        assert len({len(track.attempts) for track in tracks}) == 1
        assert all((track.intent.nonce is None) == (track.attempts == ()) for track in tracks)
    nonces = [t.intent.nonce for tracks in windows.values() for t in tracks if t.intent.nonce is not None]
    assert nonces == list(range(len(nonces)))
    store.close()
