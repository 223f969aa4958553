"""Address books on npm: fetched pinned and integrity-checked into the devnet's cache, read as text, never executed."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from filelock import FileLock

from keeper.chain.anvil_binary import devnet_home

#: Our names of chains, and their ids.
CHAINS = {
    "ethereum": 1,
    "bnb": 56,
    "polygon": 137,
    "avalanche": 43114,
    "arbitrum": 42161,
    "optimism": 10,
    "base": 8453,
}
#: How the books spell them.
SPELT = {
    "ethereum": ("Ethereum", "ETHEREUM", "MAINNET"),
    "bnb": ("BNB", "BSC", "bsc"),
    "polygon": ("Polygon", "POLYGON"),
    "avalanche": ("Avalanche", "AVALANCHE", "avax"),
    "arbitrum": ("Arbitrum", "ARBITRUM", "ARBITRUM_ONE"),
    "optimism": ("Optimism", "OPTIMISM"),
    "base": ("Base", "BASE"),
}
_SOL = "|".join(names[0] for names in SPELT.values())
_BEEFY = "|".join((*(chain for chain in CHAINS if chain not in {"bnb", "avalanche"}), "bsc", "avax"))
ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}\b")


@dataclass(frozen=True)
class Book:
    """One package: its pinned version and hash, and the few files of it that are kept."""

    package: str
    version: str
    sha512: str
    keep: str

    @property
    def archive(self) -> str:
        return f"{self.package.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


#: By the words that the chain files name them with.
BOOKS: Mapping[str, Book] = {
    "Aave address book": Book(
        "@bgd-labs/aave-address-book",
        "4.44.22",
        "25dt74TdSJxpCu++QbfRcsSlXZJ2HnktkzekVa0n97X/wNDmJx49GxzZLQI3wIAvSsY/iNRGwBMsHq/LTc1qUg==",
        rf"src/(AaveV[23]({_SOL})\w*|Chainlink({_SOL})|MiscEthereum)\.sol|tokenlist\.json",
    ),
    "Beefy address book": Book(
        "@beefyfinance/blockchain-addressbook",
        "0.59.18",
        "W4R2MjfqdusPurYD9kq0WhcFfZy2yKoZTyyREKqLMkWdXhs/rUqbnNoE3J3smiSkK+ccOSaoZdJvM8Fon14S3Q==",
        rf"dist/address-book/({_BEEFY})/(platforms|tokens)/\w+\.js",
    ),
    "npm @uniswap/sdk-core 7.19": Book(
        "@uniswap/sdk-core",
        "7.19.4",
        "jV9qVMMD6qvEATgfFnZ3QgrhIMv5lullzeGPWjyC4+sUctatft+1M+OtAZxxjbFm8NQfJA73hqIeFPOg4cUyoA==",
        r"dist/cjs/src/addresses\.js",
    ),
    "npm @uniswap/default-token-list 22.21": Book(
        "@uniswap/default-token-list",
        "22.21.0",
        "X6OAvgmVR8lqd8Reyjm8pAozrWZXdfjlgevDSFofKafZD5SFXCMBnLPXImMcMdh0I15hre/1EO0xXL6h37KWYQ==",
        r"build/uniswap-default\.tokenlist\.json",
    ),
    "npm sushi 7.3": Book(
        "sushi",
        "7.3.15",
        "i4L2qg7QDb/3Wb0Zk0YTSP/qWkrxuhezZ/CsGj6J8sj7hAuyrT/fVAlOMToKhBEY3WOJZuwiZiuvnzAUK9j9RA==",
        r"evm/config/features/(master-chef|mini-chef|sushiswap-v2|sushiswap-v3)\.ts",
    ),
    "npm @curvefi/api 2.70": Book(
        "@curvefi/api",
        "2.70.1",
        "Ri+DqW7BISubW1pILxMFuaDKMV5I4wuEdgZy9TM9DJtO7O5CB3o3In4PuFngzw0sxoudLIzv93iCHpB6OE3qow==",
        r"lib/constants/(network_constants|pools/(ethereum|arbitrum))\.js",
    ),
    "npm @pancakeswap/v3-sdk 3.10": Book(
        "@pancakeswap/v3-sdk",
        "3.10.2",
        "jHx+aEG4aYBnMU9Ks5uSRV9Y8mCM6JCwV47tD8mWRMk+EpOQc7S9zMeIqj+9LhNxKqZovmo870m7nk0XWTxz3Q==",
        r"dist/index\.js",
    ),
    "npm @compound-finance/compound-js 0.6": Book(
        "@compound-finance/compound-js",
        "0.6.2",
        "3BbEB2C2Uo9/W8L1YtVX54aG2W4wClEH27FfeO4a4yyPeHxHe7jJhXhZB5i1fQ2iZKs/a1C7WReWGsVlY8j5LQ==",
        r"dist/nodejs/constants\.js",
    ),
}


@cache
def shelf() -> Path | str:
    """Return the folder with every kept file, fetched once (6.5 MB); or why it cannot be had."""
    digest = hashlib.sha256(repr(sorted(BOOKS.items())).encode()).hexdigest()[:16]
    folder = devnet_home() / "books" / digest
    if (folder / ".done").is_file():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / ".lock"):
        if not (folder / ".done").is_file():
            if problem := _fetch(npm, folder):
                return problem
            (folder / ".done").touch()
    return folder


def _fetch(npm: str, folder: Path) -> str:
    specs = [f"{book.package}@{book.version}" for book in BOOKS.values()]
    patience = ["--fetch-retries=0", "--fetch-timeout=20000", "--no-update-notifier", "--silent"]
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        try:
            subprocess.run(
                [npm, "pack", *specs, "--pack-destination", scratch, *patience],
                check=True,
                capture_output=True,
                timeout=120,
                cwd=scratch,
            )
        except (subprocess.SubprocessError, OSError) as error:
            return f"the address books cannot be fetched from npm: {error}"
        for book in BOOKS.values():
            unpack(book, Path(scratch) / book.archive, folder / book.package)
    return ""


def unpack(book: Book, archive: Path, folder: Path) -> None:
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    assert found == book.sha512, f"{archive.name} has another hash than the pinned one: {found}"
    wanted = re.compile(rf"package/({book.keep})")
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            if member.isfile() and (match := wanted.fullmatch(member.name)):
                stream = tar.extractfile(member)
                assert stream is not None
                target = folder / match[1]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(stream.read())


def _text(folder: Path, name: str, file: str) -> str:
    return (folder / BOOKS[name].package / file).read_text("utf-8")


def _all(text: str) -> set[str]:
    return {address.lower() for address in ADDRESS.findall(text)}


@cache
def known(folder: Path, name: str, chain: str) -> set[str]:
    """Return what a book knows on one chain, in lower case."""
    reader = _READERS[name]
    return reader(folder, name, chain)


def _aave(folder: Path, name: str, chain: str) -> set[str]:
    found: set[str] = set()
    for file in (folder / BOOKS[name].package / "src").glob("*.sol"):
        if re.fullmatch(rf"(AaveV[23]|Chainlink){SPELT[chain][0]}\w*", file.stem) or (
            chain == "ethereum" and file.stem == "MiscEthereum"
        ):
            found |= _all(file.read_text())
    return found | _listed(_text(folder, name, "tokenlist.json"), chain)


def _listed(text: str, chain: str) -> set[str]:
    tokens = json.loads(text)["tokens"]
    return {token["address"].lower() for token in tokens if token["chainId"] == CHAINS[chain]}


def _token_list(folder: Path, name: str, chain: str) -> set[str]:
    return _listed(_text(folder, name, "build/uniswap-default.tokenlist.json"), chain)


def _beefy(folder: Path, name: str, chain: str) -> set[str]:
    spelt = {"bnb": "bsc", "avalanche": "avax"}.get(chain, chain)
    files = (folder / BOOKS[name].package / "dist" / "address-book" / spelt).rglob("*.js")
    return {address for file in files for address in _all(file.read_text())}


def _sushi(folder: Path, name: str, chain: str) -> set[str]:
    files = (folder / BOOKS[name].package).rglob("*.ts")
    rows = re.compile(r"\[EvmChainId\.(\w+)\]:\s*'(0x[0-9a-fA-F]{40})'")
    pairs = [pair for file in files for pair in rows.findall(file.read_text())]
    return {address.lower() for spelt, address in pairs if spelt in SPELT[chain]}


def _uniswap(folder: Path, name: str, chain: str) -> set[str]:
    text = _text(folder, name, "dist/cjs/src/addresses.js")
    blocks = dict(re.findall(r"const (\w+)_ADDRESSES = \{(.*?)\n\};", text, re.DOTALL))
    spelt = next(word for word in SPELT[chain] if word in blocks)
    block = blocks[spelt] + (blocks["DEFAULT"] if "...DEFAULT_ADDRESSES" in blocks[spelt] else "")
    rows = dict(re.findall(r"(\w+): '(0x[0-9a-fA-F]{40})'", block))
    default = re.search(r"swapRouter02Address\) !== null && _a !== void 0 \? _a : '(0x\w{40})'", text)
    assert default is not None
    rows.setdefault("swapRouter02Address", default[1])
    routers = re.search(r"V2_ROUTER_ADDRESSES = \{(.*?)\n\};", text, re.DOTALL)
    assert routers is not None
    by_chain = dict(re.findall(r"ChainId\.(\w+)\]: '(0x[0-9a-fA-F]{40})'", routers[1]))
    return {address.lower() for address in (*rows.values(), by_chain[next(w for w in SPELT[chain] if w in by_chain)])}


def _curve(folder: Path, name: str, chain: str) -> set[str]:
    text = _text(folder, name, "lib/constants/network_constants.js")
    spelt = next(word for word in SPELT[chain] if f"const ALIASES_{word} = " in text)
    block = re.search(rf"const ALIASES_{spelt} = .*?\n\}}\);", text, re.DOTALL)
    assert block is not None
    pools = folder / BOOKS[name].package / "lib" / "constants" / "pools" / f"{chain}.js"
    return _all(block[0]) | (_all(pools.read_text()) if pools.is_file() else set())


def _pancake(folder: Path, name: str, chain: str) -> set[str]:
    text = _text(folder, name, "dist/index.js")
    one = re.search(r'NFT_POSITION_MANAGER_ADDRESS = "(0x[0-9a-fA-F]{40})"', text)
    assert one is not None
    rows = re.findall(r"ChainId\.(\w+)\]: NFT_POSITION_MANAGER_ADDRESS,", text)
    return {one[1].lower()} if set(rows) & set(SPELT[chain]) else set()


def _compound(folder: Path, name: str, chain: str) -> set[str]:
    text = _text(folder, name, "dist/nodejs/constants.js")
    block = re.search(r'"mainnet": \{(.*?)\n    \}', text, re.DOTALL)
    assert block is not None
    return _all(block[1]) if chain == "ethereum" else set()


_READERS: Mapping[str, Callable[[Path, str, str], set[str]]] = {
    "Aave address book": _aave,
    "Beefy address book": _beefy,
    "npm @uniswap/sdk-core 7.19": _uniswap,
    "npm @uniswap/default-token-list 22.21": _token_list,
    "npm sushi 7.3": _sushi,
    "npm @curvefi/api 2.70": _curve,
    "npm @pancakeswap/v3-sdk 3.10": _pancake,
    "npm @compound-finance/compound-js 0.6": _compound,
}


def feeds(folder: Path, chain: str) -> dict[str, str]:
    """Return the Chainlink feeds that the Aave address book names on a chain: name by address, in lower case."""
    text = _text(folder, "Aave address book", f"src/Chainlink{SPELT[chain][0]}.sol")
    return {address.lower(): name.lower() for name, address in re.findall(r"constant (\w+) =\s*(0x\w{40})", text)}
