"""Adds positions to a config file: blocks at its end, every byte before them kept, and only if the result loads."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keeper.abi import checksum
from keeper.config.sources import shown_file
from keeper.domain.money import Address
from keeper.errors import ConfigError

__all__ = ["NewPosition", "append", "unused_id"]

_LONGEST_ID: Final = 63
_LONGEST_REMARK: Final = 100


@dataclass(frozen=True, slots=True)
class NewPosition:
    """A position as its ``[[positions]]`` block will say it."""

    id: str
    chain: str
    protocol: str
    target: Address
    params: Mapping[str, str | int | bool]
    #: Account that is watched, or the signer whose account it is: one of the two.
    owner: Address | None
    signer: str | None
    #: For people, a comment above the block.
    remark: str = ""

    def block(self) -> str:
        """Return the block as TOML; texts that came from a chain can be nothing but texts in it."""
        remark = "".join(c if c.isprintable() else "?" for c in self.remark)[:_LONGEST_REMARK]
        whose = f"signer = {_value(self.signer)}" if self.signer else f"owner = {_value(str(self.owner))}"
        lines = [
            *([f"# {remark}"] if remark else []),
            "[[positions]]",
            f"id = {_value(self.id)}",
            f"chain = {_value(self.chain)}",
            f"protocol = {_value(self.protocol)}",
            f"target = {_value(self.target)}",
            *(f"{key} = {_value(value)}" for key, value in self.params.items()),
            whose,
        ]
        return "\n".join(lines) + "\n"


def _value(value: str | int | bool) -> str:
    if isinstance(value, str):
        return _text(checksum(value) if re.fullmatch(r"0x[0-9a-f]{40}", value) else value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(value: str) -> str:
    """Spell a text as TOML; halves of characters, which no file can hold, become ``?``."""
    whole = value.encode("utf-8", "replace").decode()
    escaped = (c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in whole)
    return f'"{"".join(escaped)}"'


def unused_id(words: Sequence[str], taken: set[str]) -> str:
    """Make an id of some words, with a number at its end where it is taken; the id counts as taken from then on."""
    plain = re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")[: _LONGEST_ID - 5].rstrip("-") or "position"
    name, number = plain, 1
    while name in taken:
        number += 1
        name = f"{plain}-{number}"
    taken.add(name)
    return name


def append(files: Sequence[Path], blocks: Sequence[str], check: Callable[[Sequence[Path]], object]) -> Path:
    """Append blocks to the config file whose positions are in force; returns the file.

    Args:
        files: the files of the config, last wins.
        blocks: ``[[positions]]`` blocks as TOML.
        check: loads the config with these files in place of ``files``; raises ConfigError when it has mistakes.

    Raises:
        ConfigError: when there is no file, it cannot be written, or it would not load; it is as it was then.
    """
    if not files:
        raise ConfigError("there is no config file to write to\n  `keeper config init` writes a first one")
    file = _holder(files)
    real = file.resolve()
    before = real.read_bytes()
    newline = "\r\n" if b"\r\n" in before else "\n"
    gap = newline * (2 if before and not before.endswith(b"\n") else 1)
    text = gap + newline.join(block.replace("\n", newline) for block in blocks)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{real.stem}-", suffix=".toml", dir=real.parent)
    except OSError as error:
        raise ConfigError(f"{shown_file(file)}: its folder cannot be written to: {error.strerror}") from None
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(before + text.encode())
            stream.flush()
            os.fsync(stream.fileno())
        shutil.copymode(real, draft)
        _must_load(check, [draft if one == file else one for one in files], draft, file)
        if real.read_bytes() != before:
            raise ConfigError(f"{shown_file(file)}: was changed meanwhile, and nothing was written; run it again")
        draft.replace(real)
    finally:
        draft.unlink(missing_ok=True)
    return file


def _holder(files: Sequence[Path]) -> Path:
    """Find the file to append to: the last with positions, because a later file's array replaces an earlier one's."""
    for file in reversed(files):
        if "positions" in tomllib.loads(file.read_text("utf-8")):
            return file
    return files[-1]


def _must_load(check: Callable[[Sequence[Path]], object], files: Sequence[Path], draft: Path, file: Path) -> None:
    try:
        check(files)
    except ConfigError as error:
        name, shown = shown_file(draft), shown_file(file)
        problems = [problem.replace(name, shown).replace(str(draft), shown) for problem in error.problems]
        raise ConfigError(
            [f"{shown}: nothing was written, because with these positions it would not load", *problems]
        ) from None
