"""How money, gas and time are spelled, and what JSON and tables look like."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.cli import output
from keeper.domain.decision import ReasonCode
from keeper.domain.money import Address, Amount, Token
from keeper.domain.money import usd as wad

CAKE = Token("bnb", Address("0x" + "a" * 40), "CAKE", 18)
USDC = Token("bnb", Address("0x" + "b" * 40), "USDC", 6)


@pytest.mark.parametrize(
    ("dollars", "shown"),
    [
        ("10240.18", "$10,240.18"),
        ("0", "$0.00"),
        ("0.31", "$0.31"),
        ("0.1", "$0.10"),
        ("0.011", "$0.011"),
        ("0.0234", "$0.023"),
        ("0.00000001", "<$0.000001"),
        ("-3.5", "-$3.50"),
        ("-0.00000001", "-<$0.000001"),
        ("1234567890123", "$1,234,567,890,123.00"),
    ],
)
def test_dollars(dollars: str, shown: str) -> None:
    assert output.usd(wad(dollars)) == shown


@pytest.mark.parametrize(
    ("token", "raw", "shown"),
    [
        (CAKE, 9_310_000_000_000_000_000, "9.31 CAKE"),
        (CAKE, 0, "0 CAKE"),
        (CAKE, 1, "0.000000000000000001 CAKE"),
        (CAKE, 123_456_789_012_345, "0.000123457 CAKE"),
        (USDC, 1_204_500_000, "1,204.5 USDC"),
        (USDC, 1_234_567_890_123, "1,234,568 USDC"),
        (USDC, -2_500_000, "-2.5 USDC"),
        (CAKE, 2**256 - 1, "115,792,089,237,316,195,423,570,985,008,687,907,853,269,984,665,640,564,039,458 CAKE"),
    ],
)
def test_token_amounts(token: Token, raw: int, shown: str) -> None:
    assert output.amount(Amount(token, raw)) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (90, "1 min 30 s"),
        (3_600, "1 h"),
        (3_601, "1 h"),
        (972_000, "11 d 6 h"),
        (86_400 + 30, "1 d"),
        (366 * 86_400, "1 y 1 d"),
        (-90, "-1 min 30 s"),
    ],
)
def test_durations(seconds: int, shown: str) -> None:
    assert output.duration(seconds) == shown


@pytest.mark.parametrize(
    ("wei", "shown"), [(11 * 10**7, "0.11 gwei"), (0, "0 gwei"), (25 * 10**9, "25 gwei"), (8_123_456, "0.00812 gwei")]
)
def test_gas_prices(wei: int, shown: str) -> None:
    assert output.gas_price(wei) == shown


def test_shares() -> None:
    assert output.percent(Decimal("0.184")) == "18.4 %"
    assert output.percent_bps(1) == "0.01 %"
    assert output.percent_wad(10**18) == "100 %"


def test_addresses() -> None:
    address = "0x0e09fabb73bd3ade0a17ecc321fd13a19e81ce82"

    assert output.address_long(address) == "0x0E09FaBB73Bd3Ade0a17ECC321fD13a19e81cE82"
    assert output.address_short(address) == "0x0E09..cE82"


@given(st.integers(min_value=-(10**60), max_value=10**60))
def test_dollars_for_json_lose_nothing(value: int) -> None:
    assert Decimal(output.usd_text(value)) == Decimal(f"{value}E-18")


# ---------------------------------------------------------------- JSON


def test_json_keeps_every_digit(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit_json(
        "keeper.test/1",
        {
            "big": 2**53 + 1,
            "small": 2**53,
            "flag": True,
            "none": None,
            "decimal": Decimal("0.10"),
            "amount": Amount(CAKE, 9_310_000_000_000_000_000),
            "code": ReasonCode.BELOW_COST,
            "bytes": b"\x01\xff",
            "path": Path("/a"),
            "set": {"b", "a"},
            "list": (1, [2]),
        },
    )

    assert json.loads(capsys.readouterr().out) == {
        "schema": "keeper.test/1",
        "big": "9007199254740993",
        "small": 2**53,
        "flag": True,
        "none": None,
        "decimal": "0.10",
        "amount": {
            "token": CAKE.address,
            "symbol": "CAKE",
            "raw": "9310000000000000000",
            "amount": "9.310000000000000000",
        },
        "code": "below_cost",
        "bytes": "0x01ff",
        "path": "/a",
        "set": ["a", "b"],
        "list": [1, [2]],
    }


def test_json_refuses_floats() -> None:
    with pytest.raises(TypeError, match="float"):
        output.emit_json("keeper.test/1", {"price": 0.1})


# ---------------------------------------------------------------- tables and colours


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("env", "terminal", "expected"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"TERM": "dumb"}, True, False),
        ({"NO_COLOR": ""}, True, True),
    ],
)
def test_colours(env: dict[str, str], terminal: bool, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)

    assert output.colored(Terminal() if terminal else io.StringIO()) is expected


ROWS = [("cake-bnb", "$21.77"), ("x", "$1,000.00")]


def test_tables_are_aligned_text_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("position", "pending"), ROWS, right=(1,))

    assert capsys.readouterr().out == (
        "position    pending\n"
        "cake-bnb     $21.77\n"
        "x         $1,000.00\n"
    )  # fmt: skip


def test_tables_are_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout", terminal)

    output.table(("position", "pending"), [("[bold]x[/]", "$1")], right=(1,))

    assert "[bold]x[/]" in terminal.getvalue()
    assert "─" in terminal.getvalue()
