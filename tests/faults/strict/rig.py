"""keeper's sending half on a strict node: real chain client, journal, policy, key and submitter; one clock by hand.

An intent is one increment of the arena's counter, so the contract itself says how often it happened.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from keeper.abi import Fn
from keeper.chain.client import open_chain
from keeper.devnet.accounts import FARMER
from keeper.domain.block import BlockRef
from keeper.domain.events import Event
from keeper.domain.facts import ChainFacts
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.journal import Track
from keeper.domain.money import Address, Token, UsdWad
from keeper.domain.plan import Call, Leg, LegKind, Plan
from keeper.domain.valuation import TokenPrice, Valuation
from keeper.engine.context import ChainContext, Limits, Plugins, PriceRules
from keeper.engine.flight import Flight
from keeper.engine.work import Job, Work
from keeper.errors import KeeperError
from keeper.ports import Permission
from keeper.signers import policy
from keeper.signers.local import LocalKey
from keeper.store import open_store
from keeper.submitters.fan import Fan
from keeper.submitters.public import PublicSubmitter
from keeper.tx.fees import first_bid
from tests.faults.arena import counter

GWEI = 10**9
USD = 10**18
OWNER = FARMER.address
COUNTER = Address(counter.ADDRESS)
BUMP = Fn("bump(uint256)")
NATIVE = Token("strict", Address("0x" + "ee" * 20), "ETH", 18)


class Clock:
    """Time that passes when somebody says so."""

    def __init__(self) -> None:
        self.at = 1_000.0

    def now(self) -> int:
        """Unix seconds."""
        return 1_800_000_000 + int(self.at)

    def monotonic(self) -> float:
        """Seconds."""
        return self.at

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.at += seconds


@dataclass
class Heard:
    """Keeps every event."""

    events: list[Event] = field(default_factory=list)

    def emit(self, event: Event) -> None:
        """Take one."""
        self.events.append(event)

    def named(self, name: str) -> list[Mapping[str, Any]]:
        """Fields of the events with this name."""
        return [event.fields for event in self.events if event.name.value == name]


class Rig:
    """A flight on a node. Use as a context manager."""

    def __init__(
        self, node: Any, folder: Path, *, legs: int = 64, max_in_flight: int = 16, chain_id: int = 31337
    ) -> None:
        """Open everything; nothing is sent."""
        self.node, self.clock, self.heard = node, Clock(), Heard()
        facts = ChainFacts(
            "strict",
            chain_id,
            "ETH",
            NATIVE.address,
            12_000,
            "eip1559",
            1,
            3 * GWEI,
            "none",
            2,
            None,
            finality_blocks=8,
        )
        self.chain = open_chain(facts, [node.url], events=self.heard)
        self.store = open_store(folder / "keeper.db", now=self.clock.now)
        limits = Limits(UsdWad(50 * USD), UsdWad(5_000 * USD), 500 * GWEI)
        permission = Permission(COUNTER, BUMP.encode(0)[:4], 1, (), "bump")
        rules = policy.Policy(
            frozenset({chain_id}),
            MappingProxyType({"counter": (permission,)}),
            policy.Limits(limits.per_tx_usd, limits.per_day_usd, limits.max_gas_price_wei, UsdWad(5 * USD)),
        )
        signer = policy.GuardedSigner(
            LocalKey(bytes.fromhex(FARMER.private_key[2:])),
            rules,
            lambda: self.store.spent_usd("strict", OWNER, 0),
            self.heard,
            next_nonce=lambda chain: self.store.next_nonce(chain, OWNER),
        )
        self.context = ChainContext(
            chain=self.chain,
            plugins=Plugins({}, {}, {}, {}),
            positions=(),
            price_specs={},
            price_rules=PriceRules(),
            limits=limits,
            store=self.store,
            clock=self.clock,
            events=self.heard,
            signers={"farmer": signer},
            submitter=PublicSubmitter(self.chain.batch_senders, Fan(sleep=lambda _: None)),
            prices_seen={"native": 3_000 * USD},
            max_in_flight=max_in_flight,
        )
        self.flight = Flight(self.context, OWNER)
        self.work = self._work(legs)
        self._ids = itertools.count()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.chain.close()
        self.store.close()

    def _work(self, legs: int) -> Work:
        head = self.chain.head()
        price = TokenPrice(NATIVE, UsdWad(3_000 * USD), UsdWad(3_000 * USD), ())
        each = tuple(Leg(LegKind.CLAIM, f"bump {n}", COUNTER, BUMP.encode(n)) for n in range(legs))
        plan = Plan("c" * 32, "counter", "strict", OWNER, each, (), NATIVE)
        harvest = Harvest(
            "h1", "counter", "strict", OWNER, HarvestState.OPEN, plan.id, head.number, head.timestamp,
            UsdWad(USD), UsdWad(0), 50_000 * legs,
        )  # fmt: skip
        self.store.open_harvest(harvest, plan)
        return Work(harvest, plan, "farmer", Valuation(head, (), price), None)

    def launch(self, count: int, *, fee: int | None = None) -> list[KeeperError | None]:
        """Sign and send so many increments, each with its own id."""
        fees, head = self.chain.fees(), self.chain.head()
        jobs = [self._job(next(self._ids), fees, head, fee) for _ in range(count)]
        return self.flight.launch(jobs)

    def _job(self, number: int, fees: Any, head: BlockRef, fee: int | None) -> Job:
        call = Call(LegKind.CLAIM, f"bump {number}", COUNTER, BUMP.encode(number))
        simulation = self.chain.simulate(OWNER, [call], [], head)
        bid = first_bid(fees, budget_wei=fee, ceiling_wei=self.context.limits.max_gas_price_wei)
        return Job(self.work, number, 0, call, simulation, bid)

    def pass_blocks(self, count: int = 1, *, seconds: float = 12.0) -> None:
        """Make blocks, and look after each."""
        for _ in range(count):
            self.node.mine()
            self.clock.sleep(seconds)
            self.flight.look()

    def counts(self, ids: int) -> list[int]:
        """How often each increment happened."""
        return [self._count(number) for number in range(ids)]

    def _count(self, number: int) -> int:
        data = "0x" + counter.COUNT.encode(number).hex()
        return int(self.node.rpc("eth_call", {"to": COUNTER, "data": data}, "latest"), 16)

    def tracks(self) -> list[Track]:
        """Everything on record, in order."""
        return self.store.tracks_of("h1")

    def states(self) -> list[str]:
        """Where the intents stand."""
        return [track.intent.state.value for track in self.tracks()]

    def nonces(self) -> tuple[int, int]:
        """Mined and pending count, by the node."""
        tags = ("latest", "pending")
        latest, pending = (int(self.node.rpc("eth_getTransactionCount", OWNER, tag), 16) for tag in tags)
        return latest, pending
