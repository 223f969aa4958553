"""Prices from the web as a bound, through the whole app on a real chain: they stop decisions, and make none."""

from __future__ import annotations

import time

import pytest
from app_kit import Recorder, open_local, write_config
from web_kit import web

from keeper.config.catalogue import Catalogue
from keeper.config.loader import load
from keeper.config.plugins import installed_catalogue
from keeper.config.show import rows
from keeper.domain.decision import Verdict
from keeper.errors import ConfigError

pytestmark = pytest.mark.devnet

WEEK = 7 * 86_400


@pytest.fixture
def site():
    with web() as running:
        yield running


@pytest.fixture
def ready(fresh_world, tmp_path, site):
    """Write a config of a week that asks the site; the site prices tokens of the world as told."""
    fresh_world.advance(WEEK)

    def write(extra: str = ""):
        table = (
            f'\n[prices.sanity]\nkind = "defillama"\nurl = "{site.url}"\nnetworks = {{ local = "ethereum" }}\n{extra}'
        )
        return write_config(fresh_world, tmp_path, extra=table)

    def say(**prices) -> None:
        at = int(time.time())
        site.body = {
            "coins": {
                f"ethereum:{fresh_world.token(symbol.upper()).address}": {"price": usd, "timestamp": at}
                for symbol, usd in prices.items()
            }
        }

    return write, say


def verdicts(app) -> dict[str, Verdict]:
    return {a.position.id: a.decision.verdict for a in app.survey()}


def test_price_far_from_the_webs_blocks_what_needs_it_and_says_both(ready):
    write, say = ready
    say(weth=3_010, uni=4, sushi=1, aave=151)
    with open_local(write()) as app:
        found = {a.position.id: a.decision for a in app.survey()}

    farm = found["uni-farm"]
    assert farm.verdict is Verdict.BLOCKED
    assert any("$8.00 by" in r.text and "$4.00 by DefiLlama" in r.text for r in farm.reasons), farm.reasons
    assert found["sushi-chef"].verdict is not Verdict.BLOCKED
    assert found["usdc-aave"].verdict is not Verdict.BLOCKED


def test_wider_bound_lets_it_pass(ready):
    write, say = ready
    say(weth=3_010, uni=7)
    with open_local(write('max_deviation = "20%"\n')) as app:
        assert verdicts(app)["uni-farm"] is not Verdict.BLOCKED


def test_without_the_web_nothing_changes_but_a_warning(ready, site, fresh_world, tmp_path):
    write, _ = ready
    with open_local(write_config(fresh_world, tmp_path / "plain")) as app:
        plain = verdicts(app)
    site.status, events = 500, Recorder()
    with open_local(write(), events=events) as app:
        assert verdicts(app) == plain
        assert verdicts(app) == plain
    (warning,) = events.named("outside.failed")
    assert "DefiLlama" in str(warning.fields["error"])


def test_web_that_only_drips_holds_up_the_start_for_seconds_and_no_decision(ready, site):
    write, say = ready
    say(uni=4)
    site.drip = 0.5
    started = time.monotonic()
    with open_local(write()) as app:
        opened = time.monotonic() - started
        started = time.monotonic()
        assert verdicts(app)["uni-farm"] is not Verdict.BLOCKED
        assert time.monotonic() - started < 5
    assert opened < 8


def test_key_comes_from_the_environment_is_kept_secret_and_not_shown(ready, site):
    write, say = ready
    say(weth=3_000)
    config = write().read_text().replace(site.url, f"{site.url}/$LLAMA_KEY").replace('"defillama"', '"coingecko"')
    path = write()
    path.write_text(config.replace("networks =", 'key_env = "CG_KEY"\nnetworks ='))
    env = {"LLAMA_KEY": "llama-secret", "CG_KEY": "gecko-secret"}
    loaded = load([path], env=env, catalogue=installed_catalogue(), dotenv=None)
    secrets: list[str] = []
    from keeper.app import open_app

    with open_app(loaded, events=Recorder(), keep_secret=secrets.append):
        pass

    assert "gecko-secret" in secrets
    assert f"{site.url}/llama-secret" in secrets
    assert site.asked[0][0].startswith("/llama-secret/simple/token_price/ethereum?")
    assert site.asked[0][1]["x-cg-demo-api-key"] == "gecko-secret"
    shown = {row.key: row.value for row in rows(loaded)}
    assert "LLAMA_KEY" not in str(shown["prices.sanity.url"])
    with pytest.raises(ConfigError, match="CG_KEY is not set"):
        open_app(load([path], env={"LLAMA_KEY": "x"}, catalogue=installed_catalogue(), dotenv=None), events=Recorder())


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('kind = "coinbase"', "prices.sanity.kind"),
        ('kind = "defillama"\nmax_deviation = "0%"', "prices.sanity.max_deviation"),
        ('kind = "defillama"\npoll = "1s"', "prices.sanity.poll"),
        ('kind = "defillama"\nurl = "ftp://x"', "prices.sanity.url"),
        ('kind = "defillama"\nkey = "x"', "prices.sanity.key"),
        ("", "prices.sanity"),
    ],
)
def test_mistakes_are_named(world, tmp_path, table, words):
    path = write_config(world, tmp_path, extra=f"\n[prices.sanity]\n{table}\n")
    with pytest.raises(ConfigError) as told:
        load([path], env={}, catalogue=Catalogue(), dotenv=None)
    assert any(words in problem for problem in told.value.problems)
