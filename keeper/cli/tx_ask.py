"""``keeper tx cancel`` and ``keeper tx speed-up``: ask the process that looks after the account, or do it here."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click

from keeper.cli.exits import ExitCode
from keeper.cli.inflight import find, holder_of, seen_of
from keeper.cli.journal import open_journal
from keeper.cli.options import globals_of, json_option, load_config
from keeper.cli.output import emit_json, gas_price
from keeper.cli.tx_views import Seen, fee_text, hash_short, native, short_id, track_json
from keeper.cli.views import tell
from keeper.domain.transaction import IntentState, Purpose
from keeper.engine.context import ask_key
from keeper.engine.lap import equip
from keeper.errors import LaneHeld, Transient
from keeper.store import open_store

if TYPE_CHECKING:
    from keeper.config.loader import Loaded
    from keeper.domain.journal import Track

__all__ = ["cancel", "speed_up"]

CANCEL: Final = "cancel"
SPEED_UP: Final = "speed-up"

#: Gas limit of a transaction that does nothing, with keeper's margin.
_NOTHING: Final = 27_300

#: What a replacement bids at least, as a part of what it replaces.
_STEP: Final = (9, 8)

#: Seconds between two looks at the journal.
_PAUSE: Final = 0.25

#: Seconds after which a higher bid that has not come does not come.
_PATIENCE: Final = 5.0

_IN_VAIN: Final = (
    "no higher bid is within the limits, or the compound is not worth more; the log says which (`tx.stuck`). Raise it "
    "and reload (SIGHUP), wait for cheaper gas, or cancel it"
)

_UNMINED: Final = (IntentState.SIGNED, IntentState.BROADCAST)


@dataclass(slots=True)
class _Wish:
    """What a person asked for, and what has been seen of it."""

    what: str
    loaded: Loaded
    before: Seen
    json: bool
    #: What was told already.
    told: set[str] = field(default_factory=set)
    #: Monotonic seconds since which the wish is known to have been heard.
    heard_at: float | None = None

    @property
    def track(self) -> Track:
        return self.before.track

    @property
    def symbol(self) -> str:
        return self.before.facts.native_symbol if self.before.facts else ""

    def say(self, text: str) -> None:
        if not self.json and text not in self.told:
            self.told.add(text)
            tell(text)


def _shared(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.argument("what", metavar="ID|HASH"),
        click.option("-y", "--yes", is_flag=True, help="Do not ask."),
        click.option(
            "--wait", "seconds", default=60, show_default=True, metavar="SECONDS", help="Watch for this long."
        ),
        json_option,
    ):
        command = option(command)
    return command


@click.command(name="cancel")
@_shared
def cancel(what: str, yes: bool, seconds: int) -> int:
    """Use up the nonce of an unmined transaction with one that does nothing.

    Both are then on their way; whichever is mined first stands, and the command says which it was.
    """
    return _ask(CANCEL, what, seconds, yes=yes)


@click.command(name="speed-up")
@_shared
def speed_up(what: str, yes: bool, seconds: int) -> int:
    """Outbid an unmined transaction now: the same call and nonce, at a higher price within the limits."""
    return _ask(SPEED_UP, what, seconds, yes=yes)


def _ask(action: str, what: str, seconds: int, *, yes: bool) -> int:
    options = globals_of()
    loaded = load_config(options, secrets=False)
    with open_journal(loaded) as store:
        if store is None:
            raise click.UsageError("there is no journal yet, so nothing was ever sent")
        (seen,) = seen_of(loaded, store, [find(store, what)])
    wish = _Wish(action, loaded, seen, options.json)
    refusal = _refusal(wish)
    if refusal:
        return _end(wish, seen.track, ExitCode.REFUSED, refusal)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("nobody can be asked here (stdin is no terminal): add --yes")
        click.echo(_price(wish), err=True)
        if not click.confirm(f"{_word(wish)} it?", err=True):
            return ExitCode.NOTHING_TO_DO
    if seen.held:
        return _by_daemon(wish, seconds)
    try:
        return _here(wish, seconds)
    except LaneHeld:  # started meanwhile
        return _by_daemon(wish, seconds)


def _word(wish: _Wish) -> str:
    return "Cancel" if wish.what == CANCEL else "Speed up"


def _refusal(wish: _Wish) -> str:
    """Say why this cannot be done; empty when it can be tried."""
    intent, receipt = wish.track.intent, wish.track.receipt
    if intent.state is IntentState.PLANNED:
        if wish.what == CANCEL and not wish.track.attempts:
            return (
                "nothing is signed for it yet, so there is nothing to cancel; `keeper pause` keeps it from being signed"
            )
        return "nothing is signed for it yet, so there is nothing to outbid"
    if intent.state in _UNMINED:
        top = wish.before.top
        if wish.what == SPEED_UP and wish.before.stopped:
            return f"nothing is signed now: {wish.before.stopped}"
        if wish.what == CANCEL and top is not None and top.purpose is Purpose.CANCEL:
            return f"its cancel {hash_short(top.hash)} is on its way already; `keeper tx speed-up` makes that dearer"
        return ""
    where = f" in block {receipt.block_number:,} ({hash_short(receipt.tx_hash)})" if receipt else ""
    return f"it is {intent.state.value}{where}; what is mined can be neither cancelled nor outbid"


def _price(wish: _Wish) -> str:
    """Say what it may cost before asking."""
    top = wish.before.top
    assert top is not None
    least = -(-top.max_fee_wei * _STEP[0] // _STEP[1])
    limits = wish.loaded.settings.limits
    lines = [f"{wish.track.intent.label} of {wish.before.position or 'no position'}: {fee_text(top, wish.symbol)}"]
    if wish.what == CANCEL:
        most = native(_NOTHING * least, wish.symbol)
        lines.append(
            f"a cancel bids at least {gas_price(least)} for about 21,000 gas, so about {most} at most; more where the "
            "market asks more, but never above limits.cancel_max and limits.per_tx"
        )
        lines.append("the rest of its compound is not done then; if the original is mined first, that stands instead")
    else:
        ceiling = limits.max_gas_price_gwei
        bound = f"limits.max_gas_price_gwei ({gas_price(ceiling)}), " if ceiling else ""
        most = native(top.gas * least, wish.symbol)
        lines.append(
            f"it would bid at least {gas_price(least)} for {top.gas:,} gas, at most {most}; more where the market asks "
            f"more, but never above {bound}limits.per_tx and what the compound is worth"
        )
    return "\n".join(lines)


# ---------------------------------------------------------------------------- by whoever holds the account


def _by_daemon(wish: _Wish, seconds: int) -> int:
    """Leave the wish in the journal, and watch what the process that holds the account does about it."""
    store = open_store(wish.loaded.journal)
    try:
        store.set_flag(ask_key(wish.what, wish.track.intent.id), str(int(time.time())))
    finally:
        store.close()
    holder = holder_of(wish.loaded, wish.track.intent.chain, wish.track.intent.sender)
    wish.say(f"asked process {holder.pid} on {holder.host}" if holder else "asked the process that holds the account")
    return _watch(wish, seconds, time.sleep)


def _watch(wish: _Wish, seconds: int, between: Callable[[float], None]) -> int:
    """Look at the journal until the wish is fulfilled, cannot be any more, or the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        track = _now(wish)
        _tell_new(wish, track)
        ended = _ended(wish, track)
        if ended is not None:
            return _end(wish, track, *ended)
        if _heard_in_vain(wish):
            return _end(wish, track, ExitCode.REFUSED, _IN_VAIN)
        if time.monotonic() >= deadline:
            return _end(wish, track, ExitCode.PENDING, _still(wish))
        between(_PAUSE)


def _heard_in_vain(wish: _Wish) -> bool:
    """Whether the wish for a higher bid was taken up some seconds ago, and no bid came of it."""
    if wish.what != SPEED_UP or not wish.before.held:
        return False
    with open_journal(wish.loaded) as store:
        waiting = store is not None and store.get_flag(ask_key(SPEED_UP, wish.track.intent.id)) is not None
    if waiting:
        return False
    wish.heard_at = wish.heard_at or time.monotonic()
    return time.monotonic() - wish.heard_at > _PATIENCE


def _now(wish: _Wish) -> Track:
    with open_journal(wish.loaded) as store:
        found = store.track(wish.track.intent.id) if store is not None else None
    return found or wish.track


def _tell_new(wish: _Wish, track: Track) -> None:
    for attempt in track.attempts[len(wish.track.attempts) :]:
        what = "cancel" if attempt.purpose is Purpose.CANCEL else "higher bid"
        wish.say(f"{what} {attempt.hash}: {fee_text(attempt, wish.symbol)}")
    if track.receipt is not None and track.intent.state is IntentState.MINED:
        which = "the cancel" if _is_cancel(track) else "the original" if wish.what == CANCEL else "it"
        wish.say(f"{which} is mined, in block {track.receipt.block_number:,}; waiting for confirmations")


def _is_cancel(track: Track) -> bool:
    mined = track.receipt.tx_hash if track.receipt else ""
    return any(a.hash == mined and a.purpose is Purpose.CANCEL for a in track.attempts)


def _ended(wish: _Wish, track: Track) -> tuple[ExitCode, str] | None:
    """Judge what became of the wish; ``None`` while that is open."""
    return _ended_cancel(wish, track) if wish.what == CANCEL else _ended_speed_up(wish, track)


def _fate(wish: _Wish, track: Track) -> str:
    """Where it was mined and for what."""
    receipt = track.receipt
    return f" in block {receipt.block_number:,} for {native(receipt.cost_wei, wish.symbol)}" if receipt else ""


def _ended_cancel(wish: _Wish, track: Track) -> tuple[ExitCode, str] | None:
    state, fate = track.intent.state, _fate(wish, track)
    if state is IntentState.CANCELLED:
        if track.receipt is None:
            return ExitCode.OK, "it can never be mined: another transaction has its nonce, one that keeper did not sign"
        return ExitCode.OK, f"cancelled: its nonce was used{fate}, and nothing was done"
    if state not in (IntentState.CONFIRMED, IntentState.REVERTED):
        return None
    word = "done" if state is IntentState.CONFIRMED else "failed"
    text = f"not cancelled: the original was mined first{fate}; it is {word}, and that stands"
    return ExitCode.NOTHING_TO_DO, text


def _ended_speed_up(wish: _Wish, track: Track) -> tuple[ExitCode, str] | None:
    state, fate = track.intent.state, _fate(wish, track)
    if state in _UNMINED:
        grown = len(track.attempts) > len(wish.track.attempts)
        return (ExitCode.OK, "outbid; it waits to be mined at the higher price") if grown else None
    if state is IntentState.CANCELLED:
        return ExitCode.NOTHING_TO_DO, f"it was cancelled meanwhile{fate}"
    if state is IntentState.REVERTED:
        return ExitCode.TX_FAILED, f"it was mined{fate}, and failed"
    return ExitCode.OK, f"it is mined{fate}"


def _still(wish: _Wish) -> str:
    short = short_id(wish.track.intent.id)
    return f"still open; nothing is lost, and the wish stands: `keeper tx show {short}` says what happens next"


def _end(wish: _Wish, track: Track, code: ExitCode, text: str) -> int:
    if wish.json:
        seen = Seen(track, wish.before.position, wish.before.facts, wish.before.head, wish.before.held)
        told = {"asked": wish.what, "exit_code": int(code), "text": text, "transaction": track_json(seen)}
        emit_json(f"keeper.tx-{wish.what}/1", told)
    elif code is ExitCode.REFUSED:
        click.echo(f"not possible: {text}", err=True)
    else:
        tell(text)
    return code


# ---------------------------------------------------------------------------- in this process


def _here(wish: _Wish, seconds: int) -> int:
    """Hold the account in this process, and do it."""
    from keeper.app import Mode
    from keeper.cli.session import open_session, quiet

    options = globals_of()
    loaded = load_config(options)
    intent = wish.track.intent
    with (
        open_session(loaded, level=quiet(loaded, options.overrides)) as session,
        session.open_app(loaded, Mode.LIVE) as app,
    ):
        flight = equip(app.contexts[intent.chain], app.book(intent.chain), intent.sender)
        why = "asked to be cancelled" if wish.what == CANCEL else ""

        def look(pause: float) -> None:
            app.clock.sleep(pause)
            try:
                flight.look()
            except Transient as error:
                wish.say(f"the chain does not answer, trying again: {error}")

        look(0.0)
        if _now(wish).intent.state in _UNMINED:
            flight.ask(intent.id, why, hurry=wish.what == SPEED_UP)
        return _watch(wish, seconds, look)
