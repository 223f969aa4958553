"""Set the demo's stage: a local chain with real contracts, a wallet, its config, and a twin that never compounds."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from keeper.chain.anvil import LocalNode
from keeper.config.loader import Loaded, load
from keeper.config.plugins import installed_catalogue
from keeper.devnet.install import anvil_binary, ensure_installed
from keeper.devnet.settings import world_config, write_farmer_key
from keeper.devnet.trading import FARMER_NFT, TWIN_NFT
from keeper.devnet.world import World, build_world

__all__ = ["Stage", "set_stage"]


@dataclass(frozen=True, slots=True)
class Stage:
    """A running local world, and the configs of the wallet and of its twin."""

    world: World
    #: Folder with config, key and journal; stays after the demo.
    folder: Path
    #: The wallet that keeper works for.
    ours: Loaded
    #: The twin: same stakes, watched only.
    twin: Loaded

    @property
    def config(self) -> Path:
        """The config file, for looking around afterwards."""
        return self.folder / "keeper.toml"


@contextmanager
def set_stage(folder: Path, progress: Callable[[str], None]) -> Iterator[Stage]:
    """Install what is missing, start the chain, deploy, write the configs; everything ends with the block.

    Args:
        folder: emptied, then holds config, key and journal.
        progress: told each step in words.
    """
    ensure_installed(progress=progress)
    progress("starting a local chain with the protocols' own contracts")
    with LocalNode.start(binary=anvil_binary()) as node:
        world = build_world(node)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        keystore, password = write_farmer_key(folder / "keys")
        text = world_config(
            world,
            keystore=keystore,
            password_file=password,
            state=folder / "state",
            poll_gas_seconds=3_600,
            poll_positions_seconds=86_400,
            ranges=True,
        )
        text = text.replace("[keeper]\n", '[keeper]\ndrain_timeout = "3s"      # Ctrl-C shall be quick here\n', 1)
        (folder / "keeper.toml").write_text(text)
        watched = re.sub(r'(?m)^signer = "\w+"$', f'owner = "{world.twin.address}"', text)
        watched = watched.replace(f'"{folder / "state"}"', f'"{folder / "twin"}"')
        watched = watched.replace(f"token_id = {FARMER_NFT}\n", f"token_id = {TWIN_NFT}\n")
        (folder / "twin.toml").write_text(watched)
        catalogue = installed_catalogue()
        yield Stage(
            world=world,
            folder=folder,
            ours=load([folder / "keeper.toml"], catalogue=catalogue, dotenv=None),
            twin=load([folder / "twin.toml"], catalogue=catalogue, dotenv=None),
        )
        world.chain.close()
