"""The policies printed in docs/how-to/write-a-policy.md are real: installed, started, asked."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from policy_kit import GWEI, Heard, SetClock, memory, scene

from keeper.domain.decision import ReasonCode
from keeper.policies.external import External, ExternalPolicy
from keeper.policies.lines import VERSION, read, request

PAGE = Path(__file__).parents[2] / "docs/how-to/write-a-policy.md"
TEXT = PAGE.read_text()


def block(language: str, beginning: str) -> str:
    """The one code block of a language that has this text in it."""
    (found,) = [code for code in re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL) if beginning in code]
    return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The page's package, built and installed by pip into a folder of its own."""
    source, target = tmp_path_factory.mktemp("package"), tmp_path_factory.mktemp("site")
    (source / "my_policies.py").write_text(block("python", "class Patient"))
    (source / "pyproject.toml").write_text(block("toml", "build-backend"))
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "--target", target, source], check=True, stdin=subprocess.DEVNULL)
    return target


def beside(installed: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, check=False)


def test_the_package_is_listed_with_its_description_and_keys(installed):
    ran = beside(installed, "-m", "keeper", "protocols", "--json")

    (entry,) = [found for found in json.loads(ran.stdout)["plugins"] if found["name"] == "patient"]
    assert entry["type"] == "policy"
    assert entry["about"].startswith("Harvest at a multiple of the cost")
    assert entry["default"] is False
    assert list(entry["params"]) == ["multiple"]
    assert ran.stderr == ""


def test_the_package_is_asked_by_the_keys_of_the_config(installed, tmp_path):
    config = tmp_path / "keeper.toml"
    config.write_text("\n".join([block("toml", '[strategy]\npolicy = "patient"'), block("toml", "[policies.patient]")]))
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from contextlib import ExitStack
from pathlib import Path
from policy_kit import Heard, SetClock, scene
from keeper.config.loader import load
from keeper.config.plugins import installed_catalogue, load_policies
from keeper.policies.live import live_policies

settings = load([Path({str(config)!r})], {{}}, catalogue=installed_catalogue(), dotenv=None).settings
made = live_policies(
    [settings.strategy.policy], {{}}, load_policies(), events=Heard(), clock=SetClock(), resources=ExitStack(),
    params=settings.policy_params,
)
for multiple in (24, 26):
    answer = made["patient"].judge(scene(reward=multiple * 2.0), "farm")
    print(answer.harvest, answer.code, answer.fires_below_wei)
"""
    ran = beside(installed, "-c", script)

    assert ran.stderr == ""
    # At 26 times its cost it would be harvested a little above 30 gwei, but for the week's mean.
    assert ran.stdout.split("\n")[:2] == ["False policy_waits 28799999999", "True policy_harvests 30000000000"]


def test_the_package_passes_the_conformance_suite(installed):
    suite = Path(__file__).parents[1] / "conformance/test_policy_conformance.py"
    options = (
        "-v",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-k",
        "patient and (describes or arrays or cheaper or alone)",
    )
    ran = beside(installed, "-m", "pytest", *options, str(suite))

    assert ran.returncode == 0, ran.stdout[-3_000:]
    assert "[patient] PASSED" in ran.stdout


def test_a_package_that_does_not_load_is_named(installed, tmp_path):
    broken = tmp_path / "site"
    shutil.copytree(installed, broken)
    (broken / "my_policies.py").write_text("import not_there")

    listed = beside(broken, "-m", "keeper", "protocols")
    loaded = beside(broken, "-c", "from keeper.config.plugins import load_policies; load_policies()")

    assert "warning: policy patient cannot be loaded: ModuleNotFoundError" in listed.stderr
    assert "  rule  " in listed.stdout
    assert "ConfigError: plugin patient of keeper.policies does not load (ModuleNotFoundError" in loaded.stderr


def test_two_packages_of_one_name_are_named(installed, tmp_path):
    again = tmp_path / "site"
    (again / "other-1.0.dist-info").mkdir(parents=True)
    (again / "other-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (again / "other-1.0.dist-info/entry_points.txt").write_text("[keeper.policies]\npatient = other:Impatient\n")
    ran = beside(Path(f"{installed}{os.pathsep}{again}"), "-m", "keeper", "protocols")

    assert "policy patient cannot be loaded: two packages bring it: my_policies:Patient, other:Impatient" in ran.stderr


@pytest.fixture(params=["python", "js"])
def program(request, tmp_path) -> tuple[str, ...]:
    if request.param == "python":
        (tmp_path / "mine.py").write_text(block("python", "for line in sys.stdin"))
        return (sys.executable, str(tmp_path / "mine.py"))
    (tmp_path / "mine.js").write_text(block("js", "createInterface"))
    node = shutil.which("node")
    assert node, "the page's JavaScript is run by node, which the local chain's install needs as well"
    return (node, str(tmp_path / "mine.js"))


def test_the_programs_answer(program):
    heard = Heard()
    policy = ExternalPolicy("mine", External(program, 20.0), heard, SetClock())
    cheap = memory(*[30.0 * GWEI] * 48)

    yes = policy.judge(scene(reward=81.0, memory=cheap), "farm")
    no = policy.judge(scene(reward=79.0, memory=cheap), "farm")
    policy.close()

    assert (yes.harvest, yes.code) == (True, ReasonCode.POLICY_HARVESTS), yes.why
    assert (no.harvest, no.code) == (False, ReasonCode.POLICY_WAITS), no.why
    assert yes.why.startswith("policy mine harvests: ")
    assert not heard.events


def test_the_programs_can_be_tried_by_hand_with_the_pages_question(program, tmp_path):
    question = block("json", '"v":1')
    ran = subprocess.run(program, input=question, capture_output=True, text=True, check=True)

    assert read(ran.stdout.strip().encode()).number == json.loads(question)["id"]
    assert ran.stderr == ""


def test_the_pages_question_has_the_fields_that_are_sent():
    shown = json.loads(block("json", '"v":1'))
    sent = json.loads(request(7, scene(), "cake-farm"))

    assert list(shown) == list(sent)
    assert shown["v"] == VERSION
    assert {key: type(value) for key, value in shown.items()} == {key: type(value) for key, value in sent.items()}
    for key in sent.keys() - {"v", "id"}:
        assert f"`{key}`" in TEXT


def test_the_pages_config_is_one():
    settings = tomllib.loads(block("toml", "[policies.mine]"))
    assert settings["policies"]["mine"]["command"][-1].endswith("mine.py")
    assert settings["strategy"]["policy"] == "mine"
