"""``keeper keys``: put a key into a keystore once, see which keys the config names, prove that they open."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keeper.cli.exits import ExitCode
from keeper.cli.options import globals_of, json_option, load_config
from keeper.cli.output import address_long, emit_json, say, table
from keeper.errors import KeyUnavailable

if TYPE_CHECKING:
    from keeper.config.loader import Loaded
    from keeper.config.models import SignerConfig
    from keeper.domain.money import Address

__all__ = ["command"]


@click.group(name="keys")
def command() -> None:
    """Import and inspect keys."""


# ---------------------------------------------------------------------------- import


@command.command(name="import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--private-key", "raw", is_flag=True, help="Ask for a private key instead of a recovery phrase.")
@click.option("--keystore", metavar="OLD", type=click.Path(path_type=Path), help="Re-encrypt another keystore.")
@click.option(
    "--path", default="metamask", show_default=True, help="metamask, trust, ledger-live, or m/44'/60'/0'/0/0."
)
@click.option("--index", default=0, show_default=True, help="Which account of the wallet.")
@click.option("--passphrase", "with_passphrase", is_flag=True, help='Ask for a passphrase (the "25th word") too.')
@click.option("--password-file", type=click.Path(path_type=Path), help="File with the new keystore's password.")
@json_option
@click.pass_context
def import_(
    ctx: click.Context,
    file: Path,
    raw: bool,
    keystore: Path | None,
    path: str,
    index: int,
    with_passphrase: bool,
    password_file: Path | None,
) -> None:
    """Write a key into the keystore FILE (mode 0600), encrypted.

    The recovery phrase, private key or old password is asked for without showing it, or read as the first line of
    stdin; it is never an argument, where other users and the shell's history would see it.
    """
    from keeper.signers.importer import import_key

    if raw and keystore is not None:
        raise click.UsageError("--private-key and --keystore exclude each other; choose one")
    if password_file is None and not sys.stdin.isatty():
        raise click.UsageError("stdin is no terminal to ask for a new password: add --password-file FILE")
    _refuse_existing(file)
    what = "private key" if raw else ("password of the old keystore" if keystore else "recovery phrase")
    secret = _ask(what)
    passphrase = _ask("passphrase") if with_passphrase else ""
    password = _new_password(password_file)
    address = import_key(
        out=file,
        password=password,
        mnemonic=None if raw or keystore else secret,
        private_key=secret if raw else None,
        keystore=keystore,
        keystore_password=secret if keystore else None,
        path=path,
        index=index,
        passphrase=passphrase,
    )
    _tell_imported(globals_of(ctx).json, file, address, password_file)


def _refuse_existing(file: Path) -> None:
    """Refuse before a secret is asked for; the importer refuses too."""
    if file.exists() or file.is_symlink():
        raise KeyUnavailable(f"{file} exists and is never overwritten; choose another name or move it away")


def _ask(what: str) -> str:
    """Ask for a secret without showing it; from a pipe, take the next line."""
    if sys.stdin.isatty():
        answer: str = click.prompt(what, hide_input=True, err=True)
        return answer
    line = sys.stdin.readline()
    if not line.strip():
        raise KeyUnavailable(f"stdin ended before the {what}; pipe it in as one line")
    return line.rstrip("\r\n")


def _new_password(file: Path | None) -> str:
    if file is not None:
        from keeper.signers.secrets import read_secret_file

        return read_secret_file(file)
    answer: str = click.prompt("new password", hide_input=True, confirmation_prompt="new password again", err=True)
    return answer


def _tell_imported(as_json: bool, file: Path, address: Address, password_file: Path | None) -> None:
    if as_json:
        emit_json("keeper.keys-import/1", {"address": address_long(address), "file": file})
        return
    say(f"{address_long(address)}  written to {file}")
    say("is this the account you expected? if not, try --index 1, 2, ... or another --path")
    say("in keeper.toml:")
    say("  [signers.main]")
    say('  kind = "keystore"')
    say(f'  path = "{file}"')
    wanted = "" if password_file else "     # write the password into it, chmod 600"
    say(f'  password_file = "{password_file or file.with_suffix(".password")}"{wanted}')
    say(f'  address = "{address_long(address)}"')


# ---------------------------------------------------------------------------- show, check


@command.command(name="show")
@json_option
@click.pass_context
def show(ctx: click.Context) -> None:
    """List the keys that the config names; opens none."""
    loaded = load_config(globals_of(ctx), secrets=False)
    entries = [_entry(loaded, name, signer) for name, signer in loaded.settings.signers.items()]
    if globals_of(ctx).json:
        emit_json("keeper.keys/1", {"keys": entries})
        return
    if not entries:
        say("the config names no key; `keeper keys import FILE` makes one")
        return
    table(
        ("name", "kind", "address", "where", "positions"),
        [
            (e["name"], e["kind"], e["address"] or "known once opened", e["where"], ", ".join(e["positions"]) or "-")
            for e in entries
        ],
    )


def _entry(loaded: Loaded, name: str, signer: SignerConfig) -> dict[str, Any]:
    used = [position for position in loaded.settings.positions if position.signer == name]
    address = signer.address or (loaded.owner_of(used[0]) if used else None)
    where = getattr(signer, "path", None) or getattr(signer, "variable", None)
    return {
        "name": name,
        "kind": signer.kind,
        "address": address_long(address) if address else None,
        "where": str(where) if where else "-",
        "positions": [position.id for position in used],
    }


@command.command(name="check")
@click.argument("name", required=False)
@json_option
@click.pass_context
def check(ctx: click.Context, name: str | None) -> None:
    """Open the keys (or only NAME) as the daemon would, and compare addresses. Signs nothing."""
    loaded = load_config(globals_of(ctx), secrets=False)
    signers = loaded.settings.signers
    if name is not None and name not in signers:
        raise click.BadParameter(f'no signer "{name}"; configured: {", ".join(signers) or "none"}', param_hint="NAME")
    rows = [_open(loaded, key) for key in ([name] if name else signers)]
    if globals_of(ctx).json:
        emit_json("keeper.keys-check/1", {"ok": all(row["ok"] for row in rows), "keys": rows})
    else:
        for row in rows:
            say(f"{'ok  ' if row['ok'] else 'fail'}  {row['name']}  {row['address'] or ''}{row['text']}")
    if not all(row["ok"] for row in rows):
        ctx.exit(ExitCode.UNAVAILABLE)


def _open(loaded: Loaded, name: str) -> dict[str, Any]:
    from keeper.app import open_key

    try:
        key = open_key(loaded.settings.signers[name], loaded.env)
    except KeyUnavailable as error:
        return {"name": name, "ok": False, "address": None, "text": str(error)}
    if key is None:
        return {"name": name, "ok": True, "address": None, "text": "watch only: there is no key to open"}
    return {"name": name, "ok": True, "address": address_long(key.address), "text": ""}
