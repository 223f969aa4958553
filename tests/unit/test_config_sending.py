"""How transactions are sent, as the config says it: defaults, layers, what is derived, and what is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from keeper.cli.session import open_session
from keeper.config.loader import Loaded, load
from keeper.config.show import rows
from keeper.domain.transaction import Submission

RPC = '[chains.bnb]\nrpc = ["https://one.example", "https://two.example", "https://three.example"]\n'


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(text: str, env: dict[str, str] | None = None) -> Loaded:
    Path("keeper.toml").write_text(text)
    return load((), env or {})


def test_nothing_has_to_be_said() -> None:
    found = loaded(RPC)
    chain, limits = found.settings.chains["bnb"], found.settings.limits

    assert (chain.max_in_flight, chain.submit, chain.private_rpc, chain.private_blocks) == (1, "public", (), 25)
    assert found.error_words("bnb") == {}
    assert (limits.cancel_max, limits.max_failures_per_day) == (5 * 10**18, 10)
    assert (limits.tx_deadline, limits.min_runway) == (1_800, 7 * 86_400)


@pytest.mark.parametrize(
    ("text", "quorum"),
    [
        (RPC, 2),
        (RPC + "quorum = 1", 1),
        (RPC + "quorum = 3", 3),
        ('[chains.bnb]\nrpc = ["https://one.example"]', 1),
        ("[chains.bnb]\nmax_in_flight = 16", 1),
    ],
)
def test_two_endpoints_must_agree_where_there_are_two(text: str, quorum: int) -> None:
    assert loaded(text).quorum("bnb") == quorum


def test_a_cancel_never_costs_more_than_any_transaction() -> None:
    assert loaded('[limits]\nper_tx = "$3"').settings.limits.cancel_max == 3 * 10**18
    assert loaded('[limits]\nper_tx = "$3"\ncancel_max = "$4"').settings.limits.cancel_max == 3 * 10**18
    assert loaded('[limits]\nper_tx = "$3"\ncancel_max = "$1.50"').settings.limits.cancel_max == 15 * 10**17


def test_a_wrong_per_tx_is_the_only_mistake_reported() -> None:
    Path("keeper.toml").write_text('[limits]\nper_tx = "five"')
    with pytest.raises(Exception, match="per_tx") as caught:
        load((), {})
    assert "cancel_max" not in str(caught.value)


def test_the_kill_file_is_beside_the_journal_unless_named(tmp_path: Path) -> None:
    text = f'[keeper]\nstate = "{tmp_path}/state"\n'

    assert loaded(text).kill_file == tmp_path / "state" / "PAUSE"
    assert loaded(text + 'kill_file = "/run/$WHO/stop"', {"WHO": "keeper"}).kill_file == Path("/run/keeper/stop")
    assert {row.key: row.value for row in rows(loaded(text))}["keeper.kill_file"] == f"{tmp_path}/state/PAUSE"


def test_error_words_are_compared_in_lower_case() -> None:
    found = loaded(
        RPC + '[chains.bnb.errors]\nrefused = ["Sender  is BANNED"]\nmaybe = ["quota exceeded", "try later"]'
    )

    assert found.error_words("bnb") == {
        Submission.REFUSED: ("sender is banned",),
        Submission.MAYBE: ("quota exceeded", "try later"),
    }


def test_all_of_it_can_come_from_the_environment() -> None:
    found = loaded(
        RPC,
        {
            "KEEPER_CHAINS__bnb__PRIVATE_RPC": "https://a.example/$KEY, https://b.example",
            "KEEPER_CHAINS__bnb__SUBMIT": "private",
            "KEEPER_CHAINS__bnb__QUORUM": "3",
            "KEEPER_CHAINS__bnb__FINALITY_BLOCKS": "99",
            "KEEPER_CHAINS__bnb__ERRORS__KNOWN": "seen before,in the queue",
            "KEEPER_LIMITS__MIN_RUNWAY": "3d",
            "KEY": "k",
        },
    )
    chain = found.settings.chains["bnb"]

    assert chain.private_rpc == ("https://a.example/k", "https://b.example")
    assert (chain.submit, found.quorum("bnb"), found.chain_facts("bnb").finality_blocks) == ("private", 3, 99)
    assert found.error_words("bnb") == {Submission.KNOWN: ("seen before", "in the queue")}
    assert found.settings.limits.min_runway == 3 * 86_400


def test_a_relays_secret_may_come_from_a_file_and_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "relay").write_text("https://relay.example/secret-token\n")
    found = loaded(RPC, {"KEEPER_CHAINS__bnb__PRIVATE_RPC_FILE": str(tmp_path / "relay")})
    shown = {row.key: row for row in rows(found)}

    assert found.settings.chains["bnb"].private_rpc == ("https://relay.example/secret-token",)
    assert shown["chains.bnb.private_rpc"].value == ("https://relay.example/<hidden>",)
    assert "secret-token" not in str(list(shown.values()))


def test_show_lists_what_is_set_and_what_ships() -> None:
    shown = {row.key: row for row in rows(loaded(RPC + 'quorum = 1\n[chains.bnb.errors]\nknown = ["seen before"]'))}

    assert (shown["chains.bnb.quorum"].value, shown["chains.bnb.quorum"].origin) == (1, "keeper.toml")
    assert shown["chains.bnb.errors.known"].value == ["seen before"]
    assert (shown["chains.bnb.finality"].value, shown["chains.bnb.finality"].origin) == (
        "tag",
        "shipped chains/bnb.toml",
    )
    assert shown["chains.bnb.max_in_flight"].origin == "default"
    assert "chains.bnb.private_rpc" not in shown


def test_a_session_knows_the_secrets_of_relays_too() -> None:
    found = loaded('[chains.bnb]\nprivate_rpc = ["https://relay.example/v1/tokentokentoken1"]')

    with open_session(found) as session:
        assert "tokentokentoken1" not in session.redactor.values(
            "POST https://relay.example/v1/tokentokentoken1 failed"
        )
