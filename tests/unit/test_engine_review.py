"""What one bad pool, head, flag, adapter or member of a batch must not do to a decision."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from adapter_kit import BLOCK
from test_engine_decide import REWARD, case

from keeper.domain.decision import Decision, Reason, ReasonCode, Verdict
from keeper.domain.money import Amount, UsdWad, usd
from keeper.domain.observation import Accrual
from keeper.domain.position import StrategyOptions
from keeper.engine.case import reckon
from keeper.engine.learnt import write_learnt
from keeper.engine.observe import _decode
from keeper.engine.rounds import round_for
from keeper.engine.supervisor import _held
from keeper.engine.survey import check_age
from keeper.engine.track_record import watched_since
from keeper.errors import ReadFailed, StaleHead
from keeper.strategy.economics import SaleTerms, net_of_sale


def test_an_empty_pool_pays_nothing():
    assert net_of_sale(usd(300), SaleTerms(30, UsdWad(0))) == 0
    assert net_of_sale(usd(300), SaleTerms(30, None)) == usd("299.1")


def test_two_streams_of_one_token_count_twice():
    one = case("200")
    stream = one.observation.accruals[0]
    two = replace(one, observation=replace(one.observation, accruals=(stream, stream)))
    assert reckon(two).economics.forward == 2 * reckon(one).economics.forward


@pytest.mark.parametrize(("ahead", "refused"), [(700, True), (500, False)])
def test_a_block_from_the_future_is_not_decided_by(ahead, refused):
    context = SimpleNamespace(
        name="test",
        max_head_age_seconds=600,
        max_head_lead_seconds=600,
        clock=SimpleNamespace(now=lambda: BLOCK.timestamp - ahead),
    )
    if refused:
        with pytest.raises(StaleHead, match="ahead of this machine's clock"):
            check_age(context, BLOCK)
    else:
        check_age(context, BLOCK)


def test_garbage_in_a_flag_begins_anew():
    flags = {"watched:p": "soon"}
    store = SimpleNamespace(get_flag=flags.get, set_flags=flags.update)
    context = SimpleNamespace(store=store, learnt={}, unwritten={})
    assert watched_since(context, SimpleNamespace(id="p"), 1_000) == 1_000
    write_learnt(context)
    assert flags["watched:p"] == "1000"
    assert context.unwritten == {}


def test_an_adapter_that_fails_stops_its_own_position_only():
    def fail(*_):
        return 1 // 0

    holding = case().holding
    plugins = SimpleNamespace(protocols={holding.position.protocol: SimpleNamespace(observe=fail)})
    seen, failed = _decode(SimpleNamespace(plugins=plugins), [holding], BLOCK, {holding.position.id: ()}, {})
    assert seen == {}
    assert isinstance(failed["p"], ReadFailed)
    assert "ZeroDivisionError" in str(failed["p"])


def test_a_member_that_never_earns_its_cost_back_does_not_pay_for_a_round():
    # $90 pending at 2 % earn $1.80 within the year for $2
    poor = case("90", staked="1000", apr="0.02", options=StrategyOptions(batch="farm"))
    assert round_for(SimpleNamespace(batches={}), [poor]).included == ()


def test_only_what_gas_cannot_cure_keeps_a_position_out_of_the_gas_ticks():
    def blocked(*codes):
        reasons = tuple(Reason(code, "x") for code in codes)
        return SimpleNamespace(decision=Decision("p", BLOCK, Verdict.BLOCKED, reasons, None))

    assert not _held(blocked(ReasonCode.FEE_ABOVE_LIMIT))
    assert _held(blocked(ReasonCode.FEE_ABOVE_LIMIT, ReasonCode.GAS_BALANCE_LOW))
    assert _held(blocked(ReasonCode.PROTOCOL_PAUSED))


def test_the_fixture_pays_in_one_token():
    assert case().observation.accruals == (Accrual(Amount(REWARD, case().observation.accruals[0].per_year.raw)),)
