"""Whatever is logged, a planted secret never comes out."""

from __future__ import annotations

import base64
import io
import json
import logging
from urllib.parse import quote, quote_plus

from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.events import Event, EventName
from keeper.notify.log import LogSink, configure
from keeper.notify.redact import HIDDEN, RedactingFilter, Redactor

letters = st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"])
passwords = (
    st.text(letters, min_size=8, max_size=40)
    .map(str.strip)
    .filter(lambda text: len(text) >= 8 and len(set(text) - {"*"}) >= 3 and HIDDEN not in text)
)
ascii_passwords = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="*"), min_size=8
).filter(lambda text: len(set(text)) >= 3)
keys = st.binary(min_size=32, max_size=32).filter(lambda raw: len(set(raw)) > 8)
noise = st.text(max_size=40)

SPELLINGS = {
    "plain": lambda s: s,
    "upper": str.upper,
    "lower": str.lower,
    "percent": lambda s: quote(s, safe=""),
    "percent-path": quote,
    "percent-lower": lambda s: "".join(f"%{byte:02x}" for byte in s.encode()),
    "form": quote_plus,
    "hex": lambda s: s.encode().hex(),
    "HEX": lambda s: s.encode().hex().upper(),
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64url": lambda s: base64.urlsafe_b64encode(s.encode()).decode().rstrip("="),
    "json": lambda s: json.dumps(s)[1:-1],
    "repr": lambda s: repr(s)[1:-1],
    "bytes": lambda s: repr(s.encode())[2:-1],
}
spellings = st.sampled_from(sorted(SPELLINGS))


class Odd:
    def __init__(self, inside):
        self.inside = inside

    def __repr__(self):
        return f"Odd({self.inside})"


def plant(secret, before, after):
    """Many places for one secret; each is a field of an event or an argument of a log call."""
    text = f"{before} {secret} {after}"
    return {
        "value": text,
        "list": [1, [text, {"deep": (text,)}]],
        "dict": {"a": {"b": text}, text: 1},
        "error": ValueError(text),
        "object": Odd(text),
        "bytes": text.encode(),
        "url": f"https://node.example/{quote(secret, safe='')}/v2?key={quote(secret, safe='')}",
        "user": f"https://me:{quote(secret, safe='')}@node.example:8545",
        "header": f"Authorization: Bearer {secret}",
        f"{text} as key": None,
    }


def leaked(secret, output):
    folded = output.casefold()
    wanted = {secret.casefold(), json.dumps(secret)[1:-1].casefold(), quote(secret, safe="").casefold()}
    wanted |= {secret.encode().hex(), base64.b64encode(secret.encode()).decode().casefold()}
    return [form for form in wanted if form in folded]


@given(passwords, spellings, noise, noise)
def test_no_spelling_of_a_password_survives(secret, spelling, before, after):
    redactor = Redactor([secret])
    written = SPELLINGS[spelling](secret)
    shown = redactor.text(f"{before} {written} {after}")
    assert written.casefold() not in shown.replace(HIDDEN, "\0").casefold()


@given(ascii_passwords, st.sampled_from(["me", "user", "a:b"]))
def test_basic_auth_of_a_password_does_not_survive(secret, user):
    token = base64.b64encode(f"{user}:{secret}".encode()).decode()
    assert token not in Redactor([secret]).text(f"sent {token} to the node")


@settings(max_examples=60)
@given(passwords, noise, noise, st.sampled_from(["json", "console"]))
def test_the_log_never_shows_a_planted_secret(secret, before, after, form):
    stream = io.StringIO()
    sink = LogSink(form, stream=stream, redactor=Redactor([secret]))
    for name, value in plant(secret, before, after).items():
        sink.emit(Event(EventName.RPC_FAILED, fields={name: value}))
    assert not leaked(secret, stream.getvalue().replace(HIDDEN, "\0"))


@settings(max_examples=40)
@given(passwords, noise)
def test_library_loggers_and_tracebacks_never_show_a_planted_secret(secret, before):
    stream = io.StringIO()
    with configure("json", "debug", stream, Redactor([secret])):
        log = logging.getLogger("urllib3.connectionpool")
        for value in plant(secret, before, "").values():
            log.warning("failed: %s", value)
            log.warning("extra", extra={"context": value})
        try:
            raise ConnectionError(f"{before} {secret}") from ValueError(secret)
        except ConnectionError:
            log.exception("call failed for %r", secret)
    assert stream.getvalue()
    assert not leaked(secret, stream.getvalue().replace(HIDDEN, "\0"))


@given(keys, noise)
def test_a_private_key_does_not_survive_under_any_name(raw, before):
    key = "0x" + raw.hex()
    redactor = Redactor([key])
    shown = redactor.value(
        {
            "tx": key,
            "hash": raw.hex(),
            "number": int.from_bytes(raw, "big"),
            "text": f"{before} {key[2:].upper()} {raw!r} {base64.b64encode(raw).decode()} {list(raw)}",
        }
    )
    output = json.dumps(shown)
    for form in (raw.hex(), raw.hex().upper(), str(int.from_bytes(raw, "big")), base64.b64encode(raw).decode()):
        assert form not in output


@given(keys, noise)
def test_an_unregistered_key_is_hidden_unless_labelled_as_a_hash(raw, before):
    key = raw.hex()
    redactor = Redactor()
    assert key not in redactor.text(f"{before} 0x{key}")
    assert key not in json.dumps(redactor.value({"note": "0x" + key, "list": [key]}))
    assert redactor.value({"tx": "0x" + key}) == {"tx": "0x" + key}


@given(st.text(max_size=200), st.lists(passwords, max_size=3))
def test_redacting_twice_changes_nothing(text, secrets):
    redactor = Redactor(secrets)
    once = redactor.text(text)
    assert redactor.text(once) == once


@given(st.text(max_size=300))
def test_a_filter_never_raises_and_never_drops(text):
    record = logging.LogRecord("x", logging.INFO, "f", 1, text, ("one", 2), None)
    assert RedactingFilter(Redactor(["correct horse"])).filter(record)
    assert isinstance(record.getMessage(), str)
