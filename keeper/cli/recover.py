"""``keeper recover``: build a lost or damaged journal anew from the chain, so that keeper may sign again."""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from keeper.cli.exits import ExitCode
from keeper.cli.inflight import open_tracks, seen_of
from keeper.cli.journal import configured, open_journal
from keeper.cli.options import globals_of, json_option, load_config
from keeper.cli.output import address_long, emit_json, say
from keeper.cli.tx_views import next_step, short_id, state_word
from keeper.cli.views import amounts, day, tell
from keeper.errors import JournalMissing, StoreUnavailable
from keeper.store import open_store
from keeper.store.marker import expected

if TYPE_CHECKING:
    from keeper.app import App
    from keeper.config.loader import Loaded
    from keeper.domain.money import Address
    from keeper.engine.recover import Finding, Lookup

__all__ = ["command"]

#: Seconds between two looks at a pool that is not empty.
_LOOK: Final = 2.0


@dataclass(frozen=True, slots=True)
class _State:
    """What is the matter with the journal; empty when nothing is."""

    trouble: str
    #: A sound journal that was rebuilt before, and not for every account.
    partly: bool = False


@click.command(name="recover")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--scan",
    default=50,
    show_default=True,
    type=click.IntRange(0, 10_000),
    metavar="N",
    help="Look at this many of each account's last transactions.",
)
@click.option(
    "--wait",
    default=0,
    show_default=True,
    metavar="SECONDS",
    help="Wait this long for transactions in the pool to be mined.",
)
@json_option
@click.pass_context
def command(ctx: click.Context, yes: bool, scan: int, wait: int) -> int:
    """Rebuild a lost journal from the chain. Signs nothing; a sound journal stays as it is.

    What stood in the journal's place is kept beside it. Run it again whenever it was cut short.
    """
    options = globals_of(ctx)
    loaded = load_config(options, secrets=False)
    configured(loaded)
    state = _state(loaded)
    if not state.trouble:
        return _healthy(loaded)
    if not options.json:
        tell(state.trouble)
    with _stage(loaded) as app:
        found = _look(app, loaded, scan, wait, state)
    if not options.json:
        for one in found:
            _print(one)
    waiting = [one for one in found if one.waiting]
    if waiting:
        return _refuse(waiting, found, state)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("nobody can be asked here (stdin is no terminal): add --yes")
        if not click.confirm(f"Begin a new journal at {loaded.journal} with this?", err=True):
            return ExitCode.NOTHING_TO_DO
    return _rebuild(loaded, found, state)


def _state(loaded: Loaded) -> _State:
    """Judge the journal as a daemon would that is about to send."""
    if not loaded.journal.is_file() and expected(loaded.journal) is None:
        return _State(f"there is no journal at {loaded.journal}, and no trace of an earlier one")
    try:
        open_store(loaded.journal).close()
    except (JournalMissing, StoreUnavailable) as error:
        return _State(str(error))
    lacking = [f"{chain}: {address_long(owner)}" for chain, owner in _unrecovered(loaded)]
    if lacking:
        return _State(f"the journal was rebuilt before, but not for {', '.join(lacking)}", partly=True)
    return _State("")


def _unrecovered(loaded: Loaded) -> list[tuple[str, Address]]:
    """Name the accounts that a rebuilt journal has not been told about."""
    with closing(sqlite3.connect(f"{loaded.journal.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        if connection.execute("SELECT 1 FROM meta WHERE key = 'rebuilt'").fetchone() is None:
            return []
        known = {row[0] for row in connection.execute("SELECT key FROM flags WHERE key LIKE 'floor:%'")}
    return [
        (chain, owner)
        for chain, owner in _accounts(loaded)
        if f"floor:{loaded.chain_facts(chain).chain_id}:{owner}" not in known
    ]


def _accounts(loaded: Loaded) -> list[tuple[str, Address]]:
    """List the accounts that may sign, by chain."""
    found = [(p.chain, p.owner) for p in loaded.positions() if p.signer is not None]
    return list(dict.fromkeys(found))


def _healthy(loaded: Loaded) -> int:
    with open_journal(loaded) as store:
        assert store is not None
        compounds = [h for chain, owner in _accounts(loaded) for h, _ in store.open_harvests(chain, owner)]
        seen = seen_of(loaded, store, open_tracks(loaded, store))
    if globals_of().json:
        waiting = [{"id": one.track.intent.id, "state": one.track.intent.state.value} for one in seen]
        emit_json(
            "keeper.recover/1",
            {"needed": False, "open_harvests": [h.id for h in compounds], "transactions": waiting},
        )
        return ExitCode.OK
    say(f"the journal {loaded.journal} is sound; nothing needs recovery")
    if not compounds and not seen:
        say("nothing is under way")
    for harvest in compounds:
        say(f"  `keeper run` goes on with the compound {harvest.id} of {harvest.position_id}")
    for one in seen:
        tell(f"{short_id(one.track.intent.id)} ({state_word(one)}): {next_step(one)}", "  ")
    return ExitCode.OK


# ---------------------------------------------------------------------------- looking


@contextmanager
def _stage(loaded: Loaded) -> Iterator[App]:
    """Lend an app that only looks, with an empty journal of its own, while no other keeper may send."""
    from keeper.app import Mode
    from keeper.cli.session import open_session, quiet
    from keeper.store.lock import LaneLock

    with ExitStack() as held:
        loaded.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        for chain, owner in _accounts(loaded):
            held.enter_context(LaneLock(loaded.journal, f"{chain}:{owner}"))
        folder = held.enter_context(tempfile.TemporaryDirectory(prefix="keeper-recover-"))
        session = held.enter_context(open_session(loaded, level=quiet(loaded, globals_of().overrides)))
        yield held.enter_context(session.open_app(loaded, Mode.SIMULATE, journal=Path(folder) / "keeper.db"))


def _look(app: App, loaded: Loaded, scan: int, wait: int, state: _State) -> list[Finding]:
    from keeper.engine.recover import examine

    accounts = _unrecovered(loaded) if state.partly else _accounts(loaded)
    found = []
    for chain, owner in accounts:
        context = app.contexts[chain].sure()
        _empty_pool(context.chain, owner, wait)
        with _asking(loaded, chain) as lookup:
            found.append(examine(context, app.book(chain), owner, scan, lookup))
    return found


def _empty_pool(chain: Any, owner: Address, seconds: int) -> None:
    """Wait for what is in the pool, as long as was asked for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        nonces = chain.nonces(owner)
        if nonces.pending <= nonces.latest:
            return
        waiting = nonces.pending - nonces.latest
        click.echo(f"waiting for {waiting} transactions of {address_long(owner)} to be mined", err=True)
        time.sleep(min(_LOOK, max(deadline - time.monotonic(), 0)))


@contextmanager
def _asking(loaded: Loaded, chain: str) -> Iterator[Lookup]:
    """Lend a way to ask for a mined transaction's recipient and calldata: what a hash names cannot be changed."""
    from keeper.chain.endpoint import Endpoint
    from keeper.domain.money import Address
    from keeper.errors import KeeperError

    endpoints = [Endpoint(url) for url in loaded.settings.chains[chain].rpc]

    def ask(tx_hash: str) -> tuple[Address, bytes] | None:
        for endpoint in endpoints:
            try:
                found = endpoint.call("eth_getTransactionByHash", (tx_hash,))
                return Address(str(found["to"]).lower()), bytes.fromhex(found["input"].removeprefix("0x"))
            except (KeeperError, TypeError, KeyError, ValueError, AttributeError):
                continue
        return None

    try:
        yield ask
    finally:
        for endpoint in endpoints:
            endpoint.close()


# ---------------------------------------------------------------------------- telling and writing


def _print(found: Finding) -> None:
    account = f"{address_long(found.owner)} on {found.chain}"
    say(f"{account}: {found.nonces.latest:,} transactions mined, so the next nonce is {found.nonces.latest}")
    for chapter in found.chapters:
        claimed = [m for m in chapter.mined if m.leg.kind.value == "claim"]
        gained = [r for t in chapter.tokens if (r := _gained(found, claimed, t)).raw > 0]
        end = "put back into the farm" if chapter.finished else "NOT put back into the farm"
        say(f"  {day(chapter.mined[-1].timestamp)}  {chapter.position.id}: {amounts(gained)} claimed, {end}")
    if found.cancels:
        tell(f"{_many(found.cancels)} only used up a nonce", "  ")
    if found.foreign:
        tell(f"{_many(len(found.foreign))} of the account belong to no configured position", "  ")
    if found.unknown:
        tell(f"{_many(found.unknown)} could not be looked up here; an archive endpoint may know more", "  ")
    for position, held in found.wallet.items():
        tell(f"{position}: the wallet holds {amounts(held)}", "  ")
    if found.wallet:
        text = (
            "if some of that was claimed and not put back, put it back by hand: keeper spends what a compound of its "
            "own brings, and touches nothing else"
        )
        tell(text, "  ")


def _many(count: int) -> str:
    return "1 transaction" if count == 1 else f"{count} transactions"


def _gained(found: Finding, claimed: Sequence[Any], token: Any) -> Any:
    from keeper.domain.money import Amount

    return Amount(token, sum(m.receipt.delta(token, found.owner).raw for m in claimed))


def _refuse(waiting: Sequence[Finding], found: Sequence[Finding], state: _State) -> int:
    texts = [
        f"{one.waiting} transactions of {address_long(one.owner)} on {one.chain} (nonces {one.nonces.latest} to "
        f"{one.nonces.pending - 1}) wait in the pool; the lost journal may have signed them"
        for one in waiting
    ]
    if globals_of().json:
        emit_json("keeper.recover/1", _json(found, state, code=ExitCode.TEMPORARY, recovered=False))
        return ExitCode.TEMPORARY
    for text in texts:
        click.echo(f"not yet: {text}", err=True)
    click.echo("let them be mined (`--wait 600` waits), or replace them with your wallet; then run it again", err=True)
    return ExitCode.TEMPORARY


def _rebuild(loaded: Loaded, found: Sequence[Finding], state: _State) -> int:
    from keeper.engine.recover import restore

    store = open_store(loaded.journal, rebuild=True)
    try:
        written = sum(restore(store, store.raise_floor, one) for one in found)
    finally:
        store.close()
    if globals_of().json:
        emit_json("keeper.recover/1", _json(found, state, code=ExitCode.OK, recovered=True))
        return ExitCode.OK
    count = f"{written} compound{'' if written == 1 else 's'}"
    tell(f"recovered: {loaded.journal} knows where the nonces begin, and {count} by the chain's own records")
    say("`keeper doctor` looks at everything else; `keeper run` goes on")
    return ExitCode.OK


def _json(found: Sequence[Finding], state: _State, *, code: ExitCode, recovered: bool) -> dict[str, Any]:
    return {
        "needed": True,
        "trouble": state.trouble,
        "recovered": recovered,
        "exit_code": int(code),
        "accounts": [
            {
                "chain": one.chain,
                "account": one.owner,
                "mined": one.nonces.latest,
                "in_pool": one.waiting,
                "compounds": [
                    {
                        "position": chapter.position.id,
                        "finished": chapter.finished,
                        "transactions": [m.receipt.tx_hash for m in chapter.mined],
                    }
                    for chapter in one.chapters
                ],
                "cancels": one.cancels,
                "foreign": list(one.foreign),
                "unknown": one.unknown,
                "wallet": {position: list(held) for position, held in one.wallet.items()},
            }
            for one in found
        ],
    }
