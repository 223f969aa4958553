"""The lending and savings families of the fair on one node, put back after each test."""

from __future__ import annotations

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
from keeper.domain.transaction import Simulation
from keeper.ports import ProtocolAdapter

FAMILIES = ("aave", "comet", "compound", "lockstake", "savings")


class Silent:
    def emit(self, event: Event) -> None:
        pass


class FairStage(Stage):
    """A stage at the fair."""

    def __init__(self, fair: Fair) -> None:
        super().__init__(fair.node, open_chain(fair.ground.facts, [fair.node.url], events=Silent()))
        self.fair = fair

    def address(self, family: str, name: str) -> Address:
        return self.fair.grounds[family][name]

    def scene(self, name: str, **changes) -> Scene:
        """The stall's position, by its id."""
        position = next(s.position for s in self.fair.stalls if s.position.id == name)
        return self.at(replace(position, **changes))

    def at(self, position: Position) -> Scene:
        adapter = entry_points(group="keeper.protocols")[position.protocol].load()()
        return Scene(self, adapter, position, self.talk(adapter.resolve(position)))

    def do(self, sender: Address, to: Address, signature: str, *args) -> None:
        """Call a function as anybody; it must succeed."""
        assert self.send(sender, to, Fn(signature).encode(*args)).status == 1, signature

    def ask(self, to: Address, signature: str, returns: str, *args):
        (result,) = self.read([Fn(signature, returns).read(to, *args, result_bytes=640, gas=400_000)])
        return Fn(signature, returns).value(result)

    def pass_time(self, blocks: int) -> None:
        """Let blocks of the fair's length pass, quickly."""
        self.node.rpc("anvil_mine", hex(blocks), hex(self.interval))


@dataclass
class Scene:
    stage: FairStage
    adapter: ProtocolAdapter
    position: Position
    market: Market

    @property
    def reward(self):
        return self.market.reward_tokens[0]

    def look(self) -> Observation:
        block = self.stage.head()
        reads = self.adapter.reads(self.position, self.market)
        answers = self.stage.chain.read(reads, block)
        assert all(len(answer.data) <= read.result_bytes for read, answer in zip(reads, answers, strict=True))
        return self.adapter.observe(self.position, self.market, answers, block)

    def claim(self) -> list[Leg]:
        return list(self.adapter.harvest(self.position, self.market, self.look()))

    def deposit(self) -> list[Leg]:
        return list(self.adapter.deposit(self.position, self.market, Share(self.market.stake_token), self.look()))

    def simulate(self, legs: list[Leg], have: dict[str, int] | None = None) -> Simulation:
        calls = self.stage.calls(legs, have or {})
        watched = [t.address for t in (*self.market.held, *self.market.stake_parts)]
        return self.stage.chain.simulate(self.position.owner, calls, watched)

    def give(self, amount: int) -> dict[str, int]:
        """Put so much of the stake token into the wallet."""
        token = self.market.stake_token
        self.stage.deal(token, self.position.owner, amount)
        return {token.address: amount}
