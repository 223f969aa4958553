"""Thousands of positions of all families: the fair's stalls over and over under new ids, looked at by keeper's engine.

The config refuses the same stake twice, so keeper resolves each stall once, as it does at a start; the copies that
follow differ in their id alone. Every copy is read, decoded, valued, decided about and kept by itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "conformance"))

from fair_kit import NODE_OPTIONS, position_block, write_fair_config

from keeper.abi import Fn, decode
from keeper.app import App, Mode, open_app
from keeper.chain.anvil import LocalNode
from keeper.config.loader import load
from keeper.config.plugins import installed_catalogue
from keeper.devnet.accounts import WHALE
from keeper.devnet.fair.open import Fair, open_fair
from keeper.domain.events import Event
from keeper.domain.reads import Read
from keeper.engine.book import Book
from keeper.engine.clock import SystemClock
from keeper.engine.context import ChainContext

#: Gas of one request: viem asks thousands of views at once.
_GAS = ("--gas-limit", "3000000000")


class Silent:
    """Takes every event and keeps none, but counts them."""

    def __init__(self) -> None:
        self.count = 0

    def emit(self, event: Event) -> None:
        self.count += 1


class ChainTime(SystemClock):
    """The machine's clock, but telling the time at which the chain was opened, and what has passed since."""

    def __init__(self, node_time: int) -> None:
        super().__init__()
        self._ahead = node_time - SystemClock().now()

    def now(self) -> int:
        return super().now() + self._ahead


@dataclass(frozen=True)
class Fairground:
    """The open fair and a config for it, in a folder of its own."""

    fair: Fair
    config: Path

    @property
    def node(self) -> LocalNode:
        return self.fair.node

    @property
    def time(self) -> int:
        """Timestamp of the newest block."""
        return int(self.node.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)


@contextmanager
def fairground(folder: Path) -> Iterator[Fairground]:
    """Open the fair on a node, and write its config below ``folder``."""
    from keeper.devnet.install import anvil_binary

    options = tuple(option for option in NODE_OPTIONS if option not in {"--gas-limit", "60000000"})
    with LocalNode.start(binary=anvil_binary(), extra=(*options, *_GAS)) as node:
        fair = open_fair(node)
        node.rpc("anvil_mine", "0x5")
        stage: Any = _Stage(fair, node)
        yield Fairground(fair, write_fair_config(stage, folder, fair.stalls))


@dataclass(frozen=True)
class _Stage:
    fair: Fair
    node: LocalNode


def hundred(ground: Fairground, folder: Path) -> Path:
    """Write a config of a hundred positions: all of the farmer's, and the whale's that are watched beside them."""
    stage: Any = _Stage(ground.fair, ground.node)
    path = write_fair_config(stage, folder, ground.fair.stalls)
    taken = len(ground.fair.stalls)
    watched = [
        position_block(replace(stall.position, id=f"watched-{stall.position.id}")).replace(
            'signer = "farm"', f'owner = "{WHALE.address}"'
        )
        for stall in ground.fair.stalls
        if "token_id" not in stall.position.params
    ]
    with path.open("a") as file:
        file.write("\n" + "\n".join(watched[: 100 - taken]))
    return path


@dataclass(frozen=True)
class Crowd:
    """Many positions, resolved, on an app of their own."""

    app: App
    context: ChainContext
    book: Book

    def close(self) -> None:
        self.app.close()


def open_crowd(
    config: Path, time: int, count: int, journal: Path, *, rpc: str | None = None, watched: bool = False
) -> Crowd:
    """Open an app that sends nothing, and multiply its positions.

    ``rpc``: another way to the node; ``watched``: nobody signs for them, so none of them is ever due.
    """
    loaded = load([config], env={}, catalogue=installed_catalogue(), dotenv=None)
    if rpc is not None:
        text = config.read_text()
        (before,) = loaded.settings.chains.values()
        path = config.with_name(f"{journal.stem}.toml")
        path.write_text(text.replace(str(before.rpc[0]), rpc))
        loaded = load([path], env={}, catalogue=installed_catalogue(), dotenv=None)
    app = open_app(loaded, mode=Mode.SIMULATE, events=Silent(), clock=ChainTime(time), journal=journal)
    ((name, context),) = app.contexts.items()
    book = app.book(name)
    assert not book.failures, book.failures
    some = book.holdings
    if watched:
        some = tuple(replace(h, position=replace(h.position, signer=None)) for h in some)
    holdings = tuple(
        replace(h, position=replace(h.position, id=f"{index:05d}-{h.position.id}"))
        for index in range(count)
        for h in [some[index % len(some)]]
    )
    context = replace(context, positions=tuple(h.position for h in holdings))
    return Crowd(app, context, replace(book, holdings=holdings))


@dataclass(frozen=True)
class Question:
    """One view as others ask it: a contract, a function with its types, and arguments."""

    target: str
    data: bytes
    #: ``name(type,...)`` and the types of what it returns.
    signature: str
    returns: str
    args: tuple[Any, ...]

    def told(self) -> dict[str, Any]:
        """The same for another process."""
        args = [_plain(arg) for arg in self.args]
        return {"target": self.target, "signature": self.signature, "returns": self.returns, "args": args}


@dataclass(frozen=True)
class Questions:
    """The views of one cycle."""

    #: Of each stall's position, and those that all share: exchanges, prices, pairs.
    each: tuple[tuple[Question, ...], ...]
    shared: tuple[Question, ...]

    def of(self, count: int) -> list[Question]:
        """All views of a cycle over so many positions."""
        return [q for index in range(count) for q in self.each[index % len(self.each)]] + list(self.shared)


def questions(crowd: Crowd, stalls: int) -> Questions:
    """Collect what a cycle over the first positions reads, with the function behind each view.

    Left out is what is asked as somebody and therefore alone: others do not batch that either.
    """
    from keeper.engine import observe as module

    made: dict[int, tuple[Fn, tuple[Any, ...], Read]] = {}
    by_selector: dict[bytes, Fn] = {}
    original = Fn.read

    def read(self: Fn, target: Any, *args: Any, **kwargs: Any) -> Read:
        result = original(self, target, *args, **kwargs)
        made[id(result)] = (self, args, result)
        by_selector[self.selector] = self
        return result

    def question(one: Read) -> Question:
        fn = made[id(one)][0] if id(one) in made else by_selector.get(one.data[:4], Fn("unknown()", "uint256"))
        args = decode(fn.inputs, one.data[4:]) if fn.inputs else ()
        return Question(one.target, one.data, fn.signature, ",".join(fn.outputs) or "uint256", args)

    asked: list[Read] = []

    class Listening:
        def __getattr__(self, name: str) -> Any:
            return getattr(crowd.context.chain, name)

        def read(self, reads: Any, block: Any) -> Any:
            asked.extend(reads)
            return crowd.context.chain.read(reads, block)

    Fn.read = read  # type: ignore[method-assign]
    try:
        few = replace(crowd.book, holdings=crowd.book.holdings[:stalls], asked=[])
        context = replace(crowd.context, chain=Listening())  # type: ignore[arg-type]
        own = [
            tuple(crowd.context.plugins.protocols[h.position.protocol].reads(h.position, h.market))
            for h in few.holdings
        ]
        module.observe(context, few, few.holdings, crowd.context.chain.head())
    finally:
        Fn.read = original  # type: ignore[method-assign]
    total = sum(map(len, own))
    each = tuple(tuple(question(r) for r in reads if r.sender is None) for reads in own)
    return Questions(each, tuple(question(r) for r in asked[total:] if r.sender is None))


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
