"""Gauges and boosters of the fair, each on a stage that is put back after the test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import entry_points

from fair_kit import FairStage, put_back

from keeper.abi import Fn
from keeper.domain.money import Address, Token
from keeper.domain.observation import Observation
from keeper.domain.plan import Leg, Share
from keeper.domain.position import Market, Position
from keeper.domain.transaction import Simulation
from keeper.ports import ProtocolAdapter

__all__ = ["Scene", "ask", "do", "found", "later", "put_back", "scene"]


@dataclass
class Scene:
    """A stall's position, seen by its adapter."""

    stage: FairStage
    adapter: ProtocolAdapter
    position: Position
    market: Market

    @property
    def rewards(self) -> tuple[Token, ...]:
        return self.market.reward_tokens

    def look(self) -> Observation:
        block = self.stage.head()
        answers = self.stage.chain.read(self.adapter.reads(self.position, self.market), block)
        return self.adapter.observe(self.position, self.market, answers, block)

    def claim(self) -> Sequence[Leg]:
        return self.adapter.harvest(self.position, self.market, self.look())

    def simulate(self, legs: Sequence[Leg]) -> Simulation:
        calls = self.stage.calls(legs, {})
        return self.stage.chain.simulate(self.position.owner, calls, [t.address for t in self.rewards])

    def paid(self, legs: Sequence[Leg]) -> list[int]:
        """Run legs for the owner; what came in of each reward."""
        owner = self.position.owner
        before = [self.stage.balance(t, owner) for t in self.rewards]
        self.stage.run(owner, legs, {})
        return [self.stage.balance(t, owner) - b for t, b in zip(self.rewards, before, strict=True)]

    def stake(self, amount: int) -> list[int]:
        """Deposit more; what came in of each reward."""
        token, owner = self.market.stake_token, self.position.owner
        self.stage.deal(token, owner, amount)
        before = [self.stage.balance(t, owner) for t in self.rewards]
        legs = self.adapter.deposit(self.position, self.market, Share(token), self.look())
        self.stage.run(owner, legs, {token.address: amount})
        return [self.stage.balance(t, owner) - b for t, b in zip(self.rewards, before, strict=True)]

    def admin(self, signature: str, *args, to: Address | None = None) -> None:
        """Call the position's contract (or another) as the family's own account."""
        from keeper.devnet.fair.yard import Yard

        family = next(
            f for f, g in self.stage.fair.grounds.items() if f and self.position.target in g.addresses.values()
        )
        account = Yard(self.stage.node, family, self.stage.fair.ground.addresses).account
        do(self.stage, account, to or self.position.target, signature, *args)


def scene(stage: FairStage, name: str, **changes) -> Scene:
    position = replace(stage.stall(name).position, **changes)
    adapter = entry_points(group="keeper.protocols")[position.protocol].load()()
    return Scene(stage, adapter, position, stage.talk(adapter.resolve(position)))


def found(scene: Scene, owner: Address | None = None):
    """What discover finds for the owner in the stall's place."""
    place = scene.stage.stall(scene.position.id).place
    return scene.stage.talk(scene.adapter.discover(scene.position.chain, place, owner or scene.position.owner))


def do(stage: FairStage, sender: Address, to: Address, signature: str, *args) -> None:
    assert stage.send(sender, to, Fn(signature).encode(*args)).status == 1, signature


def later(stage: FairStage, seconds: int) -> None:
    """Let one block come so much later; here everything counts seconds."""
    stage.warp_to(stage.head().timestamp + seconds)


def ask(stage: FairStage, to: Address, signature: str, returns: str, *args):
    fn = Fn(signature, returns)
    (answer,) = stage.read([fn.read(to, *args, result_bytes=256, gas=500_000)])
    return fn.value(answer)
