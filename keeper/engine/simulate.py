"""Play a plan on top of the chain's present state, leg by leg, with the amounts it would really bring.

What is simulated is byte for byte what is signed: a later leg's amount is the delta its earlier legs brought.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keeper.domain.block import BlockRef
from keeper.domain.money import BPS, Address, Amount
from keeper.domain.plan import Call, Deadline, Leg, LegKind, MinOut, Patch, Plan, Share
from keeper.domain.reads import Read
from keeper.domain.transaction import SimulatedCall, Simulation
from keeper.errors import HarvestPaidNothing, SimulationReverted
from keeper.ports import Chain

__all__ = ["Holdings", "Rehearsal", "fill", "rehearse"]

#: What this harvest has brought and not yet spent, base units by token address.
Holdings = Mapping[Address, int]

#: Legs that need no amount from a leg before them can share one simulation with it.
_MIN_FLOOR = 1
#: More than slippage and all pools' fees ever come to, basis points: a floor that is further below what agreed prices
#: say is none. A share of what is put in itself (1, 1) may fall short by more: its pool's price bounds that.
_MOST_OFF: Final = 3_000


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A plan's remaining legs as concrete calls that all passed, and what they would do."""

    calls: tuple[Call, ...]
    simulation: Simulation
    #: Rewards the claim legs would bring, one per reward token of the plan that came in.
    claimed: tuple[Amount, ...]
    #: What the deposit would take.
    deposited: tuple[Amount, ...]

    def single(self, index: int) -> Simulation:
        """Return the simulation of one call alone, as the signer wants to see it."""
        return Simulation(self.simulation.block, self.simulation.method, (self.simulation.calls[index],))


def fill(leg: Leg, holdings: Holdings, timestamp: int, block_seconds: int = 0) -> Call:
    """Make a leg concrete: write each patch's value into its calldata word.

    Args:
        leg: the leg.
        holdings: what the harvest has brought so far.
        timestamp: of the newest block; deadlines count from it.
        block_seconds: time between blocks; a deadline leaves room for at least three.

    Raises:
        HarvestPaidNothing: when an amount the leg is to spend is zero, so that nothing is ever sent for nothing.
        SimulationReverted: when an amount is absurd.
    """
    data = bytearray(leg.template)
    for patch in leg.patches:
        at = 4 + 32 * patch.word
        value = _value(leg, patch, holdings, timestamp, block_seconds)
        if value >= 1 << 128:
            raise SimulationReverted(f"{leg.label}: an amount of {value} base units is beyond belief; nothing is sent")
        data[at : at + 32] = value.to_bytes(32, "big")
    return Call(leg.kind, leg.label, leg.to, bytes(data))


def _value(leg: Leg, patch: Patch, holdings: Holdings, timestamp: int, block_seconds: int) -> int:
    match patch.rule:
        case Share(token, bps, optional):
            amount = holdings.get(token.address, 0) * bps // BPS
            if amount <= 0 and not optional:
                raise HarvestPaidNothing(f"{leg.label}: the harvest has brought no {token.symbol} to spend")
            return max(amount, 0)
        case MinOut() as floor:
            return min_out(floor, holdings)
        case Deadline(seconds):
            return timestamp + max(seconds, 3 * block_seconds)


def min_out(floor: MinOut, holdings: Holdings) -> int:
    """Return the least a swap may pay: the oracle's worth of what is spent, less slippage; at least one base unit.

    Nothing is asked only for the side of a range's deposit of which nothing is put in. Raises SimulationReverted for a
    floor that keeps nothing out.
    """
    spent = holdings.get(floor.spent.token.address, 0) * floor.spent.bps // BPS
    if spent <= 0 and floor.spent.optional:
        return 0
    if floor.slippage_bps > _MOST_OFF and (floor.numerator, floor.denominator) != (1, 1):
        raise SimulationReverted(
            f"a floor {floor.slippage_bps} basis points below the agreed prices is none; look at the fees of the pools "
            "on the way, and at max_slippage"
        )
    fair = spent * floor.numerator // floor.denominator
    return max(fair * (BPS - floor.slippage_bps) // BPS, _MIN_FLOOR)


def rehearse(
    chain: Chain, plan: Plan, block: BlockRef, *, start: int = 0, holdings: Holdings | None = None
) -> Rehearsal:
    """Simulate the legs from ``start`` on, given what earlier legs already brought.

    Raises:
        SimulationReverted: naming the leg and the chain's reason.
        HarvestPaidNothing: when a claim or a swap would bring nothing.
    """
    have = dict(holdings or {})
    legs = plan.legs[start:]
    tokens = [t.address for t in plan.tokens]
    calls: list[Call] = []
    seen: list[SimulatedCall] = []
    for index, leg in enumerate(legs):
        calls.append(fill(leg, have, block.timestamp, chain.facts.block_time_ms // 1000))
        if leg.brings or leg.spends or leg.changes or index == len(legs) - 1:
            simulation = chain.simulate(plan.owner, calls, tokens, block)
            _check(legs, simulation)
            for done_leg, done in zip(legs[len(seen) :], simulation.calls[len(seen) :], strict=False):
                _apply(have, done)
                _check_left(done_leg, done, have)
            _check_brought(leg, simulation.calls[index])
            _check_sent(leg, simulation.calls[index])
            _check_deposited(plan, leg, simulation.calls[index])
            seen = list(simulation.calls)
        if leg.changes is not None:
            _check_changed(chain, plan.owner, leg, leg.changes, calls, block)
    return Rehearsal(tuple(calls), simulation, _claimed(plan, legs, simulation), _deposited(plan, legs, simulation))


def _apply(have: dict[Address, int], call: SimulatedCall) -> None:
    for token, raw in call.deltas:
        have[token] = have.get(token, 0) + raw


def _check(legs: Sequence[Leg], simulation: Simulation) -> None:
    for leg, call in zip(legs, simulation.calls, strict=False):
        if not call.success:
            raise SimulationReverted(f"{leg.label}: would revert ({call.error or 'no reason given'})")


def _check_left(leg: Leg, call: SimulatedCall, have: Holdings) -> None:
    """Refuse a leg that would take out of the wallet what it may not spend, or more than the harvest has brought."""
    allowed = {token.address for token in leg.spends}
    for token, raw in call.deltas:
        if raw < 0 and (token not in allowed or have.get(token, 0) < 0):
            raise SimulationReverted(f"{leg.label}: would take {-raw} base units of {token} out of the wallet unasked")


def _check_brought(leg: Leg, call: SimulatedCall) -> None:
    deltas = dict(call.deltas)
    if leg.brings and not any(deltas.get(token.address, 0) > 0 for token in leg.brings):
        names = ", ".join(token.symbol for token in leg.brings)
        raise HarvestPaidNothing(f"{leg.label}: succeeds but brings no {names}")


def _check_sent(leg: Leg, call: SimulatedCall) -> None:
    """Refuse a payout or an unwrapping that succeeds and moves nothing: some tokens answer false instead of failing."""
    if leg.kind in (LegKind.PAYOUT, LegKind.UNWRAP) and not any(
        raw < 0 for token, raw in call.deltas if token == leg.spends[0].address
    ):
        raise HarvestPaidNothing(f"{leg.label}: succeeds but moves no {leg.spends[0].symbol}")


def _check_deposited(plan: Plan, leg: Leg, call: SimulatedCall) -> None:
    """Refuse a deposit that succeeds and takes nothing; one that pays out what it takes says nothing by its net."""
    if leg.kind is not LegKind.DEPOSIT:
        return
    deltas = dict(call.deltas)
    took = any(deltas.get(token.address, 0) < 0 for token in leg.spends)
    if not took and deltas.get(plan.stake_token.address, 0) <= 0:
        raise HarvestPaidNothing(f"{leg.label}: succeeds but deposits nothing")


def _check_changed(chain: Chain, owner: Address, leg: Leg, view: Read, calls: Sequence[Call], block: BlockRef) -> None:
    """Refuse a leg that succeeds and changes nothing: some harvests do, silently."""
    (before,) = chain.read([view], block)
    looking = Call(leg.kind, f"look at {leg.label}", view.target, view.data)
    after = chain.simulate(owner, [*calls, looking], (), block).calls[-1]
    if not after.success or after.output == before.data:
        raise HarvestPaidNothing(f"{leg.label}: succeeds but does nothing at present")


def _claimed(plan: Plan, legs: Sequence[Leg], simulation: Simulation) -> tuple[Amount, ...]:
    by_address = {t.address: t for t in plan.tokens}
    total: dict[Address, int] = {}
    for leg, call in zip(legs, simulation.calls, strict=True):
        if leg.kind is LegKind.CLAIM:
            for token, raw in call.deltas:
                total[token] = total.get(token, 0) + raw
    return tuple(Amount(by_address[token], raw) for token, raw in total.items() if raw > 0)


def _deposited(plan: Plan, legs: Sequence[Leg], simulation: Simulation) -> tuple[Amount, ...]:
    """Sum what the deposits take of what they may spend."""
    total: dict[Address, int] = {}
    for leg, call in zip(legs, simulation.calls, strict=True):
        if leg.kind is LegKind.DEPOSIT:
            may = {token.address for token in leg.spends}
            for token, raw in call.deltas:
                total[token] = total.get(token, 0) - (raw if token in may else 0)
    by_address = {t.address: t for t in plan.tokens}
    return tuple(Amount(by_address[token], raw) for token, raw in total.items() if raw > 0)
