"""``keeper plan``: a calculator for people without a position: when to compound, how often, and whether at all."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from keeper.cli.options import globals_of, json_option
from keeper.cli.plan_inputs import GAS_PRICE, MONEY, PERCENT, SPAN, UNITS, bps_of, wad_of
from keeper.strategy.calculator import Farm, forecast

if TYPE_CHECKING:
    from keeper.domain.money import UsdWad

__all__ = ["command"]

_FARTHEST_YEARS = 50


def _exit_seconds(text: str) -> int:
    """Return the seconds until a date (UTC).

    Raises:
        click.BadParameter: it is no date, or not to come.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f'"{text}" is no date; write e.g. 2027-06-01', param_hint="--exit") from None
    left = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) - int(time.time())
    if not 0 < left <= _FARTHEST_YEARS * 365 * 86_400:
        raise click.BadParameter(f"{text} is not within the next {_FARTHEST_YEARS} years", param_hint="--exit")
    return left


@click.command(name="plan")
@click.option("--principal", type=MONEY, required=True, metavar="USD", help="What you would stake: 10000, 2m.")
@click.option("--apr", type=PERCENT, required=True, metavar="PERCENT", help="Rewards a year, as the farm says: 18%.")
@click.option("--cost", type=MONEY, metavar="USD", help="What one compound costs: 0.31. Or let gas say it:")
@click.option("--gas-price", type=GAS_PRICE, metavar="GAS", help="Price of gas: 0.1gwei.")
@click.option("--gas-units", type=UNITS, metavar="N", help="Gas of one compound (claim, swap, deposit): 412000.")
@click.option("--native-price", type=MONEY, metavar="USD", help="Price of the coin that gas is paid in: 612.")
@click.option("--chain", metavar="NAME", help="Take price of gas and coin from this chain of the config, now.")
@click.option("--protocol", metavar="NAME", help="Take the gas units that are typical of this protocol.")
@click.option("--pool-depth", type=MONEY, metavar="USD", help="Value of the pool's side that rewards are sold into.")
@click.option("--fee", type=PERCENT, default="0%", metavar="PERCENT", help="Swap fee on the way back into the stake.")
@click.option("--horizon", type=SPAN, metavar="SPAN", help="How long you would stay: 90d, 1y.")
@click.option("--exit", "exit_on", metavar="DATE", help="Or the day on which you would leave: 2027-06-01.")
@click.option("--share", type=PERCENT, default="0%", metavar="PERCENT", help="Your share of the farm, if it is large.")
@click.option("--drift", type=PERCENT, default="0%", metavar="PERCENT", help="Change of the reward's price: -50%/yr.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    principal: UsdWad,
    apr: Decimal,
    cost: UsdWad | None,
    gas_price: int | None,
    gas_units: int | None,
    native_price: UsdWad | None,
    chain: str | None,
    protocol: str | None,
    pool_depth: UsdWad | None,
    fee: Decimal,
    horizon: int | None,
    exit_on: str | None,
    share: Decimal,
    drift: Decimal,
) -> None:
    """Say when to compound a farm, how often, and whether at all; nothing needs to be staked or configured.

    A chain is asked only with --chain. The numbers are those that `keeper explain` would show once you are in.
    """
    from keeper.cli.output import emit_json
    from keeper.cli.plan_gas import bill_of
    from keeper.cli.plan_text import plan_json, print_plan

    if horizon is not None and exit_on is not None:
        raise click.UsageError("--horizon and --exit say the same; give one of them")
    _positive(principal, apr, pool_depth)
    left = _exit_seconds(exit_on) if exit_on is not None else horizon
    options = globals_of(ctx)
    bill = bill_of(
        options,
        cost=cost,
        price_wei=gas_price,
        units=gas_units,
        native_usd=native_price,
        chain=chain,
        protocol=protocol,
    )
    if bill.cost <= 0:
        raise click.UsageError("a compound that costs nothing is always worth it; give what it costs")
    farm = Farm(
        principal=principal,
        apr_wad=wad_of(apr),
        cost=bill.cost,
        fee_bps=bps_of(fee, "--fee", 0, 5_000),
        depth=pool_depth,
        share_ppm=bps_of(share, "--share", 0, 10_000) * 100,
        drift_bps=bps_of(drift, "--drift", -50_000, 50_000),
        horizon=left,
    )
    found = forecast(farm)
    shown: dict[str, Any] = {"farm": farm, "bill": bill, "found": found}
    if options.json:
        emit_json("keeper.plan/1", plan_json(**shown))
    else:
        print_plan(**shown)


def _positive(principal: int, apr: Decimal, depth: int | None) -> None:
    if principal <= 0:
        raise click.BadParameter("must be above zero", param_hint="--principal")
    if not 0 < apr <= 10_000:
        raise click.BadParameter("must be above 0%, and no more than a farm can pay", param_hint="--apr")
    if depth is not None and depth <= 0:
        raise click.BadParameter("must be above zero; leave it away when the pool is deep", param_hint="--pool-depth")
