"""What is hidden, what stays readable, and that last words are covered."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import textwrap
import threading

import pytest

from keeper.notify.hooks import install_excepthook
from keeper.notify.log import LogSink
from keeper.notify.redact import RedactingFilter, Redactor, show_url

KEY = "0x" + "ab12" * 16
HASH = "0x" + "cd34" * 16
PHRASE = "legal winner thank year wave sausage worth useful legal winner thank yellow"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://eth.example/v2/abcdef123456", "https://eth.example/***"),
        ("https://user:pw@eth.example:8545", "https://eth.example:8545/***"),
        ("https://eth.example/?apikey=secret", "https://eth.example/***"),
        ("wss://eth.example/ws#token", "wss://eth.example/***"),
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
        ("http://127.0.0.1:8545/", "http://127.0.0.1:8545/"),
        ("http://[::1]:8545/key", "http://[::1]:8545/***"),
        ("https://a:b@c@eth.example/x", "https://eth.example/***"),
    ],
)
def test_urls_keep_scheme_and_host_only(url, shown):
    assert show_url(url) == shown
    assert Redactor().text(f"cannot reach {url}, trying again") == f"cannot reach {shown}, trying again"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("password=hunter22 user=me", "hunter22"),
        ('{"password": "hunter 22", "user": "me"}', "hunter 22"),
        ("{'passphrase': 'hunter 22'}", "hunter 22"),
        ("KEEPER_KEY_PASSWORD=hunter22", "hunter22"),
        ("Authorization: Bearer abc.def-ghi", "abc.def-ghi"),
        ("'authorization': 'Basic dXNlcjpwYXNz'", "dXNlcjpwYXNz"),
        ("sent bearer abcdefgh123", "abcdefgh123"),
        ("x-api-key: zzz999", "zzz999"),
        (f"mnemonic={PHRASE}", "sausage"),
        (f"private_key={KEY}", KEY[2:]),
        (f"bad value {KEY} in the environment", KEY[2:]),
        (f"bad value {KEY[2:].upper()} in the environment", KEY[2:].upper()),
    ],
)
def test_patterns_hide_what_nobody_registered(text, secret):
    assert secret not in Redactor().text(text)


@pytest.mark.parametrize(
    "text",
    [
        f"tx={HASH}",
        f"tx {HASH} is pending",
        f"block_hash: {HASH}",
        f'{{"tx": "{HASH}"}}',
        "plan=0123456789abcdef0123456789abcdef",
        "position=cake-bnb verdict=WAIT reward_usd=21.77",
        "token=0x" + "12" * 20,
        "password_file=/run/secrets/farm",
        "the key is opened with password_file in [signers.farm]",
        "cake-bnb in 11 d, or gas <= 0.008 gwei",
    ],
)
def test_what_operators_need_stays(text):
    assert Redactor(["correct horse battery"]).text(text) == text


def test_a_registered_key_is_hidden_even_under_a_public_name():
    redactor = Redactor([KEY])
    assert KEY[2:] not in redactor.text(f"tx={KEY}")
    assert redactor.value({"tx": KEY, "hash": HASH}) == {"tx": "***", "hash": HASH}


def test_a_mnemonic_is_hidden_however_it_is_written():
    redactor = Redactor([PHRASE])
    words = PHRASE.split()
    for text in (
        PHRASE,
        PHRASE.upper(),
        "\n".join(words),
        repr(words),
        "%20".join(words),
        "\\n".join(words),
        str(tuple(words)),
    ):
        assert "sausage" not in redactor.text(f"got {text}!").lower(), text
    assert "sausage" not in redactor.text("word list: wave, sausage, worth ...")
    assert redactor.text("thank year wave") == "***"
    assert redactor.text("a useful year") == "a useful year"


def test_short_secrets_are_hidden_only_where_they_stand_alone():
    redactor = Redactor()
    assert redactor.add("test")
    assert redactor.text("password was test, see latest log") == "password was ***, see latest log"
    assert not redactor.add("abc")
    assert redactor.text("abc") == "abc"


def test_an_rpc_url_is_registered_with_its_parts():
    redactor = Redactor()
    assert (
        redactor.add_url("https://me:pa%73sword1@node.example/v2/tokentoken1?k=queryquery")
        == "https://node.example/***"
    )
    text = redactor.text("server said: token tokentoken1 of me, password1 / pa%73sword1, invalid queryquery")
    for secret in ("tokentoken1", "password1", "pa%73sword1", "queryquery"):
        assert secret not in text


def test_private_names_hide_their_values_and_public_numbers_stay():
    shown = Redactor().value({"db": {"password": "x", "rpc_api_key": ["y"], "port": 5432}, "gas": 412000, "ok": True})
    assert shown == {"db": {"password": "***", "rpc_api_key": ["***"], "port": 5432}, "gas": 412000, "ok": True}


def test_names_of_fields_are_redacted_too():
    shown = Redactor().value({"https://u:p@node.example/key": {"https://v:q@node.example/key": 1}})
    assert shown == {"https://node.example/***": {"https://node.example/***": 1}}


def test_the_filter_alone_makes_any_handler_safe():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s %(context)s", defaults={"context": ""}))
    handler.addFilter(RedactingFilter(Redactor(["correct horse"])))
    log = logging.getLogger("test-redact")
    log.addHandler(handler)
    log.propagate = False
    try:
        raise ValueError("correct horse")
    except ValueError:
        log.exception("failed for %s", "correct horse", extra={"context": ["correct horse"]}, stack_info=True)
    finally:
        log.removeHandler(handler)
    assert "ValueError: ***" in stream.getvalue()
    assert "failed for *** ['***']" in stream.getvalue()


def test_the_rendered_line_is_looked_at_once_more():
    stream = io.StringIO()
    LogSink("json", stream=stream, redactor=Redactor(["1234.5678"])).line("info", "cycle.done", {"odd": 1234.5678})
    assert "1234.5678" not in stream.getvalue()


def test_an_object_with_a_broken_repr_does_not_break_the_log():
    class Broken:
        def __repr__(self):
            raise ValueError("no")

    assert Redactor().value(Broken()) == "<Broken>"


def test_hooks_cover_threads_and_can_be_taken_back():
    former = sys.excepthook
    stream = io.StringIO()
    restore = install_excepthook(Redactor(["correct horse"]), stream)
    try:
        thread = threading.Thread(
            target=lambda: (
                [][int("1", 10)] if len("correct horse") < 3 else (_ for _ in ()).throw(OSError("correct horse"))
            )
        )
        thread.start()
        thread.join()
    finally:
        restore()
    assert sys.excepthook is former
    assert "OSError: ***" in stream.getvalue()
    assert "correct" not in stream.getvalue().split("OSError")[1]


def test_a_real_process_dies_without_telling(tmp_path):
    script = tmp_path / "dies.py"
    script.write_text(
        textwrap.dedent("""
        import os
        from keeper.notify.hooks import install_excepthook
        from keeper.notify.redact import Redactor
        secret = os.environ["CANARY"]
        install_excepthook(Redactor([secret]))
        try:
            raise KeyError(secret)
        except KeyError as error:
            error.add_note("with " + secret)
            raise ExceptionGroup("several " + secret, [ValueError("https://u:" + secret + "@host/x")]) from error
        """)
    )
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "CANARY": "correct-horse-battery"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "ExceptionGroup" in done.stderr
    assert "correct-horse" not in done.stderr + done.stdout
