"""What the chain files say of their sources is true: every address that names an npm package stands in it, there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from book_kit import ADDRESS, BOOKS, CHAINS, feeds, known, shelf, unpack

from keeper.config.packaged import locate

pytestmark = pytest.mark.xdist_group("address-books")


class Block(NamedTuple):
    """One table of a chain file with the comment before it."""

    header: str
    comment: str
    #: Addresses by key.
    values: dict[str, tuple[str, ...]]


def blocks(chain: str) -> Iterator[Block]:
    """Cut a chain file into its exchanges, places and feeds."""
    lines = locate("chains", f"{chain}.toml").read_text("utf-8").splitlines()
    for at, line in enumerate(lines):
        if not line.startswith(("[[exchanges]]", "[[places]]", "[feeds.")):
            continue
        first = at
        while lines[first - 1].startswith("#"):
            first -= 1
        end = next((i for i in range(at + 1, len(lines)) if not lines[i].strip()), len(lines))
        body = "\n".join(lines[at + 1 : end])
        values = {
            key: tuple(a.lower() for a in ADDRESS.findall(text))
            for key, text in re.findall(r"^(\w+) = (\[.*?\]|\{.*?\}|.*?)$", body, re.DOTALL | re.MULTILINE)
        }
        yield Block(line, " ".join(text.removeprefix("#").strip() for text in lines[first:at]), values)


def claims(block: Block) -> Iterator[tuple[str, str]]:
    """Pair every address of an exchange or place with each book that its comment names for it."""
    for clause in block.comment.split("; "):
        books = [name for name in BOOKS if name in clause]
        if clause.startswith("quoter"):
            keys = ["quoter"]
        elif clause.startswith(("dai:", "state_view:")):
            keys = ["params"]
        else:
            keys = ["router", "target", "pools"]
        yield from ((address, book) for key in keys for address in block.values.get(key, ()) for book in books)


@pytest.fixture(scope="module")
def books() -> Path:
    found = shelf()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.mark.parametrize("chain", CHAINS)
def test_addresses_stand_where_their_source_says(chain: str, books: Path) -> None:
    checked = 0
    for block in blocks(chain):
        if block.header.startswith("[feeds."):
            continue
        for address, book in claims(block):
            assert address in known(books, book, chain), f"{block.header} {block.comment}: {address} is not in {book}"
            checked += 1
    assert checked >= 9, "too few addresses of this chain are cross-checked"


@pytest.mark.parametrize("chain", CHAINS)
def test_feeds_stand_in_the_aave_address_book_under_their_pair(chain: str, books: Path) -> None:
    named = feeds(books, chain)
    for block in blocks(chain):
        if not block.header.startswith("[feeds."):
            continue
        (feed,) = block.values["feed"]
        pair = re.search(r" by (\S+) / USD,", block.comment)
        assert pair is not None, block.comment
        assert feed in named, f"{block.comment}: {feed}"
        assert named[feed].startswith(f"{pair[1].lower()}__usd"), f"{block.comment}: the feed is {named[feed]}"


@pytest.mark.parametrize("chain", CHAINS)
def test_tokens_of_feeds_stand_in_the_lists_that_are_named(chain: str, books: Path) -> None:
    lists = {
        "Aave": "Aave address book",
        "Uniswap": "npm @uniswap/default-token-list 22.21",
        "Beefy": "Beefy address book",
    }
    for block in blocks(chain):
        if not block.header.startswith("[feeds."):
            continue
        token = ADDRESS.findall(block.header)[0].lower()
        named = re.search(r"\(([\w, ]+)\) by ", block.comment)
        assert named is not None, block.comment
        for word in named[1].split(", "):
            assert token in known(books, lists[word], chain), f"{block.comment}: {token} is not in {lists[word]}"


@pytest.mark.parametrize("chain", CHAINS)
def test_every_exchange_and_place_names_its_source(chain: str) -> None:
    """A package, an address book, a repository with the file in it, or a project's own documentation."""
    tables = [block for block in blocks(chain) if not block.header.startswith("[feeds.")]

    assert len(tables) >= 12
    for block in tables:
        assert block.comment, block
        for clause in block.comment.split("; "):
            told = re.search(r"npm [@\w]|address book|[\w-]+/[\w.-]+|\w+\.finance \(|the pools are", clause)
            assert told, f"{block.header} {clause}"


def test_a_wrong_chain_is_noticed(books: Path) -> None:
    """The same address means another contract on another chain: books are asked for the chain, not for the address."""
    joe = "0x60ae616a2155ee3d9a68541ba4544862310933d4"

    assert joe in known(books, "Beefy address book", "avalanche")
    assert joe not in known(books, "Beefy address book", "ethereum")
    assert all(known(books, book, "ethereum") for book in BOOKS)


def test_a_machine_that_cannot_reach_npm_is_told_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEPER_DEVNET_HOME", str(tmp_path))
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))

    assert "cannot be fetched" in str(shelf.__wrapped__())

    monkeypatch.setenv("PATH", str(tmp_path))
    assert shelf.__wrapped__() == "npm is not installed"


def test_a_package_with_another_hash_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "book.tgz"
    archive.write_bytes(b"not what was pinned")

    with pytest.raises(AssertionError, match="another hash than the pinned one"):
        unpack(next(iter(BOOKS.values())), archive, tmp_path)
