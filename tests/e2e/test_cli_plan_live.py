"""keeper plan against a real chain: live gas, the price of its coin, the gas that a protocol really takes."""

from __future__ import annotations

from decimal import Decimal

import pytest
from app_kit import write_config
from cli_kit import Line

pytestmark = pytest.mark.devnet

FARM = ("--principal", "50000", "--apr", "58%")


def test_a_configured_chain_tells_gas_and_price(world, tmp_path, capsys):
    line = Line(write_config(world, tmp_path), capsys)
    found = line("plan", *FARM, "--chain", "local", "--protocol", "aave-v3", "--json").json
    cost = found["cost"]
    assert (cost["chain"], cost["gas_units"], cost["native_usd"]) == ("local", 580_000, "3000")
    assert int(cost["gas_price_wei"]) > 0
    paid = Decimal(cost["gas_price_wei"]) * cost["gas_units"] * 3000 / 10**18
    assert abs(Decimal(cost["cost_usd"]) - paid) < Decimal("1e-15")
    assert found["worth_it"] is True
    assert not (tmp_path / "state").exists()


def test_what_is_given_holds_and_what_is_wrong_is_told(world, tmp_path, capsys):
    line = Line(write_config(world, tmp_path), capsys)
    cost = line("plan", *FARM, "--chain", "local", "--gas-price", "7gwei", "--native-price", "1000", "--json").json[
        "cost"
    ]
    assert (cost["gas_price_wei"], cost["native_usd"], cost["gas_units"]) == ("7000000000", "1000", 600_000)
    shown = line("plan", *FARM, "--chain", "elsewhere")
    assert shown.code == 78
    assert "no chain 'elsewhere'" in shown.err
