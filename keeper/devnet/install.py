"""Install the local chain and the real protocol contracts from npm, once, into a cache folder.

``python -m keeper.devnet.install`` does it by hand. Versions and hashes are pinned by ``npm/package-lock.json``; no
install scripts run, and nothing of the packages is executed but anvil.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

from keeper.chain.anvil_binary import devnet_home, find_anvil
from keeper.errors import ConfigError

__all__ = ["anvil_binary", "artifact", "ensure_installed", "multicall3_runtime"]

#: Told what happens while it takes long.
Progress = Callable[[str], None]

_NPM_FILES: Final = Path(__file__).parent / "npm"

#: The npm package that carries Multicall3's code, in one file out of 10,000: it is fetched and read, not unpacked.
_MULTICALL_PACKAGE: Final = "viem@2.57.20"
_MULTICALL_INTEGRITY: Final = "LSvREzKT7xFXpmxW2YFJ/OtcZRkSGLp5zywSgadBf0qQCeqh2+FxHHWyrS2zEG7ZfBWQQvk8HI1i4HPzSMD14g=="
_MULTICALL_MEMBER: Final = "package/_cjs/constants/contracts.js"
_MULTICALL_FILE: Final = "multicall3.hex"

#: The same package's chain definitions, kept beside it: what the shipped chain facts are compared with in the tests.
_CHAIN_MEMBERS: Final = (
    "op-stack/chainConfig.ts",
    *(
        f"chains/definitions/{name}.ts"
        for name in ("mainnet", "bsc", "polygon", "avalanche", "arbitrum", "optimism", "base")
    ),
)

#: Parts of the packages that nothing here reads; removed after the install because they are two thirds of it.
_UNUSED: Final = (
    "@aave/core-v3/artifacts/build-info",
    "@aave/core-v3/dist",
    "@aave/core-v3/types",
    "@traderjoe-xyz/core/artifacts/build-info",
    "@traderjoe-xyz/core/deployments",
    "@traderjoe-xyz/core/types",
    *(f"@uniswap/v4-core/{folder}" for folder in ("docs", "lib", "snapshots", "test")),
    *(f"@uniswap/v4-periphery/{folder}" for folder in ("audits", "broadcast", "snapshots", "test")),
)

#: Folders of Uniswap V4's packages, and all of each that is read here: 90 MB less. Not part of the fingerprint: an
#: install that has more does no harm, and need not be repeated.
_ONLY: Final = {
    "@uniswap/v4-core": ("out", "package.json", "licenses"),
    "@uniswap/v4-core/out": ("PoolManager.sol", "PoolSwapTest.sol"),
    "@uniswap/v4-periphery": ("foundry-out", "package.json", "LICENSE"),
    "@uniswap/v4-periphery/foundry-out": ("DeployPermit2.sol", "PositionManager.sol", "StateView.sol"),
}

_RETRY: Final = "Check the network and npm's registry setting, then run: python -m keeper.devnet.install"


def ensure_installed(*, progress: Progress | None = None) -> Path:
    """Install what is missing and return the devnet home; does nothing when it is complete.

    Safe to call from several processes at once: one installs, the others wait.

    Raises:
        ConfigError: when npm is missing or fails; the message says what to do.
    """
    home = devnet_home()
    wanted = _fingerprint()
    if _stamp(home) == wanted:
        return home
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / ".install.lock"):
        if _stamp(home) != wanted:
            if progress is not None:
                progress("installing the local chain and the protocol contracts from npm (about 20 seconds, 90 MB)")
            _install(home)
            (home / ".installed").write_text(wanted)
    return home


def anvil_binary() -> Path:
    """Return an anvil binary: the pinned one of the install, else what ``find_anvil`` finds.

    Raises:
        ConfigError: when there is none for this machine.
    """
    installed = ensure_installed() / "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
    found = installed if installed.is_file() else find_anvil()
    if found is None:
        raise ConfigError(
            "no anvil binary for this machine: the pinned npm package is for Linux on x86-64. "
            "Install Foundry (getfoundry.sh) so that anvil is on PATH, or set KEEPER_ANVIL."
        )
    return found


@cache
def artifact(path: str) -> dict[str, Any]:
    """Read a compiled contract of the install; ``path`` is relative to ``node_modules``.

    Raises:
        ConfigError: when the install is damaged.
    """
    file = ensure_installed() / "node_modules" / path
    try:
        loaded: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read ({error}). Remove {devnet_home()} and install again.") from error
    return loaded


def multicall3_runtime() -> str:
    """Return Multicall3's runtime code as 0x hex."""
    return (ensure_installed() / _MULTICALL_FILE).read_text()


def _fingerprint() -> str:
    """Hash of everything that decides what is installed."""
    digest = hashlib.sha256((_NPM_FILES / "package-lock.json").read_bytes())
    digest.update(repr((_MULTICALL_PACKAGE, _MULTICALL_INTEGRITY, _CHAIN_MEMBERS, _UNUSED)).encode())
    return digest.hexdigest()


def _stamp(home: Path) -> str:
    try:
        return (home / ".installed").read_text()
    except FileNotFoundError:
        return ""


def _install(home: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise ConfigError("npm is not installed. Install Node.js 18 or newer with npm (Debian: apt-get install npm).")
    (home / ".installed").unlink(missing_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(_NPM_FILES / name, home / name)
    with tempfile.TemporaryDirectory(dir=home) as scratch:
        pack = _start(npm, ["pack", _MULTICALL_PACKAGE, "--silent", "--pack-destination", scratch], home)
        packages = _start(npm, ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], home)
        try:
            _finish(packages)
            _finish(pack)
        finally:
            pack.kill()
            pack.wait()
        archive = next(Path(scratch).glob("*.tgz"))
        code = _read_multicall(archive)
        _keep_chains(archive, home / "viem")
    (home / _MULTICALL_FILE).write_text(code)
    _trim(home / "node_modules")


def _trim(packages: Path) -> None:
    """Remove what nothing here reads."""
    unwanted = [packages / folder for folder in _UNUSED]
    for folder, kept in _ONLY.items():
        unwanted += [one for one in (packages / folder).glob("*") if one.name not in kept]
    for one in unwanted:
        if one.is_dir():
            shutil.rmtree(one, ignore_errors=True)
        else:
            one.unlink(missing_ok=True)


def _start(npm: str, arguments: Sequence[str], home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - npm with fixed arguments, no shell
        [npm, *arguments, "--no-update-notifier"],
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _finish(process: subprocess.Popen[str]) -> None:
    """Wait for npm; its chatter is shown only when it failed."""
    output, _ = process.communicate()
    if process.returncode:
        lines = [line for line in output.splitlines() if "npm error" in line] or output.splitlines()
        words = "\n  ".join(lines[-12:])
        raise ConfigError(f"npm failed with exit code {process.returncode}:\n  {words}\n{_RETRY}")


def _read_multicall(archive: Path) -> str:
    """Check the package's hash and cut Multicall3's runtime code out of its deployment code."""
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != _MULTICALL_INTEGRITY:
        raise ConfigError(f"{_MULTICALL_PACKAGE} has another hash than the pinned one: sha512-{found}. {_RETRY}")
    with tarfile.open(archive) as tar:
        member = tar.extractfile(_MULTICALL_MEMBER)
        assert member is not None
        text = member.read().decode()
    match = re.search(r"multicall3Bytecode = '0x([0-9a-f]+)'", text)
    assert match is not None
    # What follows the constructor's `codecopy; return; invalid` is the runtime code.
    return "0x" + match[1].partition("f3fe")[2]


def _keep_chains(archive: Path, folder: Path) -> None:
    """Copy the chain definitions out of the (already checked) package."""
    with tarfile.open(archive) as tar:
        for name in _CHAIN_MEMBERS:
            member = tar.extractfile(f"package/{name}")
            assert member is not None
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(member.read())


def _main() -> int:
    try:
        home = ensure_installed(progress=print)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 78
    sys.stdout.write(f"ready in {home}\n")
    return 0


if __name__ == "__main__":
    sys.exit(_main())
