"""The install is done once, is safe under concurrent callers, and says what to do when it cannot be done."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keeper.devnet import install
from keeper.errors import ConfigError

pytestmark = pytest.mark.devnet


@pytest.fixture
def fake_npm(tmp_path, monkeypatch):
    """Put a stand-in for npm on PATH: a shell script with the given body."""

    def make(body: str) -> Path:
        script = tmp_path / "bin" / "npm"
        script.parent.mkdir(exist_ok=True)
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
        monkeypatch.setenv("KEEPER_DEVNET_HOME", str(tmp_path / "home"))
        return tmp_path

    return make


def test_missing_npm_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("KEEPER_DEVNET_HOME", str(tmp_path / "home"))

    with pytest.raises(ConfigError, match=r"npm is not installed.*apt-get install npm"):
        install.ensure_installed()


def test_failing_npm_shows_its_errors_and_the_next_step(fake_npm):
    fake_npm('echo "npm warn Unknown user config"; echo "npm error network is down"; exit 3')

    with pytest.raises(ConfigError) as caught:
        install.ensure_installed()

    assert "exit code 3" in str(caught.value)
    assert "network is down" in str(caught.value)
    assert "Unknown user config" not in str(caught.value)
    assert "python -m keeper.devnet.install" in str(caught.value)


def test_a_package_with_another_hash_is_refused(fake_npm):
    # npm pack's last argument before --no-update-notifier is the folder.
    fake_npm('if [ "$1" = pack ]; then echo evil > "$5/viem-2.57.20.tgz"; fi')

    with pytest.raises(ConfigError, match="another hash than the pinned one"):
        install.ensure_installed()


def test_a_failed_install_is_not_taken_for_a_good_one(fake_npm):
    home = fake_npm("exit 1") / "home"

    for _ in range(2):
        with pytest.raises(ConfigError):
            install.ensure_installed()

    assert not (home / ".installed").exists()


def test_concurrent_callers_install_once(fake_npm, monkeypatch):
    root = fake_npm("exit 1")
    code = (
        "import os, time, pathlib\nfrom keeper.devnet import install\n"
        "def once(home):\n    time.sleep(0.3)\n    open(os.environ['COUNT'], 'a').write('x')\n"
        "install._install = once\ninstall.ensure_installed()\n"
    )
    env = os.environ | {"COUNT": str(root / "count")}
    callers = [subprocess.Popen([sys.executable, "-c", code], env=env) for _ in range(3)]

    assert [caller.wait() for caller in callers] == [0, 0, 0]
    assert (root / "count").read_text() == "x"


def test_the_lock_file_names_hashes_and_no_hosts():
    lock = json.loads((install._NPM_FILES / "package-lock.json").read_text())

    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    assert "://" not in "".join(str(entry.get("resolved", "")) for entry in packages.values())


def test_the_real_install_has_what_the_world_needs():
    assert install.anvil_binary().is_file()
    assert install.artifact("@uniswap/v2-core/build/UniswapV2Factory.json")["evm"]["bytecode"]["object"]
    assert install.multicall3_runtime().startswith("0x60806040")
