"""Two processes and one lease: the file decides who may sign, in the very commit that records what was signed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.journal import AddIntent
from keeper.domain.money import NO_USD, Address, Token
from keeper.domain.plan import LegKind, Plan
from keeper.domain.transaction import Intent
from keeper.store import open_store

OWNER = Address("0x" + "11" * 20)
LP = Token("local", OWNER, "LP", 18)
COUNT = 60

#: Tries to sign every intent, at the nonce that the journal names, taking the lease over whenever it can.
SIGNER = """
import sys
from pathlib import Path
from keeper.domain.journal import AddAttempt
from keeper.domain.money import Address
from keeper.domain.transaction import Attempt, AttemptState
from keeper.errors import IllegalTransition, LaneHeld
from keeper.store import open_store

path, me, ttl = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
owner = Address("0x" + "11" * 20)
store = open_store(path)
print("ready", flush=True)
sys.stdin.readline()
signed = refused = 0
for number in range(int(sys.argv[4])):
    nonce = store.next_nonce(1, owner)
    try:
        if number % 10 == 0:
            store.acquire_lease(f"local:{owner}", me, ttl)
        tx = Attempt(f"i{number}", f"0x{me}{number}", me.encode(), nonce, 1, 1, 1, AttemptState.SIGNED, 1)
        store.apply([AddAttempt(tx)])
        signed += 1
    except LaneHeld as error:
        assert "lane local:0x11" in str(error), error
        refused += 1
    except IllegalTransition:
        pass
print(signed, refused, flush=True)
"""


@pytest.fixture
def path(tmp_path) -> Path:
    made = tmp_path / "journal.db"
    store = open_store(made)
    plan = Plan("p", "farm", "local", OWNER, (), (LP,), LP)
    store.open_harvest(Harvest("h", "farm", "local", OWNER, HarvestState.OPEN, "p", 1, 1, NO_USD, NO_USD, 1), plan)
    legs = [
        Intent(f"i{n}", f"h:{n}", "h", n, "local", 1, OWNER, LegKind.CLAIM, "", OWNER, b"1234", 0) for n in range(COUNT)
    ]
    store.apply([AddIntent(leg) for leg in legs])
    store.close()
    return made


def race(path: Path, ttl: int) -> dict[str, list[int]]:
    """Let two processes sign at once; return for each how many it signed and how often it was refused."""
    names = ("a", "b")
    command = [sys.executable, "-c", SIGNER, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [subprocess.Popen([*command, name, str(ttl), str(COUNT)], **pipes) for name in names]
    try:
        for each in both:
            assert each.stdout.readline() == "ready\n"
        for each in both:
            each.stdin.write("go\n")
            each.stdin.flush()
        said = [each.communicate(timeout=60)[0] for each in both]
    finally:
        for each in both:
            each.kill()
            each.wait()
    return {name: [int(word) for word in text.split()] for name, text in zip(names, said, strict=True)}


def test_while_one_holds_the_lease_only_that_one_signs(path):
    said = race(path, ttl=600)

    store = open_store(path)
    by = {a.raw.decode() for track in store.tracks_of("h") for a in track.attempts}
    store.close()
    (winner,) = by
    (loser,) = {"a", "b"} - by
    assert said[winner][0] == COUNT
    assert said[loser] == [0, COUNT]


def test_when_leases_run_out_at_once_no_nonce_is_signed_twice(path):
    said = race(path, ttl=0)

    store = open_store(path)
    tracks = [track for track in store.tracks_of("h") if track.attempts]
    store.close()
    nonces = [track.intent.nonce for track in tracks]
    assert len(nonces) == len(set(nonces)) == said["a"][0] + said["b"][0]
    assert sorted(nonces) == list(range(len(nonces)))
