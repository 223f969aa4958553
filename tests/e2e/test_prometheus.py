"""A real Prometheus reads keeper's metrics, and the alerts and the dashboard speak of metrics that exist."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from keeper.domain.events import Event, EventName, Level
from keeper.notify.metrics import MetricsSink
from keeper.notify.series import build
from keeper.web.server import OpsServer
from keeper.web.status import ChainStatus, Status

CONFIG = Path(__file__).parents[2] / "config"
PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")

needs_prometheus = pytest.mark.skipif(
    PROMETHEUS is None, reason="prometheus is not installed (apt-get install prometheus)"
)
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (apt-get install prometheus)")


class Daemon:
    def snapshot(self) -> Status:
        return Status(0.0, 10.0, 1.0, {"bnb": ChainStatus(7, 3.0, ok=True)}, store_ok=True)


@pytest.fixture
def sink():
    sink = MetricsSink("1.2.3", heartbeat=time.time)
    harvest = {"position": "cake-bnb", "harvest": "h1"}
    cycle = {
        "chain": "bnb",
        "positions": 214,
        "reads": 3,
        "ms": 41,
        "due": 1,
        "block": 7,
        "head_age_s": 1,
        "gas_gwei": "0.11",
    }
    done = {
        "received_usd": "262.90",
        "cost_usd": "0.44",
        "compounded_usd": "262.41",
        "predicted_usd": "262.6",
        "gas": 412_000,
    }
    sink.emit(Event(EventName.CYCLE_DONE, fields=cycle))
    sink.emit(Event(EventName.HARVEST_SENT, fields=harvest))
    sink.emit(Event(EventName.HARVEST_DONE, fields=harvest | done))
    sink.emit(Event(EventName.RPC_FAILED, Level.WARNING, {"chain": "bnb", "endpoint": 'https://odd"name\\.example\n'}))
    return sink


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


def wait_for(what, seconds=30.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := what():
                return found
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.1)
    pytest.fail("Prometheus did not answer as expected in time")


@pytest.fixture
def prometheus(tmp_path, sink):
    port = free_port()
    with OpsServer("127.0.0.1:0", Daemon(), sink.exposition) as ops:
        text = (CONFIG / "prometheus/prometheus.yml").read_text()
        text = text.replace("127.0.0.1:9464", f"127.0.0.1:{ops.port}").replace("15s", "1s")
        (tmp_path / "prometheus.yml").write_text(text)
        shutil.copy(CONFIG / "prometheus/alerts.yml", tmp_path)
        process = subprocess.Popen(
            [
                PROMETHEUS,
                f"--config.file={tmp_path}/prometheus.yml",
                f"--storage.tsdb.path={tmp_path}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


@needs_prometheus
def test_prometheus_scrapes_and_answers(prometheus):
    def ask(query):
        found = get(f"{prometheus}/api/v1/query?query={urllib.parse.quote(query)}")["data"]["result"]
        return [(item["metric"], item["value"][1]) for item in found]

    metric, value = wait_for(lambda: ask("keeper_harvest_rewards_usd_total"))[0]
    assert (metric["position"], metric["job"], value) == ("cake-bnb", "keeper", "262.9")
    assert ask("up")[0][1] == "1"
    assert ask('keeper_cycles_total{outcome="done"}')[0][1] == "1"
    assert ask("keeper_rpc_up")[0][0]["endpoint"] == 'https://odd"name\\.example\n'
    assert float(ask("time() - keeper_heartbeat_timestamp_seconds")[0][1]) < 10
    target = get(f"{prometheus}/api/v1/targets")["data"]["activeTargets"][0]
    assert (target["health"], target["lastError"]) == ("up", "")
    groups = get(f"{prometheus}/api/v1/rules")["data"]["groups"]
    assert [rule["name"] for rule in groups[0]["rules"]].count("KeeperAbsent") == 1
    for panel in panels():
        for target in panel["targets"]:
            assert get(f"{prometheus}/api/v1/query?query={urllib.parse.quote(target['expr'])}")["status"] == "success"


@needs_promtool
def test_promtool_finds_no_fault_with_the_metrics(sink):
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=sink.exposition(), capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", "alerts.yml"), ("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")],
)
def test_promtool_accepts_the_files(arguments):
    done = subprocess.run(
        [PROMTOOL, *arguments], cwd=CONFIG / "prometheus", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def panels():
    return [
        panel for panel in json.loads((CONFIG / "grafana/keeper.json").read_text())["panels"] if panel["type"] != "row"
    ]


def known_names():
    names = set()
    for family in build().registry.collect():
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        names |= {family.name + suffix for suffix in suffixes}
    return names


def used_names(text):
    return set(re.findall(r"\b(?:keeper|process)_[a-z0-9_]+", text))


def test_every_panel_asks_for_metrics_that_exist():
    assert len(panels()) > 10
    for panel in panels():
        for target in panel["targets"]:
            assert used_names(target["expr"]), panel["title"]
            assert used_names(target["expr"]) <= known_names(), panel["title"]


def test_every_alert_asks_for_metrics_that_exist():
    expressions = re.findall(r"expr: (.*)", (CONFIG / "prometheus/alerts.yml").read_text())
    assert len(expressions) == 19
    for expression in expressions:
        assert used_names(expression) <= known_names(), expression


def test_panels_do_not_overlap():
    taken = set()
    for panel in json.loads((CONFIG / "grafana/keeper.json").read_text())["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
