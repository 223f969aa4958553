"""What goes wrong in the arena: twelve things that happen to everybody who sends transactions for long enough."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.faults import proxy
from tests.faults.arena.stage import GWEI, Arena

#: What a case needs: the surroundings, the number of the transaction that it hits, its own chances, and a way to kill.
Arm = Callable[[Arena, int, random.Random, Callable[[], None]], None]


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that goes wrong."""

    name: str
    words: str
    arm: Arm
    #: Processes that run at the same time.
    workers: int = 1
    #: Whether it counts; the control does not.
    counts: bool = True


def _nothing(_arena: Arena, _hit: int, _rng: random.Random, _kill: Callable[[], None]) -> None:
    pass


def _at_send(make: Callable[[], proxy.Action]) -> Arm:
    def arm(arena: Arena, hit: int, _rng: random.Random, _kill: Callable[[], None]) -> None:
        arena.at_send(hit, make())

    return arm


def _dropped(arena: Arena, hit: int, _rng: random.Random, _kill: Callable[[], None]) -> None:
    def drop() -> None:
        arena.node.rpc("anvil_dropTransaction", arena.hash_of(hit))

    arena.from_send(hit, drop)


def _stale_nonce(arena: Arena, hit: int, rng: random.Random, _kill: Callable[[], None]) -> None:
    seconds = rng.uniform(2.0, 3.0)

    def begin() -> None:
        rule = proxy.Rule(proxy.stale_nonce(1), ("eth_getTransactionCount",), probability=0.5)
        arena.proxy.add(rule)
        threading.Timer(seconds, arena.proxy.remove, (rule,)).start()

    arena.from_send(hit, begin)


def _no_receipts(arena: Arena, hit: int, _rng: random.Random, _kill: Callable[[], None]) -> None:
    def begin() -> None:
        rule = proxy.Rule(proxy.result(None), ("eth_getTransactionReceipt",))
        arena.proxy.add(rule)
        threading.Timer(6.0, arena.proxy.remove, (rule,)).start()

    arena.from_send(hit, begin)


def _spike(arena: Arena, hit: int, rng: random.Random, _kill: Callable[[], None]) -> None:
    factor = rng.choice((20, 30, 40))

    def begin() -> None:
        arena.base_fee = factor * GWEI

    arena.from_send(hit, begin)


def _reorg(arena: Arena, hit: int, rng: random.Random, _kill: Callable[[], None]) -> None:
    late = rng.uniform(0.02, 0.1)
    done = threading.Event()

    def alter(_method: str, params: list[Any], reply: dict[str, Any]) -> dict[str, Any]:
        tx_hash = arena.hash_of(hit)
        if reply.get("result") is not None and params[0].lower() == tx_hash and not done.is_set():
            done.set()
            threading.Timer(late, arena.reorg_out, (tx_hash,)).start()
        return reply

    arena.from_send(hit, lambda: None)  # numbers the transactions
    arena.proxy.add(proxy.Rule(proxy.Action("reorg", alter=alter), ("eth_getTransactionReceipt",)))


def _killed(arena: Arena, hit: int, _rng: random.Random, kill: Callable[[], None]) -> None:
    arena.from_send(hit, kill)


CASES: Final = (
    Case("control", "nothing goes wrong", _nothing, counts=False),
    Case("accept_then_hang", "the node takes it, the answer never comes", _at_send(proxy.accept_then_hang)),
    Case("accept_then_close", "the node takes it, the connection breaks", _at_send(proxy.accept_then_close)),
    Case("502_after_accept", "the node takes it, the gateway says 502", _at_send(lambda: proxy.status(502))),
    Case("blackhole_ok", "a hash comes back, nobody ever gets it", _at_send(proxy.blackhole_ok)),
    Case("dropped", "the pool takes it and forgets it", _dropped),
    Case("stale_nonce", "every second nonce comes from a node that is one behind", _stale_nonce),
    Case("no_receipts", "receipts are missing for six seconds (24 blocks)", _no_receipts),
    Case("fee_spike", "the base fee rises 20 to 40 times before it is mined", _spike),
    Case("reorg", "the block with its receipt is replaced, the transaction gone", _reorg),
    Case(
        "already_known",
        'the node takes it and says "already known"',
        _at_send(lambda: proxy.error("already known", forward=True)),
    ),
    Case("kill_9", "the process is killed after the node took it, and started again", _killed),
    Case("two_workers", "two processes with one key", _nothing, workers=2),
)
