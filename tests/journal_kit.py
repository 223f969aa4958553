"""What tests of commands that read only the journal share: a watched position, its config, and a folder to run in."""

from __future__ import annotations

from pathlib import Path

from keeper.domain.money import Address, Token

OWNER = Address("0x" + "11" * 20)
LP = Token("bnb", Address("0x" + "22" * 20), "CAKE-BNB", 18)

#: Its endpoint does not exist, and its address must never be shown.
CONFIG = """
[keeper]
state = "state"
[chains.bnb]
rpc = ["https://rpc.example/secret-path-0123456789"]
[[positions]]
id = "cake-bnb"
chain = "bnb"
protocol = "masterchef"
target = "0x4444444444444444444444444444444444444444"
pid = 2
owner = "0x1111111111111111111111111111111111111111"
"""


def settle(folder: Path, monkeypatch, config: str = CONFIG) -> Path:
    """Make a folder with a config the one to run in; the folder."""
    (folder / "keeper.toml").write_text(config)
    monkeypatch.chdir(folder)
    return folder
