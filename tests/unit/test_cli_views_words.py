"""Small words of the commands: spans, options that take a value only behind an equals sign, sentences about time."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from keeper.cli import COMMANDS
from keeper.cli import execute as run
from keeper.cli.ledger import parse_since
from keeper.cli.modes import DryRunCommand, dry_run_option
from keeper.cli.progress import Progress
from keeper.cli.run import parse_span
from keeper.cli.views import ago, yearly
from keeper.domain.events import Event, EventName, Level


@pytest.mark.parametrize(("text", "seconds"), [("30d", 2_592_000), ("12h", 43_200), ("90s", 90), ("2w", 1_209_600)])
def test_spans(text, seconds):
    assert parse_span(text) == seconds
    assert parse_since(text, 10**9) == 10**9 - seconds


@pytest.mark.parametrize("text", ["0d", "30", "d", "-1d", "367d", "1y", "٣d", ""])
def test_broken_spans_are_refused(text):
    with pytest.raises(click.BadParameter):
        parse_span(text)


def test_since_takes_a_date_in_utc():
    assert parse_since("1970-01-02", 0) == 86_400


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--dry-run", "uni"], "fork uni"),
        (["uni", "--dry-run"], "fork uni"),
        (["--dry-run=simulate", "uni"], "simulate uni"),
        (["uni"], "None uni"),
        (["--", "--dry-run"], "None --dry-run"),
    ],
)
def test_dry_run_never_eats_the_position(args, expected):
    @click.command(cls=DryRunCommand)
    @click.argument("position")
    @dry_run_option
    def command(position, dry_run):
        click.echo(f"{dry_run} {position}")

    assert CliRunner().invoke(command, args).output.strip() == expected


@pytest.mark.parametrize(
    "args",
    [
        ["run", "--warp", "3d"],
        ["run", "--once"],
        ["run", "--dry-run=simulate", "--warp", "3d"],
        ["run", "--dry-run", "--warp", "3d", "--once"],
        ["harvest"],
        ["harvest", "a", "--all"],
        ["harvest", "--all", "--force"],
        ["ledger", "--csv", "--json"],
        ["keys", "import", "x", "--private-key", "--keystore", "y"],
    ],
)
def test_options_that_contradict_are_usage_errors(args, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(args) == 2
    assert "Error:" in capsys.readouterr().err


def test_times_and_rhythms():
    assert ago(100, 88) == "12 s ago"
    assert ago(88, 100) == "now"
    assert yearly(23_400) == "about 23 a year"
    assert yearly(1_450) == "about 1.4 a year"


def test_progress_tells_legs_and_remembers_a_refusal(capsys):
    progress = Progress()
    fields = {"leg": 1, "legs": 4, "label": "claim UNI", "tx": "0xab", "block": 7, "gas": 12_345, "received": "3 UNI"}
    progress.emit(Event(EventName.HARVEST_MINED, Level.INFO, {**fields, "position": "x"}))
    assert not progress.denied
    progress.emit(Event(EventName.POLICY_DENIED, Level.ERROR, {"position": "x", "error": "no"}))
    assert progress.denied
    assert capsys.readouterr().err == "  1/4  claim UNI: mined in block 7, 12,345 gas, received 3 UNI\n"


def test_every_command_and_schema_is_documented():
    root = Path(__file__).parents[2]
    page = (root / "docs" / "reference" / "commands.md").read_text()
    for name in COMMANDS:
        assert f"\n## keeper {name}\n" in page
    sources = "".join(file.read_text() for file in (root / "keeper" / "cli").glob("*.py"))
    schemas = set(re.findall(r'emit_json\(\s*"(keeper\.[a-z-]+/\d+)"', sources))
    assert schemas
    assert [schema for schema in sorted(schemas) if schema not in page] == []
