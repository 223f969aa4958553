"""keeper's side of sending: the engine's own flight of one account, with its journal, policy and submitter."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Self

from chain_kit import Events

from keeper.chain.client import open_chain
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.money import Token, UsdWad
from keeper.domain.permission import ArgRule, Permission
from keeper.domain.plan import Call, Leg, LegKind, Plan
from keeper.domain.transaction import SimulatedCall, Simulation
from keeper.domain.valuation import TokenPrice, Valuation
from keeper.engine.clock import SystemClock
from keeper.engine.context import ChainContext, Limits, Plugins, PriceRules
from keeper.engine.flight import Flight
from keeper.engine.pause import PAUSE
from keeper.engine.work import Job, Work
from keeper.signers.policy import GuardedSigner, Policy
from keeper.signers.policy import Limits as Caps
from keeper.store import open_store
from keeper.submitters.opening import open_submitter
from keeper.tx.fees import Bid
from tests.bench import accounts, farm

_USD = 10**18
_CAP = UsdWad(10**6 * _USD)
_TOKEN = Token(farm.FACTS.name, farm.FARM, "FARM", 18)
_PRICE = UsdWad(2_000 * _USD)
_NATIVE = TokenPrice(Token(farm.FACTS.name, farm.FACTS.wrapped_native, "WETH", 18), _PRICE, _PRICE, ())
_ONLY_HARVESTS = Permission(farm.FARM, accounts.DEPOSIT.selector, 2, (ArgRule(1, (0,)),), "harvest")

#: Seconds between two looks that saw nothing new: the first, and the longest (as the engine's own on a 1 s chain).
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0


class Lane:
    """One account of keeper's. Use as a context manager."""

    def __init__(self, url: str, folder: Path, owner: accounts.Account, window: int) -> None:
        self.events = Events()
        self.chain = open_chain(farm.FACTS, [url], events=self.events)
        self.store = open_store(folder / "keeper.db")
        self.window = window
        self.owner = owner.address
        self._signer = self._guarded(owner)
        self.flight = Flight(self._context().sure(), owner.address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()
        self.chain.close()

    def harvests(self, count: int) -> list[Job]:
        """Make compounds of one leg each, due and simulated; nothing is journaled yet."""
        block = self.chain.head()
        valuation = Valuation(block, (), _NATIVE)
        return [self._job(pid, valuation) for pid in range(count)]

    def open(self, jobs: list[Job]) -> None:
        """Record the compounds, each in a commit of its own, as the engine does when it begins one."""
        for job in jobs:
            self.store.open_harvest(job.work.harvest, job.work.plan)

    def send(self, jobs: list[Job], *, pause: float | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        """Launch all, as room in flight allows, and look until all are confirmed; ``pause``: always that long."""
        flight, waiting, rest = self.flight, deque(jobs), _FIRST_PAUSE
        while waiting or flight.under_way():
            batch = [waiting.popleft() for _ in range(min(flight.room, len(waiting)))]
            if batch:
                assert flight.launch(batch) == [None] * len(batch), "refused"
            if flight.look():
                rest = _FIRST_PAUSE
            elif not batch:
                sleep(rest if pause is None else pause)
                rest = min(2 * rest, _LONGEST_PAUSE)

    def last_block(self, jobs: list[Job]) -> int:
        """Height of the block that confirmed the last of these; every one of them was a success."""
        tracks = [track for job in jobs for track in self.store.tracks_of(job.work.harvest.id)]
        receipts = [track.receipt for track in tracks]
        assert len(receipts) == len(jobs)
        assert all(receipt.status == 1 for receipt in receipts)
        return max(receipt.block_number for receipt in receipts)

    def _guarded(self, owner: accounts.Account) -> GuardedSigner:
        key, name, store = owner.key, farm.FACTS.name, self.store
        caps = Caps(_CAP, _CAP, 10**12, _CAP)
        return GuardedSigner(
            key,
            Policy(frozenset({farm.FACTS.chain_id}), {"bench": [_ONLY_HARVESTS]}, caps),
            lambda: store.spent_usd(name, key.address, int(time.time()) - 86_400),
            self.events,
            paused=lambda: store.get_flag(PAUSE),
            next_nonce=lambda chain_id: store.next_nonce(chain_id, key.address),
        )

    def _context(self) -> ChainContext:
        return ChainContext(
            chain=self.chain,
            plugins=Plugins({}, {}, {}, {}),
            positions=(),
            price_specs={},
            price_rules=PriceRules(),
            limits=Limits(_CAP, _CAP),
            store=self.store,
            clock=SystemClock(),
            events=self.events,
            signers={"bench": self._signer},
            submitter=open_submitter("public", self.chain.batch_senders),
            prices_seen={"native": _PRICE},
            max_in_flight=self.window,
            paused=lambda: self.store.get_flag(PAUSE),
        )

    def _job(self, pid: int, valuation: Valuation) -> Job:
        leg = Leg(LegKind.CLAIM, f"claim pool {pid}", farm.FARM, accounts.harvest(pid), brings=(_TOKEN,))
        plan = Plan(f"plan-{pid}", "bench", farm.FACTS.name, self.owner, (leg,), (_TOKEN,), _TOKEN)
        harvest = Harvest(
            id=uuid.uuid4().hex[:16],
            position_id=plan.position_id,
            chain=plan.chain,
            owner=plan.owner,
            state=HarvestState.OPEN,
            plan_id=plan.id,
            decided_block=valuation.block.number,
            started_at=valuation.block.timestamp,
            predicted_reward_usd=UsdWad(10 * _USD),
            predicted_cost_usd=UsdWad(_USD),
            predicted_gas=100_000,
        )
        call = Call(leg.kind, leg.label, leg.to, leg.template)
        done = Simulation(valuation.block.number, "eth_simulateV1", (SimulatedCall(True, 100_000),))
        work = Work(harvest, plan, "bench", valuation, None)
        return Job(work, 0, 0, call, done, Bid(accounts.MAX_FEE, accounts.TIP))
