"""History: thinned for backtests, refreshed in turns for large fleets, forgotten on request."""

from __future__ import annotations

import pytest

from keeper.domain.block import BlockRef
from keeper.domain.decision import Decision, Reason, ReasonCode, Verdict
from keeper.domain.money import Address, Amount, Token, usd
from keeper.domain.observation import Observation
from keeper.domain.transaction import FeeQuote
from keeper.store import codec, open_store
from keeper.store.history import KEPT_EVERY_SECONDS, REFRESHED

LP = Token("local", Address("0x" + "22" * 20), "LP", 18)
FLEET = 3 * REFRESHED - 7


@pytest.fixture
def store(tmp_path):
    made = open_store(tmp_path / "journal.db")
    yield made
    made.close()


def block(at: int) -> BlockRef:
    return BlockRef("local", at // 12, "0x00", at)


def observation(at: int, position: str = "farm", pending: int = 0) -> Observation:
    return Observation(position, block(at), Amount(LP, 1), (Amount(LP, pending),), ())


def decision(at: int, position: str, verdict: Verdict = Verdict.WAIT) -> Decision:
    return Decision(position, block(at), verdict, (Reason(ReasonCode.BELOW_THRESHOLD, f"at {at}"),), None)


def test_history_keeps_one_observation_per_interval_and_the_latest_of_all(store):
    for at in range(0, 3 * KEPT_EVERY_SECONDS, 60):
        store.record_observation(observation(at), usd(1), 5)

    assert [o.block.timestamp for o, _, _ in store.observations("farm")] == [0, 600, 1200]
    assert [o.block.timestamp for o, _, _ in store.observations("farm", since=601)] == [1200]
    assert store.latest_observation("farm").block.timestamp == 1740


def test_time_that_goes_back_is_kept_too(store):
    store.record_observation(observation(5000), usd(1), 5)
    store.record_observation(observation(1000), usd(1), 5)

    assert [o.block.timestamp for o, _, _ in store.observations("farm")] == [1000, 5000]


def test_a_large_fleet_is_refreshed_within_a_few_cycles_and_changes_at_once(store):
    positions = [f"p{number}" for number in range(FLEET)]
    store.record_decisions([decision(0, each) for each in positions])
    store.record_observations([(observation(0, each), usd(1), 5) for each in positions])

    batch = [decision(12, each) for each in positions]
    batch[5] = decision(12, "p5", Verdict.HARVEST)
    told = store.record_decisions(batch)
    first = {each for each in positions if store.latest_decision(each).block.timestamp == 12}
    for _ in range(3):
        store.record_decisions([decision(24, each) for each in positions])
        store.record_observations([(observation(24, each), usd(1), 5) for each in positions])

    assert [place for place, changed in enumerate(told) if changed] == [5]
    assert "p5" in first
    assert len(first) <= REFRESHED + 1
    assert all(store.latest_decision(each).block.timestamp > 0 for each in positions)
    assert all(store.latest_observation(each).block.timestamp == 24 for each in positions)


def test_gas_is_sampled_once_per_block_and_old_history_is_forgotten(store):
    for at, base in ((12, 10**30), (12, 7), (1200, 9)):
        store.record_gas(block(at), FeeQuote(base, 1))
    for at in (0, 6000):
        store.record_observation(observation(at), usd(1), 5)

    assert store.gas_history("local") == [(12, 10**30, 1), (1200, 9, 1)]
    assert store.gas_history("other") == []
    assert store.forget_before(1000) == 2
    assert store.gas_history("local") == [(1200, 9, 1)]
    assert [o.block.timestamp for o, _, _ in store.observations("farm")] == [6000]
    assert store.latest_observation("farm").block.timestamp == 6000


def test_a_field_that_a_later_version_added_takes_its_default():
    text = codec.dump(Observation, observation(5)).replace(',"deposits_paused":false', "")

    assert "deposits_paused" not in text
    assert codec.load(Observation, text) == observation(5)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"position_id":1}', "null"])
def test_text_that_is_no_stored_value_is_a_value_error(text):
    with pytest.raises(ValueError):
        codec.load(Observation, text)


def test_a_type_without_a_stored_form_is_named():
    with pytest.raises(TypeError, match="float"):
        codec.dump(float, 1.5)
