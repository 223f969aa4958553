"""The daemon on the local chain for some days, restarted once; then `keeper race` and `keeper backtest` tell of them."""

from __future__ import annotations

import re
import signal

import pytest
from app_kit import open_local, pass_time, write_config
from cli_kit import Line, Process, wait_for

pytestmark = [pytest.mark.devnet, pytest.mark.slow]

HOUR = 3_600


def settled(daemon: Process) -> bool:
    """Whether every compound that was begun has ended."""
    ended = ("harvest.done", "harvest.failed", "position.failed")
    return len(daemon.named("harvest.planned")) <= sum(len(daemon.named(name)) for name in ended)


def play(config, log, world, steps: int) -> None:
    """Let the daemon look every six hours of the chain's time."""
    with Process(config, log, pace=10) as daemon:
        daemon.until("cycle.done")
        for _ in range(steps):
            pass_time(world, 6 * HOUR)
            daemon.until("cycle.done", len(daemon.named("cycle.done")) + 2)
            # On a busy machine days would pass while a compound is under way, and its position is not looked at.
            wait_for(lambda: settled(daemon), 40, daemon.log.read_text)
        daemon.send(signal.SIGTERM)
        assert daemon.finish() == 0
        assert not daemon.named("race.failed")


def test_days_of_a_daemon_are_raced_and_lived_through_again(fresh_world, tmp_path, capsys):
    config = write_config(fresh_world, tmp_path, poll_gas_seconds=1, poll_positions_seconds=1)
    line = Line(config, capsys)
    play(config, tmp_path / "first", fresh_world, 5)
    before = line("race", "--json").json
    play(config, tmp_path / "second", fresh_world, 25)

    document = line("race", "--json").json
    assert [p["since"] for p in document["positions"]] == [p["since"] for p in before["positions"]]
    for position, earlier in zip(document["positions"], before["positions"], strict=True):
        assert position["looks"] > earlier["looks"] >= 3
        scores = {row["name"]: row for row in position["policies"]}
        assert (scores["never"]["gained_usd"], scores["never"]["harvests"]) == ("0", 0)
        assert scores["r>g"]["harvests"] > scores["daily"]["harvests"] >= 4
        assert float(scores["r>g"]["gained_usd"]) < float(scores["daily"]["gained_usd"]) < 0
        assert float(scores["r>g"]["gas_paid_usd"]) > 10
    shown = line("race", "uni-farm")
    assert re.search(r"^uni-farm: since 20\d\d-\d\d-\d\d \d\d:\d\d UTC \(7 d", shown.out)
    assert "rule *" in shown.out

    tested = line("backtest", "--json", "--plot", str(tmp_path / "plot.svg")).json
    assert (tmp_path / "plot.svg").read_text().count("what really happened") == 1
    raced = {p["position"]: {row["name"]: row for row in p["policies"]} for p in document["positions"]}
    for position in tested["positions"]:
        assert position["recorded"]["gaps"] == 0
        lines = {row["name"]: row for row in position["policies"]}
        best = float(lines["clairvoyant"]["gained_usd"])
        assert all(float(row["gained_usd"]) <= best for name, row in lines.items() if name != "what really happened")
        # Those that remember nothing of gas see the same looks; but for those in the midst of a real compound.
        for name in ("daily", "weekly", "r>g", "r>20g"):
            mine, theirs = float(lines[name]["gained_usd"]), float(raced[position["position"]][name]["gained_usd"])
            assert mine == pytest.approx(theirs, rel=0.25, abs=3), name
    shown = line("backtest", "sushi-chef")
    assert re.match(r"sushi-chef: .* UTC\n  7\.\d of 90 days recorded, \d+ looks\n", shown.out)
    assert re.search(r"^A daily cron would have cost you \$[\d.]+ in these 8 days", shown.out, re.MULTILINE)


def test_the_race_is_kept_unless_the_config_says_no(fresh_world, tmp_path):
    for extra, kept in (("", {}), ("\n[strategy]\nrace = false\n", None)):
        with open_local(write_config(fresh_world, tmp_path, extra=extra)) as app:
            assert app.contexts["local"].races == kept
