"""Every verdict that ``keeper explain`` words: one farm under different circumstances, decided by the engine itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from journal_kit import CONFIG, LP, OWNER

from keeper.cli import execute
from keeper.config.loader import load
from keeper.config.plugins import installed_catalogue
from keeper.domain.block import BlockRef
from keeper.domain.decision import Decision, Reason, ReasonCode, Verdict
from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.money import Address, Amount, Token, usd
from keeper.domain.observation import Accrual, Observation, RateSource, Sample
from keeper.domain.plan import Plan
from keeper.domain.position import Market, RouteSpec
from keeper.domain.transaction import FeeQuote
from keeper.domain.valuation import PriceProblem, Quote, SwapDepth, TokenPrice, Valuation
from keeper.engine.book import Holding, Sale
from keeper.engine.case import Case
from keeper.engine.decide import decide, price_reasons, refuse
from keeper.engine.pause import PAUSE, paused_text
from keeper.ports import SwapRoute
from keeper.store import open_store
from keeper.strategy.batching import Round
from keeper.strategy.guards import Surroundings
from keeper.strategy.verdicts import Answer

CAKE = Token("bnb", Address("0x" + "33" * 20), "CAKE", 18)
WBNB = Token("bnb", Address("0x" + "44" * 20), "WBNB", 18)
SPEC = RouteSpec("uniswap-v2", Address("0x" + "55" * 20), (), 25)

DAY = 86_400
#: Of the block; it is looked at twelve seconds later.
THEN = int(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp())
NOW = THEN + 12
BLOCK = BlockRef("bnb", 45_102_331, "0x" + "ab" * 32, THEN)

GWEI = 10**9
AROUND = Surroundings(
    can_sign=True,
    native_balance_wei=2 * 10**17,
    min_native_wei=2 * 10**15,
    spent_today_usd=usd("0.62"),
    per_day_usd=usd(20),
    gas_price_wei=11 * GWEI // 10,
    max_gas_price_wei=None,
    failures=0,
    max_failures=3,
    last_harvest_at=THEN - 9 * DAY,
    min_interval_seconds=0,
    native_symbol="BNB",
)


def _price(token: Token, low: str, high: str | None = None) -> TokenPrice:
    quotes = (Quote(token, usd(low), "chainlink", THEN), Quote(token, usd(high or low), "uniswap-v2", THEN))
    return TokenPrice(token, usd(low), usd(high or low), quotes)


def case(position, pending: str = "9.31", **changes) -> Case:
    """$10,240 staked at about 18 % a year; a compound is 412,000 gas at 1.1 gwei and $612 for one BNB."""
    observation = Observation(
        "cake-bnb",
        BLOCK,
        Amount(LP, 412 * 10**17),
        (Amount(CAKE, int(usd(pending))),),
        (Accrual(Amount(CAKE, int(usd("807.97")))),),
    )
    lp = usd("248.5480")
    valuation = Valuation(
        BLOCK,
        (_price(CAKE, "2.338", "2.341"), TokenPrice(LP, lp, lp, (Quote(LP, lp, "uniswap-v2-lp", THEN),))),
        _price(WBNB, "611.80", "612"),
        (SwapDepth(CAKE, usd(2_000_000)),),
    )
    route = SwapRoute(SPEC, (CAKE, WBNB), (Address("0x" + "66" * 20),), 25)
    made = Case(
        holding=Holding(position, Market(LP, (CAKE,)), (Sale(CAKE, WBNB, route),)),
        observation=observation,
        valuation=valuation,
        pending=observation.pending,
        fees=FeeQuote(0, 11 * GWEI // 10),
        gas_units=400_000,
        l1_fee_wei=0,
        around=AROUND,
        correction_ppm=1_030_000,
        failure_ppm=70_000,
        usual_gas_wei=13 * GWEI // 10,
    )
    return replace(made, **changes)


def _seen(one: Case, **changes) -> Case:
    observation = replace(one.observation, **changes)
    return replace(one, observation=observation, pending=observation.pending)


def _held(**changes) -> Callable[[Case], Case]:
    return lambda one: replace(one, around=replace(one.around, **changes))


@dataclass(frozen=True)
class Judge:
    """A policy that answers one thing."""

    answer: Answer
    name: str = "patient"

    def judge(self, scene, position_id, cost_at=None) -> Answer:
        return self.answer


@dataclass(frozen=True)
class Situation:
    """One verdict: how it comes about, and which lines of it the documents show."""

    name: str
    pending: str = "9.31"
    #: What is different from the plain case.
    twist: Callable[[Case], Case] = lambda one: one
    #: Lines added to the position's block of the config.
    config: str = ""
    #: Lines beside ``why`` and ``next`` that the documents show; all of them when ``None``.
    shows: Sequence[str] | None = ()
    #: What replaces the decision that the engine comes to, where the simulation or the prices say so.
    override: Callable[[Case, Decision], Decision] = lambda _case, found: found
    #: A second position to move to.
    rival: bool = False
    paused: str = ""
    running: bool = True
    harvests: int = 7
    verdict: Verdict = Verdict.WAIT
    code: ReasonCode = ReasonCode.BELOW_THRESHOLD
    args: Sequence[str] = field(default=())


def _blocked(code: ReasonCode, text: str) -> Callable[[Case, Decision], Decision]:
    return lambda _case, found: replace(found, verdict=Verdict.BLOCKED, reasons=(Reason(code, text),))


def _unpriced(one: Case, found: Decision) -> Decision:
    text = (
        "the sources of CAKE differ by 812 basis points (chainlink $2.338, uniswap-v2 $2.528), more than 200; "
        "keeper waits until they agree"
    )
    return refuse(one.position, one.observation, price_reasons([PriceProblem(CAKE, "disagree", text)]))


def _cheaper_soon(one: Case) -> Case:
    why = "the threshold is passed, but gas is usually 18 % lower within 9 h, which saves more than waiting costs"
    return replace(one, judge=Judge(Answer(False, why, ReasonCode.CHEAPER_SOON, 95 * GWEI // 100, usd("76.4"))))


def _forecast(_case: Case, found: Decision) -> Decision:
    assert found.numbers is not None
    numbers = replace(found.numbers, expected_gas_price_wei=902 * GWEI // 1000, expected_in_seconds=9 * 3_600)
    return replace(found, numbers=numbers)


def _ends(one: Case, at: int) -> Case:
    return _seen(one, accruals=tuple(replace(a, ends_at=at) for a in one.observation.accruals))


HARVEST, WAIT, BLOCKED = Verdict.HARVEST, Verdict.WAIT, Verdict.BLOCKED
RULE = ("staked", "pending", "cost now", "threshold", "would fire")

SITUATIONS = (
    Situation("wait-below-threshold", shows=None),
    Situation(
        "harvest",
        pending="36.2",
        shows=(*RULE, "worth", "waiting", "guards"),
        verdict=HARVEST,
        code=ReasonCode.ABOVE_THRESHOLD,
    ),
    Situation("harvest-no-daemon", pending="36.2", running=False, verdict=HARVEST, code=ReasonCode.ABOVE_THRESHOLD),
    Situation(
        "harvest-max-interval",
        pending="9.31",
        config='max_interval = "7d"\n',
        shows=("policy",),
        verdict=HARVEST,
        code=ReasonCode.MAX_INTERVAL,
    ),
    Situation(
        "wait-cheaper-soon",
        pending="36.2",
        twist=_cheaper_soon,
        override=_forecast,
        config='policy = "patient"\n',
        shows=("cost now", "gas", "waiting", "policy"),
        code=ReasonCode.CHEAPER_SOON,
    ),
    Situation(
        "wait-too-small",
        pending="0.2",
        twist=lambda one: replace(
            _seen(
                one,
                principal=Amount(LP, 12 * 10**17),
                accruals=(Accrual(Amount(CAKE, int(usd("23.53")))),),
            ),
            fees=FeeQuote(0, 22 * GWEI),
            usual_gas_wei=None,
            correction_ppm=10**6,
            failure_ppm=0,
        ),
        shows=("staked", "pending", "cost now", "threshold", "rhythm", "advice"),
        code=ReasonCode.BELOW_COST,
        harvests=0,
    ),
    Situation(
        "wait-exit",
        twist=lambda one: replace(one, horizon=68 * DAY - 12 * 3_600),
        config="exit = 2027-01-30\n",
        shows=("threshold", "would fire", "rhythm", "horizon"),
    ),
    Situation(
        "wait-exit-near",
        twist=lambda one: replace(one, horizon=6 * DAY - 12 * 3_600),
        config="exit = 2026-11-29\n",
        shows=("cost now", "horizon", "advice"),
        code=ReasonCode.EXIT_NEAR,
        pending="4",
    ),
    Situation(
        "wait-ended",
        twist=lambda one: _ends(one, THEN - 3 * DAY),
        shows=("staked", "pending", "threshold", "advice"),
        code=ReasonCode.REWARDS_ENDED,
    ),
    Situation(
        "wait-no-yield",
        config='reward_drift = "25%/yr"\n',
        shows=("staked", "threshold", "advice"),
        code=ReasonCode.NO_YIELD,
    ),
    Situation(
        "wait-rate-unknown",
        twist=lambda one: _seen(one, accruals=()),
        shows=("staked", "pending"),
        code=ReasonCode.RATE_UNKNOWN,
        harvests=0,
    ),
    Situation(
        "wait-batch",
        twist=lambda one: replace(one, round=Round(("cake-bnb", "other"), usd("0.21"), usd("0.35"))),
        pending="36.2",
        config='batch = "bnb-farms"\n',
        shows=("worth", "policy"),
        code=ReasonCode.BATCH_WAITS,
    ),
    Situation(
        "wait-switch",
        config='candidates = ["usdt-bnb"]\nexit_cost = "0.1%"\n',
        rival=True,
        shows=("staked", "rhythm", "advice"),
    ),
    Situation(
        "blocked-prices",
        override=_unpriced,
        shows=("staked", "pending"),
        verdict=BLOCKED,
        code=ReasonCode.PRICE_DISAGREES,
    ),
    Situation(
        "blocked-gas-balance",
        pending="36.2",
        twist=_held(native_balance_wei=4 * 10**14),
        shows=("would fire",),
        verdict=BLOCKED,
        code=ReasonCode.GAS_BALANCE_LOW,
    ),
    Situation(
        "blocked-day-limit",
        pending="36.2",
        twist=_held(spent_today_usd=usd("19.9")),
        verdict=BLOCKED,
        code=ReasonCode.DAY_LIMIT_REACHED,
    ),
    Situation(
        "blocked-gas-price",
        pending="36.2",
        twist=_held(max_gas_price_wei=GWEI),
        verdict=BLOCKED,
        code=ReasonCode.FEE_ABOVE_LIMIT,
    ),
    Situation(
        "blocked-year-limit",
        pending="82",
        twist=_held(harvests_this_year=12, max_harvests_per_year=12),
        config="max_harvests_per_year = 12\n",
        shows=("cost now", "policy"),
        verdict=BLOCKED,
        code=ReasonCode.YEAR_LIMIT_REACHED,
    ),
    Situation(
        "blocked-min-interval",
        pending="36.2",
        twist=_held(last_harvest_at=THEN - 3_600, min_interval_seconds=DAY),
        config='min_interval = "1d"\n',
        verdict=BLOCKED,
        code=ReasonCode.TOO_SOON,
    ),
    Situation(
        "blocked-protocol-paused",
        pending="36.2",
        twist=lambda one: _seen(one, deposits_paused=True),
        verdict=BLOCKED,
        code=ReasonCode.PROTOCOL_PAUSED,
    ),
    Situation(
        "blocked-simulation",
        pending="36.2",
        override=_blocked(
            ReasonCode.SIMULATION_REVERTED,
            "3/6 swap CAKE for WBNB: would be reverted: UniswapV2Router: INSUFFICIENT_OUTPUT_AMOUNT",
        ),
        verdict=BLOCKED,
        code=ReasonCode.SIMULATION_REVERTED,
    ),
    Situation(
        "blocked-quarantine",
        pending="36.2",
        twist=_held(failures=3),
        verdict=BLOCKED,
        code=ReasonCode.QUARANTINED,
    ),
    Situation(
        "blocked-watch-only",
        pending="36.2",
        twist=_held(can_sign=False),
        verdict=BLOCKED,
        code=ReasonCode.WATCH_ONLY,
    ),
    Situation(
        "paused",
        pending="36.2",
        paused="checking prices",
        shows=("paused",),
        verdict=HARVEST,
        code=ReasonCode.ABOVE_THRESHOLD,
    ),
)

RIVAL = """[[positions]]
id = "usdt-bnb"
chain = "bnb"
protocol = "masterchef"
target = "0x4444444444444444444444444444444444444444"
pid = 3
owner = "0x1111111111111111111111111111111111111111"
entry_cost = "0.15%"
"""


def _harvest(number: int) -> Harvest:
    """One past compound: the newest ended nine days ago, the others at twelve days' distance before it."""
    ended = THEN - 9 * DAY - 12 * DAY * number
    return Harvest(
        id=f"h{number}",
        position_id="cake-bnb",
        chain="bnb",
        owner=OWNER,
        state=HarvestState.DONE,
        plan_id="p",
        decided_block=45_000_000 - number,
        started_at=ended - 60,
        predicted_reward_usd=usd("80.12") + number * usd("0.31"),
        predicted_cost_usd=usd("0.29"),
        predicted_gas=400_000,
        finished_at=ended,
        received=(Amount(CAKE, 34 * 10**18),),
        compounded=Amount(LP, 3 * 10**17),
        gas_used=411_000 + 250 * number,
        cost_wei=45 * 10**13,
        received_usd=usd("80.05") + number * usd("0.3"),
        compounded_usd=usd("79.90"),
        cost_usd=usd("0.30"),
    )


def stage(situation: Situation, folder: Path, monkeypatch) -> None:
    """Put a situation into a folder: its config, and a journal in which the engine has decided it."""
    folder.mkdir(parents=True, exist_ok=True)
    text = CONFIG + situation.config + (RIVAL if situation.rival else "")
    if situation.name == "wait-batch":
        text = text.replace("[[positions]]", '[batches.bnb-farms]\nshared_cost = "$0.35"\n[[positions]]', 1)
    if situation.name == "wait-cheaper-soon":
        text = text.replace("[[positions]]", '[policies.patient]\ncommand = ["patient"]\n[[positions]]', 1)
    (folder / "keeper.toml").write_text(text)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("time.time", lambda: float(NOW))
    loaded = load([folder / "keeper.toml"], env={}, catalogue=installed_catalogue(), dotenv=None)
    position = loaded.positions()[0]
    store = open_store(folder / "state" / "keeper.db")
    _record(store, situation, position)
    if situation.rival:
        _record_rival(store, loaded.positions()[1])
    if situation.paused:
        store.set_flag(PAUSE, paused_text(situation.paused, THEN - 1_800))
    store.close()
    if situation.running:
        (folder / "state" / "heartbeat").write_text(f"{NOW} {os.getpid()}\n")


def _record(store, situation: Situation, position) -> None:
    for number in reversed(range(situation.harvests)):
        done = _harvest(number)
        plan = Plan("p", "cake-bnb", "bnb", OWNER, (), (LP, CAKE), LP)
        opened = replace(
            done, state=HarvestState.OPEN, finished_at=None, received=(), compounded=None, gas_used=0, cost_wei=0
        )
        store.open_harvest(opened, plan)
        store.close_harvest(done, ())
    if situation.harvests:
        earlier = case(position, "34.6", around=replace(AROUND, last_harvest_at=None))
        at = replace(BLOCK, number=44_000_000, timestamp=THEN - 9 * DAY - 60)
        first = decide(replace(earlier, observation=replace(earlier.observation, block=at)))
        store.record_decision(first)
        began = case(position, "0.05", around=replace(AROUND, last_harvest_at=None))
        at = replace(BLOCK, number=44_001_000, timestamp=THEN - 9 * DAY + 60)
        store.record_decision(decide(replace(began, observation=replace(began.observation, block=at))))
    made = situation.twist(case(position, situation.pending))
    store.record_decision(situation.override(made, decide(made)))
    store.record_samples([Sample(made.observation, decide(made).numbers)])


def _record_rival(store, position) -> None:
    made = case(position)
    seen = replace(
        made.observation,
        position_id="usdt-bnb",
        accruals=(Accrual(Amount(CAKE, int(usd("1180"))), 0, None, RateSource.CHAIN),),
    )
    made = replace(made, observation=seen)
    found = decide(made)
    store.record_decision(found)
    store.record_samples([Sample(seen, found.numbers)])


def explained(capsys, monkeypatch, width: int | None, *args: str) -> str:
    """What the command prints on a terminal of this width; ``None`` for a pipe."""
    monkeypatch.setattr("keeper.cli.explain_text.room", lambda: width)
    capsys.readouterr()
    assert execute(["explain", "cake-bnb", *args]) == 0
    return capsys.readouterr().out
