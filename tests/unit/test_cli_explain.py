"""keeper explain: every verdict and every reason in words, on any terminal, and for programs."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from explain_kit import NOW, SITUATIONS, Situation, case, explained, stage
from hypothesis import given
from hypothesis import strategies as st
from journal_kit import LP, OWNER

from keeper.cli import execute
from keeper.cli.explain_rows import Told, rule_rows, waiting_saves
from keeper.cli.layout import NEW_LINE, Row, head, lay_out
from keeper.cli.track_record import bias_json, bias_text
from keeper.cli.whatnext import Scene, what_next
from keeper.domain.decision import CostParts, Decision, Reason, ReasonCode
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.money import Address, UsdWad, usd
from keeper.domain.plan import Plan
from keeper.domain.position import Position, StrategyOptions
from keeper.engine.decide import decide
from keeper.strategy.learning import bias

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "explain-json.md"


@dataclass
class Shown:
    """One situation, and what the command says of it: on terminals of several widths, to a pipe, and as JSON."""

    situation: Situation
    pipe: str
    at: dict[int, str]
    json: dict[str, Any]


@pytest.fixture(scope="module", params=SITUATIONS, ids=[situation.name for situation in SITUATIONS])
def shown(request, tmp_path_factory) -> Iterator[Shown]:
    with pytest.MonkeyPatch.context() as patch:
        stage(request.param, tmp_path_factory.mktemp("situation"), patch)

        def said(width: int | None, *args: str) -> str:
            patch.setattr("keeper.cli.explain_text.room", lambda: width)
            with contextlib.redirect_stdout(io.StringIO()) as out:
                assert execute(["explain", "cake-bnb", *args]) == 0
            return out.getvalue()

        widths = {width: said(width) for width in (60, 80, 120)}
        yield Shown(request.param, said(None), widths, json.loads(said(None, "--json")))


def by_name(name: str) -> Situation:
    return next(each for each in SITUATIONS if each.name == name)


def test_each_situation_has_its_verdict_its_reason_and_what_comes_next(shown):
    found = shown.json["position"]["decision"]
    assert (found["verdict"], found["code"]) == (shown.situation.verdict.value, shown.situation.code.value)
    assert len(shown.json["next"]) == len(found["reasons"])
    assert found["reasons"][0]["text"] in shown.pipe
    assert shown.json["next"][0]["text"] in shown.pipe
    for advice in shown.json["advice"]:
        assert advice["text"] in shown.pipe


def test_nothing_is_wider_than_the_terminal_and_nothing_is_lost(shown):
    for width, out in shown.at.items():
        assert max(map(len, out.splitlines())) <= width
        assert words(out) == words(shown.pipe)


def words(text: str) -> list[str]:
    return sorted(text.replace("·", " ").split())


def test_at_80_columns_numbers_keep_to_their_lines(tmp_path, capsys, monkeypatch):
    stage(by_name("wait-below-threshold"), tmp_path, monkeypatch)
    lines = explained(capsys, monkeypatch, 80).splitlines()
    for line in lines:
        if re.match(r"  (staked|pending|would fire|gas|waiting|worth|rhythm|horizon|policy|accuracy) ", line):
            after = lines[lines.index(line) + 1]
            assert re.match(r"  \w", after), f"{line!r} is folded"


@pytest.mark.parametrize("running", [True, False])
def test_every_reason_says_what_happens_next_or_what_to_do(running):
    position = Position("p", "bnb", "x", Address("0x" + "11" * 20), None, Address("0x" + "22" * 20))
    plain = decide(case(position))
    for code in ReasonCode:
        for numbers in (plain.numbers, None):
            found = replace(plain, reasons=(Reason(code, "why"),), numbers=numbers)
            said = what_next(code, Scene(found, NOW, StrategyOptions(batch="b"), running, position.owner, "BNB"))
            assert len(said) > 15
            assert "{" not in said
            assert "None" not in said
            assert re.search(
                r"nothing to do|keeper |claim|stake |add |mend|import|send|see why|leave it|move the|compounded", said
            ), f"{code}: {said}"


def test_a_harvest_that_nobody_will_make_says_so(tmp_path, capsys, monkeypatch):
    stage(by_name("harvest-no-daemon"), tmp_path, monkeypatch)
    out = explained(capsys, monkeypatch, None)
    assert "no daemon runs" in out
    assert "`keeper harvest cake-bnb` does it once" in out


def test_a_decision_from_before_the_last_compound_says_so(tmp_path, capsys, monkeypatch):
    stage(by_name("harvest"), tmp_path, monkeypatch)
    from keeper.store import open_store

    store = open_store(tmp_path / "state" / "keeper.db")
    plan = Plan("p", "cake-bnb", "bnb", OWNER, (), (LP,), LP)
    late = replace(harvest(), id="late", position_id="cake-bnb", plan_id="p", owner=OWNER)
    store.open_harvest(replace(late, state=HarvestState.OPEN), plan)
    store.close_harvest(replace(late, finished_at=NOW - 5), ())
    store.close()
    out = explained(capsys, monkeypatch, None)
    assert "since then  compounded 5 s ago; everything here is from before that" in out
    assert "nothing: it has been done since" in out
    assert json.loads(explained(capsys, monkeypatch, None, "--json"))["outdated"] is True


def test_a_pause_and_a_halt_are_told_before_anything_else(tmp_path, capsys, monkeypatch):
    stage(by_name("paused"), tmp_path, monkeypatch)
    from keeper.store import open_store

    store = open_store(tmp_path / "state" / "keeper.db")
    store.set_flag("halt:bnb:0x" + "11" * 20, "the journal and the chain disagree")
    store.close()
    out = explained(capsys, monkeypatch, None)
    assert out.index("paused since") < out.index("staked")
    assert "keeper signs nothing at present" in out
    assert f"`keeper unblock bnb:0x{'11' * 20}` once you have looked" in out
    document = json.loads(explained(capsys, monkeypatch, None, "--json"))
    assert document["paused"]["reason"] == "checking prices"
    assert document["halted"]["account"] == "bnb:0x" + "11" * 20


def test_the_words_of_waiting_for_cheaper_gas(tmp_path, capsys, monkeypatch):
    stage(by_name("wait-cheaper-soon"), tmp_path, monkeypatch)
    out = explained(capsys, monkeypatch, None)
    assert "gas is usually 18 % lower within 9 h: waiting costs $0.016 and saves $0.05" in out
    document = json.loads(explained(capsys, monkeypatch, None, "--json"))
    assert document["waiting"]["costs_usd"].startswith("0.0159")
    assert document["waiting"]["saves_usd"].startswith("0.049")


def test_switching_is_advised_from_what_the_journal_knows_of_the_candidate(tmp_path, capsys, monkeypatch):
    stage(by_name("wait-switch"), tmp_path, monkeypatch)
    document = json.loads(explained(capsys, monkeypatch, None, "--json"))
    assert [advice["code"] for advice in document["advice"]] == ["switch"]
    assert "moving to usdt-bnb is worth $1,0" in document["advice"][0]["text"]


# ---------------------------------------------------------------------------- the lines about the rule


def told(**options) -> tuple[Told, Decision]:
    position = Position(
        "p", "bnb", "x", Address("0x" + "11" * 20), None, Address("0x" + "22" * 20), options=StrategyOptions(**options)
    )
    made = case(position)
    found = decide(made)
    return Told(found, NOW, made.observation, position.options), found


def text_of(told_: Told, numbers) -> str:
    return "\n".join(lay_out(rule_rows(told_, numbers), None))


def test_every_part_of_the_cost_has_its_line():
    story, found = told(max_harvests_per_year=9)
    parts = CostParts(usd("0.28"), usd("0.05"), usd("0.02"), usd("1.5"), usd("0.4"), UsdWad(-usd("0.1")))
    out = text_of(story, replace(found.numbers, cost_parts=parts, cost_usd=parts.total))
    for said in (
        "= $0.28",
        "+ $0.05 for the chain's L1 data fee",
        "+ $0.02 for what failed before",
        "+ $1.50 for the clock that a re-deposit restarts",
        "+ $0.40 for one of the 9 harvests wanted a year",
        "- $0.10 that the protocol pays for the call",
    ):
        assert said in out


def test_a_journal_from_before_the_parts_were_kept_is_still_told():
    story, found = told()
    out = text_of(story, replace(found.numbers, cost_parts=CostParts(), gas_correction_ppm=10**6))
    assert "412,000 gas x 1.1 gwei x " in out
    assert "+ $" not in out.split("threshold")[0].split("cost now")[1]


def test_each_option_that_differs_from_its_default_is_told():
    story, found = told(
        risk_factor_bps=7_500,
        min_interval_seconds=86_400,
        max_interval_seconds=30 * 86_400,
        max_harvests_per_year=24,
        reward_drift_bps=-5_000,
        rate_drift_bps=-2_000,
        target_yield_bps=400,
        payout_bps=2_000,
        payout_to=Address("0x" + "99" * 20),
        gas_keep_wei=5 * 10**16,
        batch="farms",
    )
    out = text_of(story, replace(found.numbers, payout_usd=usd("4.34"), top_up_usd=usd("1")))
    for said in (
        "risk factor 0.75",
        "= 0.75 x sqrt(",
        "at least 1 d apart",
        "at most 30 d apart",
        "at most 24 a year",
        "reward drifts -50 % a year",
        "emission changes -20 % a year",
        "yields 4 % a year",
        "decided with batch farms",
        "20 % of each harvest to 0x9999..9999",
        "$4.34",
        "kept at 0.05 of the gas token",
    ):
        assert said in out, said


def test_waiting_saves_nothing_where_no_lower_price_is_expected():
    _, found = told()
    assert waiting_saves(found.numbers) is None
    assert waiting_saves(replace(found.numbers, expected_gas_price_wei=2 * 10**9, expected_in_seconds=60)) is None
    half = replace(found.numbers, expected_gas_price_wei=55 * 10**7, expected_in_seconds=86_400)
    costs, saves = waiting_saves(half)
    assert costs == found.numbers.waiting_cost_per_day_usd
    assert saves == found.numbers.cost_parts.gas_usd // 2


@pytest.mark.parametrize(
    ("horizon", "words_"),
    [
        (20, "= from which one compound more pays before the end"),
        (365, "= yearly rewards x time left / 24 compounds"),
    ],
)
def test_before_a_known_end_the_threshold_is_worded_as_it_is_reckoned(horizon, words_):
    position = Position("p", "bnb", "x", Address("0x" + "11" * 20), None, Address("0x" + "22" * 20))
    made = case(position, horizon=horizon * 86_400)
    found = decide(made)
    out = text_of(Told(found, NOW, made.observation), found.numbers)
    assert words_ in out
    assert "rewards end in" in out


def test_the_threshold_is_explained_by_what_moves_it_away_from_the_plain_formula():
    story, found = told()
    fixed = 4 * found.numbers.cost_usd // 3
    dearer = fixed + (found.numbers.threshold_usd - fixed) * 11 // 10
    out = text_of(story, replace(found.numbers, threshold_usd=UsdWad(dearer)))
    assert "the cost counts x1.21, for cheaper gas is normally near" in out
    cheaper = fixed + (found.numbers.threshold_usd - fixed) * 9 // 10
    out = text_of(story, replace(found.numbers, threshold_usd=UsdWad(cheaper)))
    assert "the cost counts x0.81, for gas is cheaper than it normally is" in out
    assert "the cost counts" not in text_of(story, found.numbers)


# ---------------------------------------------------------------------------- predicted beside realised


def harvest(state=HarvestState.DONE, **changes) -> Harvest:
    made = Harvest(
        "h",
        "p",
        "bnb",
        Address("0x" + "11" * 20),
        state,
        "plan",
        1,
        0,
        predicted_reward_usd=usd("100"),
        predicted_cost_usd=usd("1"),
        predicted_gas=400_000,
        received_usd=usd("99"),
        cost_usd=usd("1.02"),
        gas_used=400_000,
    )
    return replace(made, **changes)


def test_the_bias_is_the_ratio_of_sums_over_finished_compounds():
    failed = harvest(HarvestState.FAILED, cost_usd=usd("9"))
    found = bias([harvest(), harvest(received_usd=usd("301"), predicted_reward_usd=usd("300")), failed])
    assert bias_text(found) == "2 compounds off by: reward exact, cost +2.0 %, gas exact"
    assert bias_json(found) == {"compounds": 2, "reward": Decimal(1), "cost": Decimal("1.02"), "gas": Decimal(1)}


def test_without_a_prediction_nothing_is_said_of_its_bias():
    recovered = harvest(predicted_reward_usd=usd(0), predicted_cost_usd=usd(0), predicted_gas=0)
    for past in ([], [recovered]):
        assert bias_text(bias(past)) == ""
        assert bias_json(bias(past)) is None


# ---------------------------------------------------------------------------- for programs


def tables() -> dict[str, set[str]]:
    """Keys by the object that a section of the page is about."""
    found: dict[str, set[str]] = {}
    for section in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        name = title.strip("` ")
        cells = [line.split("|")[1] for line in body.splitlines() if line.startswith("| `")]
        found[name] = {key for cell in cells for key in re.findall(r"`([a-z0-9_]+)`", cell)}
    return found


def test_every_key_is_documented_and_none_that_is_not_there(tmp_path, capsys, monkeypatch):
    stage(by_name("wait-cheaper-soon"), tmp_path, monkeypatch)
    document = json.loads(explained(capsys, monkeypatch, None, "--json"))
    told_of = tables()
    objects = {
        "Top level": document,
        "position": document["position"],
        "position.decision": document["position"]["decision"],
        "position.decision.numbers": document["position"]["decision"]["numbers"],
        "position.decision.numbers.cost_parts": document["position"]["decision"]["numbers"]["cost_parts"],
        "options": document["options"],
        "bias": document["bias"],
        "harvests": document["harvests"][0],
    }
    assert set(told_of) == set(objects)
    for name, found in objects.items():
        assert set(found) == told_of[name], name


def test_no_number_that_could_lose_digits_is_a_json_number(shown):
    def check(value, path):
        if isinstance(value, dict):
            for key, item in value.items():
                assert not (key.endswith(("_usd", "_wei")) and isinstance(item, (int, float))), path + key
                check(item, f"{path}{key}.")
        elif isinstance(value, list):
            for item in value:
                check(item, path)
        else:
            assert not isinstance(value, float), path

    check(shown.json, "")


# ---------------------------------------------------------------------------- the layout itself


def test_phrases_share_a_line_where_they_fit_and_keep_to_theirs_where_not():
    row = Row("label", ["one two", "three", NEW_LINE, "four"], "$1.00")
    assert lay_out([row], 80) == ["  label  $1.00   one two · three", "                 four"]
    assert lay_out([row], 26) == ["  label  $1.00   one two", "                 three", "                 four"]


def test_a_long_phrase_is_broken_on_a_terminal_only():
    row = Row("why", ["a sentence that is too long for what there is of room"])
    assert lay_out([row], None) == ["  why  a sentence that is too long for what there is of room"]
    assert lay_out([row], 40) == ["  why  a sentence that is too long for", "         what there is of room"]


def test_the_two_ends_of_the_first_line():
    assert head("a", "b", None) == ["a    b"]
    assert head("a", "b", 10) == ["a        b"]
    assert head("a", "b", 300) == ["a" + " " * 98 + "b"]
    assert head("a" * 20, "b" * 20, 30) == ["a" * 20, "  " + "b" * 20]


WORDS = st.lists(st.text(st.sampled_from("abcxyz"), min_size=1, max_size=9), min_size=1, max_size=9).map(" ".join)


@given(st.lists(st.lists(WORDS | st.just(NEW_LINE), max_size=5), min_size=1, max_size=4), st.integers(40, 130))
def test_no_word_is_lost_and_no_line_is_too_long(rows, width):
    lines = lay_out([Row("label", phrases, "$1") for phrases in rows], width)
    text = " ".join(lines).replace("·", " ").replace("label", " ").replace("$1", " ").split()
    assert text == [word for phrases in rows for phrase in phrases for word in phrase.split()]
    assert max(map(len, lines)) <= width
