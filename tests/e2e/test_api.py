"""What a running daemon tells over its API and metrics, beside what `keeper report` tells of the same journal."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request

import pytest
from app_kit import pass_time, write_config
from cli_kit import Line, Process, wait_for

from keeper.domain.decision import Verdict
from keeper.domain.harvest import HarvestState
from keeper.store import open_store

pytestmark = [pytest.mark.devnet, pytest.mark.slow]

DAY = 86_400
POSITIONS = ("uni-farm", "sushi-chef", "usdc-aave")


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


def get(port: int, page: str) -> tuple[int, dict]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def settled(journal, days: int) -> bool:
    """Whether every position has been sampled after so many days, and no compound is due or under way."""
    store = open_store(journal, read_only=True)
    try:
        sampled = all(len(store.samples(name)) > days for name in POSITIONS)
        waits = sampled and all(store.latest_decision(name).verdict is Verdict.WAIT for name in POSITIONS)
        return waits and all(h.state is not HarvestState.OPEN for h in store.harvests())
    finally:
        store.close()


def test_the_api_tells_what_the_commands_tell(fresh_world, config, tmp_path, port, capsys):
    journal = tmp_path / "state" / "keeper.db"
    with Process(config, tmp_path / "log") as daemon:
        daemon.until("cycle.done")
        for days in range(12):
            wait_for(lambda days=days: settled(journal, days), 40, daemon.log.read_text)
            pass_time(fresh_world, DAY)
        wait_for(lambda: settled(journal, 12), 40, daemon.log.read_text)
        done = daemon.until("harvest.done", 3)

        status, page = get(port, "/api/v1/positions?limit=2")
        assert (status, page["count"], page["next_offset"]) == (200, 3, 2)
        status, story = get(port, "/api/v1/positions/uni-farm")
        assert (status, story["schema"]) == (200, "keeper.explain/1")
        assert {e["harvest"] for e in done if e["position"] == "uni-farm"} <= {h["id"] for h in story["harvests"]}
        status, found = get(port, "/api/v1/decisions?position=uni-farm&limit=2")
        assert (status, len(found["decisions"])) == (200, 2)
        assert get(port, "/api/v1/report?window=nonsense")[0] == 400
        status, told = get(port, "/api/v1/report?window=30d")
        assert (status, told["incomplete"], told["missing"]) == (200, [], [])

        shown = Line(config, capsys)("report", "--json").json
        assert [p["position"] for p in shown["positions"]] == [p["position"] for p in told["positions"]]
        for position in shown["positions"]:
            assert position["harvests"] >= 1
            assert position["deposits"] == position["withdrawals"] == position["by_hand"] == "0"
            assert float(position["income"]) > 0
            assert abs(float(position["model_error"])) < 0.02 * float(position["income"])
        pools = {p["position"]: p["over_holding"] is not None for p in shown["positions"]}
        assert pools == {"uni-farm": True, "sushi-chef": True, "usdc-aave": False}
        text = Line(config, capsys)("report")
        assert text.code == 0
        assert "compounding" in text.out
        print(text.out, Line(config, capsys)("report", "uni-farm").out)
