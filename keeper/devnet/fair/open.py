"""Open the fair on a node: from the kept state, or by building every family once."""

from __future__ import annotations

import hashlib
import json
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from filelock import FileLock

from keeper.chain.anvil import LocalNode
from keeper.devnet import fair
from keeper.devnet.fair.stall import BLOCK_SECONDS, Ground, Stall
from keeper.devnet.install import ensure_installed
from keeper.devnet.world import build_world
from keeper.domain.money import Address

__all__ = ["Fair", "families", "open_fair"]

_HERE: Final = Path(__file__).parent
#: Files here that are no family.
_TOOLS: Final = frozenset({"open", "stall", "yard"})


@dataclass(frozen=True, slots=True)
class Fair:
    """The open fair."""

    node: LocalNode
    #: By family: the world's addresses and its own.
    grounds: Mapping[str, Ground]
    stalls: tuple[Stall, ...]

    @property
    def ground(self) -> Ground:
        """The world's own addresses."""
        return self.grounds[""]


def families() -> tuple[str, ...]:
    """Names of all families, which are the modules of this package, in order."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(fair.__path__) if m.name not in _TOOLS))


def open_fair(node: LocalNode, only: Iterable[str] | None = None) -> Fair:
    """Put the fair on an empty node (chain id 31337).

    Args:
        node: the node; families with large contracts want ``extra=("--code-size-limit", "100000")`` and all of them
            ``"--gas-limit", "60000000"``.
        only: families to build; all by default. Each choice is kept in a file of its own.
    """
    names = families() if only is None else tuple(sorted(only))
    modules = {name: import_module(f"{fair.__name__}.{name}") for name in names}
    found = _load_or_build(node, modules)
    node.rpc("anvil_setBlockTimestampInterval", BLOCK_SECONDS)
    head = int(node.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    node.rpc("evm_setNextBlockTimestamp", head + BLOCK_SECONDS)
    node.rpc("evm_mine")
    world = found.pop("")
    grounds = {"": Ground(world), **{name: Ground({**world, **own}) for name, own in found.items()}}
    stalls: list[Stall] = []
    for name, module in modules.items():
        stalls += module.stalls(grounds[name])
    return Fair(node, grounds, tuple(stalls))


def _load_or_build(node: LocalNode, modules: Mapping[str, ModuleType]) -> dict[str, dict[str, Address]]:
    home = ensure_installed()
    file = home / f"fair-{_fingerprint(home, node, tuple(modules))}.json"
    with FileLock(home / ".fair.lock"):
        if not file.exists():
            return _build_and_keep(node, modules, file)
    kept: dict[str, Any] = json.loads(file.read_text())
    node.rpc("anvil_loadState", kept["state"])
    return {family: {name: Address(at) for name, at in own.items()} for family, own in kept["addresses"].items()}


def _build_and_keep(node: LocalNode, modules: Mapping[str, ModuleType], file: Path) -> dict[str, dict[str, Address]]:
    from keeper.devnet.fair.yard import Yard  # noqa: PLC0415 - web3 costs a second, and only the first start needs it

    world = build_world(node)
    world.chain.close()
    node.rpc("anvil_setBlockTimestampInterval", BLOCK_SECONDS)
    found: dict[str, dict[str, Address]] = {"": dict(world.addresses)}
    for name, module in modules.items():
        found[name] = dict(module.build(Yard(node, name, world.addresses)))
    partial = file.with_suffix(f".{file.stem[-4:]}.partial")
    partial.write_text(json.dumps({"addresses": found, "state": node.rpc("anvil_dumpState")}))
    partial.replace(file)
    return found


def _fingerprint(home: Path, node: LocalNode, names: Sequence[str]) -> str:
    """Hash of everything that decides what the fair looks like."""
    digest = hashlib.sha256((home / ".installed").read_bytes())
    digest.update(node.rpc("web3_clientVersion").encode() + repr(names).encode())
    here, devnet = _HERE, _HERE.parent
    mine = [here / f"{name}.py" for name in (*names, *_TOOLS)]
    for source in sorted([*devnet.glob("*.py"), *mine, *devnet.glob("contracts/*.json")]):
        digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()[:16]
