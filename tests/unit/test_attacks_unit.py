"""Attacks that need no chain: a lagging node, the dust of a second reward, leases that are taken late."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import replace
from types import MappingProxyType

from adapter_kit import BLOCK, OWNER, addr, token
from test_engine_decide import NATIVE, REWARD, SPEC, STAKE, case, price

from keeper.app import load_plugins
from keeper.chain.simulate import Simulator
from keeper.domain.decision import ReasonCode, Verdict
from keeper.domain.money import Amount
from keeper.domain.observation import Observation
from keeper.domain.plan import Call, LegKind, MinOut
from keeper.domain.position import Market, Position, StrategyOptions
from keeper.domain.valuation import Valuation
from keeper.engine.assessment import Assessment
from keeper.engine.book import Holding, Sale
from keeper.engine.clock import SystemClock
from keeper.engine.decide import decide
from keeper.engine.lap import prepare
from keeper.engine.lease import Leases
from keeper.engine.observe import Sighting
from keeper.engine.plan import make_plan
from keeper.engine.simulate import min_out
from keeper.engine.survey import _assessed
from keeper.errors import RpcRejected
from keeper.ports import SwapRoute
from keeper.ranges import gap_bps
from keeper.swaps.uniswap_v2 import amount_out


class _Endpoint:
    redacted = "node"

    def __init__(self):
        self.lagging = True

    def call(self, method, params):
        if method == "eth_estimateGas":
            return "0x5208"
        if self.lagging:
            raise RpcRejected("header not found", code=-32000)  # geth's words for a block it does not have yet
        if method == "eth_simulateV1":
            (request, _) = params
            n = len(request["blockStateCalls"][0]["calls"])
            return [{"calls": [{"status": "0x1", "gasUsed": "0x5208", "returnData": "0x" + "00" * 32}] * n}]
        raise AssertionError(method)


class _Pool:
    def __init__(self, endpoint):
        self.endpoint = endpoint

    def ask(self, question):
        return question(self.endpoint)


def test_a_node_one_block_behind_does_not_lose_its_simulation_for_good():
    endpoint = _Endpoint()
    simulator = Simulator(_Pool(endpoint), 12)
    claim = Call(LegKind.CLAIM, "claim", addr(5), b"\0" * 4)
    with contextlib.suppress(
        RpcRejected
    ):  # one block behind the head that another node told; one call, as in `prepare`
        simulator.run(OWNER, [claim], [addr(3)], BLOCK)
    endpoint.lagging = False
    assert simulator.run(OWNER, [claim, claim], [addr(3)], BLOCK).method == "eth_simulateV1"


def test_one_wei_of_a_second_reward_does_not_block_the_first():
    second = token(11, "OLD")
    plugins = load_plugins()
    options = StrategyOptions()
    position = Position("p", "test", "aave-v3", OWNER, "s", addr(5), {"asset": STAKE.address}, SPEC, options)
    market = Market(
        STAKE, (REWARD, second), contracts=MappingProxyType({"a_token": addr(20), "rewards_controller": addr(21)})
    )
    sales = tuple(Sale(t, STAKE, SwapRoute(SPEC, (t, STAKE), (addr(8),), 30)) for t in (REWARD, second))
    observation = Observation("p", BLOCK, Amount(STAKE, 10**10), (Amount(REWARD, 10**20), Amount(second, 1)), ())
    valuation = Valuation(
        BLOCK, (price(NATIVE, 3000), price(STAKE, 1), price(REWARD, 8), price(second, 1)), price(NATIVE, 3000), ()
    )
    plan = make_plan(plugins, Holding(position, market, sales), observation, valuation)
    swaps = [leg for leg in plan.legs if leg.kind is LegKind.SWAP and leg.spends == (second,)]
    floor = next(p.rule for leg in swaps for p in leg.patches if isinstance(p.rule, MinOut)) if swaps else None
    # 1 wei into the deepest pool there is pays 0 USDC, the floor asks for 1: the router reverts, and with it everything
    paid = amount_out(1, 10**24, 10**12, 30)
    assert not swaps or paid >= min_out(floor, {second.address: 1}), [leg.label for leg in plan.legs]


def test_leases_are_renewed_while_further_ones_are_taken(monkeypatch):
    """The renewing thread goes through them while an account of a reloaded config is added."""
    died, renewed = [], []
    monkeypatch.setattr(threading, "excepthook", lambda failure: died.append(failure.exc_value))

    class Slow:
        def acquire_lease(self, lane, holder, ttl):
            return 1

        def renew_lease(self, lane, token, ttl):
            renewed.append(lane)
            time.sleep(0.02)

        def release_lease(self, lane, token):
            pass

    with Leases(Slow(), SystemClock(), ttl=0.03) as leases:
        for number in range(40):
            leases.take(f"lane {number}")
            time.sleep(0.005)
    assert not died
    assert len(set(renewed)) > 2


def test_a_gauge_whose_clock_runs_for_ever_blocks_its_own_position_only():
    base = case("300")
    endless = replace(base.observation, harvest_opens_at=2**256 - 1)
    decision = decide(replace(base, observation=endless))
    assert decision.code is ReasonCode.HARVEST_TOO_EARLY
    assert "9999" in decision.reasons[0].text
    assert gap_bps(0, 2**96) > 10_000
    assert gap_bps(2**96, 0) > 10_000


def test_numbers_that_nothing_can_be_reckoned_with_block_their_own_position_only():
    holding = case().holding
    nothing_seen = Sighting(BLOCK, {}, {}, {}, {}, 0)  # any mistake of an adapter ends in an error somewhere
    seen = _assessed(None, None, holding, nothing_seen, None, None, None, False)
    assert seen.decision.verdict is Verdict.BLOCKED
    assert "cannot be reckoned with" in seen.decision.reasons[0].text


def test_an_adapter_that_cannot_make_calls_of_what_it_saw_blocks_its_own_position_only():
    class _Broken:
        def harvest(self, position, market, observation):
            return [][observation.note("nothing")]

    class _Context:
        class plugins:  # noqa: N801
            protocols = MappingProxyType({"x": _Broken()})

    one = case("300")
    prepared = prepare(_Context(), Assessment(one.position, decide(one), one.holding, one.observation, one))
    assert prepared.plan is None
    assert prepared.decision.verdict is Verdict.BLOCKED
