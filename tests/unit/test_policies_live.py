"""Policies as the engine asks them: names become policies, a price is found, a plugin's mistakes become waits."""

from __future__ import annotations

import sys
from contextlib import ExitStack

import numpy as np
import pytest
from policy_kit import GWEI, SCENE, Heard, SetClock, scene

from keeper.config.catalogue import Catalogue
from keeper.config.loader import load
from keeper.config.plugins import load_policies
from keeper.domain.decision import ReasonCode
from keeper.domain.events import EventName
from keeper.errors import ConfigError
from keeper.policies.external import External, ExternalPolicy
from keeper.policies.installed import InstalledPolicy
from keeper.policies.live import live_policies
from keeper.policies.telling import Teller
from keeper.ports import ParamSpec
from keeper.strategy.policies import Named, policy
from keeper.strategy.verdicts import fires_below, in_proportion, truth


def made(formula, name="mine", **more) -> tuple[InstalledPolicy, Heard]:
    heard = Heard()
    return InstalledPolicy(Named(name, "a test's", formula, **more), Teller(name, heard, SetClock())), heard


# ------------------------------------------------------------------------------------------- the price


def test_the_price_at_which_a_multiple_of_the_cost_fires():
    # 2 dollars at 30 gwei: 250 dollars are 6 times the cost at 625 gwei.
    assert fires_below(policy("r>6g"), SCENE, in_proportion(SCENE)) == 625 * GWEI - 1


def test_a_cost_that_is_not_all_gas_leaves_less_for_gas():
    def with_l1_fee(price: int) -> float:
        return 1.0 + 2.0 * price / (30 * GWEI)

    found = fires_below(policy("r>6g"), SCENE, with_l1_fee)

    assert found == pytest.approx((250 / 6 - 1.0) / 2.0 * 30 * GWEI, rel=1e-9)


def test_no_price_fires_where_what_is_no_gas_costs_too_much_already():
    assert fires_below(policy("r>6g"), SCENE, lambda _: 60.0) is None
    assert fires_below(policy("never"), SCENE, in_proportion(SCENE)) is None


def test_a_policy_that_does_not_look_at_gas_is_held_to_what_the_harvest_fetches():
    # daily would fire at any price; 250 dollars are the cost at 3750 gwei.
    assert fires_below(policy("daily"), SCENE, in_proportion(SCENE)) == 3_750 * GWEI - 1


def test_a_call_that_is_paid_for_fires_at_any_price_that_there_is():
    found = fires_below(policy("r>g"), SCENE, lambda _: -1.0)
    assert found is not None
    assert found > 10**9 * GWEI


def test_the_price_is_told_where_the_policy_is_monotone_only():
    for monotone, told in ((True, 125 * 30 * GWEI - 1), (False, None)):
        asked, _ = made(lambda s: s.reward > s.cost, monotone=monotone)
        assert asked.judge(SCENE, "farm").fires_below_wei == told


# ------------------------------------------------------------------------------------------- a plugin's mistakes


@pytest.mark.parametrize(
    ("formula", "says"),
    [
        (lambda s: 1 / 0, "ZeroDivisionError"),
        (lambda s: None, "not NoneType"),
        (lambda s: 1, "not int"),
        (lambda s: "no", "not str"),
        (lambda s: np.array([True, False]), "not ndarray"),
        (lambda s: np.float64(1.0), "not float64"),
        (lambda s: s.memory.surely, "AttributeError"),
        (lambda s: (_ for _ in ()).throw(ValueError("\x1b[2Jx\n" * 500)), "ValueError"),
    ],
)
def test_what_a_plugin_does_wrong_waits_and_is_told_once(formula, says):
    asked, heard = made(formula)

    answers = [asked.judge(SCENE, "farm") for _ in range(5)]

    assert {(answer.harvest, answer.code) for answer in answers} == {(False, ReasonCode.POLICY_FAILED)}
    assert says in answers[0].why
    assert answers[0].why.isprintable()
    assert len(answers[0].why) < 500
    assert len(heard.named(EventName.POLICY_FAILED)) == 1


def test_numpys_truth_is_truth():
    assert truth(np.bool_(True)) is True
    assert truth(np.array([False])) is False


def test_recovery_is_told():
    faults = [True, False, False]
    asked, heard = made(lambda s: faults.pop(0) and 1 / 0, monotone=False)
    for _ in range(3):
        asked.judge(SCENE, "farm")
    assert [event.name for event in heard.events] == [EventName.POLICY_FAILED, EventName.POLICY_RECOVERED]


def test_a_scene_that_is_no_scene_is_not_shown():
    asked, _ = made(lambda s: 1 / 0)
    assert asked.judge(scene(reward=0.0), "farm").code is ReasonCode.NOTHING_PENDING
    assert "beyond all measure" in asked.judge(scene(reward=float("inf")), "farm").why


# ------------------------------------------------------------------------------------------- by name


def by_name(*names, external=None, installed=None, **more):
    with ExitStack() as resources:
        return live_policies(
            names,
            external or {},
            load_policies() if installed is None else installed,
            events=Heard(),
            clock=SetClock(),
            resources=resources,
            **more,
        )


def test_names_become_policies_once_and_keepers_rule_stays_the_engines():
    found = by_name("rule", "", "daily", "r>37g", "daily", "mine", external={"mine": External(("mine",))})

    assert {name: type(made) for name, made in found.items()} == {
        "daily": InstalledPolicy,
        "r>37g": InstalledPolicy,
        "mine": ExternalPolicy,
    }
    assert (
        found["daily"].judge(SCENE, "farm").why
        == "policy daily harvests (every 24 hours, as a cron job does (REStake))"
    )
    assert not found["r>37g"].judge(scene(reward=73.0), "farm").harvest
    assert found["r>37g"].judge(scene(reward=75.0), "farm").harvest


def test_a_process_is_ended_with_the_resources(tmp_path):
    script = tmp_path / "policy.py"
    script.write_text(
        f"open({str(tmp_path / 'began')!r}, 'w')\nprint('{{\"id\": 1, \"harvest\": true}}', flush=True)\ninput()"
    )
    with ExitStack() as resources:
        found = live_policies(
            ["mine"],
            {"mine": External((sys.executable, "-S", str(script)), 20.0)},
            {},
            events=Heard(),
            clock=SetClock(),
            resources=resources,
        )
        assert found["mine"].judge(SCENE, "farm").harvest
    assert "is being ended" in found["mine"].judge(SCENE, "farm").why


def test_a_name_that_nobody_knows_says_what_there_is():
    with pytest.raises(ConfigError, match=r"no policy 'dally'; `keeper protocols` lists all: .*daily"):
        by_name("dally")


class Timed:
    """Harvest after some hours."""

    name = "timed"

    def __init__(self, hours: int = 24) -> None:
        if hours < 1:
            raise ValueError("hours must be at least 1")
        self.hours = hours

    def wants(self, scene):
        return scene.since >= self.hours * 3_600


def test_an_installed_policy_takes_its_keys_from_the_config():
    for hours, harvests in ((1, True), (48, False)):
        found = by_name("timed", installed={"timed": Timed()}, params={"timed": {"hours": hours}})
        answer = found["timed"].judge(scene(since=86_400.0), "farm")
        assert answer.harvest is harvests
        assert "(Harvest after some hours.)" in answer.why


@pytest.mark.parametrize(("params", "says"), [({"hours": 0}, "at least 1"), ({"days": 1}, "unexpected keyword")])
def test_keys_that_it_does_not_take_are_a_mistake_of_the_config(params, says):
    with pytest.raises(ConfigError, match=rf"policies.timed: the policy does not take these values .*{says}"):
        by_name("timed", installed={"timed": Timed()}, params={"timed": params})


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("hours = 12", None),
        ('hours = "twelve"', "must be a whole number without quotes (timed: Hours to wait.)"),
        ("horus = 12", 'no such key; did you mean "hours"? (timed takes hours)'),
        ('command = ["x"]', "no such key; keys here: hours (timed takes hours)"),
    ],
)
def test_an_installed_policys_keys_are_checked_by_what_it_declares(key, says, tmp_path):
    (tmp_path / "keeper.toml").write_text(f'[strategy]\npolicy = "timed"\n[policies.timed]\n{key}\n')
    specs = {"hours": ParamSpec("int", False, "Hours to wait.")}
    catalogue = Catalogue(policies=frozenset({"timed", "rule"}), policy_params={"timed": specs})

    def params():
        return load([tmp_path / "keeper.toml"], {}, catalogue=catalogue, dotenv=None).settings.policy_params

    if says is None:
        assert params() == {"timed": {"hours": 12}}
    else:
        with pytest.raises(ConfigError) as caught:
            params()
        assert says in str(caught.value)
        assert f"policies.timed.{key.split()[0]}" in str(caught.value)
