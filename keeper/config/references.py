"""Checks what spans several parts: names that refer to each other, doubles, files and variables that must exist."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Hashable, Iterable
from pathlib import Path as FilePath

from keeper.config import models
from keeper.config.chains import merge
from keeper.config.checks import Parts
from keeper.config.keystores import keystore_address, read_text
from keeper.config.packaged import chain_names
from keeper.config.problems import Problems
from keeper.config.schema import Path, nearest
from keeper.config.sources import Layers
from keeper.config.strategy_references import check_strategy

__all__ = ["check_references", "check_secrets", "keystore_address"]


def check_references(layers: Layers, problems: Problems, parts: Parts, policies: frozenset[str] | None = None) -> None:
    """Check names and doubles across the parts that could be understood.

    ``policies``: names of the policies that keeper and its plugins bring; ``None`` leaves them unchecked.
    """
    chains, signers = _names(layers, "chains"), _names(layers, "signers")
    for index, position in parts.positions.items():
        path: Path = ("positions", index)
        _chain_exists(problems, (*path, "chain"), position.chain, chains)
        if position.signer is not None and position.signer not in signers:
            hint = nearest(position.signer, signers)
            advice = f'did you mean "{hint}"?' if hint else f"add [signers.{position.signer}]"
            problems.add((*path, "signer"), f"no such signer; {advice}")
        chain = parts.chains.get(position.chain)
        if chain is not None and not chain.rpc:
            problems.add(
                ("chains", position.chain, "rpc"),
                f"is required because position {position.id!r} is on this chain: "
                'rpc = ["$MY_RPC"], with MY_RPC in .env',
            )
    _doubles(problems, _named_ids(layers), "id", "two positions have this id; ids name rows of the ledger for ever")
    _doubles(problems, _same_stake(parts), None, "is the same stake as another position: it would be compounded twice")
    _prices(problems, parts, chains)
    _chain_facts(problems, parts)
    for name, chain in parts.chains.items():
        _endpoints(problems, ("chains", name), chain)
    check_strategy(layers, problems, parts, policies)


def _names(layers: Layers, section: str) -> list[str]:
    tables = layers.raw.get(section)
    return list(tables) if isinstance(tables, dict) else []


def _chain_exists(problems: Problems, path: Path, name: str, chains: list[str]) -> None:
    if name in chains:
        return
    hint = nearest(name, [*chains, *chain_names()])
    if name in chain_names():
        advice = f'keeper knows it: add [chains.{name}] with rpc = ["$MY_RPC"]'
    else:
        advice = f'did you mean "{hint}"?' if hint else f"add [chains.{name}]"
    problems.add(path, f"no such chain in this config; {advice}")


def _named_ids(layers: Layers) -> list[tuple[Path, Hashable]]:
    positions = layers.raw.get("positions")
    listed = positions if isinstance(positions, list) else []
    return [
        (("positions", index), entry["id"])
        for index, entry in enumerate(listed)
        if isinstance(entry, dict) and isinstance(entry.get("id"), str)
    ]


def _same_stake(parts: Parts) -> Iterable[tuple[Path, Hashable]]:
    for index, position in parts.positions.items():
        account = position.signer or position.owner
        yield ("positions", index), (position.chain, position.target, account, tuple(sorted(position.params.items())))


def _doubles(problems: Problems, items: Iterable[tuple[Path, Hashable]], key: str | None, message: str) -> None:
    seen: dict[Hashable, Path] = {}
    for path, value in items:
        if value in seen:
            first = f" (first: {seen[value][0]}[{seen[value][-1]}])"
            problems.add((*path, key) if key else path, message + first)
        else:
            seen[value] = path


def _prices(problems: Problems, parts: Parts, chains: list[str]) -> None:
    prices = parts.sections.get("prices")
    if not isinstance(prices, models.PricesConfig):
        return
    for index, token in enumerate(prices.tokens):
        _chain_exists(problems, ("prices", "tokens", index, "chain"), token.chain, chains)
    items = [(("prices", "tokens", index), (token.chain, token.token)) for index, token in enumerate(prices.tokens)]
    _doubles(problems, items, "token", "this token has prices already; put all its sources into one block")


def _chain_facts(problems: Problems, parts: Parts) -> None:
    seen: dict[int, str] = {}
    for name, chain in parts.chains.items():
        facts = merge(name, chain)
        if facts.tip_cap_wei < facts.tip_floor_wei:
            problems.add(("chains", name, "tip_cap_gwei"), "is below the chain's tip_floor_gwei")
        if facts.finality_blocks < facts.confirmations:
            problems.add(
                ("chains", name, "finality_blocks"),
                f"is below the chain's confirmations ({facts.confirmations}): a receipt would be final "
                "before it counts",
            )
        if facts.chain_id in seen:
            problems.add(
                ("chains", name),
                f"has chain id {facts.chain_id}, as [chains.{seen[facts.chain_id]}] has: "
                "two names for one chain would send with the same nonces; keep one",
            )
        seen.setdefault(facts.chain_id, name)


def _endpoints(problems: Problems, path: Path, chain: models.ChainConfig) -> None:
    """Check that the quorum can be reached, and that what is private has somewhere to go and stays apart."""
    if chain.quorum is not None and chain.rpc and chain.quorum > len(chain.rpc):
        problems.add(
            (*path, "quorum"),
            f"so many endpoints could never agree, because rpc has {len(chain.rpc)}; add endpoints or lower quorum",
        )
    if chain.submit != "public" and not chain.private_rpc:
        problems.add(
            (*path, "private_rpc"),
            f'is required by submit = "{chain.submit}": private_rpc = ["$MY_RELAY"], with MY_RELAY in .env',
        )
    if shared := [index for index, url in enumerate(chain.private_rpc) if url in chain.rpc]:
        problems.add(
            (*path, "private_rpc", shared[0]),
            "stands in rpc too: keeper would ask a relay questions, or show everybody what is meant for it; "
            "name each endpoint in one of the two",
        )


def check_secrets(layers: Layers, problems: Problems, parts: Parts) -> None:
    """Check that keys and passwords are where the config says, and that nobody else can read them."""
    for name, signer in parts.signers.items():
        path: Path = ("signers", name)
        if isinstance(signer, models.EnvKeySigner):
            _variable(layers, problems, (*path, "variable"), signer.variable)
        elif isinstance(signer, models.KeystoreSigner):
            _keystore(problems, (*path, "path"), signer.path)
            if signer.password_file is not None:
                _password_file(problems, (*path, "password_file"), signer.password_file)
            if signer.password_env is not None:
                _variable(layers, problems, (*path, "password_env"), signer.password_env)


def _variable(layers: Layers, problems: Problems, path: Path, name: str) -> None:
    if not layers.env.get(name):
        problems.add(path, "this environment variable is not set: export it or put it into .env")


def _keystore(problems: Problems, path: Path, file: FilePath) -> None:
    content, reason = read_text(file)
    if content is None:
        problems.add(path, f"the keystore {reason}; `keeper keys import` writes one")
        return
    try:
        shape = json.loads(content)
    except ValueError:
        shape = None
    if not isinstance(shape, dict) or not ({"crypto", "Crypto"} & shape.keys()):
        problems.add(path, "is not a keystore v3 file (the JSON that MetaMask and geth write)")


def _password_file(problems: Problems, path: Path, file: FilePath) -> None:
    content, reason = read_text(file)
    if content is None:
        problems.add(path, f"the password file {reason}")
    elif not content.strip():
        problems.add(path, "the password file is empty")
    elif (mode := stat.S_IMODE(file.stat().st_mode)) & 0o077 and not _mounted_secret(file):
        problems.add(path, f"others may read the password file (mode {mode:o}); run: chmod 600 {file}")


def _mounted_secret(file: FilePath) -> bool:
    """Container secrets are mounted 0444 on a file system that only the container sees."""
    return str(file).startswith("/run/secrets/") and not os.access(file, os.W_OK)
