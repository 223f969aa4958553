"""Only gas is weighed by what is normal for gas: an L1 fee is no dearer, or cheaper, for what the L2's gas does."""

from __future__ import annotations

from dataclasses import replace
from math import exp
from random import Random

from test_engine_decide import case

from keeper.domain.transaction import FeeQuote
from keeper.engine.case import fire_gas_price, reckon
from keeper.engine.outlook import Outlook

NOW = case().observation.block.timestamp


def on_a_layer_two(price: int, pending: str = "60"):
    """Two dollars of L1 fee, and two cents of gas at the usual 0.01 gwei."""
    rough, outlook = Random(3), Outlook()
    for hour in range(1_440, 0, -1):
        outlook.note(NOW - hour * 3_600, int(10**7 * exp(0.3 * rough.gauss(0, 1))))
    outlook.note(NOW, price)
    found = case(pending, memory=outlook.memory, usual_gas_wei=10**7, l1_fee_wei=2 * 10**18 // 3_000)
    return replace(found, fees=FeeQuote(price, 0), around=replace(found.around, gas_price_wei=price))


def test_cents_of_gas_do_not_move_a_threshold_of_dollars():
    wanted = [reckon(on_a_layer_two(price)).thresholds.reward for price in (10**4, 10**6, 5 * 10**6, 10**7)]
    assert wanted == sorted(wanted)
    assert wanted[-1] < wanted[0] * 12 // 10


def test_the_price_that_fires_is_where_the_weighed_threshold_is_met():
    for pending in ("250", "600"):
        due = on_a_layer_two(10**6, pending)
        most = fire_gas_price(due, reckon(due))
        assert most is not None
        for price, fires in ((most * 999 // 1_000, True), (most * 1_001 // 1_000, False)):
            r = reckon(replace(due, fees=FeeQuote(price, 0)))
            assert (r.economics.reward >= r.thresholds.reward) is fires
