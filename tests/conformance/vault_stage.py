"""The vaults, drops and described farms of the fair, put back after each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import entry_points

from chain_stage import Stage

from keeper.abi import Fn
from keeper.chain.client import open_chain
from keeper.devnet.fair.open import Fair
from keeper.domain.events import Event
from keeper.domain.money import Address
from keeper.domain.observation import Observation
from keeper.domain.plan import Leg, Share
from keeper.domain.position import Market, Position
from keeper.domain.reads import Read
from keeper.domain.transaction import Simulation
from keeper.ports import ProtocolAdapter


class Silent:
    def emit(self, event: Event) -> None:
        pass


@contextmanager
def put_back(fair: Fair) -> Iterator[Ground]:
    """Undo whatever happens inside."""
    snapshot = fair.node.rpc("evm_snapshot")
    ground = Ground(fair)
    try:
        yield ground
    finally:
        ground.chain.close()
        fair.node.rpc("evm_revert", snapshot)


class Ground(Stage):
    """The fair as a stage."""

    def __init__(self, fair: Fair) -> None:
        super().__init__(fair.node, open_chain(fair.ground.facts, [fair.node.url], events=Silent()))
        self.fair = fair

    def address(self, family: str, name: str) -> Address:
        return self.fair.grounds[family][name]

    def position(self, name: str) -> Position:
        return next(s.position for s in self.fair.stalls if s.position.id == name)

    def scene(self, name: str, adapter: ProtocolAdapter | None = None, **changes) -> Scene:
        """The stall's position, by its id, with other fields where they are given."""
        position = replace(self.position(name), **changes)
        adapter = adapter or entry_points(group="keeper.protocols")[position.protocol].load()()
        return Scene(self, adapter, position, self.talk(adapter.resolve(position)))

    def do(self, sender: Address, to: Address, signature: str, *args) -> None:
        """Call a function as anybody; it must succeed."""
        assert self.send(sender, to, Fn(signature).encode(*args)).status == 1, signature

    def ask(self, to: Address, signature: str, returns: str, *args):
        (result,) = self.read([Fn(signature, returns).read(to, *args, result_bytes=640, gas=400_000)])
        return Fn(signature, returns).value(result)

    def pass_time(self, seconds: int) -> None:
        """Let time pass at once, in one block."""
        self.warp_to(self.head().timestamp + seconds)

    def topics(self, tx_hash: str) -> list[tuple[str, str]]:
        """Emitter and first topic of each event of a transaction."""
        logs = self.node.rpc("eth_getTransactionReceipt", tx_hash)["logs"]
        return [(log["address"].lower(), log["topics"][0]) for log in logs]


@dataclass
class Scene:
    stage: Ground
    adapter: ProtocolAdapter
    position: Position
    market: Market

    def look(self) -> Observation:
        block = self.stage.head()
        reads = self.adapter.reads(self.position, self.market)
        answers = self.stage.chain.read(reads, block)
        too_long = [r for r, a in zip(reads, answers, strict=True) if a.success and len(a.data) > r.result_bytes]
        assert not too_long, too_long
        return self.adapter.observe(self.position, self.market, answers, block)

    def claim(self) -> list[Leg]:
        return list(self.adapter.harvest(self.position, self.market, self.look()))

    def deposit(self) -> list[Leg]:
        return list(self.adapter.deposit(self.position, self.market, Share(self.market.stake_token), self.look()))

    def simulate(self, legs: list[Leg], have: dict[str, int] | None = None) -> Simulation:
        calls = self.stage.calls(legs, have or {})
        return self.stage.chain.simulate(self.position.owner, calls, [t.address for t in self.market.held])

    def changed(self, legs: list[Leg]) -> bool:
        """Mine the legs; whether the view that tells of a silent nothing has changed."""
        watched = [leg.changes for leg in legs if leg.changes is not None]
        before = self._answers(watched)
        self.run(legs)
        return self._answers(watched) != before

    def run(self, legs: list[Leg], have: dict[str, int] | None = None) -> list[list[tuple[str, str]]]:
        """Mine the legs, which must succeed; the events of each."""
        receipts = self.stage.run(self.position.owner, legs, have or {})
        return [self.stage.topics(receipt.tx_hash) for receipt in receipts]

    def _answers(self, reads: list[Read]) -> list[bytes]:
        return [answer.data for answer in self.stage.read(reads)]
