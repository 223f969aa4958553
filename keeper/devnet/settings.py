"""Write the local world's keeper.toml, and the farmer's key as a keystore file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from keeper.devnet.accounts import FARMER
from keeper.devnet.market import POOLS
from keeper.devnet.positions import SIGNER
from keeper.domain.facts import ChainFacts
from keeper.domain.money import Address, Token
from keeper.domain.position import Position

if TYPE_CHECKING:
    from keeper.devnet.world import World

__all__ = ["example_config", "world_config", "write_farmer_key"]

#: Opens the farmer's keystore. As public as its key.
_PASSWORD: Final = "local world"  # noqa: S105

_HEADER: Final = """\
# The config of the local world: three positions of one wallet, in the protocols' own code on a chain of its own.
# `keeper demo` writes it with its own port and paths; the contracts' addresses are the same in every run.
"""


def world_config(
    world: World,
    *,
    keystore: Path,
    password_file: Path,
    state: Path,
    poll_gas_seconds: int = 1,
    poll_positions_seconds: int = 1,
    ranges: bool = False,
) -> str:
    """Return keeper.toml for the farmer's three positions, and with ``ranges`` for its NFT, too.

    Args:
        world: the chain; its RPC URL and addresses are filled in.
        keystore: the farmer's keystore file (``write_farmer_key``).
        password_file: the file with its password.
        state: folder of the journal.
        poll_gas_seconds: seconds between looks at the gas price.
        poll_positions_seconds: seconds between reads of the positions.
        ranges: with the NFT in Uniswap V3, which earns only while somebody trades (``World.trade``).
    """
    parts = [
        _HEADER,
        f"[keeper]\nstate = {_quoted(state)}\n",
        _chain(world.facts, world.rpc_url, poll_gas_seconds, poll_positions_seconds),
        *(_feed(world, address) for address in world.facts.feeds),
        _signer(keystore, password_file),
        _PRICES,
        *_price_sources(world),
        '[limits]\nper_tx = "$20"       # no transaction may cost more\nper_day = "$200"\n',
        "[web]\nenabled = false\n",
        *(_position(position) for position in (*world.positions, *((world.range_position,) if ranges else ()))),
    ]
    return "\n".join(parts)


def example_config(world: World) -> str:
    """Return the text of ``config/demo.toml``: as above, with anvil's usual port and paths beside the file."""
    keys = Path("keys")
    text = world_config(
        world, keystore=keys / "farm.json", password_file=keys / "farm.password", state=Path("demo-state")
    )
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8545", text)


def write_farmer_key(folder: Path) -> tuple[Path, Path]:
    """Write the farmer's keystore (v3, cheap to open) and its password file; returns both paths."""
    from eth_account import Account  # noqa: PLC0415 - half a second, and most of devnet does without

    folder.mkdir(parents=True, exist_ok=True)
    keystore, password = folder / "farm.json", folder / "farm.password"
    encrypted = Account.encrypt(bytes.fromhex(FARMER.private_key[2:]), _PASSWORD, kdf="pbkdf2", iterations=1_000)
    for path, text in ((keystore, json.dumps(encrypted)), (password, _PASSWORD + "\n")):
        path.touch(mode=0o600)
        path.write_text(text)
    return keystore, password


_PRICES: Final = """\
# Two sources must agree on every price: the token's feed (above) and the pool it is traded in.
[prices]
min_sources = 2
max_deviation_bps = 200
"""


def _chain(facts: ChainFacts, url: str, poll_gas_seconds: int, poll_positions_seconds: int) -> str:
    return f"""\
[chains.{facts.name}]
rpc = ["{url}"]
chain_id = {facts.chain_id}
native_symbol = "{facts.native_symbol}"
wrapped_native = "{facts.wrapped_native}"
block_time_ms = {facts.block_time_ms}       # long, so that a month is few blocks
fee_model = "{facts.fee_model}"
tip_floor_gwei = "0.01"
tip_cap_gwei = 2
l1_fee = "{facts.l1_fee}"
confirmations = {facts.confirmations}             # blocks come only with transactions here
multicall3 = "{facts.multicall3}"
poll_gas_seconds = {poll_gas_seconds}
poll_positions_seconds = {poll_positions_seconds}
"""


def _feed(world: World, token: Address) -> str:
    fact = world.facts.feeds[token]
    return f"""\
[chains.{world.facts.name}.feeds."{token}"]   # {_symbol(world, token)}
feed = "{fact.feed}"
max_age_seconds = {fact.max_age_seconds}
"""


def _signer(keystore: Path, password_file: Path) -> str:
    return f"""\
[signers.{SIGNER}]
kind = "keystore"
path = {_quoted(keystore)}
password_file = {_quoted(password_file)}
address = "{FARMER.address}"
"""


def _price_sources(world: World) -> list[str]:
    pools = {plan.quote if plan.base == "WETH" else plan.base: plan.name for plan in POOLS}
    pairs = {"WETH" if symbol == "USDC" else symbol: world.lp(pool) for symbol, pool in pools.items()}
    sources = {world.usdc: 'kind = "fixed", usd = "1.00"'}
    sources |= {world.token(symbol): f'kind = "uniswap-v2", pair = "{pair.address}"' for symbol, pair in pairs.items()}
    return [_price(token, source) for token, source in sources.items()]


def _price(token: Token, source: str) -> str:
    return f"""\
[[prices.tokens]]
chain = "{token.chain}"
token = "{token.address}"                  # {token.symbol}
sources = [{{ {source} }}]
"""


def _position(position: Position) -> str:
    """Write one block; ``block_time_ms`` is left out because the chain's fact is used."""
    params = {key: value for key, value in position.params.items() if key != "block_time_ms"}
    lines = [f"{key} = {value if isinstance(value, int) else _quoted(value)}" for key, value in params.items()]
    route = position.route
    assert route is not None
    via = ", ".join(f'"{token}"' for token in route.via)
    return "\n".join(
        [
            "[[positions]]",
            f'id = "{position.id}"',
            f'chain = "{position.chain}"',
            f'protocol = "{position.protocol}"',
            f'target = "{position.target}"',
            *lines,
            f'signer = "{position.signer}"',
            f'route = {{ kind = "{route.kind}", router = "{route.router}", via = [{via}] }}',
            "",
        ]
    )


def _symbol(world: World, token: Address) -> str:
    return next(known.symbol for known in world.tokens if known.address == token)


def _quoted(value: Path | str) -> str:
    """Spell a TOML string; a dollar sign in a path is one, not a variable."""
    text = str(value)
    return json.dumps(text.replace("$", "$$") if isinstance(value, Path) else text)
