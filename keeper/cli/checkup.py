"""The checks of ``keeper doctor`` on this machine: keys, clock, disk, journal, anvil, the ops port."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from keeper.cli.exits import ExitCode
from keeper.cli.output import address_short
from keeper.errors import KeeperError, KeyUnavailable

if TYPE_CHECKING:
    from keeper.config.loader import Loaded

__all__ = ["CODES", "Row", "State", "examine", "fail", "ok", "skip", "warn"]

#: Gravest first.
CODES: Final = (ExitCode.CONFIG, ExitCode.UNAVAILABLE, ExitCode.TEMPORARY, ExitCode.REFUSED)

#: Free bytes below which the journal is in danger.
_LITTLE: Final = 100 * 2**20


class State(StrEnum):
    """How a row stands."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was looked at."""

    state: State
    subject: str
    text: str
    #: What to do about it.
    fix: str = ""
    #: Exit code when it fails.
    code: ExitCode = ExitCode.UNAVAILABLE


def ok(subject: str, text: str) -> Row:
    """All is well."""
    return Row(State.OK, subject, text)


def warn(subject: str, text: str, fix: str) -> Row:
    """It works, but not for ever."""
    return Row(State.WARN, subject, text, fix)


def fail(subject: str, text: str, fix: str, code: ExitCode = ExitCode.UNAVAILABLE) -> Row:
    """It does not work."""
    return Row(State.FAIL, subject, text, fix, code)


def skip(subject: str, text: str) -> Row:
    """It was not looked at."""
    return Row(State.SKIP, subject, text)


def examine(loaded: Loaded, overrides: Mapping[str, str], *, open_keys: bool) -> Iterator[Row]:
    """Look at everything, cheap things first."""
    from keeper.cli.chain_checkup import examine_chains

    files = ", ".join(str(file) for file in loaded.files) or "the environment"
    count = len(loaded.settings.positions)
    yield ok("config", f"{files}: {count} position{'' if count == 1 else 's'}")
    yield _disk(loaded)
    yield _journal(loaded)
    yield from _paused(loaded)
    yield _anvil()
    yield _port(loaded)
    yield _backend()
    yield from _keys(loaded, open_keys=open_keys)
    yield from examine_chains(loaded, overrides)


def _disk(loaded: Loaded) -> Row:
    folder = _standing(loaded.state)
    if not folder.is_dir():
        return fail("disk", f"{folder} is a file, and keeper.state a folder", "set keeper.state to a folder", _CONFIG)
    if not os.access(folder, os.W_OK):
        return fail("disk", f"{folder} cannot be written", "chown it to this user, or set keeper.state", _TEMPORARY)
    free = shutil.disk_usage(folder).free
    text = f"{free / 2**30:.1f} GiB free for {loaded.state}"
    return ok("disk", text) if free > _LITTLE else fail("disk", text, "free some space", _TEMPORARY)


_TEMPORARY: Final = ExitCode.TEMPORARY


def _standing(path: Path) -> Path:
    return path if path.exists() else _standing(path.parent)


def _journal(loaded: Loaded) -> Row:
    from keeper.store.marker import expected

    path, belongs = loaded.journal, expected(loaded.journal)
    if not path.is_file() and belongs is None:
        return skip("journal", f"none yet; the first start makes {path}")
    trouble, harvests = _unsound(path, belongs)
    if trouble:
        fix = "put its last backup there, or let `keeper recover` rebuild it; nothing is sent before"
        return fail("journal", f"{path} {trouble}", fix, _TEMPORARY)
    if not os.access(path, os.W_OK):
        return fail("journal", f"{path} cannot be written", "chown it to this user", _TEMPORARY)
    return ok("journal", f"{path} is sound, {harvests} harvests")


def _unsound(path: Path, belongs: str | None) -> tuple[str, int]:
    """Say what is the matter with the journal, empty when nothing is; and how many compounds it has."""
    if not path.is_file():
        return "was here and is gone", 0
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            answer = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            harvests = connection.execute("SELECT count(*) FROM harvests").fetchone()[0]
            own = connection.execute("SELECT value FROM meta WHERE key = 'journal_id'").fetchone()
    except sqlite3.Error as error:
        return f"cannot be read: {error}", 0
    if answer != "ok":
        return f"is damaged: {answer}", 0
    if belongs and (own is None or own[0] != belongs):
        return "is another one than the one that belongs here", 0
    return "", int(harvests)


def _paused(loaded: Loaded) -> Iterator[Row]:
    from keeper.cli.pause import present_stop

    try:
        stop = present_stop(loaded)
    except KeeperError:
        return  # the journal's own row says what is wrong with it
    if stop is not None:
        yield warn("paused", stop.reason or "the kill file is there", stop.undo)


def _anvil() -> Row:
    from keeper.chain.anvil_binary import find_anvil

    binary = find_anvil()
    if binary is None:
        text = "not found: `keeper run --dry-run` needs it; `--dry-run=simulate` does not"
        return warn("anvil", text, f"install it with `{sys.executable} -m keeper.devnet.install`, or set KEEPER_ANVIL")
    if not os.access(binary, os.X_OK):
        return warn("anvil", f"{binary} cannot be run", "correct KEEPER_ANVIL")
    return ok("anvil", str(binary))


def _port(loaded: Loaded) -> Row:
    web = loaded.settings.web
    if not web.enabled:
        return skip("ops port", "web.enabled is false")
    host, port = web.listen
    with closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if _is_ours(host, port):
                return ok("ops port", f"{host}:{port} is served by the running keeper")
            why = error.strerror or str(error)
            return fail("ops port", f"{host}:{port}: {why}", "stop the other process, or change web.listen", _CONFIG)
    return ok("ops port", f"{host}:{port} is free")


_CONFIG: Final = ExitCode.CONFIG


def _is_ours(host: str, port: int) -> bool:
    """Ask whoever listens there for keeper's own health page."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    try:
        with urllib.request.urlopen(f"http://{name}:{port}/healthz", timeout=2) as answer:
            return "tick_age_s" in json.loads(answer.read(10_000))
    except (OSError, ValueError):
        return False


def _backend() -> Row:
    from keeper.signers.signing import check_backend

    try:
        check_backend()
    except KeyUnavailable as error:
        return fail("signing", str(error), "reinstall coincurve")
    return ok("signing", "libsecp256k1 (coincurve) gives the right signature")


def _keys(loaded: Loaded, *, open_keys: bool) -> Iterator[Row]:
    from keeper.app import open_key

    for name, signer in loaded.settings.signers.items():
        subject = f"key {name}"
        if not any(position.signer == name for position in loaded.settings.positions):
            yield skip(subject, "no position uses it")
        elif not open_keys:
            yield skip(subject, "not opened (--no-keys)")
        else:
            try:
                key = open_key(signer, loaded.env)
            except KeeperError as error:
                yield fail(subject, str(error), "`keeper keys check` tries again")
                continue
            if key is None:
                yield skip(subject, "watch only: nothing will be sent")
            elif signer.address is None:
                own = address_short(key.address)
                yield warn(subject, f"opens to {own}", "write its address beside it, so that a swapped file is noticed")
            else:
                yield ok(subject, f"opens to {address_short(key.address)}, as the config expects")
