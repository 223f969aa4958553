"""History: refreshed in turns for large fleets, thinned as it ages, forgotten on request."""

from __future__ import annotations

import sqlite3
import zlib
from collections import Counter
from contextlib import closing
from dataclasses import replace
from itertools import pairwise

import pytest

from keeper.domain.block import BlockRef
from keeper.domain.decision import Decision, DecisionNumbers, Reason, ReasonCode, Verdict
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.money import NO_USD, Address, Amount, Token, UsdWad, usd
from keeper.domain.observation import Observation, Sample
from keeper.domain.plan import Plan
from keeper.domain.transaction import FeeQuote
from keeper.store import codec, open_store, packing
from keeper.store.packing import pack, unpack
from keeper.store.samples import KEPT_EVERY_SECONDS
from keeper.store.turns import REFRESHED

LP = Token("local", Address("0x" + "22" * 20), "LP", 18)
OWNER = Address("0x" + "11" * 20)
FLEET = 3 * REFRESHED - 7
HOUR, DAY = 3600, 86_400
YEAR = 365 * DAY
#: A whole number of six hours.
NOW = 20_000 * DAY
NUMBERS = DecisionNumbers(*(UsdWad(10**18 + n) for n in range(6)), *range(6, 11), usd(3), usd(4), None, None)


@pytest.fixture
def store(tmp_path):
    made = open_store(tmp_path / "journal.db")
    yield made
    made.close()


def block(at: int) -> BlockRef:
    return BlockRef("local", at // 12, "0x00", at)


def observation(at: int, position: str = "farm", pending: int = 0) -> Observation:
    return Observation(position, block(at), Amount(LP, 1), (Amount(LP, pending),), ())


def sample(at: int, position: str = "farm") -> Sample:
    return Sample(observation(at, position), NUMBERS, ((LP.address, usd(3)), ("", usd(2000))), usd("1.1"))


def decision(at: int, position: str, verdict: Verdict = Verdict.WAIT) -> Decision:
    return Decision(position, block(at), verdict, (Reason(ReasonCode.BELOW_THRESHOLD, f"at {at}"),), None)


def times(store, position: str = "farm", **bounds: int) -> list[int]:
    return [each.observation.block.timestamp for each in store.samples(position, **bounds)]


def compound(store, number: int, start: int, end: int, state: HarvestState = HarvestState.DONE) -> None:
    """Put a finished compound on record."""
    made = Harvest(
        id=f"h{number}",
        position_id="farm",
        chain="local",
        owner=OWNER,
        state=HarvestState.OPEN,
        plan_id="p",
        decided_block=start // 12,
        started_at=start,
        predicted_reward_usd=NO_USD,
        predicted_cost_usd=NO_USD,
        predicted_gas=1,
    )
    store.open_harvest(made, Plan("p", "farm", "local", OWNER, (), (), LP))
    store.close_harvest(replace(made, state=state, finished_at=end), ())


def test_history_keeps_one_sample_per_interval_and_the_latest_of_all(store):
    for at in range(0, 3 * KEPT_EVERY_SECONDS, 60):
        store.record_samples([sample(at)])

    assert store.samples("farm") == [sample(0), sample(600), sample(1200)]
    assert times(store, since=600) == [600, 1200]
    assert times(store, since=601) == [1200]
    assert times(store, until=600) == [0, 600]
    assert times(store, since=1, until=599) == []
    assert store.latest_observation("farm").block.timestamp == 1740


def test_time_that_goes_back_is_kept_too(store):
    store.record_samples([sample(5000)])
    store.record_samples([sample(1000)])

    assert times(store) == [1000, 5000]


def test_a_large_fleet_is_refreshed_within_a_few_cycles_and_changes_at_once(store):
    positions = [f"p{number}" for number in range(FLEET)]
    store.record_decisions([decision(0, each) for each in positions])
    store.record_samples([sample(0, each) for each in positions])

    batch = [decision(12, each) for each in positions]
    batch[5] = decision(12, "p5", Verdict.HARVEST)
    told = store.record_decisions(batch)
    first = {each for each in positions if store.latest_decision(each).block.timestamp == 12}
    for _ in range(3):
        store.record_decisions([decision(24, each) for each in positions])
        store.record_samples([sample(24, each) for each in positions])

    assert [place for place, changed in enumerate(told) if changed] == [5]
    assert "p5" in first
    assert len(first) <= REFRESHED + 1
    assert all(store.latest_decision(each).block.timestamp > 0 for each in positions)
    assert all(store.latest_observation(each).block.timestamp == 24 for each in positions)


# ------------------------------------------------------------------------------------------------- gas


def test_gas_is_kept_once_an_hour(store):
    for at, base in ((12, 10**30), (12, 7), (1200, 9), (3599, 1), (3600, 2), (7300, 3), (7400, 4)):
        store.record_gas(block(at), FeeQuote(base, 1))

    assert store.gas_history("local") == [(12, 10**30, 1), (3600, 2, 1), (7300, 3, 1)]
    assert store.gas_history("local", since=3600) == [(3600, 2, 1), (7300, 3, 1)]
    assert store.gas_history("other") == []


def test_an_hour_of_gas_that_an_earlier_process_kept_is_not_kept_again(store, tmp_path):
    store.record_gas(block(12), FeeQuote(5, 1))
    other = open_store(tmp_path / "journal.db")

    other.record_gas(block(1200), FeeQuote(6, 1))
    other.record_gas(replace(block(1200), chain="second"), FeeQuote(7, 1))
    other.close()

    assert store.gas_history("local") == [(12, 5, 1)]
    assert store.gas_history("second") == [(1200, 7, 1)]


def test_gas_of_a_chain_that_was_rewound_is_kept(store):
    for at in (10 * HOUR, 2 * HOUR, 2 * HOUR + 60, 3 * HOUR):
        store.record_gas(block(at), FeeQuote(at, 1))

    assert [at for at, _, _ in store.gas_history("local")] == [2 * HOUR, 3 * HOUR, 10 * HOUR]


# ---------------------------------------------------------------------------------------------- ageing


def test_what_is_older_is_forgotten_on_request(store):
    for at in (0, 6000):
        store.record_samples([sample(at)])
        store.record_gas(block(at), FeeQuote(1, 1))

    assert store.forget_before(1000) == 2
    assert store.gas_history("local") == [(6000, 1, 1)]
    assert times(store) == [6000]
    assert store.latest_observation("farm").block.timestamp == 6000


@pytest.fixture(scope="module")
def century(tmp_path_factory):
    """A hundred days of one position."""
    path = tmp_path_factory.mktemp("lived") / "journal.db"
    made = open_store(path)
    start = NOW - 100 * DAY
    made.record_samples([sample(start)])
    text = pack(codec.dump(Sample, sample(0)))
    made.close()
    row = "INSERT INTO samples (position_id, block_number, timestamp, body) VALUES ('farm', ?, ?, ?)"
    with closing(sqlite3.connect(path)) as connection, connection:
        later = range(start + KEPT_EVERY_SECONDS, NOW + 1, KEPT_EVERY_SECONDS)
        connection.executemany(row, [(at // 12, at, text) for at in later])
    return path.read_bytes()


@pytest.fixture
def old(century, tmp_path):
    path = tmp_path / "journal.db"
    path.write_bytes(century)
    made = open_store(path)
    yield made
    made.close()


def kept(store) -> list[int]:
    """Block times in the file."""
    with closing(sqlite3.connect(store.path)) as connection:
        return [row[0] for row in connection.execute("SELECT timestamp FROM samples ORDER BY timestamp")]


def test_history_thins_as_it_ages(old):
    before = kept(old)

    gone = old.thin(NOW, YEAR)

    after = kept(old)
    assert gone == len(before) - len(after)
    ages = Counter("six" if NOW - at > 90 * DAY else "hour" if NOW - at > 7 * DAY else "ten" for at in after)
    assert ages == {"six": 10 * 4, "hour": 83 * 24, "ten": 7 * 144 + 1}
    gaps = {(later - at, NOW - later) for at, later in pairwise(after)}
    assert {gap for gap, age in gaps if age > 90 * DAY} == {6 * HOUR}
    assert {gap for gap, age in gaps if 7 * DAY < age < 90 * DAY} == {HOUR}
    assert {gap for gap, age in gaps if age < 7 * DAY} == {600}
    assert old.thin(NOW, YEAR) == 0


def test_thinning_daily_leaves_what_thinning_at_once_leaves(old, tmp_path):
    (tmp_path / "daily").mkdir()
    daily = tmp_path / "daily" / "journal.db"
    daily.write_bytes(old.path.read_bytes())
    old.thin(NOW, YEAR)

    store = open_store(daily)
    for day in range(95, -1, -1):
        store.thin(NOW - day * DAY - 777, YEAR)
    store.thin(NOW, YEAR)

    assert kept(store) == kept(old)
    store.close()


def test_history_beyond_what_is_wanted_is_dropped_with_the_gas(old):
    for at in (NOW - 40 * DAY, NOW - 5 * DAY):
        old.record_gas(block(at), FeeQuote(1, 1))

    old.thin(NOW, 30 * DAY)

    assert min(kept(old)) == NOW - 30 * DAY
    assert [at for at, _, _ in old.gas_history("local")] == [NOW - 5 * DAY]


def test_what_lies_beside_a_compound_stays(old):
    compound(old, 1, NOW - 95 * DAY + 1_200, NOW - 95 * DAY + 1_900)
    compound(old, 2, NOW - 20 * DAY + 2_500, NOW - 20 * DAY + 2_501)
    compound(old, 3, NOW - 30 * DAY + 1_300, NOW - 30 * DAY + 1_300, HarvestState.CANCELLED)

    old.thin(NOW, YEAR)

    beside = {at for at in kept(old) if at % HOUR and NOW - at > 7 * DAY}
    assert beside == {NOW - 95 * DAY + 1_200, NOW - 95 * DAY + 2_400, NOW - 20 * DAY + 2_400, NOW - 20 * DAY + 3_000}
    assert old.thin(NOW, YEAR) == 0


def test_thinning_an_empty_history_does_nothing(store):
    assert store.thin(NOW, YEAR) == 0


# ---------------------------------------------------------------------------------------------- packing


def test_what_is_packed_stays_readable_for_ever():
    """Written once by this very dictionary: whoever edits it cannot read what is on the disk."""
    assert zlib.adler32(packing._COMMON) == 3_798_455_597
    assert unpack(bytes.fromhex("78bbe267d52dab464ec928c91658d2d50200a9f60a94")) == '{"numbers":{"reward_usd":"7"}}'


def test_a_sample_is_packed_to_a_quarter():
    text = codec.dump(Sample, sample(NOW))

    assert len(pack(text)) * 4 < len(text)


@pytest.mark.parametrize("broken", [b"", b"x", pack("whatever it is")[:-5], zlib.compress(b"something else")[:9]])
def test_bytes_that_were_never_packed_are_a_value_error(broken):
    with pytest.raises(ValueError, match="not a packed text"):
        unpack(broken)


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
