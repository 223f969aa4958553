"""A payout and an unwrapping are believed by what moved: in the simulation, and in the receipt."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from adapter_kit import BLOCK, OWNER, addr, token

from keeper.domain.plan import Leg, LegKind, Patch, Plan, Share
from keeper.domain.transaction import Receipt, SimulatedCall, Simulation, TransferLog
from keeper.engine.simulate import rehearse
from keeper.engine.verify import check_receipt
from keeper.erc20 import TRANSFER, UNWRAP
from keeper.errors import HarvestPaidNothing, SimulationReverted, UnaskedTransfer

R, W = token(1, "R"), token(2, "WETH")
FRIEND, NOBODY = addr(7), "0x" + "00" * 20
CLAIM = Leg(LegKind.CLAIM, "claim R", addr(9), b"\1\2\3\4", brings=(R,))
PAY = Leg(LegKind.PAYOUT, "pay out", R.address, TRANSFER.encode(FRIEND, 0), (Patch(1, Share(R, 3_000)),), (R,))
OPEN = Leg(LegKind.UNWRAP, "unwrap", W.address, UNWRAP.encode(0), (Patch(0, Share(W)),), (W,))
STAKE = Leg(LegKind.DEPOSIT, "stake R", addr(9), b"\5\6\7\x08" + bytes(32), (Patch(0, Share(R)),), (R,))


def plan(*legs) -> Plan:
    return Plan("id", "p", "test", OWNER, legs, (R, W), R)


class Chain:
    """Answers each call with the change of balances that it is told."""

    facts = SimpleNamespace(block_time_ms=12_000)

    def __init__(self, *deltas) -> None:
        self.deltas = deltas

    def simulate(self, owner, calls, tokens, block):
        seen = tuple(SimulatedCall(True, 50_000, "", tuple(d.items())) for d in self.deltas[: len(calls)])
        return Simulation(block.number, "eth_simulateV1", seen)


def test_later_legs_take_what_a_payout_leaves():
    chain = Chain({R.address: 1_000}, {R.address: -300}, {R.address: -700})

    found = rehearse(chain, plan(CLAIM, PAY, STAKE), BLOCK)

    paid, staked = (int.from_bytes(call.data[-32:], "big") for call in found.calls[1:])
    assert (paid, staked, [a.raw for a in found.deposited]) == (300, 700, [700])


@pytest.mark.parametrize(
    ("deltas", "error", "says"),
    [
        (({R.address: 1_000}, {}), HarvestPaidNothing, "pay out: succeeds but moves no R"),
        (({R.address: 1_000}, {R.address: 5}), HarvestPaidNothing, "pay out: succeeds but moves no R"),
        (({R.address: 1_000}, {R.address: -1_001}), SimulationReverted, "out of the wallet unasked"),
        (({R.address: 1_000}, {R.address: -300, W.address: -1}), SimulationReverted, "out of the wallet unasked"),
    ],
)
def test_a_payout_that_moves_nothing_or_too_much_is_never_signed(deltas, error, says):
    with pytest.raises(error, match=says):
        rehearse(Chain(*deltas, {}), plan(CLAIM, PAY, STAKE), BLOCK)


def test_an_unwrapping_that_moves_nothing_is_never_signed():
    with pytest.raises(HarvestPaidNothing, match="unwrap: succeeds but moves no WETH"):
        rehearse(Chain({}), plan(OPEN), BLOCK, holdings={W.address: 10})


def receipt(*transfers) -> Receipt:
    return Receipt("0xaa", 7, "0xbb", 1, 50_000, 1, 0, transfers)


def log(what, raw, to=FRIEND, sender=OWNER) -> TransferLog:
    return TransferLog(what.address, sender, to, raw, 1)


def test_receipts_are_judged_by_what_left_the_wallet():
    claimed = [
        (SimpleNamespace(kind=LegKind.CLAIM), receipt(log(R, 1_000, OWNER, addr(9)), log(W, 10, OWNER, addr(9))))
    ]
    check_receipt(plan(), PAY, receipt(log(R, 300)), claimed)
    check_receipt(plan(), OPEN, receipt(log(W, 10, NOBODY)), claimed)
    with pytest.raises(HarvestPaidNothing, match="paid out nothing"):
        check_receipt(plan(), PAY, receipt(), claimed)
    with pytest.raises(HarvestPaidNothing, match="unwrapped nothing"):
        check_receipt(plan(), OPEN, receipt(), claimed)
    with pytest.raises(UnaskedTransfer, match="more R than the harvest had brought"):
        check_receipt(plan(), PAY, receipt(log(R, 1_001)), claimed)
    with pytest.raises(UnaskedTransfer, match="more WETH than the harvest had brought"):
        check_receipt(plan(), OPEN, receipt(log(W, 11, NOBODY)), claimed)
