"""The answer of ``keeper plan``, for people and for programs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from keeper.cli.grid import room
from keeper.cli.layout import Row, lay_out
from keeper.cli.output import duration, gas_price, percent_wad, say, table, usd, usd_text
from keeper.cli.plan_gas import Bill
from keeper.cli.views import wrapped, yearly
from keeper.domain.money import BPS
from keeper.strategy.advice import about_gwei, about_usd
from keeper.strategy.calculator import Farm, Forecast, Rhythm, Size
from keeper.strategy.threshold import Thresholds

__all__ = ["plan_json", "print_plan"]

_RULE = "keeper's rule"


def print_plan(farm: Farm, bill: Bill, found: Forecast) -> None:
    """Print the plan, no wider than the terminal."""
    say(f"{usd(farm.principal)} at {percent_wad(farm.apr_wad)} a year, {usd(bill.cost)} a compound")
    for line in lay_out(_rows(farm, bill, found), room()):
        say(line)
    say()
    until = "a year" if farm.horizon is None else duration(found.time)
    headers = ("rhythm", "compounds", "their cost", f"earned in {until}", "against never")
    table(headers, [_rhythm_row(rhythm, found) for rhythm in found.rhythms], right=(1, 2, 3, 4))
    for line in _first_year(farm, found):
        say(line)
    say()
    often = "a year" if farm.horizon is None else "compounds"
    headers = ("staked", "first after", "at pending", often, "against never")
    table(headers, [_size_row(size, farm) for size in found.sizes], right=(0, 1, 2, 3, 4))


def _first_year(farm: Farm, found: Forecast) -> list[str]:
    """Say why the year that is played has fewer compounds than the rhythm that goes on."""
    often = _often(found.thresholds)
    if farm.horizon is not None or not found.compounds or often == str(found.compounds):
        return []
    return wrapped(f"the first year has {found.compounds:,} of about {often} a year; what pends at its end is claimed")


def _often(t: Thresholds) -> str:
    return yearly(t.harvests_milli).removeprefix("about ").removesuffix(" a year")


def _rows(farm: Farm, bill: Bill, found: Forecast) -> list[Row]:
    e = found.economics
    rewards = [f"{usd(e.forward)} a year", f"{usd(e.forward // 365)} a day"]
    if farm.fee_bps or farm.share_ppm or farm.drift_bps or farm.depth:
        rewards.append(f"one more dollar yields {percent_wad(e.yield_wad)} (m)")
        rewards.append(f"a waiting dollar loses {percent_wad(found.thresholds.pressure_wad)} a year (k)")
    return [
        *_answer(farm, found),
        Row("rewards", rewards),
        Row("cost", _cost(bill)),
        Row("pays", _limits(bill, found)),
    ]


def _answer(farm: Farm, found: Forecast) -> list[Row]:
    t = found.thresholds
    if not found.pays or t.reward is None:
        return [Row("worth it", ["never: claim once, when you leave"]), Row("why", [_why_not(farm, found)])]
    over = "a year" if farm.horizon is None else f"until you leave in {duration(found.time)}"
    best = found.rhythms[-1].earned - found.rhythms[0].earned
    first = [f"when {usd(t.reward)} is pending"]
    if t.eta_seconds is not None:
        first.insert(0, f"after {duration(t.eta_seconds)}")
    then = [yearly(t.harvests_milli)]
    if farm.horizon is not None:
        then = ["1 compound pays before the end" if found.compounds == 1 else f"{found.compounds} compounds in all"]
    elif t.eta_seconds:
        then.insert(0, f"about every {duration(t.eta_seconds)}")
    return [
        Row("worth it", [f"yes: +{usd(best)} {over} over never compounding"]),
        Row("first", first),
        Row("then", then),
    ]


def _why_not(farm: Farm, found: Forecast) -> str:
    if found.economics.yield_wad <= 0:
        return "the reward is expected to gain more than the farm pays"
    within = "a year" if farm.horizon is None else duration(found.time)
    star = Decimal(found.thresholds.harvests_milli) / 1000
    return f"within {within} no compound earns its {usd(farm.cost)} back (n* = {star:.1f})"


def _cost(bill: Bill) -> list[str]:
    if bill.units is None or bill.price_wei is None or bill.native_usd is None:
        return [f"{usd(bill.cost)} a compound, as you said"]
    said = [f"{usd(bill.cost)} a compound = {bill.units:,} gas x {gas_price(bill.price_wei)} x {usd(bill.native_usd)}"]
    if bill.block is not None:
        said.append(f"gas of {bill.block.chain}, block {bill.block.number:,}")
    return said


def _limits(bill: Bill, found: Forecast) -> list[str]:
    """Say from which stake on, and up to which cost, compounding is worth it."""
    said = []
    if found.least_principal is None:
        said.append("at no size")
    else:
        said.append(f"from about {about_usd(found.least_principal)} staked")
    if found.most_cost > 0:
        price = bill.price_at(found.most_cost)
        gas = f" (gas below {about_gwei(price)})" if price else ""
        said.append(f"or while a compound costs less than {usd(found.most_cost)}{gas}")
    return said


def _rhythm_row(rhythm: Rhythm, found: Forecast) -> tuple[str, ...]:
    more = rhythm.earned - found.rhythms[0].earned
    name = _RULE if rhythm.name == "rule" else rhythm.name
    against = "-" if rhythm.name == "never" else _signed(more)
    return (name, f"{rhythm.compounds:,}", usd(rhythm.cost), usd(rhythm.earned), against)


def _signed(wad: int) -> str:
    return f"{'+' if wad >= 0 else ''}{usd(wad)}"


def _size_row(size: Size, farm: Farm) -> tuple[str, ...]:
    t = size.thresholds
    if not size.compounds or t.reward is None:
        return (usd(size.principal), "never", "-", "-", "-")
    after = "-" if t.eta_seconds is None else duration(t.eta_seconds)
    often = _often(t) if farm.horizon is None else f"{size.compounds:,}"
    return (usd(size.principal), after, usd(t.reward), often, _signed(size.against_never))


# ---------------------------------------------------------------------------- for programs


def plan_json(farm: Farm, bill: Bill, found: Forecast) -> dict[str, Any]:
    """The plan; docs/reference/commands.md names every key."""
    e, t = found.economics, found.thresholds
    price = bill.price_at(found.most_cost) if found.most_cost > 0 else None
    return {
        "farm": {
            "principal_usd": usd_text(farm.principal),
            "apr": usd_text(farm.apr_wad),
            "fee": str(Decimal(farm.fee_bps) / BPS),
            "pool_depth_usd": None if farm.depth is None else usd_text(farm.depth),
            "share": str(Decimal(farm.share_ppm) / 10**6),
            "drift_per_year": str(Decimal(farm.drift_bps) / BPS),
            "horizon_seconds": farm.horizon,
        },
        "cost": {
            "cost_usd": usd_text(bill.cost),
            "gas_units": bill.units,
            "gas_price_wei": None if bill.price_wei is None else str(bill.price_wei),
            "native_usd": None if bill.native_usd is None else usd_text(bill.native_usd),
            "chain": None if bill.block is None else bill.block.chain,
            "block": None if bill.block is None else bill.block.number,
        },
        "worth_it": found.pays,
        "forward_usd_per_year": usd_text(e.forward),
        "yield_per_year": usd_text(e.yield_wad),
        **_numbers_json(t),
        "compounds": found.compounds,
        "time_seconds": found.time,
        "least_principal_usd": None if found.least_principal is None else usd_text(found.least_principal),
        "most_cost_usd": usd_text(found.most_cost),
        "most_gas_price_wei": None if price is None else str(price),
        "rhythms": [
            {
                "name": rhythm.name,
                "compounds": rhythm.compounds,
                "cost_usd": usd_text(rhythm.cost),
                "earned_usd": usd_text(rhythm.earned),
                "against_never_usd": usd_text(rhythm.earned - found.rhythms[0].earned),
            }
            for rhythm in found.rhythms
        ],
        "sizes": [
            {
                "principal_usd": usd_text(size.principal),
                "compounds": size.compounds,
                "against_never_usd": usd_text(size.against_never),
                **_numbers_json(size.thresholds),
            }
            for size in found.sizes
        ],
    }


def _numbers_json(t: Thresholds) -> dict[str, Any]:
    return {
        "threshold_usd": None if t.reward is None else usd_text(t.reward),
        "first_after_seconds": t.eta_seconds,
        "harvests_per_year": str(Decimal(t.harvests_milli) / 1000),
        "pressure_per_year": usd_text(t.pressure_wad),
        "gain_per_year_usd": usd_text(t.gain_per_year),
    }
