"""An aggregator's quotes through the whole keeper on a real chain: a bad route is held back, a good one is not."""

from __future__ import annotations

import re
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from app_kit import Recorder, a_week, open_local, write_config
from web_kit import web

from keeper.abi import Fn, checksum
from keeper.app import open_app
from keeper.cli import execute
from keeper.config.catalogue import Catalogue
from keeper.config.loader import load
from keeper.config.plugins import installed_catalogue
from keeper.config.show import rows
from keeper.devnet.accounts import DEPLOYER
from keeper.devnet.start import send
from keeper.domain.decision import ReasonCode, Verdict
from keeper.domain.harvest import HarvestState
from keeper.errors import ConfigError

pytestmark = pytest.mark.devnet

APPROVE = Fn("approve(address,uint256)")
ADD = Fn("addLiquidity(address,address,uint256,uint256,uint256,uint256,address,uint256)")
FAR = 2**63

#: How often a harvest's reward fits into each side of the direct pool: selling it there loses 0.94 % and the fee.
DEPTH = 105


@pytest.fixture(scope="module")
def site():
    with web() as running:
        yield running


@pytest.fixture(scope="module")
def weekly(anvil_path, tmp_path_factory):
    """A world after a week, with a thin pool in which AAVE is sold for USDC directly."""
    from keeper.chain.anvil import LocalNode
    from keeper.devnet.world import build_world

    with LocalNode.start(binary=anvil_path) as own:
        world = build_world(own)
        a_week(world)
        world.advance(2 * 86_400)
        with open_local(write_config(world, tmp_path_factory.mktemp("first"))) as app:
            (pending,) = app.survey(["usdc-aave"])[0].observation.pending
        sides = {world.aave.address: pending.raw * DEPTH, world.usdc.address: pending.raw * DEPTH * 150 // 10**12}
        for token, raw in sides.items():
            send(own, DEPLOYER.address, token, APPROVE.encode(world.router, raw))
        call = ADD.encode(*sides, *sides.values(), 0, 0, DEPLOYER.address, FAR)
        # Opening a pair deploys a contract, for which the helper's gas is too little.
        asked = {"from": DEPLOYER.address, "to": world.router, "data": "0x" + call.hex(), "gas": hex(6_000_000)}
        assert own.rpc("eth_sendTransactionSync", asked)["status"] == "0x1"
        world.set_base_fee(10**9)
        yield world
        world.chain.close()


@pytest.fixture
def chain(weekly):
    kept = weekly.snapshot()
    yield weekly.reconnected()
    weekly.revert(kept)


@pytest.fixture
def speaks(site, chain):
    """The site answers as 0x does, with the feeds' price times a factor, over WETH; returns how to change that."""
    site.asked.clear()
    site.status, site.drip, site.headers = 200, 0.0, {}

    def speak(factor: float = 0.9995, **changes) -> None:
        def answer(path: str, _posted) -> dict:
            asked = {key: value for key, (value,) in parse_qs(urlsplit(path).query).items()}
            sell, buy = chain.aave.address, chain.usdc.address
            fair = int(asked["sellAmount"]) * 150 // 10**12
            steps = [{"from": sell, "to": chain.weth.address}, {"from": chain.weth.address, "to": buy}]
            return {
                "liquidityAvailable": True,
                "sellToken": asked["sellToken"],
                "buyToken": asked["buyToken"],
                "sellAmount": asked["sellAmount"],
                "buyAmount": str(int(fair * factor)),
                "gas": "150000",
                "route": {"fills": steps},
            } | changes

        site.body = answer

    speak()
    return speak


@pytest.fixture
def config(chain, tmp_path, site):
    """Write a config that asks the site; ``direct``: AAVE is sold in the thin pool only."""

    def write(extra: str = "", *, direct: bool = True, off: bool = False):
        table = f'\n[quotes]\nkind = "0x"\nurl = "{site.url}"\nnetworks = {{ local = "31337" }}\n{extra}'
        path = write_config(chain, tmp_path, extra="" if off else table)
        head, block = path.read_text().split('id = "usdc-aave"')
        if direct:
            block = re.sub(r"via = \[[^]]*\]", "via = []", block, count=1)
        path.write_text(f'{head}id = "usdc-aave"{block}')
        return path

    return write


def decided(config, **kwargs):
    with open_local(config, **kwargs) as app:
        return app.prepare("usdc-aave").decision


def test_much_worse_route_is_held_back_and_the_reason_says_what_to_do(speaks, config, chain):
    decision = decided(config())
    assert decision.verdict is Verdict.BLOCKED
    assert decision.code is ReasonCode.ROUTE_WORSE
    text = decision.reasons[0].text
    assert re.fullmatch(
        r"0x would get [\d.]+ USDC for [\d.]+ AAVE, the best configured way \(uniswap-v2 AAVE-USDC\) [\d.]+ USDC: "
        r"1\.\d+ % more, above quotes\.max_worse of 1 %; its route passes through (0x\w+): add that to `via` of the "
        r"position's route",
        text,
    ), text
    assert checksum(chain.weth.address) in text


def test_good_route_passes_compounds_and_shows_the_comparison(speaks, config, site):
    with open_local(config(direct=False)) as app:
        decision = app.prepare("usdc-aave").decision
        assert decision.verdict is Verdict.HARVEST, decision.reasons
        (note,) = [guard.text for guard in decision.guards if guard.code is ReasonCode.ROUTE_COMPARED]
        assert re.search(r"0\.\d+ % more than the best configured way \(uniswap-v2 AAVE-WETH-USDC\)", note), note
        harvest = app.compound("usdc-aave").harvest
        asked = len(site.asked)
        assert app.prepare("usdc-aave").decision.verdict is Verdict.WAIT
    assert harvest is not None
    assert harvest.state is HarvestState.DONE
    assert 1 <= asked == len(site.asked), "what is not due is asked about no more"


def test_held_back_harvest_sends_nothing_and_goes_on_with_a_better_route(speaks, config, site):
    with open_local(config()) as app:
        outcome = app.compound("usdc-aave")
        assert outcome.harvest is None
        assert outcome.decision.code is ReasonCode.ROUTE_WORSE
        assert app.compound("usdc-aave", forced=True).harvest is None, "a guard: it holds for a person, too"
    with open_local(config("max_worse = '2%'\n")) as app:
        outcome = app.compound("usdc-aave")
        assert outcome.harvest is not None
        assert outcome.harvest.state is HarvestState.DONE


def test_worse_route_that_cannot_even_be_simulated_says_so_too(speaks, config):
    tight = config().read_text().replace("[[positions]]", '[strategy]\nmax_slippage = "0.3%"\n\n[[positions]]', 1)
    path = config()
    path.write_text(tight)
    decision = decided(path)
    assert [reason.code for reason in decision.reasons[:2]] == [ReasonCode.SIMULATION_REVERTED, ReasonCode.ROUTE_WORSE]


@pytest.mark.parametrize(
    ("factor", "words"),
    [(0.98, "below the least that keeper accepts"), (1.2, "far above the agreed prices"), (1e12, "far above")],
)
def test_unbelievable_quotes_count_for_nothing(speaks, config, factor, words):
    speaks(factor)
    decision = decided(config())
    assert decision.verdict is Verdict.HARVEST
    assert any(words in guard.text for guard in decision.guards)


@pytest.mark.parametrize(
    "changes",
    [
        {"buyAmount": "-1"},
        {"buyAmount": float("nan")},
        {"buyToken": "0x" + "12" * 20},
        {"sellAmount": "1"},
        {"liquidityAvailable": None},
    ],
)
def test_answers_that_are_no_quote_change_nothing_but_a_warning(speaks, config, changes):
    speaks(**changes)
    events = Recorder()
    assert decided(config(), events=events).verdict is Verdict.HARVEST
    (warning,) = events.named("outside.failed")
    assert "harvests go on without it" in str(warning.fields["error"])


def test_dead_or_dripping_service_changes_nothing_but_a_warning(speaks, config, site):
    plain = decided(config(off=True))
    site.drip = 0.3
    events, started = Recorder(), time.monotonic()
    with open_local(config('timeout = "1s"\n'), events=events) as app:
        slow = app.prepare("usdc-aave").decision
        again = app.prepare("usdc-aave").decision
    assert time.monotonic() - started < 15
    assert (slow.verdict, slow.code) == (again.verdict, again.code) == (plain.verdict, plain.code)
    assert len(events.named("outside.failed")) == len(site.asked) == 1


def test_nobody_is_asked_by_a_look_or_without_the_table(speaks, config, site):
    assert decided(config(off=True)).verdict is Verdict.HARVEST
    with open_local(config()) as app:
        app.survey()
        assert app.due()
    assert site.asked == []


def test_daemons_look_waits_for_nobody_and_hears_what_a_lane_was_told(speaks, config, site):
    from keeper.engine.lap import prepare
    from keeper.engine.survey import survey

    with open_local(config()) as app:
        (context,) = app.contexts.values()
        seen = survey(context, app.book("local"), only={"usdc-aave"}, record=False).assessments[0]
        site.drip = 5.0
        started = time.monotonic()
        assert prepare(context, seen, wait=False).decision.verdict is Verdict.HARVEST
        assert time.monotonic() - started < 3
        assert site.asked == []
        site.drip = 0.0
        assert prepare(context, seen).decision.code is ReasonCode.ROUTE_WORSE
        assert prepare(context, seen, wait=False).decision.code is ReasonCode.ROUTE_WORSE
        assert len(site.asked) == 1


def test_explain_and_harvest_show_it(speaks, config, capsys):
    assert execute(["--config", str(config()), "explain", "usdc-aave", "--live"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "usdc-aave BLOCKED" in shown
    assert "the best configured way (uniswap-v2 AAVE-USDC)" in shown
    assert "add what it names to the route" in shown

    good = str(config(direct=False))
    execute(["--config", good, "explain", "usdc-aave", "--live"])
    assert "% more than the best configured way" in " ".join(capsys.readouterr().out.split())
    assert execute(["--config", good, "harvest", "usdc-aave", "--dry-run=simulate"]) == 0
    assert "% more than the best configured way" in capsys.readouterr().out


def test_key_comes_from_the_environment_and_is_kept_secret(speaks, config, site):
    path = config('key_env = "ZEROX_KEY"\n')
    path.write_text(path.read_text().replace(f'"{site.url}"', f'"{site.url}/$ROOM"'))
    secrets: list[str] = []
    loaded = load(
        [path], env={"ZEROX_KEY": "zero-secret", "ROOM": "room-secret"}, catalogue=installed_catalogue(), dotenv=None
    )
    with open_app(loaded, events=Recorder(), keep_secret=secrets.append) as app:
        app.prepare("usdc-aave")
    assert {"zero-secret", f"{site.url}/room-secret"} <= set(secrets)
    assert site.asked[0][0].startswith("/room-secret/swap/allowance-holder/price?")
    assert site.asked[0][1]["0x-api-key"] == "zero-secret"
    assert "room-secret" not in str([row.value for row in rows(loaded)])
    with pytest.raises(ConfigError, match=r"quotes\.key_env: environment variable ZEROX_KEY is not set"):
        open_app(load([path], env={"ROOM": "x"}, catalogue=installed_catalogue(), dotenv=None), events=Recorder())


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('kind = "paraswap"', "quotes.kind"),
        ('kind = "0x"', "quotes"),
        ('kind = "1inch"', "quotes"),
        ('kind = "cow"\nmax_worse = "0%"', "quotes.max_worse"),
        ('kind = "cow"\ntimeout = "1h"', "quotes.timeout"),
        ('kind = "cow"\nurl = "ftp://x"', "quotes.url"),
        ('kind = "cow"\nkey = "x"', "quotes.key"),
    ],
)
def test_mistakes_are_named(world, tmp_path, table, words):
    path = write_config(world, tmp_path, extra=f"\n[quotes]\n{table}\n")
    with pytest.raises(ConfigError) as told:
        load([path], env={}, catalogue=Catalogue(), dotenv=None)
    assert any(words in problem for problem in told.value.problems)
