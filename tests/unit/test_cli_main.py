"""The command line's frame: lazy imports, hints, exit codes, quiet ends."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from keeper import __version__, errors
from keeper.cli import COMMANDS, Globals, LazyGroup, cli
from keeper.cli import execute as run
from keeper.cli.exits import ExitCode, exit_code_for
from keeper.cli.options import globals_of, json_option

HEAVY = ("web3", "eth_account", "eth_abi", "sqlalchemy", "alembic", "pydantic", "structlog", "rich", "apscheduler")


def modules_after(*args: str, cwd: Path | None = None, **env: str) -> tuple[int, set[str]]:
    """Run a command line in a fresh interpreter; return its exit code and what it had imported."""
    code = "import sys; from keeper.cli import execute; rc = execute(sys.argv[1:]); sys.stderr.write('\\n@' + ' '.join(sys.modules)); sys.exit(rc)"
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **env},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, set(done.stderr.rsplit("@", 1)[-1].split())


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["nonsense"]])
def test_help_and_version_import_nothing_heavy(args: list[str]) -> None:
    code, modules = modules_after(*args)

    assert code == (2 if args == ["nonsense"] else 0)
    assert "click" in modules
    assert modules.isdisjoint(HEAVY)


def test_config_check_imports_no_web3(tmp_path: Path) -> None:
    (tmp_path / "keeper.toml").write_text('[chains.bnb]\nrpc = ["https://a.example"]\n')

    code, modules = modules_after("config", "check", cwd=tmp_path)

    assert code == 0
    assert "pydantic" in modules
    assert modules.isdisjoint({"web3", "eth_account", "eth_abi", "sqlalchemy", "alembic", "apscheduler"})


def cpu_of(args: list[str]) -> float:
    """Return the least CPU seconds of several runs: the others were disturbed."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *args], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once() for _ in range(7))


def test_help_costs_at_most_eight_bare_interpreters() -> None:
    assert cpu_of(["-m", "keeper", "--help"]) <= 8 * cpu_of(["-c", "pass"])


def test_help_lists_every_command_and_the_version_is_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert run(["--version"]) == 0

    assert capsys.readouterr().out == f"keeper {__version__}\n"
    for name, (where, text) in COMMANDS.items():
        assert name in shown
        assert text in shown
        assert where == f"keeper.cli.{name}:command"


@pytest.mark.parametrize(("typed", "meant"), [("hravest", "harvest"), ("stats", "status"), ("explian", "explain")])
def test_a_nearly_right_command_gets_a_hint(typed: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([typed]) == ExitCode.USAGE

    assert f'Did you mean "{meant}"?' in capsys.readouterr().err


# ---------------------------------------------------------------- errors


def raising(error: BaseException) -> Callable[..., Any]:
    def command(**_: Any) -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("keeper.toml: x"), 78),
        (errors.RpcUnavailable("no endpoint"), 69),
        (errors.KeyUnavailable("no key"), 69),
        (errors.StoreUnavailable("disk full"), 75),
        (errors.RateLimited("slow down"), 75),
        (errors.PriceUnavailable("none"), 75),
        (errors.Refused("no"), 4),
        (errors.PolicyDenied("no"), 4),
        (errors.TxReverted("bad"), 5),
        (errors.SimulationReverted("bad"), 5),
        (errors.HarvestPaidNothing("bad"), 5),
        (errors.TxPending("wait"), 6),
        (errors.IntegrityError("halt"), 4),
        (errors.JournalMissing("gone"), 75),
        (errors.LaneHeld("held"), 75),
        (errors.Disagreement("two say two things"), 75),
        (errors.JournalTooNew("newer"), 78),
        (errors.KeeperError("plain"), 1),
    ],
)
def test_errors_become_a_sentence_and_their_code(
    error: errors.KeeperError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([], raising(error)) == code
    assert exit_code_for(error) == code

    captured = capsys.readouterr()
    assert captured.out == ""
    assert str(error) in captured.err
    assert "Traceback" not in captured.err


def test_every_config_problem_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    run([], raising(errors.ConfigError(["a: b\n  c", "d: e\n  f"])))

    assert capsys.readouterr().err == "config error: a: b\n  c\nconfig error: d: e\n  f\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("args", [["protocols"], ["protocols", "--json"]])
def test_a_full_disk_behind_stdout_is_no_bug(args: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "keeper", *args], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )

    assert done.returncode == ExitCode.TEMPORARY
    assert done.stderr == "error: cannot write: No space left on device; make room, or write elsewhere, and try again\n"


def test_unexpected_errors_show_a_traceback_only_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([], raising(RuntimeError("boom"))) == 1
    quiet = capsys.readouterr().err
    assert run(["-v", "status"], raising(RuntimeError("boom"))) == 1
    loud = capsys.readouterr().err

    assert "unexpected RuntimeError: boom" in quiet
    assert "Traceback" not in quiet
    assert "Traceback" in loud


def test_secrets_in_errors_are_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    url = "https://rpc.example/v2/0123456789abcdef0123456789abcdef"

    run([], raising(errors.RpcUnavailable(f"{url} did not answer")))
    run(["-v"], raising(RuntimeError(f"{url} did not answer")))

    assert "0123456789abcdef" not in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_interrupts_end_with_130(error: BaseException) -> None:
    assert run([], raising(error)) == 130


def test_a_command_may_choose_its_code() -> None:
    @click.command()
    @click.pass_context
    def wait(ctx: click.Context) -> None:
        ctx.exit(ExitCode.NOTHING_TO_DO)

    assert run([], wait.main) == 3


def test_a_reader_that_leaves_is_not_an_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m keeper protocols | head -c 1; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""
    assert done.stdout.endswith("0\n")


# ---------------------------------------------------------------- global options


def options_of(*args: str) -> Globals:
    seen: list[Globals] = []

    @click.command()
    @json_option
    @click.pass_context
    def probe(ctx: click.Context) -> None:
        seen.append(globals_of(ctx))

    group = LazyGroup(name="keeper", params=cli.params, callback=cli.callback)
    group.add_command(probe, "probe")
    assert run(args, group.main) == 0
    return seen[0]


def test_options_reach_the_command() -> None:
    seen = options_of("-c", "a.toml", "-c", "b.toml", "--state", "/s", "--log-format", "json", "probe")

    assert seen.config == ("a.toml", "b.toml")
    assert seen.overrides == {"keeper.state": "/s", "keeper.log_format": "json"}
    assert not seen.json


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ((), None),
        (("-v",), "debug"),
        (("-q",), "warning"),
        (("-qq",), "error"),
        (("--log-level", "info", "-v"), "info"),
    ],
)
def test_verbosity_is_a_log_level(flags: tuple[str, ...], level: str | None) -> None:
    assert options_of(*flags, "probe").log_level == level


def test_json_may_stand_before_or_after_the_command() -> None:
    assert options_of("--json", "probe").json
    assert options_of("probe", "--json").json


# ---------------------------------------------------------------- keeper config, keeper protocols


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    return tmp_path


def test_init_writes_a_config_that_check_accepts_and_never_overwrites(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["config", "init", "--chain", "bnb"]) == 0
    first = (place / "keeper.toml").read_text()
    assert run(["config", "init", "--chain", "base"]) == ExitCode.REFUSED
    assert (place / "keeper.toml").read_text() == first
    assert run(["config", "check"]) == ExitCode.CONFIG
    assert "BNB_RPC is not set" in capsys.readouterr().err

    (place / ".env").write_text((place / ".env.example").read_text().replace("BNB_RPC=", "BNB_RPC=https://a.example"))

    assert run(["config", "check"]) == 0
    assert capsys.readouterr().out == "ok  keeper.toml\n    0 positions, 1 chain, 0 signers\n"


def test_init_knows_the_chains(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "init", "--chain", "polygn"]) == ExitCode.USAGE

    assert 'did you mean "polygon"?' in capsys.readouterr().err
    assert not (place / "keeper.toml").exists()


def test_check_and_show_speak_json(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "keeper.toml").write_text('[chains.bnb]\nrpc = ["https://a.example/KEY"]\n[limits]\nper_tx = "$3"\n')
    monkeypatch.setenv("KEEPER_LIMITS__PER_DAY", "$9")

    assert run(["config", "check", "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert run(["--json", "config", "show"]) == 0
    text = capsys.readouterr().out
    (place / "keeper.toml").write_text("[limit]\n")
    assert run(["config", "check", "--json"]) == ExitCode.CONFIG
    broken = json.loads(capsys.readouterr().out)

    assert checked == {
        "schema": "keeper.config-check/1",
        "ok": True,
        "files": ["keeper.toml"],
        "positions": 0,
        "chains": 1,
        "signers": 0,
    }
    shown = json.loads(text)
    values = {row["key"]: (row["value"], row["origin"]) for row in shown["values"]}
    assert shown["schema"] == "keeper.config/1"
    assert values["limits.per_tx"] == ("$3", "keeper.toml")
    assert values["limits.per_day"] == ("$9", "KEEPER_LIMITS__PER_DAY")
    assert values["chains.bnb.rpc"] == (["https://a.example/<hidden>"], "keeper.toml")
    assert "KEY" not in text.replace("KEEPER_LIMITS__PER_DAY", "")
    assert broken["ok"] is False
    assert 'did you mean "limits"?' in broken["problems"][0]


def test_show_prints_toml_lines_or_a_table_with_origins(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "keeper.toml").write_text('[chains.bnb]\nrpc = ["https://a.example/KEY"]\n')

    assert run(["config", "show"]) == 0
    plain = capsys.readouterr().out
    assert run(["config", "show", "--origin"]) == 0
    table = capsys.readouterr().out

    assert 'limits.per_tx = "$5"\n' in plain
    assert table.splitlines()[0].split() == ["key", "value", "origin"]
    assert "shipped chains/bnb.toml" in table
    assert "KEY" not in plain + table


def test_protocols_lists_plugins_with_their_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["protocols", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert run(["protocols"]) == 0
    shown = capsys.readouterr().out

    by_name = {(plugin["type"], plugin["name"]): plugin for plugin in listed["plugins"]}
    assert listed["schema"] == "keeper.protocols/1"
    assert by_name["protocol", "masterchef"]["params"]["pid"]["kind"] == "int"
    assert ("price source", "chainlink") in by_name
    assert "masterchef" in shown
    assert "pid" in shown
