"""Random schedules: several faults at once, all from one seed, each with a beginning and an end."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import keeper.engine
from tests.faults import proxy as px
from tests.faults import world
from tests.faults.proxy import Action, Rule
from tests.faults.stage import Knobs, Stage

#: Seconds in which faults begin, and after which all are over.
SPAN: Final = 1.6
END: Final = 2.4

READS: Final = (
    "eth_call",
    "eth_getBlockByNumber",
    "eth_getTransactionCount",
    "eth_getTransactionReceipt",
    "eth_feeHistory",
    "eth_simulateV1",
    "eth_getBalance",
    "eth_chainId",
    "eth_blockNumber",
)
_RECEIPT: Final = "eth_getTransactionReceipt"
_COUNT: Final = "eth_getTransactionCount"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault with its time."""

    name: str
    at: float
    seconds: float
    values: tuple[Any, ...] = ()
    #: Endpoints that have it; empty for all.
    endpoints: tuple[int, ...] = ()

    def __str__(self) -> str:
        values = " ".join(str(value) for value in self.values)
        where = f" on {'+'.join('abc'[i] for i in self.endpoints)}" if self.endpoints else ""
        return f"{self.at:.2f}s +{self.seconds:.2f}s {self.name} {values}{where}".rstrip()


@dataclass(frozen=True, slots=True)
class Schedule:
    """What happens in one run."""

    seed: int
    knobs: Knobs
    faults: tuple[Fault, ...]
    #: ``KEEPER_KILL`` of the first start.
    kill: str | None = None
    #: Whether time runs from the start of the process, and not only from when it is up.
    early: bool = False
    #: Name of a case that no seed drew.
    name: str = ""

    @property
    def repeat(self) -> str:
        """The command that does it again."""
        return f"make faults CASE={self.name}" if self.name else f"make faults N=1 SEED={self.seed}"

    def __str__(self) -> str:
        knobs = self.knobs
        head = (
            f"{self.name or f'seed {self.seed}'}: {knobs.endpoints} endpoint(s), {knobs.max_in_flight} in flight, "
            f"{knobs.confirmations} confirmations, {'geth' if knobs.geth else 'anvil'} pool, kill at {self.kill}"
        )
        return "\n".join([head, *(f"    {fault}" for fault in self.faults)])


@lru_cache(maxsize=1)
def kill_points() -> tuple[str, ...]:
    """Names of the checkpoints in the engine, as its source has them."""
    found: dict[str, None] = {}
    for folder in (Path(keeper.engine.__file__).parent, Path(keeper.engine.__file__).parents[1] / "tx"):
        for source in sorted(folder.glob("*.py")):
            found |= dict.fromkeys(re.findall(r'checkpoint\("([a-z_]+)"\)', source.read_text()))
    return tuple(found)


# ---------------------------------------------------------------------- the catalogue

Values = Callable[[random.Random], tuple[Any, ...]]
Begin = Callable[[Stage, Fault], Callable[[], None] | None]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: what it needs drawn, and how it begins; what ``begin`` returns ends it."""

    begin: Begin
    values: Values = field(default=lambda _rng: ())
    weight: int = 2
    #: A lie is told by one endpoint of two only, or of none.
    lie: bool = False
    #: Longest, in seconds.
    longest: float = 0.8


def _rules(make: Callable[[Stage, Fault], list[Rule]]) -> Begin:
    def begin(stage: Stage, fault: Fault) -> Callable[[], None]:
        undo: list[Callable[[], None]] = []
        for index, proxy in enumerate(stage.proxies):
            if not fault.endpoints or index in fault.endpoints:
                rules = make(stage, fault)
                proxy.add(*rules)
                undo.append(lambda proxy=proxy, rules=rules: proxy.remove(*rules))
        return lambda: [each() for each in undo] and None

    return begin


def _on_send(action: Callable[..., Action]) -> Begin:
    return _rules(lambda _stage, fault: [Rule(action(*fault.values[1:]), count=fault.values[0])])


def _on_any(action: Callable[..., Action]) -> Begin:
    return _rules(lambda _stage, fault: [Rule(action(*fault.values[1:]), (), probability=fault.values[0])])


def _some(rng: random.Random) -> tuple[Any, ...]:
    return (rng.randint(1, 4),)


def _often(rng: random.Random) -> tuple[Any, ...]:
    return (round(rng.uniform(0.1, 0.6), 2),)


_WORDS: Final = (
    "already known",
    "nonce too low: next nonce 7, tx nonce 6",
    "replacement transaction underpriced",
    "txpool is full",
    "insufficient funds for gas * price + value: balance 0, tx cost 1, overshot 1",
    "transaction gas price below minimum: gas tip cap 1500000000, minimum needed 25000000000",
    "internal error",
    "intrinsic gas too low",
    "exceeds block gas limit",
)


def _frozen(stage: Stage, fault: Fault) -> list[Rule]:
    return [Rule(px.frozen_head(max(stage.height - fault.values[0], stage.genesis)), (*READS, "eth_getCode"))]


def _absurd(_stage: Stage, fault: Fault) -> list[Rule]:
    what = fault.values[0]

    def change(value: Any) -> Any:
        if what == "null":
            return None
        out = dict(value)
        if what == "tip":
            out["reward"] = [[hex(10**15)] * len(row) for row in value.get("reward") or [[]]]
        elif what == "zero":
            out["reward"] = [["0x0"] * len(row) for row in value.get("reward") or [[]]]
        elif what == "base":
            out["baseFeePerGas"] = [hex(10**15) for _ in value["baseFeePerGas"]]
        return out

    tip = {"tip": hex(10**15), "zero": "0x0", "null": None, "base": "0x1"}[what]
    return [
        Rule(px.altered(change, f"absurd_{what}"), ("eth_feeHistory",)),
        Rule(px.result(tip), ("eth_maxPriorityFeePerGas", "eth_gasPrice")),
    ]


def _pending_for_ever(_stage: Stage, _fault: Fault) -> list[Rule]:
    def unmined(value: Any) -> Any:
        blank = {"blockHash": None, "blockNumber": None, "transactionIndex": None}
        return value | blank if isinstance(value, dict) else value

    return [Rule(px.result(None), (_RECEIPT,)), Rule(px.altered(unmined), ("eth_getTransactionByHash",))]


def _invented(stage: Stage, _fault: Fault) -> list[Rule]:
    def alter(_method: str, params: list[Any], reply: px.Item) -> px.Item:
        if reply.get("result") is not None:
            return reply
        head = stage.node.rpc("eth_getBlockByNumber", "latest", False)
        return reply | {"result": px.invented_receipt(params, int(head["number"], 16), head["hash"])}

    return [Rule(Action("invented_receipt", alter=alter), (_RECEIPT,))]


def _spike(stage: Stage, fault: Fault) -> Callable[[], None]:
    stage.base_fee = world.BASE_FEE * fault.values[0]

    def end() -> None:
        stage.base_fee = world.BASE_FEE

    return end


def _poor(stage: Stage, fault: Fault) -> Callable[[], None]:
    stage.set_balance(fault.values[0])
    return lambda: stage.set_balance(5 * 10**18)


def _frozen_node(stage: Stage, fault: Fault) -> Callable[[], None]:
    stage.freeze_node()
    # A thread of its own: whoever makes the next fault may have to ask this node.
    timer = threading.Timer(fault.seconds, stage.thaw_node)
    timer.daemon = True
    timer.start()
    return stage.thaw_node


def _no_blocks(stage: Stage, _fault: Fault) -> Callable[[], None]:
    stage.stop_blocks()
    return stage.go_on


def _thief(stage: Stage, fault: Fault) -> None:
    """A person takes the nonce that keeper's next transaction has or would have."""
    mined = int(stage.node.rpc("eth_getTransactionCount", px_owner(), "latest"), 16)
    stage.foreign_transaction(mined + fault.values[0], gwei=fault.values[1])


def px_owner() -> str:
    """The account."""
    from keeper.devnet.accounts import FARMER

    return FARMER.address


def _once(act: Callable[[Stage, Fault], Any]) -> Begin:
    def begin(stage: Stage, fault: Fault) -> None:
        act(stage, fault)

    return begin


def _chain_id(stage: Stage, _fault: Fault) -> list[Rule]:
    return [Rule(px.result(hex(1)), ("eth_chainId",))]


KINDS: Final[dict[str, Kind]] = {
    "accept_then_hang": Kind(_on_send(px.accept_then_hang), _some, 4),
    "accept_then_close": Kind(_on_send(px.accept_then_close), _some, 4),
    "send_502": Kind(_on_send(px.status), lambda r: (r.randint(1, 3), r.choice([502, 504])), 3),
    "blackhole_ok": Kind(_on_send(px.blackhole_ok), _some, 4),
    "send_hang": Kind(_on_send(px.hang), _some),
    "send_broken": Kind(
        _on_send(px.broken), lambda r: (r.randint(1, 3), r.choice(["truncate", "garbage", "empty", "html"])), 3
    ),
    "send_wrong_id": Kind(_on_send(px.wrong_id), _some),
    "send_missing_result": Kind(_on_send(px.missing_result), _some),
    "send_error": Kind(_on_send(px.error), lambda r: (r.randint(1, 3), r.choice(_WORDS)), 4),
    "send_error_yet_taken": Kind(
        _rules(lambda _s, f: [Rule(px.error(f.values[1], forward=True), count=f.values[0])]),
        lambda r: (r.randint(1, 3), r.choice([*_WORDS[:2], "internal error", "timeout"])),
        3,
    ),
    "any_502": Kind(_on_any(px.status), lambda r: (*_often(r), 502)),
    "any_close": Kind(_on_any(px.close), _often),
    "any_broken": Kind(_on_any(px.broken), lambda r: (*_often(r), r.choice(["truncate", "garbage", "empty", "html"]))),
    "any_delay": Kind(_on_any(px.delay), lambda r: (*_often(r), round(r.uniform(0.02, 0.2), 2))),
    "any_429": Kind(
        _rules(lambda _s, f: [Rule(px.status(429, forward=False, retry_after=1), (), probability=f.values[0])]), _often
    ),
    "any_32005": Kind(
        _rules(lambda _s, f: [Rule(px.error("limit exceeded", -32005), (), probability=f.values[0])]), _often
    ),
    "wrong_id": Kind(_on_any(px.wrong_id), _often, 1),
    "missing_result": Kind(_on_any(px.missing_result), _often, 1),
    "null_receipts": Kind(_rules(lambda _s, _f: [Rule(px.result(None), (_RECEIPT,))]), weight=4, longest=1.2),
    "indexing": Kind(
        _rules(lambda _s, _f: [Rule(px.error("transaction indexing is in progress"), (_RECEIPT,))]), weight=2
    ),
    "stale_nonce": Kind(
        _rules(lambda _s, f: [Rule(px.stale_nonce(f.values[0]), (_COUNT,))]), lambda r: (r.randint(1, 3),), 3
    ),
    "ghost_nonce": Kind(
        _rules(
            lambda _s, f: [
                Rule(px.ghost_nonce(f.values[0]), (_COUNT,), when=lambda _m, p: len(p) > 1 and p[1] == "pending")
            ]
        ),
        lambda r: (r.randint(1, 3),),
        2,
    ),
    "frozen_head": Kind(_rules(_frozen), lambda r: (r.randint(0, 3),), 3),
    "pending_for_ever": Kind(_rules(_pending_for_ever), weight=2),
    "absurd_fees": Kind(_rules(_absurd), lambda r: (r.choice(["tip", "zero", "null", "base"]),)),
    "no_method": Kind(
        _rules(lambda _s, f: [Rule(px.error("the method does not exist/is not available", -32601), (f.values[0],))]),
        lambda r: (r.choice(["eth_simulateV1", "eth_maxPriorityFeePerGas", "eth_feeHistory"]),),
    ),
    "wrong_chain": Kind(_rules(_chain_id), weight=1),
    # Lies: of one endpoint among two.
    "lie_status": Kind(
        _rules(lambda _s, _f: [Rule(px.lying_receipt(px.flipped_status, "flipped_status"), (_RECEIPT,))]), lie=True
    ),
    "lie_block": Kind(
        _rules(lambda _s, _f: [Rule(px.lying_receipt(px.other_block, "other_block"), (_RECEIPT,))]), lie=True
    ),
    "lie_logs": Kind(
        _rules(lambda _s, _f: [Rule(px.lying_receipt(px.scaled_logs, "scaled_logs"), (_RECEIPT,))]), lie=True
    ),
    "lie_receipt": Kind(_rules(_invented), lie=True),
    "lie_call": Kind(
        _rules(lambda _s, f: [Rule(px.altered(px.scaled_words(*f.values), "scaled_words"), ("eth_call",))]),
        lambda r: r.choice([(10, 1), (1, 10), (3, 2)]),
        lie=True,
    ),
    "lie_simulation": Kind(
        _rules(lambda _s, f: [Rule(px.altered(px.scaled_simulation(*f.values), "scaled_sim"), ("eth_simulateV1",))]),
        lambda r: r.choice([(10, 1), (1, 10), (3, 2)]),
        lie=True,
    ),
    "lie_nonce": Kind(
        _rules(lambda _s, f: [Rule(px.ghost_nonce(f.values[0]), (_COUNT,))]), lambda r: (r.randint(1, 5),), lie=True
    ),
    # Chain and node.
    "reorg": Kind(_once(lambda s, f: s.reorg(f.values[0])), lambda r: (r.randint(1, 6),), 8),
    "rollback": Kind(_once(lambda s, f: s.rollback(f.values[0])), lambda r: (r.randint(1, 4),), 2),
    "drop_all": Kind(_once(lambda s, _f: s.drop_all()), weight=3),
    "drop_one": Kind(_once(lambda s, _f: s.drop_one()), weight=3),
    "base_fee_spike": Kind(_spike, lambda r: (r.choice([2, 5, 20, 50, 100]),), 5, longest=1.4),
    "balance": Kind(_poor, lambda r: (r.choice([0, 10**13, 2 * 10**14]),), 3),
    "node_stands_still": Kind(_frozen_node, weight=2, longest=0.7),
    "no_blocks": Kind(_no_blocks, weight=3, longest=1.0),
    "foreign": Kind(_once(lambda s, _f: s.foreign_transaction()), weight=3),
    "foreign_nonce": Kind(_once(_thief), lambda r: (r.choice([0, 0, 1, 2]), r.choice([3, 30])), 4),
    # Process.
    "sigkill": Kind(_once(lambda s, _f: s.kill_keeper()), weight=8),
    "second_daemon": Kind(_once(lambda s, _f: s.start_rival()), weight=3),
}

_CHAINWIDE: Final = frozenset(list(KINDS)[list(KINDS).index("reorg") :])


def schedule(seed: int) -> Schedule:
    """Draw a schedule: the same for the same seed, whatever else is drawn."""
    rng = random.Random(seed)
    endpoints = rng.choice([1, 2, 2])
    knobs = Knobs(
        endpoints=endpoints,
        max_in_flight=rng.choice([1, 4]),
        confirmations=rng.choice([1, 2, 3]),
        geth=rng.random() < 0.4,
    )
    names, weights = zip(
        *((name, kind.weight) for name, kind in KINDS.items() if endpoints > 1 or not kind.lie), strict=True
    )
    faults = []
    for name in rng.choices(names, weights, k=rng.randint(2, 6)):
        kind = KINDS[name]
        at, seconds = round(rng.uniform(0, SPAN), 2), round(rng.uniform(0.1, kind.longest), 2)
        where: tuple[int, ...] = ()
        if endpoints > 1 and name not in _CHAINWIDE and (kind.lie or rng.random() < 0.5):
            where = (0,) if kind.lie else (rng.randrange(endpoints),)
        faults.append(Fault(name, at, min(seconds, END - at), kind.values(rng), where))
    liar = rng.randrange(endpoints)
    faults = [replace(f, endpoints=(liar,)) if KINDS[f.name].lie else f for f in faults]
    kill = f"{rng.choice(kill_points())}:{rng.randint(1, 4)}" if rng.random() < 0.35 else None
    return Schedule(seed, knobs, tuple(sorted(faults, key=lambda fault: fault.at)), kill, rng.random() < 0.2)


#: What is tried together with every kill point: a fault of each sort.
_BESIDE_KILLS: Final[dict[str, tuple[float, tuple[Any, ...]]]] = {
    "accept_then_close": (END, (3,)),
    "accept_then_hang": (END, (2,)),
    "blackhole_ok": (END, (3,)),
    "send_error": (END, (2, "nonce too low: next nonce 7, tx nonce 6")),
    "send_broken": (END, (3, "truncate")),
    "null_receipts": (1.2, ()),
    "stale_nonce": (0.8, (2,)),
    "reorg": (0.1, (3,)),
    "base_fee_spike": (1.2, (5,)),
    "drop_all": (0.1, ()),
    "foreign_nonce": (0.1, (0, 30)),
}


def cases() -> dict[str, Schedule]:
    """Every kill point beside a fault of each sort, by name."""
    found = {}
    for number, point in enumerate(kill_points()):
        for name, (seconds, values) in _BESIDE_KILLS.items():
            at = 0.7 if name in _CHAINWIDE else 0.0
            knobs = Knobs(max_in_flight=4 if number % 2 else 1, geth=len(name) % 2 == 0)
            title = f"{point}+{name}"
            fault = Fault(name, at, seconds, values)
            found[title] = Schedule(number, knobs, (fault,), f"{point}:2", name=title)
    return found


def play(stage: Stage, plan: Schedule) -> None:
    """Start keeper, make the faults in time, and end them all."""
    stage.start_keeper(kill=plan.kill)
    if not plan.early:
        stage.until(lambda: bool(stage.ended) or stage.up(stage.keeper), 20)
    begun = time.monotonic()
    events: list[tuple[float, int, Callable[[], None]]] = []
    ends: dict[int, Callable[[], None]] = {}

    def begin(index: int, fault: Fault) -> None:
        undo = KINDS[fault.name].begin(stage, fault)
        if undo is not None:
            ends[index] = undo

    for index, fault in enumerate(plan.faults):
        events.append((fault.at, index, lambda index=index, fault=fault: begin(index, fault)))
        events.append((fault.at + fault.seconds, index, lambda index=index: ends.pop(index, lambda: None)()))
    try:
        for at, _, act in sorted(events, key=lambda event: event[:2]):
            stage.let(max(at - (time.monotonic() - begun), 0))
            act()
    finally:
        for undo in ends.values():
            undo()
    if any(fault.name == "balance" for fault in plan.faults):
        stage.set_balance(5 * 10**18)  # a reorg may have brought back the blocks in which the wallet was empty
    for proxy in stage.proxies:
        proxy.clear()
