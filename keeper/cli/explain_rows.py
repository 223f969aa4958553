"""The lines of ``keeper explain`` about the rule: each number, where it comes from, and what it means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from keeper.cli.explain_formula import formula
from keeper.cli.layout import NEW_LINE, Row
from keeper.cli.output import address_short, amount, duration, gas_price, percent, percent_bps, usd
from keeper.cli.views import amounts, gain, when_next, yearly, yields
from keeper.domain.decision import Decision, DecisionNumbers, ReasonCode, Verdict
from keeper.domain.money import BPS, Amount
from keeper.domain.observation import Observation, RateSource
from keeper.domain.position import StrategyOptions

__all__ = ["Told", "rule_rows", "waiting_saves"]

_DAY = 86_400

#: Instead of a rate.
_UNRATED = "its yield is not known yet"


@dataclass(frozen=True, slots=True)
class Told:
    """What the lines are made of."""

    decision: Decision
    #: Unix seconds.
    now: int
    observation: Observation | None = None
    options: StrategyOptions = field(default_factory=StrategyOptions)
    #: What a harvest brought in the simulation; empty without one.
    simulated: Sequence[Amount] = ()
    #: Finished compounds that gas was learnt from.
    compounds: int = 0


def rule_rows(told: Told, n: DecisionNumbers) -> list[Row]:
    """Lay out the quantities of the rule."""
    return [
        Row("staked", _staked(told, n), usd(n.principal_usd)),
        Row("pending", _pending(told, n), usd(n.reward_usd)),
        Row("cost now", _cost(told, n), usd(n.cost_usd)),
        Row("threshold", _threshold(told, n), "never" if n.threshold_usd is None else usd(n.threshold_usd)),
        Row("would fire", _fires(told, n)),
        Row("gas", _gas(n), gas_price(n.gas_price_wei)),
        Row("waiting", ["what one more day of waiting costs (m R / 365)"], usd(n.waiting_cost_per_day_usd)),
        Row("worth", ["the most that harvesting now is worth paying for (B)"], usd(n.budget_usd)),
        Row("rhythm", _rhythm(told, n)),
        Row("horizon", _horizon(told, n)),
        *_split(told, n),
        Row("policy", _policy(told, n)),
    ]


# ---------------------------------------------------------------------------- what there is


def _staked(told: Told, n: DecisionNumbers) -> list[str]:
    seen = told.observation
    paid_in = ""
    if seen is not None and seen.accruals:
        paid_in = " in " + ", ".join(dict.fromkeys(a.per_year.token.symbol for a in seen.accruals))
    said = [] if seen is None else [amount(seen.principal)]
    if seen is not None and seen.vault_share_ppm is not None:
        said.append(f"{percent(Decimal(seen.vault_share_ppm) / 10**6)} of the vault")
    drift = " after its drift" if told.options.reward_drift_bps else ""
    said.append(_UNRATED if _unrated(told) else f"yields {yields(n)}{paid_in}{drift} (m)")
    if n.rate_source == RateSource.OBSERVED.value:
        said.append("estimated from what was seen to accrue")
    return said


def _pending(told: Told, n: DecisionNumbers) -> list[str]:
    viewed = amounts(told.observation.pending) if told.observation else ""
    if told.simulated:
        said = [f"{amounts(told.simulated)} (simulated harvest; the contract's own view says {viewed})"]
    else:
        said = [f"{viewed} (the contract's own view)"] if viewed else []
    grows = [f"+{usd(n.forward_usd_per_year // 365)} a day"] if n.forward_usd_per_year > 0 else []
    return [*said, *grows]


# ---------------------------------------------------------------------------- what it costs


def _cost(told: Told, n: DecisionNumbers) -> list[str]:
    """Spell g and its parts; a journal of before the parts were kept has the sum only."""
    parts = n.cost_parts
    paid = parts.gas_usd or n.cost_usd
    wei = n.gas_units * n.gas_price_wei
    native = f" x {usd(paid * 10**18 // wei)}" if wei else ""
    sum_ = f" = {usd(paid)}" if paid != n.cost_usd else ""
    said = [f"{n.gas_units:,} gas x {gas_price(n.gas_price_wei)}{native}{sum_}"]
    if n.gas_correction_ppm != 10**6:
        own = f"{told.compounds} compounds" if told.compounds > 1 else "its own compounds"
        said.append(f"gas x{Decimal(n.gas_correction_ppm) / 10**6:.2f} of the simulated, learnt from {own}")
    plus = (
        (parts.l1_usd, "for the chain's L1 data fee"),
        (parts.failure_usd, "for what failed before"),
        (parts.restart_usd, "for the clock that a re-deposit restarts"),
        (parts.event_usd, f"for one of the {told.options.max_harvests_per_year} harvests wanted a year"),
    )
    said += [f"+ {usd(value)} {why}" for value, why in plus if value]
    if parts.call_fee_usd:
        said.append(f"- {usd(-parts.call_fee_usd)} that the protocol pays for the call")
    return said


def _gas(n: DecisionNumbers) -> list[str]:
    now, usual = n.gas_price_wei, n.usual_gas_price_wei
    if usual:
        off = percent(Decimal(abs(now - usual)) / usual)
        said = [
            "as usual" if now == usual else f"{off} {'above' if now > usual else 'below'} the usual {gas_price(usual)}"
        ]
    else:
        said = ["what is usual is known after a day of watching"]
    said += _weighed(n)
    saves = waiting_saves(n)
    if saves is not None and n.expected_gas_price_wei is not None and n.expected_in_seconds is not None:
        lower = percent(1 - Decimal(n.expected_gas_price_wei) / now)
        said.append(
            f"gas is usually {lower} lower within {duration(n.expected_in_seconds)}: "
            f"waiting costs {usd(saves[0])} and saves {usd(saves[1])}"
        )
    return said


def _weighed(n: DecisionNumbers) -> list[str]:
    """Say how today's price counts in the threshold, where that is not as it is."""
    times = Decimal(n.gas_weight_ppm) / 10**6
    if n.expected_gas_price_wei is None or abs(times - 1) < Decimal("0.05"):
        return []
    return [f"counts x{times:.2f}, as {gas_price(n.expected_gas_price_wei)} is what is normal soon"]


def waiting_saves(n: DecisionNumbers) -> tuple[int, int] | None:
    """Return what waiting for the expected price of gas costs and saves, USD wad; ``None`` without a forecast."""
    price, seconds = n.expected_gas_price_wei, n.expected_in_seconds
    if price is None or seconds is None or not 0 < price < n.gas_price_wei:
        return None
    gas = n.cost_parts.gas_usd or n.cost_usd
    return n.waiting_cost_per_day_usd * seconds // _DAY, gas * (n.gas_price_wei - price) // n.gas_price_wei


# ---------------------------------------------------------------------------- when it fires


def _threshold(told: Told, n: DecisionNumbers) -> list[str]:
    if n.threshold_usd is None:
        if n.policy != "rule":
            return [f"the policy {n.policy} names none"]
        if _unrated(told):
            return ["there is none before the rate is known"]
        return ["what is re-deposited earns nothing more, so a harvest cannot pay for itself"]
    more = []
    if n.reward_usd < n.threshold_usd:
        more = [f"needs {_more(n.threshold_usd, n.reward_usd)}"] if n.reward_usd else []
    return [*more, NEW_LINE, *formula(told.options, n)]


def _more(wanted: int, reward: int) -> str:
    """Say how far away the threshold is, in the words of the reason."""
    percents = -(-(wanted - reward) * 100 // reward)
    return f"{percents} % more" if percents < 100 else f"{wanted * 10 // reward / 10:.1f}x as much"


def _fires(told: Told, n: DecisionNumbers) -> list[str]:
    """Say when it fires: at today's gas, and at which price of gas now."""
    decision, fire = told.decision, n.fire_gas_price_wei
    when = when_next(decision, told.now)
    if decision.code is ReasonCode.BATCH_WAITS:
        return ["together with its batch"]
    if decision.verdict is Verdict.HARVEST:
        cheap = fire is not None and fire >= n.gas_price_wei
        return [when, f"and as long as gas stays below {gas_price(fire)}"] if fire and cheap else [when]
    if fire is not None and fire >= n.gas_price_wei:
        return [f"{when}: the threshold is passed", f"as long as gas stays below {gas_price(fire)}"]
    below = n.threshold_usd is not None and n.reward_usd < n.threshold_usd
    gas = [f"or now if gas fell to {gas_price(fire)}"] if fire else []
    dated = below and decision.verdict is Verdict.WAIT and decision.next_check is not None
    return [f"{when} at today's gas" if dated else when, *gas]


def _rhythm(told: Told, n: DecisionNumbers) -> list[str]:
    star = f"(n* = {Decimal(n.harvests_per_year_milli) / 1000:.1f})"
    if _unrated(told):
        return ["none before the rate is known"]
    if not n.gain_per_year_usd:
        return [f"never: compounding gains nothing over claiming once {star}"]
    worth = gain(n)
    if n.horizon_seconds is not None:
        until = "until you leave" if told.options.exit_at is not None else "until rewards end"
        worth = f"worth +{usd(n.gain_per_year_usd)} {until}"
    return [f"{yearly(n.harvests_per_year_milli).removeprefix('about ')} is best {star}", worth]


# ---------------------------------------------------------------------------- what the owner wants


def _horizon(told: Told, n: DecisionNumbers) -> list[str]:
    within = f"a compound must earn its cost back within {duration(told.options.payback_seconds)}"
    if _ended(told):
        return ["rewards have ended"]
    if n.horizon_seconds is None:
        return ["no end is known", within]
    end = told.decision.block.timestamp + n.horizon_seconds
    leaves = told.options.exit_at is not None and told.options.exit_at <= end
    day = datetime.fromtimestamp(end, UTC).date().isoformat()
    what = "you leave" if leaves else "rewards end"
    left = f"in {duration(n.horizon_seconds)}" if n.horizon_seconds > 0 else "now"
    return [f"{what} {left} ({day})", f"{within}, and by then"]


def _ended(told: Told) -> bool:
    accruals, now = told.observation.accruals if told.observation else (), told.decision.block.timestamp
    return bool(accruals) and all(a.ends_at is not None and a.ends_at <= now for a in accruals)


def _unrated(told: Told) -> bool:
    return any(reason.code is ReasonCode.RATE_UNKNOWN for reason in told.decision.reasons)


def _split(told: Told, n: DecisionNumbers) -> list[Row]:
    rows = []
    options = told.options
    if options.payout_bps:
        to = f" to {address_short(options.payout_to)}" if options.payout_to else ""
        rows.append(Row("pays out", [f"{percent_bps(options.payout_bps)} of each harvest{to}"], usd(n.payout_usd)))
    if options.gas_keep_wei:
        keep = f"{Decimal(options.gas_keep_wei) / 10**18:.4g} of the gas token"
        why = f"of this harvest becomes gas: the balance is kept at {keep}"
        idle = f"nothing becomes gas now; the balance is kept at {keep}"
        rows.append(Row("tops up", [why if n.top_up_usd else idle], usd(n.top_up_usd)))
    return rows


def _policy(told: Told, n: DecisionNumbers) -> list[str]:
    options = told.options
    said = ["rule: keeper's own" if n.policy == "rule" else f"{n.policy}, inside keeper's guards"]
    if options.risk_factor_bps != BPS:
        said.append(f"risk factor {options.risk_factor_bps / BPS:g}")
    if options.min_interval_seconds:
        said.append(f"at least {duration(options.min_interval_seconds)} apart")
    if options.max_interval_seconds:
        said.append(f"at most {duration(options.max_interval_seconds)} apart")
    if options.max_harvests_per_year:
        said.append(f"at most {options.max_harvests_per_year} a year")
    if options.reward_drift_bps:
        said.append(f"reward drifts {percent_bps(options.reward_drift_bps)} a year")
    if options.rate_drift_bps:
        said.append(f"emission changes {percent_bps(options.rate_drift_bps)} a year")
    if options.target_yield_bps is not None:
        said.append(f"goes into something that yields {percent_bps(options.target_yield_bps)} a year")
    if options.batch:
        said.append(f"decided with batch {options.batch}")
    return said
