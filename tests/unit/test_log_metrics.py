"""What events do to the metrics, and that events and metrics are documented as they are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from keeper.domain.events import Event, EventName, Level
from keeper.notify.metrics import MetricsSink

ROOT = Path(__file__).parents[2]
EVENTS_DOC = ROOT / "docs/reference/events.md"
METRICS_DOC = ROOT / "docs/reference/metrics.md"

INTEGERS = {
    "positions",
    "reads",
    "ms",
    "due",
    "block",
    "leg",
    "legs",
    "nonce",
    "gas",
    "attempt",
    "streak",
    "failures",
    "chain_id",
    "paused_seconds",
    "seconds",
    "age_seconds",
    "days",
    "depth",
    "until",
    "chains",
    "in_flight",
    "code_",
    "open",
    "added",
    "removed",
    "changed",
}


def documented():
    """Event name -> (level, fields) from the tables of the reference."""
    found = {}
    for line in EVENTS_DOC.read_text().splitlines():
        if match := re.match(r"\| `([a-z]+\.[a-z]+)` \| (\w+) \| (.*?) \| ", line):
            fields = re.sub(r"\([^)]*\)", "", match[3])
            found[match[1]] = match[2], re.findall(r"`(\w+)`", fields)
    return found


def sample(name):
    """An event with every documented field."""
    level, fields = documented()[name]
    values = {}
    for field in fields:
        if field.endswith("_usd"):
            values[field] = "262.90"
        elif field.endswith("_gwei"):
            values[field] = "0.12"
        elif field.endswith(("_wei", "_s")) or field in INTEGERS:
            values[field] = 3
        else:
            values[field] = f"a {field}"
    return Event(EventName(name), Level(level), values)


def read(sink):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(sink.exposition().decode())
        for sample in family.samples
    }


def value(sink, name, **labels):
    return sink.registry.get_sample_value(name, labels)


@pytest.fixture
def sink():
    return MetricsSink("1.2.3", heartbeat=lambda: 900.0, wall=lambda: 1000.0)


def test_every_event_is_documented_and_no_other():
    assert set(documented()) == {name.value for name in EventName}


def test_every_metric_is_documented_and_no_other(sink):
    for name in documented():
        sink.emit(sample(name))
    sink.emit(Event(EventName.CYCLE_DONE, fields={"chain": "bnb", "ms": "odd"}))
    sink.measured("cake-bnb", 0.18, 1.0, 1.0)
    families = {}
    for family in text_string_to_metric_families(sink.exposition().decode()):
        if not family.name.startswith("process_"):
            labels = set().union(*(sample.labels for sample in family.samples)) - {"le"}
            families[family.name + ("_total" if family.type == "counter" else "")] = family.type, labels
    rows = {}
    for line in METRICS_DOC.read_text().splitlines():
        if match := re.match(r"\| `(keeper_\w+)` \| (\w+) \| (.*?) \|", line):
            rows[match[1]] = match[2], set(re.findall(r"`(\w+)`", match[3]))
    assert rows == families


def emissions():
    """(place, event, fields) of every call in the source that names an event and its fields by keyword."""
    names = {name.name: name.value for name in EventName}
    for path in sorted((ROOT / "keeper").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and node.keywords:
                event = node.args[0]
                if isinstance(event, ast.Attribute) and getattr(event.value, "id", "") == "EventName":
                    fields = {word.arg for word in node.keywords if word.arg} - {"level", "fields"}
                    if any(word.arg is None for word in node.keywords):
                        fields |= {"..."}  # and those that another function gives
                    if fields:
                        yield f"{path.relative_to(ROOT)}:{node.lineno}", names[event.attr], fields


def test_what_the_source_emits_is_what_the_reference_says():
    optional = {}
    for line in EVENTS_DOC.read_text().splitlines():
        if match := re.match(r"\| `([a-z]+\.[a-z]+)` \| \w+ \| (.*?) \| ", line):
            optional[match[1]] = set(re.findall(r"\*`(\w+)`\*", match[2]))
    for place, event, given_fields in emissions():
        known = set(documented()[event][1])
        whole, fields = "..." not in given_fields, given_fields - {"..."}
        if event.startswith("rpc."):
            fields |= {"chain", "endpoint"}  # added in one place for all events of an endpoint
        assert fields <= known, (
            f"{place}: {event} carries {fields - known}, which docs/reference/events.md does not know"
        )
        missing = known - optional[event] - fields
        assert not (whole and missing), f"{place}: {event} lacks {missing}, which docs/reference/events.md promises"


@pytest.mark.parametrize("name", sorted(documented()))
def test_a_documented_event_is_counted_without_error(sink, name):
    sink.emit(sample(name))
    assert value(sink, "keeper_events_total", event=name, level=documented()[name][0]) == 1
    assert value(sink, "keeper_event_errors_total", event=name) is None


def test_a_harvest_from_plan_to_end(sink):
    def tell(name, **fields):
        sink.emit(Event(name, fields={"position": "cake", "harvest": "h1", **fields}))

    tell(EventName.HARVEST_SENT, leg=1)
    tell(EventName.HARVEST_SENT, leg=1, attempt=2)
    assert value(sink, "keeper_harvests_open") == 1
    tell(EventName.HARVEST_MINED, leg=1)
    tell(
        EventName.HARVEST_DONE,
        received_usd="262.90",
        compounded_usd="262.41",
        predicted_usd="262.60",
        cost_usd="0.44",
        cost_wei=10**15,
        gas=412_000,
    )
    assert value(sink, "keeper_harvests_open") == 0
    assert value(sink, "keeper_transactions_total", position="cake", state="sent") == 1
    assert value(sink, "keeper_transactions_total", position="cake", state="replaced") == 1
    assert value(sink, "keeper_transactions_total", position="cake", state="mined") == 1
    assert value(sink, "keeper_harvests_total", position="cake", outcome="done") == 1
    assert value(sink, "keeper_harvest_rewards_usd_total", position="cake") == 262.9
    assert value(sink, "keeper_harvest_compounded_usd_total", position="cake") == 262.41
    assert value(sink, "keeper_harvest_cost_usd_total", position="cake") == 0.44
    assert value(sink, "keeper_harvest_cost_wei_total", position="cake") == 10**15
    assert value(sink, "keeper_harvest_gas_total", position="cake") == 412_000
    assert value(sink, "keeper_last_harvest_timestamp_seconds", position="cake") == 1000


def test_a_transaction_of_no_known_compound_is_counted_and_opens_none(sink):
    sink.emit(Event(EventName.HARVEST_SENT, fields={"position": None, "harvest": None, "leg": 1, "attempt": 1}))
    assert value(sink, "keeper_transactions_total", position="", state="sent") == 1
    assert value(sink, "keeper_harvests_open") == 0
    assert value(sink, "keeper_event_errors_total", event="harvest.sent") is None


def test_a_failed_harvest_is_closed_and_its_cost_counted(sink):
    sink.emit(Event(EventName.HARVEST_RESUMED, fields={"position": "cake", "harvest": "h1"}))
    sink.emit(
        Event(EventName.HARVEST_FAILED, fields={"position": "cake", "harvest": "h1", "error": "x", "cost_usd": "0.1"})
    )
    assert value(sink, "keeper_harvests_open") == 0
    assert value(sink, "keeper_harvests_total", position="cake", outcome="failed") == 1
    assert value(sink, "keeper_harvest_cost_usd_total", position="cake") == 0.1


def test_a_cycle_and_the_chain(sink):
    sink.emit(
        Event(
            EventName.CYCLE_DONE,
            fields={
                "chain": "bnb",
                "positions": 214,
                "reads": 3,
                "ms": 41,
                "due": 1,
                "block": 7,
                "head_age_s": 12,
                "gas_gwei": "0.11",
            },
        )
    )
    sink.emit(Event(EventName.CYCLE_FAILED, Level.WARNING, {"chain": "bnb", "error": "x"}))
    assert value(sink, "keeper_cycles_total", chain="bnb", outcome="done") == 1
    assert value(sink, "keeper_cycles_total", chain="bnb", outcome="failed") == 1
    assert value(sink, "keeper_cycle_seconds_sum", chain="bnb") == 0.041
    assert value(sink, "keeper_head_timestamp_seconds", chain="bnb") == 988
    assert value(sink, "keeper_last_cycle_timestamp_seconds", chain="bnb") == 1000
    assert value(sink, "keeper_positions", chain="bnb") == 214
    assert value(sink, "keeper_gas_price_gwei", chain="bnb") == 0.11


def test_endpoints_go_down_and_up(sink):
    labels = {"chain": "bnb", "endpoint": "https://node.example"}
    sink.emit(Event(EventName.RPC_FAILED, fields=labels))
    assert value(sink, "keeper_rpc_up", **labels) == 0
    sink.emit(Event(EventName.RPC_RECOVERED, fields=labels))
    assert value(sink, "keeper_rpc_up", **labels) == 1
    assert value(sink, "keeper_rpc_failures_total", **labels) == 1


def test_what_an_operator_would_page_for(sink):
    lane = {"chain": "bnb", "owner": "0xab"}
    for name in (EventName.LANE_PAUSED, EventName.TX_FOREIGN, EventName.GAP_FILLED):
        sink.emit(Event(name, fields={**lane, "reason": "x", "nonce": 7, "tx": "0x1"}))
    for name in (EventName.TX_STUCK, EventName.TX_REORGED, EventName.TX_REORGED, EventName.TX_CANCELLED):
        sink.emit(Event(name, fields={"chain": "bnb", "position": None, "nonce": 7, "tx": "0x1"}))
    sink.emit(Event(EventName.RPC_DISAGREED, fields={"chain": "bnb", "endpoint": "https://a", "about": "x"}))
    sink.emit(Event(EventName.RUNWAY_LOW, fields={"chain": "bnb", "account": "0xab", "days": 19, "balance": "x"}))
    assert value(sink, "keeper_paused", **lane) == 1
    assert value(sink, "keeper_transactions_foreign_total", **lane) == 1
    assert value(sink, "keeper_nonce_gaps_filled_total", **lane) == 1
    assert value(sink, "keeper_transactions_stuck_total", chain="bnb") == 1
    assert value(sink, "keeper_transactions_reorged_total", chain="bnb") == 2
    assert value(sink, "keeper_transactions_total", position="", state="cancelled") == 1
    assert value(sink, "keeper_rpc_disagreements_total", chain="bnb", endpoint="https://a") == 1
    assert value(sink, "keeper_runway_days", **lane) == 19
    sink.emit(Event(EventName.BALANCE_READ, fields={**lane, "balance_wei": 5, "days": 80}))
    assert value(sink, "keeper_runway_days", **lane) == 80
    sink.emit(Event(EventName.LANE_RESUMED, fields=lane))
    assert value(sink, "keeper_paused", **lane) == 0


def test_a_chain_that_stood_still_goes_on_with_new_blocks_or_the_next_good_look(sink):
    sink.emit(Event(EventName.CHAIN_STALLED, fields={"chain": "base", "age_seconds": 900}))
    sink.emit(Event(EventName.CHAIN_RESUMED, fields={"chain": "base", "age_seconds": 960}))
    assert value(sink, "keeper_chain_stalled", chain="base") == 0
    cycle = {"chain": "bnb", "positions": 1, "reads": 3, "ms": 41, "due": 0}
    sink.emit(Event(EventName.CYCLE_DONE, fields=cycle))
    assert value(sink, "keeper_chain_stalled", chain="bnb") == 0
    sink.emit(Event(EventName.CHAIN_STALLED, fields={"chain": "bnb", "age_seconds": 900}))
    assert value(sink, "keeper_chain_stalled", chain="bnb") == 1
    sink.emit(Event(EventName.CYCLE_DONE, fields=cycle))
    assert value(sink, "keeper_chain_stalled", chain="bnb") == 0


def test_quarantine_ends_with_the_next_other_decision(sink):
    sink.emit(Event(EventName.POSITION_QUARANTINED, fields={"position": "cake"}))
    for code, expected in (("quarantined", 1), ("below_threshold", 0)):
        sink.emit(Event(EventName.DECISION_CHANGED, fields={"position": "cake", "verdict": "WAIT", "code": code}))
        assert value(sink, "keeper_position_quarantined", position="cake") == expected
    sink.emit(
        Event(EventName.DECISION_CHANGED, fields={"position": "other-one", "verdict": "WAIT", "code": "below_cost"})
    )
    assert value(sink, "keeper_position_quarantined", position="other-one") is None


def test_positions_share_a_label_beyond_the_bound():
    sink = MetricsSink(max_positions=3)
    for n in range(10):
        sink.emit(Event(EventName.POSITION_FAILED, fields={"position": f"p{n}"}))
        sink.emit(Event(EventName.POSITION_RESOLVED, fields={"position": f"p{n}", "chain": "bnb", "protocol": "x"}))
    labels = {key[1][1] for key in read(sink) if key[0] == "keeper_position_failures_total"}
    assert labels == {"p0", "p1", "p2", "other"}
    assert value(sink, "keeper_position_failures_total", position="other") == 7
    assert len([key for key in read(sink) if key[0] == "keeper_position_info"]) == 3


def test_a_failure_that_concerns_no_position_is_counted_too(sink):
    sink.emit(Event(EventName.POSITION_FAILED, Level.WARNING, {"position": None, "chain": "bnb", "error": "x"}))
    sink.emit(Event(EventName.POSITION_FAILED, Level.WARNING, {"chain": "bnb", "error": "x"}))
    assert value(sink, "keeper_position_failures_total", position="") == 2


def test_health_of_the_process(sink):
    assert value(sink, "keeper_heartbeat_timestamp_seconds") == 900
    assert value(sink, "keeper_start_timestamp_seconds") == 1000
    assert [dict(key[1:])["version"] for key in read(sink) if key[0] == "keeper_build_info"] == ["1.2.3"]


def test_nothing_is_registered_globally(sink):
    assert not [family.name for family in REGISTRY.collect() if family.name.startswith("keeper_")]
    assert MetricsSink().registry is not sink.registry


def test_no_created_series_double_the_scrape(sink):
    sink.emit(sample("cycle.done"))
    assert b"_created" not in sink.exposition()


@given(
    st.sampled_from(list(EventName)),
    st.dictionaries(
        st.sampled_from(
            [
                "chain",
                "position",
                "ms",
                "reads",
                "positions",
                "due",
                "gas",
                "cost_usd",
                "received_usd",
                "harvest",
                "balance_wei",
                "owner",
            ]
        ),
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.text(max_size=20),
            st.sampled_from(["nan", "inf", "-1", "1e400"]),
        ),
    ),
)
def test_no_fields_whatsoever_make_it_raise_or_poison_a_series(name, fields):
    sink = MetricsSink()
    sink.emit(Event(name, fields=fields))
    assert all(
        number == number and abs(number) < float("inf")
        for key, number in read(sink).items()
        if key[0] != "keeper_cycle_seconds_bucket"
    )
