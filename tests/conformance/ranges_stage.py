"""The fair's families of concentrated liquidity, every test on a snapshot of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from adapter_kit import fill
from chain_stage import Stage

from keeper.abi import Fn
from keeper.chain.client import open_chain
from keeper.devnet.fair.open import Fair
from keeper.devnet.fair.yard import Yard
from keeper.domain.events import Event
from keeper.domain.money import Token
from keeper.domain.observation import Observation
from keeper.domain.plan import Leg, Share
from keeper.domain.position import Market, Position
from keeper.domain.transaction import Receipt
from keeper.ports import ProtocolAdapter

#: sqrtPriceX96, tick.
SLOT0 = Fn("slot0()", "uint160,int24")


class Silent:
    def emit(self, event: Event) -> None:
        pass


@contextmanager
def stage_of(fair: Fair) -> Iterator[Stage]:
    """A stage whose changes are undone."""
    snapshot = fair.node.rpc("evm_snapshot")
    chain = open_chain(fair.ground.facts, [fair.node.url], events=Silent())
    try:
        yield Stage(fair.node, chain)
    finally:
        chain.close()
        fair.node.rpc("evm_revert", snapshot)


def hands(fair: Fair, family: str) -> Yard:
    """The family's own account again, and everybody's, to act with."""
    return Yard(fair.node, family, fair.ground.addresses)


@dataclass
class Act:
    """One position of the fair, with its adapter."""

    stage: Stage
    adapter: ProtocolAdapter
    position: Position
    market: Market

    @classmethod
    def of(cls, stage: Stage, fair: Fair, adapter: ProtocolAdapter, name: str) -> Act:
        position = next(s.position for s in fair.stalls if s.position.id == name)
        return cls(stage, adapter, position, stage.talk(adapter.resolve(position)))

    def as_(self, who: str) -> Act:
        return replace(self, position=replace(self.position, owner=who))

    def look(self) -> Observation:
        block = self.stage.head()
        reads = self.adapter.reads(self.position, self.market)
        return self.adapter.observe(self.position, self.market, self.stage.chain.read(reads, block), block)

    def claim(self) -> tuple[Leg, ...]:
        return tuple(self.adapter.harvest(self.position, self.market, self.look()))

    def deposit(self) -> tuple[Leg, ...]:
        stake = Share(self.market.stake_token)
        return tuple(self.adapter.deposit(self.position, self.market, stake, self.look()))

    def simulate(self, legs, have: Mapping[str, int] | None = None):
        calls = [fill(leg, dict(have or {}), self.stage.head().timestamp) for leg in legs]
        return self.stage.chain.simulate(self.position.owner, calls, [t.address for t in self.tokens])

    @property
    def tokens(self) -> tuple[Token, ...]:
        return self.market.held

    def run(self, legs, have: Mapping[str, int] | None = None) -> list[Receipt]:
        return self.stage.run(self.position.owner, legs, dict(have or {}))

    def held(self) -> dict[str, int]:
        return {t.address: self.stage.balance(t, self.position.owner) for t in self.tokens}
