"""The metrics of keeper by name: one field each, in a registry of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, get_type_hints

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["Series", "build"]

#: Bounds of the cycle histogram in seconds: a cycle over few positions takes milliseconds, over ten thousand seconds.
_CYCLE_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class Series:
    """Everything that is measured: name, what it means, and the labels, beside the kind."""

    #: Registry that holds the metrics below and the process's own.
    registry: CollectorRegistry
    build_info: Annotated[Gauge, "keeper_build_info", "Always 1; the labels say what runs.", "version", "python"]
    start: Annotated[Gauge, "keeper_start_timestamp_seconds", "Unix time at which this process started."]
    heartbeat: Annotated[Gauge, "keeper_heartbeat_timestamp_seconds", "Unix time of the supervisor's last tick."]
    draining: Annotated[
        Gauge, "keeper_draining", "1 while the daemon finishes what is under way and starts nothing new."
    ]
    reloads: Annotated[
        Counter, "keeper_config_reloads_total", "Configuration reloads by outcome (accepted, rejected).", "outcome"
    ]
    events: Annotated[Counter, "keeper_events_total", "Events by name and level.", "event", "level"]
    event_errors: Annotated[Counter, "keeper_event_errors_total", "Events whose fields could not be counted.", "event"]
    cycles: Annotated[
        Counter, "keeper_cycles_total", "Read-and-decide cycles by outcome (done, failed).", "chain", "outcome"
    ]
    cycle_seconds: Annotated[Histogram, "keeper_cycle_seconds", "Duration of a finished cycle.", "chain"]
    cycle_time: Annotated[
        Gauge, "keeper_last_cycle_timestamp_seconds", "Unix time of the last finished cycle.", "chain"
    ]
    reads: Annotated[Counter, "keeper_reads_total", "Views read by finished cycles.", "chain"]
    rpc_failures: Annotated[
        Counter, "keeper_rpc_failures_total", "Times an endpoint stopped answering well.", "chain", "endpoint"
    ]
    rpc_up: Annotated[
        Gauge,
        "keeper_rpc_up",
        "0 after an endpoint failed, 1 after it recovered; absent before it first failed.",
        "chain",
        "endpoint",
    ]
    disagreements: Annotated[
        Counter,
        "keeper_rpc_disagreements_total",
        "Times an endpoint contradicted another where money depends on the answer.",
        "chain",
        "endpoint",
    ]
    stalled: Annotated[
        Gauge, "keeper_chain_stalled", "1 while the chain's newest block is too old to decide by.", "chain"
    ]
    head: Annotated[Gauge, "keeper_head_block", "Newest block that positions were read at.", "chain"]
    head_time: Annotated[Gauge, "keeper_head_timestamp_seconds", "Unix time of that block.", "chain"]
    gas_price: Annotated[Gauge, "keeper_gas_price_gwei", "Price of gas when it was last asked.", "chain"]
    balance: Annotated[Gauge, "keeper_native_balance_wei", "Gas money of a signing account.", "chain", "owner"]
    balance_floor: Annotated[
        Gauge, "keeper_native_balance_floor_wei", "Below this balance no harvest is started.", "chain", "owner"
    ]
    runway: Annotated[
        Gauge,
        "keeper_runway_days",
        "Days that the gas money lasts at the rate of the last month; absent while that is unknown.",
        "chain",
        "owner",
    ]
    positions: Annotated[Gauge, "keeper_positions", "Positions read in the last cycle.", "chain"]
    due: Annotated[Gauge, "keeper_positions_due", "Positions of the last cycle that should be harvested.", "chain"]
    position_info: Annotated[
        Gauge,
        "keeper_position_info",
        "Always 1; joins a position with its chain and protocol.",
        "position",
        "chain",
        "protocol",
    ]
    position_failures: Annotated[Counter, "keeper_position_failures_total", "Failed steps of a position.", "position"]
    quarantined: Annotated[
        Gauge,
        "keeper_position_quarantined",
        "1 while a position is set aside after failing several times in a row.",
        "position",
    ]
    decisions: Annotated[
        Counter,
        "keeper_decision_changes_total",
        "Decisions that differ from the one before, by verdict and first reason.",
        "verdict",
        "code",
    ]
    harvests: Annotated[
        Counter, "keeper_harvests_total", "Finished compounds by outcome (done, failed).", "position", "outcome"
    ]
    open_harvests: Annotated[
        Gauge, "keeper_harvests_open", "Compounds with a transaction on the wire or still to be sent."
    ]
    harvest_time: Annotated[
        Gauge, "keeper_last_harvest_timestamp_seconds", "Unix time of the last compound that was done.", "position"
    ]
    transactions: Annotated[
        Counter,
        "keeper_transactions_total",
        "Transactions by state (sent, replaced by a higher bid, mined, cancelled).",
        "position",
        "state",
    ]
    stuck: Annotated[
        Counter,
        "keeper_transactions_stuck_total",
        "Times a transaction was found unmined, with nothing more that may be bid for it.",
        "chain",
    ]
    reorged: Annotated[
        Counter, "keeper_transactions_reorged_total", "Transactions whose block left the chain.", "chain"
    ]
    foreign: Annotated[
        Counter,
        "keeper_transactions_foreign_total",
        "Transactions from a signing account that keeper has not signed.",
        "chain",
        "owner",
    ]
    gaps: Annotated[
        Counter,
        "keeper_nonce_gaps_filled_total",
        "Nonces used up by a transaction that does nothing, so that what waits behind can be mined.",
        "chain",
        "owner",
    ]
    gas: Annotated[Counter, "keeper_harvest_gas_total", "Gas units used by compounds.", "position"]
    cost_wei: Annotated[Counter, "keeper_harvest_cost_wei_total", "Fees paid for compounds, wei.", "position"]
    cost_usd: Annotated[Counter, "keeper_harvest_cost_usd_total", "Fees paid for compounds, US dollars.", "position"]
    rewards: Annotated[
        Counter, "keeper_harvest_rewards_usd_total", "Rewards that came in, US dollars at the time.", "position"
    ]
    predicted: Annotated[
        Counter,
        "keeper_harvest_predicted_usd_total",
        "Rewards that were predicted for the same compounds, US dollars.",
        "position",
    ]
    compounded: Annotated[
        Counter, "keeper_harvest_compounded_usd_total", "What was deposited again, US dollars at the time.", "position"
    ]
    apr: Annotated[
        Gauge,
        "keeper_position_apr",
        "Profit of the last 30 days in kind, after fees, as a yearly share of the average stake (0.184 is 18.4 %).",
        "position",
    ]
    over_never: Annotated[
        Gauge,
        "keeper_position_gain_over_never_usd",
        "What the compounds of the last 30 days earned beyond never compounding, US dollars.",
        "position",
    ]
    over_daily: Annotated[
        Gauge,
        "keeper_position_gain_over_daily_usd",
        "What the same earned beyond compounding every day, US dollars.",
        "position",
    ]
    denials: Annotated[Counter, "keeper_policy_denials_total", "Requests that the signer refused.", "position"]
    halted: Annotated[
        Gauge,
        "keeper_lane_halted",
        "1 when an account sends nothing until a person has looked.",
        "chain",
        "owner",
    ]
    paused: Annotated[
        Gauge,
        "keeper_paused",
        "1 while an account signs nothing because of `keeper pause` or the kill file.",
        "chain",
        "owner",
    ]


def build() -> Series:
    """Make every metric in a new registry, with the process's own (memory, CPU, file descriptors) beside them."""
    import prometheus_client as client  # noqa: PLC0415  loaded by the first metrics sink, not by every command

    client.disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = client.CollectorRegistry()
    client.ProcessCollector(registry=registry)
    made: dict[str, Any] = {}
    for field, hint in get_type_hints(Series, localns=vars(client), include_extras=True).items():
        if field != "registry":
            name, doc, *labels = hint.__metadata__
            options = {"buckets": _CYCLE_BUCKETS} if hint.__origin__ is client.Histogram else {}
            made[field] = hint.__origin__(name, doc, labels, registry=registry, **options)
    return Series(registry, **made)
