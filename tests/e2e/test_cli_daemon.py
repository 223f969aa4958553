"""The daemon as a process: signals, reload, health, and a journal that survives being killed."""

from __future__ import annotations

import json
import re
import signal
import socket
import urllib.error
import urllib.request

import pytest
from app_kit import pass_time, write_config
from cli_kit import Line, Process, wait_for

pytestmark = pytest.mark.devnet

DAY = 86_400


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def config(fresh_world, tmp_path, port):
    path = write_config(fresh_world, tmp_path)
    text = path.read_text().replace("[web]\nenabled = false\n", f'[web]\nlisten = "127.0.0.1:{port}"\n')
    path.write_text(text)
    return path


@pytest.fixture
def daemon(config, tmp_path):
    with Process(config, tmp_path / "log") as process:
        yield process


def get(port: int, page: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def test_it_compounds_what_is_due_and_drains_on_sigterm(fresh_world, config, daemon, port, capsys):
    pass_time(fresh_world, 7 * DAY)
    done = daemon.until("harvest.done", 3)
    assert {event["position"] for event in done} == {"uni-farm", "sushi-chef", "usdc-aave"}
    wait_for(lambda: get(port, "/readyz")[0] == 200, 20)
    assert get(port, "/healthz")[0] == 200
    metrics = get(port, "/metrics")[1]
    assert 'keeper_harvests_total{outcome="done",position="uni-farm"} 1.0' in metrics
    assert float(re.search(r"^keeper_heartbeat_timestamp_seconds (\S+)", metrics, re.MULTILINE)[1]) > 10**9
    assert "keeper_event_errors_total{" not in metrics

    line = Line(config, capsys)
    status = line("status", "--json").json
    assert status["daemon"]["running"]
    assert status["lanes"][0]["pid"] == daemon.process.pid
    assert all(p["decision"]["verdict"] == "WAIT" for p in status["positions"])
    second = line("harvest", "uni-farm", "--yes", "--force")
    assert second.code == 75
    assert str(daemon.process.pid) in second.err
    rows = line("doctor", "--no-keys", "--json").json["rows"]
    assert any(row["subject"] == "ops port" and "running keeper" in row["text"] for row in rows)

    daemon.send(signal.SIGTERM)
    assert daemon.finish() == 0
    assert daemon.named("daemon.draining")[0]["signal"] == "SIGTERM"
    stopped = daemon.named("daemon.stopped")[0]
    assert (stopped["code"], stopped["open"]) == (0, 0)
    assert not line("status", "--json").json["daemon"]["running"]


def test_sigint_in_the_middle_of_a_compound_leaves_it_to_the_next_start(fresh_world, config, daemon, tmp_path):
    pass_time(fresh_world, 7 * DAY)
    daemon.until("harvest.sent", 2)
    daemon.send(signal.SIGINT)
    assert daemon.finish() == 0
    left = daemon.named("daemon.stopped")[0]["open"]
    sent = [event["tx"] for event in daemon.named("harvest.sent")]
    done = {event["position"] for event in daemon.named("harvest.done")}
    begun = {event["position"] for event in daemon.named("harvest.sent")} - done
    assert left >= len(begun)
    with Process(config, tmp_path / "log2") as again:
        again.until("harvest.done", 3 - len(done))
        assert begun <= {event["position"] for event in again.named("harvest.resumed")}
        # What had signed nothing yet is decided afresh: it is dropped first.
        dropped = [event for event in again.named("position.failed") if event["step"] == "begin"]
        assert len(dropped) == left - len(begun)
        assert not set(sent) & {event["tx"] for event in again.named("harvest.sent")}
        again.send(signal.SIGTERM)
        assert again.finish() == 0


def test_a_second_signal_ends_it_at_once(fresh_world, config, daemon):
    daemon.until("cycle.done")
    fresh_world.node.rpc("evm_setAutomine", False)
    try:
        mined = len(daemon.named("harvest.mined"))
        fresh_world.advance(7 * DAY)
        daemon.until("harvest.sent", mined + 1)  # its receipt will not come
        daemon.send(signal.SIGTERM)
        daemon.until("daemon.draining")
        daemon.send(signal.SIGTERM)
        assert daemon.finish(5) == 143
    finally:
        fresh_world.node.rpc("evm_setAutomine", True)


def test_sighup_takes_a_new_config_and_refuses_a_wrong_one(config, daemon, port):
    daemon.until("cycle.done")
    good = config.read_text()
    config.write_text(
        good.replace('id = "usdc-aave"', 'id = "renamed"').replace('per_day = "$200"', 'per_day = "$150"')
    )
    daemon.send(signal.SIGHUP)
    reloaded = daemon.until("config.reloaded")[0]
    assert (reloaded["positions"], reloaded["added"], reloaded["removed"]) == (3, 1, 1)
    wait_for(lambda: any(e["position"] == "renamed" for e in daemon.named("position.resolved")), 20)

    config.write_text(good.replace("per_day", "per_dya"))
    daemon.send(signal.SIGHUP)
    rejected = daemon.until("config.rejected")[0]
    assert "per_day" in rejected["error"]
    wait_for(lambda: get(port, "/readyz")[0] == 200, 20)
    before = len(daemon.named("cycle.done"))
    daemon.until("cycle.done", before + 2)  # the old one goes on

    config.write_text(good.replace(f"127.0.0.1:{port}", "192.0.2.1:9464"))
    daemon.send(signal.SIGHUP)
    daemon.until("config.rejected", 2)  # checked well, but cannot be opened: the old one comes back
    before = len(daemon.named("cycle.done"))
    daemon.until("cycle.done", before + 2)
    daemon.send(signal.SIGTERM)
    assert daemon.finish() == 0


def test_secrets_of_the_config_are_in_no_output(fresh_world, config, tmp_path):
    canary = "canary0123456789canary"
    config.write_text(config.read_text().replace(fresh_world.rpc_url, f"{fresh_world.rpc_url}/?key={canary}"))
    with Process(config, tmp_path / "log3", ("--log-level", "debug", "run")) as process:
        process.until("cycle.done", 2)
        process.send(signal.SIGTERM)
        assert process.finish() == 0
        assert canary not in process.log.read_text()
        assert canary not in process.process.stdout.read()
    config.write_text(re.sub(r"127\.0\.0\.1:\d+/\?", "127.0.0.1:1/?", config.read_text()))
    with Process(config, tmp_path / "log4", ("status", "--live")) as process:
        assert process.finish() == 69
        assert canary not in process.log.read_text()


def test_a_port_that_is_taken_is_a_config_error(config, port, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        shown = Line(config, capsys)("run")
    assert shown.code == 78
    assert "web.listen" in shown.err


def test_a_config_without_positions_says_so(tmp_path, capsys):
    path = tmp_path / "keeper.toml"
    path.write_text('[chains.bnb]\nrpc = ["https://a.example"]\n')
    shown = Line(path, capsys)("run")
    assert shown.code == 78
    assert "[[positions]]" in shown.err
    assert json.dumps(shown.out) == '""'
