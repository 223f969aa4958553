"""The local node starts, answers, and never outlives its parent."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from keeper.chain.anvil import LocalNode, find_anvil
from keeper.errors import ConfigError, RpcRejected, RpcUnavailable

pytestmark = pytest.mark.devnet

PARENT = """
import sys, threading, time
from pathlib import Path
from keeper.chain.anvil import LocalNode
nodes = []
starter = threading.Thread(target=lambda: nodes.append(LocalNode.start(binary=Path(sys.argv[1]))))
starter.start(); starter.join()   # the thread that asked for it is gone; the node must live on
time.sleep(0.2)
print(nodes[0].pid, nodes[0].rpc("eth_chainId"), flush=True)
time.sleep(60) if sys.argv[2] == "stay" else None
"""


@pytest.fixture(scope="module")
def binary(anvil_path) -> Path:
    return anvil_path


def gone(pid: int, seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False


def spawn(binary: Path, mode: str) -> tuple[subprocess.Popen, int]:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(binary), mode], stdout=subprocess.PIPE, text=True)
    pid, chain_id = parent.stdout.readline().split()
    assert chain_id == "0x7a69"
    return parent, int(pid)


def test_node_dies_with_a_parent_killed_by_kill_9(binary):
    parent, pid = spawn(binary, "stay")
    os.kill(pid, 0)

    parent.send_signal(signal.SIGKILL)
    parent.wait()

    assert gone(pid)
    left = list(Path(tempfile.gettempdir()).glob(f"keeper-anvil-{parent.pid}-*"))
    LocalNode.start(binary=binary).stop()
    assert not any(folder.exists() for folder in left), "the next start sweeps up"


def test_node_dies_with_a_parent_that_forgets_to_stop_it(binary):
    parent, pid = spawn(binary, "leave")

    assert parent.wait(timeout=20) == 0

    assert gone(pid)


def test_stop_ends_the_process_and_may_be_repeated(binary):
    node = LocalNode.start(binary=binary, chain_id=777)
    assert node.rpc("eth_chainId") == hex(777)

    node.stop()
    node.stop()

    assert gone(node.pid)
    assert not node.running
    with pytest.raises(RpcUnavailable, match="does not answer"):
        node.rpc("eth_chainId")


def test_many_starts_at_once_get_different_ports(binary):
    nodes = []
    threads = [threading.Thread(target=lambda: nodes.append(LocalNode.start(binary=binary))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({node.port for node in nodes}) == 4
    assert [node.rpc("eth_blockNumber") for node in nodes] == ["0x0"] * 4
    for node in nodes:
        node.stop()


def test_fork_answers_with_its_origins_state(binary):
    with LocalNode.start(binary=binary) as origin:
        origin.rpc("anvil_setBalance", "0x" + "ab" * 20, hex(12345))
        origin.rpc("anvil_mine", hex(3))
        with LocalNode.start(binary=binary, fork_url=origin.url) as fork:
            assert fork.rpc("eth_getBalance", "0x" + "ab" * 20, "latest") == hex(12345)
            fork.rpc("anvil_mine", hex(2))
            assert fork.rpc("eth_blockNumber") == "0x5"
        assert origin.rpc("eth_blockNumber") == "0x3"


def test_a_taken_port_is_named(binary):
    with LocalNode.start(binary=binary) as first, pytest.raises(RpcUnavailable, match=f"port {first.port} is taken"):
        LocalNode.start(binary=binary, port=first.port)


def test_a_refused_start_says_why_and_hides_the_origins_secrets(binary):
    with pytest.raises(RpcUnavailable) as caught:
        LocalNode.start(binary=binary, fork_url="http://user:sesame@127.0.0.1:1/v3/apikey")

    assert "anvil did not start" in str(caught.value)
    assert "sesame" not in str(caught.value)
    assert "apikey" not in str(caught.value)


def test_a_missing_binary_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="KEEPER_ANVIL"):
        LocalNode.start(binary=tmp_path / "anvil")


def test_rejections_carry_code_and_words(binary):
    with LocalNode.start(binary=binary) as node, pytest.raises(RpcRejected, match="Method not found") as caught:
        node.rpc("keeper_nonsense")

    assert caught.value.code == -32601


def test_find_anvil_prefers_the_setting_and_skips_wrapper_scripts(binary, tmp_path, monkeypatch):
    monkeypatch.setenv("KEEPER_DEVNET_HOME", str(tmp_path / "nothing"))
    monkeypatch.setenv("KEEPER_ANVIL", "/somewhere/anvil")
    assert find_anvil() == Path("/somewhere/anvil")

    monkeypatch.delenv("KEEPER_ANVIL")
    wrapper = tmp_path / "wrapper" / "anvil"
    wrapper.parent.mkdir()
    wrapper.write_text("#!/usr/bin/env node\n")
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", str(wrapper.parent))
    assert find_anvil() is None

    real = tmp_path / "real" / "anvil"
    real.parent.mkdir()
    shutil.copy(binary, real)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{real.parent}")
    assert find_anvil() == real
