"""Layers, origins and the values that the engine takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from keeper.config.catalogue import Catalogue
from keeper.config.fields import EnvText, interpolate, mask_url
from keeper.config.loader import Loaded, load, state_folder
from keeper.config.packaged import chain_names, locate
from keeper.config.plugins import discover, installed_catalogue
from keeper.config.show import rows
from keeper.domain.money import WAD, Address
from keeper.domain.position import RouteSpec
from keeper.errors import ConfigError
from keeper.ports import ParamSpec

FARM = Address("0x" + "a1" * 20)
OWNER = Address("0x" + "b2" * 20)
ROUTER = Address("0x" + "c3" * 20)
TOKEN = Address("0x" + "d4" * 20)
CAKE = Address("0x0e09fabb73bd3ade0a17ecc321fd13a19e81ce82")

CATALOGUE = Catalogue(
    protocols={
        "farm": {
            "pid": ParamSpec("int", required=True, doc="Pool number."),
            "asset": ParamSpec("address", required=False, doc="Token."),
            "label": ParamSpec("str", required=False, doc="Any text."),
            "fast": ParamSpec("bool", required=False, doc="A flag."),
        }
    },
    swaps=frozenset({"uniswap-v2"}),
    prices={
        "chainlink": {
            "feed": ParamSpec("address", required=True, doc="Feed."),
            "max_age_seconds": ParamSpec("int", required=True, doc="Age."),
            "sequencer_feed": ParamSpec("address", required=False, doc="Uptime."),
        },
        "fixed": {"usd": ParamSpec("str", required=True, doc="Dollars.")},
    },
)

BASE = f"""
[chains.bnb]
rpc = ["https://one.example/$TOKEN", "https://two.example"]

[signers.me]
kind = "watch"
address = "{OWNER}"

[[positions]]
id = "one"
chain = "bnb"
protocol = "farm"
target = "{FARM}"
pid = 2
label = "00123"
signer = "me"
"""


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(text: str = BASE, env: dict[str, str] | None = None, **more: object) -> Loaded:
    Path("keeper.toml").write_text(text)
    return load((), {"TOKEN": "t", **(env or {})}, catalogue=CATALOGUE, **more)  # type: ignore[arg-type]


def origin_of(found: Loaded, key: str) -> str:
    return next(row.origin for row in rows(found) if row.key == key)


# ---------------------------------------------------------------- layers


def test_later_files_win_key_by_key_and_arrays_are_replaced() -> None:
    Path("a.toml").write_text('[limits]\nper_tx = "$1"\nper_day = "$2"\n' + BASE)
    Path("b.toml").write_text('[limits]\nper_day = "$9"\n[chains.bnb]\nrpc = ["https://three.example"]\n')

    found = load([Path("a.toml"), Path("b.toml")], {"TOKEN": "t"}, catalogue=CATALOGUE)

    assert (found.settings.limits.per_tx, found.settings.limits.per_day) == (WAD, 9 * WAD)
    assert found.settings.chains["bnb"].rpc == ("https://three.example",)
    assert origin_of(found, "limits.per_tx") == "a.toml"
    assert origin_of(found, "limits.per_day") == "b.toml"
    assert origin_of(found, "chains.bnb.rpc") == "b.toml"
    assert origin_of(found, "positions[0].pid") == "a.toml"


def test_each_layer_beats_the_one_below_it() -> None:
    Path("secret").write_text("$4\n")
    Path(".env").write_text("KEEPER_LIMITS__PER_DAY=$31\nKEEPER_LIMITS__PER_TX=$3\n")
    text = BASE + '[limits]\nper_tx = "$2"\nper_day = "$30"\n'

    from_file = loaded(text, dotenv=None)
    from_dotenv = loaded(text)
    from_env = loaded(text, {"KEEPER_LIMITS__PER_TX": "5"})
    from_cli = loaded(text, {"KEEPER_LIMITS__PER_TX": "5"}, overrides={"limits.per_tx": "6"})

    assert [found.settings.limits.per_tx // WAD for found in (from_file, from_dotenv, from_env, from_cli)] == [
        2,
        3,
        5,
        6,
    ]
    assert origin_of(from_dotenv, "limits.per_tx") == ".env: KEEPER_LIMITS__PER_TX"
    assert origin_of(from_env, "limits.per_tx") == "KEEPER_LIMITS__PER_TX"
    assert origin_of(from_cli, "limits.per_tx") == "command line"
    assert from_env.settings.limits.per_day == 31 * WAD


def test_secret_file_beats_file_and_variable_beats_secret_file() -> None:
    Path("secret").write_text("$4\n")
    text = BASE + '[limits]\nper_tx = "$2"\n'

    from_secret = loaded(text, {"KEEPER_LIMITS__PER_TX_FILE": "secret"})
    from_env = loaded(text, {"KEEPER_LIMITS__PER_TX_FILE": "secret", "KEEPER_LIMITS__PER_TX": "$5"})

    assert from_secret.settings.limits.per_tx == 4 * WAD
    assert origin_of(from_secret, "limits.per_tx") == "KEEPER_LIMITS__PER_TX_FILE"
    assert from_env.settings.limits.per_tx == 5 * WAD


def test_a_key_that_ends_in_file_is_not_a_secret_file() -> None:
    found = loaded(env={"KEEPER_KEEPER__HEARTBEAT_FILE": "/run/beat"})

    assert found.settings.keeper.heartbeat_file == Path("/run/beat")


def test_dotenv_feeds_interpolation_but_never_overrides_the_process() -> None:
    Path(".env").write_text("TOKEN=from-dotenv\nOTHER=o\n")
    Path("keeper.toml").write_text(BASE.replace("two.example", "two.example/$OTHER"))

    found = load((), {"TOKEN": "from-process"}, catalogue=CATALOGUE)

    assert found.settings.chains["bnb"].rpc == ("https://one.example/from-process", "https://two.example/o")


def test_names_keep_their_case_and_keys_do_not_care() -> None:
    text = BASE.replace("signers.me", "signers.MyKey").replace('"me"', '"MyKey"')
    other = "0x" + "e5" * 20

    found = loaded(
        text,
        {
            "KEEPER_SIGNERS__MYKEY__ADDRESS": other,
            "KEEPER_signers__newOne__KIND": "watch",
            "KEEPER_signers__newOne__address": other,
        },
    )

    assert found.positions()[0].owner == other
    assert set(found.settings.signers) == {"MyKey", "newOne"}


def test_environment_text_becomes_the_type_of_the_key_and_nothing_else() -> None:
    found = loaded(
        env={
            "KEEPER_CHAINS__BNB__CONFIRMATIONS": "7",
            "KEEPER_CHAINS__BNB__RPC": "https://a.example, https://b.example",
            "KEEPER_WEB__ENABLED": "false",
            "KEEPER_POSITIONS__0__PID": "9",
            "KEEPER_POSITIONS__0__LABEL": "00456",
            "KEEPER_POSITIONS__0__MIN_INTERVAL": "12h",
            "KEEPER_DEVNET_HOME": "/not/ours",
        }
    )

    position = found.positions()[0]
    assert found.chain_facts("bnb").confirmations == 7
    assert found.settings.chains["bnb"].rpc == ("https://a.example", "https://b.example")
    assert found.settings.web.enabled is False
    assert position.params == {"pid": 9, "label": "00456"}
    assert position.options.min_interval_seconds == 43_200


def test_every_kind_of_key_can_be_set_from_the_environment() -> None:
    found = loaded(
        env={
            "KEEPER_POSITIONS__0__REWARD_DRIFT": "-50%/yr",
            "KEEPER_POSITIONS__0__MAX_SLIPPAGE": "150",
            "KEEPER_POSITIONS__0__RISK_FACTOR": "0.75",
            "KEEPER_POSITIONS__0__FAST": "true",
            "KEEPER_POSITIONS__0__PAYBACK": "86400",
            "KEEPER_CHAINS__BNB__FEE_MODEL": "legacy",
            "KEEPER_CHAINS__BNB__TIP_CAP_GWEI": "4.5",
            "KEEPER_CHAINS__BNB__MULTICALL3": "none",
            "KEEPER_KEEPER__LOG_LEVEL": "debug",
            "KEEPER_WEB__LISTEN": "0.0.0.0:80",
            "KEEPER_LIMITS__MIN_NATIVE_BALANCE": "0.5",
        }
    )

    position = found.positions()[0]
    options = position.options
    assert (options.reward_drift_bps, options.max_slippage_bps) == (-5_000, 150)
    assert (options.risk_factor_bps, options.payback_seconds) == (7_500, 86_400)
    assert position.params["fast"] is True
    facts = found.chain_facts("bnb")
    assert (facts.fee_model, facts.tip_cap_wei, facts.multicall3) == ("legacy", 4_500_000_000, None)
    assert found.settings.keeper.log_level == "debug"
    assert found.settings.web.listen == ("0.0.0.0", 80)
    assert found.settings.limits.min_native_balance == 5 * 10**17


def test_a_line_of_dotenv_that_says_nothing_is_reported_with_its_number() -> None:
    Path(".env").write_text("A=1\n=oops\n")

    with pytest.raises(ConfigError, match=r"\.env: line 2: not of the form NAME=value"):
        loaded()


def test_environment_alone_is_a_config() -> None:
    found = load(
        (),
        {"KEEPER_CHAINS__bnb__RPC": "https://a.example", "XDG_CONFIG_HOME": "/nonexistent"},
        catalogue=CATALOGUE,
    )

    assert found.files == ()
    assert found.settings.chains["bnb"].rpc == ("https://a.example",)


def test_usual_places_are_tried_in_order(tmp_path: Path) -> None:
    user = tmp_path / "xdg" / "keeper" / "keeper.toml"
    user.parent.mkdir(parents=True)
    env = {"TOKEN": "t", "XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    found = []
    for file in (user, Path("config/keeper.toml"), Path("keeper.toml")):
        file.parent.mkdir(exist_ok=True)
        file.write_text(BASE)
        found.append(load((), env, catalogue=CATALOGUE).files)

    assert found == [(user,), (Path("config/keeper.toml"),), (Path("keeper.toml"),)]


# ---------------------------------------------------------------- values


def test_a_position_becomes_the_domain_value() -> None:
    text = BASE.replace(
        "pid = 2",
        f"""pid = 2
asset = "0xbb4CdB9CBd36B01bD1cBaEBF2De08d9173bc095c"
fast = true
risk_factor = "0.8"
payback = "180d"
reward_drift = "-50%/yr"
max_slippage = "0.5%"
min_interval = 60
route = {{ kind = "uniswap-v2", router = "{ROUTER}", via = ["{TOKEN}"], fee_bps = 25 }}""",
    )

    (position,) = loaded(text).positions()

    assert position.params == {
        "pid": 2,
        "label": "00123",
        "asset": "0xbb4cdb9cbd36b01bd1cbaebf2de08d9173bc095c",
        "fast": True,
    }
    assert position.route == RouteSpec("uniswap-v2", ROUTER, (TOKEN,), 25)
    options = position.options
    assert (options.risk_factor_bps, options.payback_seconds, options.reward_drift_bps) == (8_000, 15_552_000, -5_000)
    assert (options.max_slippage_bps, options.min_interval_seconds) == (50, 60)


def test_a_watched_account_has_no_signer() -> None:
    (by_signer,) = loaded().positions()
    (by_owner,) = loaded(BASE.replace('signer = "me"', f'owner = "{OWNER}"')).positions()

    assert (by_signer.owner, by_signer.signer) == (OWNER, None)
    assert (by_owner.owner, by_owner.signer) == (OWNER, None)


def test_the_owner_of_a_keystore_comes_from_the_file_or_from_the_opened_key() -> None:
    Path("named.json").write_text(json.dumps({"address": OWNER[2:], "crypto": {}}))
    Path("silent.json").write_text(json.dumps({"crypto": {}}))
    text = BASE.replace(
        f'kind = "watch"\naddress = "{OWNER}"', 'kind = "keystore"\npath = "named.json"\npassword_env = "TOKEN"'
    )

    named = loaded(text)
    silent = loaded(text.replace("named.json", "silent.json"))

    assert named.positions()[0].owner == OWNER
    assert named.positions()[0].signer == "me"
    assert silent.owner_of(silent.settings.positions[0]) is None
    assert silent.positions({"me": TOKEN})[0].owner == TOKEN
    with pytest.raises(ConfigError, match=r"signers\.me: whose key this is"):
        silent.positions()


def test_a_dry_run_needs_no_keys() -> None:
    text = BASE.replace(
        f'kind = "watch"\naddress = "{OWNER}"',
        f'kind = "keystore"\npath = "none.json"\npassword_file = "none"\naddress = "{OWNER}"',
    )

    assert loaded(text, secrets=False).positions()[0].owner == OWNER
    with pytest.raises(ConfigError, match="keystore does not exist"):
        loaded(text)


def test_facts_of_a_known_chain_can_be_overridden_one_by_one() -> None:
    plain = loaded().chain_facts("bnb")
    other = loaded(
        BASE.replace(
            "[chains.bnb]",
            '[chains.bnb]\nconfirmations = 3\ntip_floor_gwei = "0.1"\ntip_cap_gwei = 2\nmulticall3 = "none"',
        )
    ).chain_facts("bnb")

    assert (plain.chain_id, plain.confirmations, plain.tip_floor_wei) == (56, 15, 5 * 10**7)
    assert (other.chain_id, other.confirmations, other.tip_floor_wei) == (56, 3, 10**8)
    assert (other.tip_cap_wei, other.multicall3) == (2 * 10**9, None)
    assert plain.multicall3 == "0xca11bde05977b3631167028862be2a173976ca11"


def test_an_unknown_chain_works_with_all_facts_given() -> None:
    text = f"""
[chains.home]
rpc = ["http://127.0.0.1:8545"]
chain_id = 31337
native_symbol = "ETH"
wrapped_native = "{TOKEN}"
block_time_ms = 1000
fee_model = "legacy"
tip_floor_gwei = 1
tip_cap_gwei = 2
l1_fee = "none"
confirmations = 0
"""
    facts = loaded(text).chain_facts("home")

    assert (facts.chain_id, facts.wrapped_native, facts.multicall3, facts.feeds) == (31_337, TOKEN, None, {})
    with pytest.raises(ConfigError, match="no chain 'bnb'"):
        loaded(text).chain_facts("bnb")


def test_prices_start_with_the_trusted_feed_unless_the_block_names_a_feed() -> None:
    text = (
        BASE
        + f"""
[[prices.tokens]]
chain = "bnb"
token = "{CAKE}"
sources = [{{ kind = "fixed", usd = "2.5" }}]
[[prices.tokens]]
chain = "bnb"
token = "{TOKEN}"
sources = [{{ kind = "chainlink", feed = "0xB6064eD41d4f67e353768aA239cA86f4F73665a1", max_age_seconds = 60 }}]
"""
    )
    specs = loaded(text).price_specs()
    own_feed = loaded(text.replace(TOKEN, "0x55d398326f99059ff775485246999027b3197955")).price_specs()

    assert [spec.kind for spec in specs["bnb", CAKE]] == ["chainlink", "fixed"]
    assert specs["bnb", CAKE][1].settings == {"usd": "2.5"}
    assert specs["bnb", TOKEN][0].settings == {
        "feed": "0xb6064ed41d4f67e353768aa239ca86f4f73665a1",
        "max_age_seconds": 60,
    }
    (only,) = own_feed["bnb", Address("0x55d398326f99059ff775485246999027b3197955")]
    assert only.settings["max_age_seconds"] == 60


def test_feeds_of_an_l2_carry_the_sequencer_feed() -> None:
    specs = loaded(BASE.replace("bnb", "arbitrum")).price_specs()

    assert specs
    assert all(
        spec.settings["sequencer_feed"] == "0xfdb631f5ee196f0ed6faa767959853a9f217697d" for (spec,) in specs.values()
    )


def test_the_state_folder_follows_the_surroundings() -> None:
    assert state_folder({"KEEPER_CONTAINER": "1"}) == Path("/data")
    assert state_folder({"XDG_STATE_HOME": "/x"}) == Path("/x/keeper")
    assert loaded(env={"KEEPER_KEEPER__STATE": "/y"}).state == Path("/y")
    assert loaded(env={"KEEPER_CONTAINER": "1"}).heartbeat_file == Path("/data/heartbeat")


# ---------------------------------------------------------------- the shipped example


def test_the_example_is_correct_and_complete(tmp_path: Path) -> None:
    (tmp_path / "farm.json").write_text(json.dumps({"crypto": {}}))
    (tmp_path / "farm.password").write_text("x")
    (tmp_path / "farm.password").chmod(0o600)
    env = {
        "HOME": "/home/me",
        "ETHEREUM_RPC": "https://a.example",
        "ETHEREUM_RPC_2": "https://b.example",
        "ETHEREUM_RELAY": "https://relay.example",
        "BNB_RPC": "https://c.example",
        "AVALANCHE_RPC": "https://d.example",
        "KEEPER_KEYS": str(tmp_path),
        "THROWAWAY_KEY": "0x01",
    }

    found = load([locate("keeper.example.toml")], env, catalogue=installed_catalogue(), dotenv=None)

    assert {position.id for position in found.positions()} == {"cake-bnb", "usdc-aave"}
    assert found.chain_facts("bnb").confirmations == 20
    assert found.settings.limits.max_gas_price_gwei == 100 * 10**9
    assert found.settings.limits.min_native_balance == 10**16
    for name in found.settings.chains:
        assert found.chain_facts(name).chain_id


@pytest.mark.parametrize("chain", chain_names())
def test_what_init_writes_is_a_correct_config(chain: str) -> None:
    text = locate("templates", "keeper.toml").read_text().replace("@chain@", chain).replace("@CHAIN@", chain.upper())
    Path("keeper.toml").write_text(text)

    found = load((), {f"{chain.upper()}_RPC": "https://a.example"}, catalogue=installed_catalogue())

    assert list(found.settings.chains) == [chain]


# ---------------------------------------------------------------- pieces


def test_show_masks_endpoints_and_names_shipped_facts() -> None:
    shown = {row.key: row for row in rows(loaded())}

    assert shown["chains.bnb.rpc"].value == ("https://one.example/<hidden>", "https://two.example")
    assert shown["chains.bnb.chain_id"].origin == "shipped chains/bnb.toml"
    assert shown["limits.per_tx"].value == "$5"
    assert shown["limits.per_tx"].origin == "default"
    assert shown["positions[0].label"].value == "00123"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host.example/v2/KEY", "https://host.example/<hidden>"),
        ("https://host.example", "https://host.example"),
        ("https://host.example/", "https://host.example"),
        ("http://user:pass@host.example:8545", "http://host.example:8545/<hidden>"),
        ("https://host.example?key=KEY", "https://host.example/<hidden>"),
        ("https://host.example/#KEY", "https://host.example/<hidden>"),
        ("http://[::1]:8545", "http://[::1]:8545"),
        ("not a url KEY", "<hidden>"),
        ("http://host:KEY/", "<hidden>"),
    ],
)
def test_urls_are_shown_without_their_secret(url: str, shown: str) -> None:
    assert mask_url(url) == shown


def test_interpolation_takes_both_spellings_and_a_doubled_dollar() -> None:
    assert interpolate("$A/${B}_$$C", {"A": "1", "B": "2"}) == "1/2_$C"
    with pytest.raises(ValueError, match="GONE is not set"):
        interpolate("${GONE}", {})


def test_environment_text_stays_text_until_a_key_asks() -> None:
    assert EnvText("007") == "007"


def test_a_broken_plugin_is_named_and_the_others_work(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        def __init__(self, name: str, value: object) -> None:
            self.name, self.value = name, value

        def load(self) -> object:
            if isinstance(self.value, Exception):
                raise self.value
            return self.value

    points = [Point("bad", ImportError("no module named x")), Point("good", dict)]
    monkeypatch.setattr("keeper.config.plugins.entry_points", lambda group: points)

    found = discover("keeper.protocols")

    assert found.found == {"good": {}}
    assert found.broken == {"bad": "ImportError: no module named x"}
