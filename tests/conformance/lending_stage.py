"""The lending and savings families of the fair, put back after each test, and a position of theirs to act with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import entry_points

from fair_kit import FairStage

from keeper.abi import Fn
from keeper.domain.money import Address
from keeper.domain.observation import Observation
from keeper.domain.plan import Leg, Share
from keeper.domain.position import Market, Position
from keeper.domain.transaction import Simulation
from keeper.ports import ProtocolAdapter

FAMILIES = ("aave", "comet", "compound", "lockstake", "savings")


def at(stage: FairStage, name: str) -> Address:
    """An address of these families, by its name."""
    grounds = [stage.fair.grounds[family] for family in FAMILIES]
    return next(ground[name] for ground in grounds if name in ground.addresses)


@dataclass
class Scene:
    """A position at the fair with its adapter."""

    stage: FairStage
    adapter: ProtocolAdapter
    position: Position
    market: Market

    @classmethod
    def of(cls, stage: FairStage, name: str, **changes) -> Scene:
        position = replace(stage.stall(name).position, **changes)
        adapter = entry_points(group="keeper.protocols")[position.protocol].load()()
        return cls(stage, adapter, position, stage.talk(adapter.resolve(position)))

    @property
    def reward(self):
        return self.market.reward_tokens[0]

    def at(self, name: str) -> Address:
        """An address of the stall's family, by its name."""
        return at(self.stage, name)

    def look(self) -> Observation:
        block = self.stage.head()
        answers = self.stage.chain.read(self.adapter.reads(self.position, self.market), block)
        return self.adapter.observe(self.position, self.market, answers, block)

    def claim(self) -> list[Leg]:
        return list(self.adapter.harvest(self.position, self.market, self.look()))

    def deposit(self) -> list[Leg]:
        return list(self.adapter.deposit(self.position, self.market, Share(self.market.stake_token), self.look()))

    def simulate(self, legs: list[Leg], have: dict[str, int] | None = None) -> Simulation:
        watched = [token.address for token in self.market.held]
        return self.stage.chain.simulate(self.position.owner, self.stage.calls(legs, have or {}), watched)

    def give(self, amount: int) -> dict[str, int]:
        """Put so much of the stake token into the wallet."""
        token = self.market.stake_token
        self.stage.deal(token, self.position.owner, amount)
        return {token.address: amount}


def do(stage: FairStage, sender: Address, to: Address, signature: str, *args) -> None:
    """Call a function as anybody; it must succeed."""
    assert stage.send(sender, to, Fn(signature).encode(*args)).status == 1, signature


def ask(stage: FairStage, to: Address, signature: str, returns: str, *args):
    """The first value of a static call."""
    fn = Fn(signature, returns)
    (result,) = stage.read([fn.read(to, *args, result_bytes=640, gas=400_000)])
    return fn.value(result)


def let_pass(stage: FairStage, seconds: int) -> None:
    """Let time pass: some blocks of the fair's length, and the rest of it in one."""
    stage.pass_blocks(50)
    stage.warp_to(stage.head().timestamp + seconds - 50 * stage.interval)
