"""Blocks are added to a config file without touching a byte before them, or the file stays as it was."""

from __future__ import annotations

import re
import stat
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.config.appending import NewPosition, append, unused_id
from keeper.config.catalogue import Catalogue
from keeper.config.loader import load
from keeper.domain.money import Address
from keeper.errors import ConfigError
from keeper.ports import ParamSpec

OWNER, FARM = Address("0x" + "99" * 20), Address("0x" + "44" * 20)
CATALOGUE = Catalogue(
    protocols={"masterchef": {"pid": ParamSpec("int", required=True, doc="Pool.")}}, swaps=frozenset({"uniswap-v2"})
)
TEXT = """\
# my config, with words of my own
[chains.bnb]
rpc = [ "http://127.0.0.1:1" ]   # mine

[[positions]]
id = "one"   # the first
chain = "bnb"
protocol = "masterchef"
target = "0x4444444444444444444444444444444444444444"
pid = 1
owner = "0x9999999999999999999999999999999999999999"
"""


def new(name: str = "two", pid: int = 2, **changes: object) -> NewPosition:
    values: dict[str, object] = {
        "id": name,
        "chain": "bnb",
        "protocol": "masterchef",
        "target": FARM,
        "params": {"pid": pid},
        "owner": OWNER,
        "signer": None,
        "remark": "a farm",
    }
    return NewPosition(**{**values, **changes})  # type: ignore[arg-type]


def check(files: Sequence[Path]) -> object:
    return load(files, {}, catalogue=CATALOGUE, dotenv=None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keeper.toml"
    path.write_text(TEXT)
    return path


def test_blocks_are_appended_and_everything_before_them_is_kept(file: Path) -> None:
    before = file.read_bytes()
    file.chmod(0o640)

    assert append([file], [new().block(), new("three", 3).block()], check) == file

    after = file.read_bytes()
    assert after.startswith(before + b"\n# a farm\n[[positions]]\n")
    loaded = load([file], {}, catalogue=CATALOGUE, dotenv=None)
    assert [(p.id, p.params["pid"]) for p in loaded.settings.positions] == [("one", 1), ("two", 2), ("three", 3)]
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert list(file.parent.iterdir()) == [file], "no draft is left"


@pytest.mark.parametrize("ending", [b"", b"\n", b"\n\n", b"   # no newline"])
def test_a_file_may_end_anyhow(file: Path, ending: bytes) -> None:
    before = TEXT.rstrip("\n").encode() + ending
    file.write_bytes(before)

    append([file], [new().block()], check)

    assert file.read_bytes().startswith(before)
    assert len(load([file], {}, catalogue=CATALOGUE, dotenv=None).settings.positions) == 2


def test_windows_line_ends_stay_windows_line_ends(file: Path) -> None:
    file.write_bytes(TEXT.replace("\n", "\r\n").encode())

    append([file], [new().block()], check)

    assert file.read_bytes().count(b"\n") == file.read_bytes().count(b"\r\n")


@pytest.mark.parametrize(
    ("text", "block", "says"),
    [
        (TEXT, new("one").block(), "two positions have this id"),
        (TEXT, new("two", 1).block(), "same stake as another position"),
        (TEXT, new(chain="polygon").block(), "no such chain in this config"),
        (TEXT, new(protocol="other").block(), "no such protocol"),
        (TEXT, new(params={}).block(), "pid"),
        ('positions = []\n[chains.bnb]\nrpc = ["http://127.0.0.1:1"]\n', new().block(), "not valid TOML"),
    ],
)
def test_what_would_not_load_is_not_written(file: Path, text: str, block: str, says: str) -> None:
    file.write_text(text)

    with pytest.raises(ConfigError) as caught:
        append([file], [block], check)

    assert "nothing was written" in str(caught.value)
    assert says in str(caught.value)
    assert f".{file.stem}-" not in str(caught.value), "the draft's name means nothing to anybody"
    assert file.read_text() == text
    assert list(file.parent.iterdir()) == [file]


def test_positions_go_where_positions_are(tmp_path: Path) -> None:
    """A later file's array replaces an earlier one's: an array in another file would hide what is there."""
    chains, positions = TEXT.split("[[positions]]")
    first, second, third = (tmp_path / name for name in ("a.toml", "b.toml", "c.toml"))
    first.write_text(chains)
    second.write_text("[[positions]]" + positions)
    third.write_text('[limits]\nper_day = "$7"\n')

    assert append([first, second, third], [new().block()], check) == second

    files = [first, second, third]
    assert len(load(files, {}, catalogue=CATALOGUE, dotenv=None).settings.positions) == 2


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere" / "real.toml"
    real.parent.mkdir()
    file.rename(real)
    file.symlink_to(real)

    append([file], [new().block()], check)

    assert file.is_symlink()
    assert 'id = "two"' in real.read_text()


def test_a_file_that_changes_meanwhile_is_left_alone(file: Path) -> None:
    def busy(files: Sequence[Path]) -> None:
        file.write_text(TEXT + "# another hand\n")

    with pytest.raises(ConfigError, match="was changed meanwhile"):
        append([file], [new().block()], busy)

    assert file.read_text() == TEXT + "# another hand\n"


def test_without_a_file_there_is_nothing_to_write_to() -> None:
    with pytest.raises(ConfigError, match="no config file"):
        append([], [new().block()], check)


# ---------------------------------------------------------------- what comes from a chain


@given(st.text(max_size=200), st.dictionaries(st.sampled_from(["a", "b"]), st.text() | st.integers(0) | st.booleans()))
def test_nothing_from_a_chain_can_be_more_than_a_text(remark: str, params: dict[str, str | int | bool]) -> None:
    params = {k: v.encode("utf-8", "ignore").decode() if isinstance(v, str) else v for k, v in params.items()}
    block = new(remark=remark, params=params).block()

    parsed = tomllib.loads(block.encode("utf-8", "ignore").decode())

    assert set(parsed) == {"positions"}
    (position,) = parsed["positions"]
    assert {key: position[key] for key in params} == params
    assert "\n[" not in block.replace("[[positions]]", "", 1)
    assert set(position) == {"id", "chain", "protocol", "target", "owner", *params}


def test_a_symbol_cannot_break_out_of_its_comment() -> None:
    block = new(remark='USDC\n[signers.evil]\nkind = "env-key"').block()

    assert set(tomllib.loads(block)) == {"positions"}


def test_addresses_are_written_with_their_checksum_and_a_signer_stands_for_its_account() -> None:
    block = new(params={"asset": "0x2170ed0880ac9a755fd29b2688956bd959f933f8"}, signer="farm", owner=None).block()

    assert 'asset = "0x2170Ed0880ac9A755fd29B2688956BD959F933F8"' in block
    assert 'signer = "farm"' in block
    assert "owner" not in block


@given(st.lists(st.text(max_size=80), max_size=3), st.integers(1, 4))
def test_ids_are_valid_and_never_taken(words: list[str], times: int) -> None:
    taken = {"sushiswap-masterchef-1"}
    before = set(taken)

    names = [unused_id(words, taken) for _ in range(times)]

    assert len(set(names)) == times
    assert not set(names) & before
    for name in names:
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,62}", name)
