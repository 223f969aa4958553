"""Gathers the config's layers (files, .env, secret files, environment, command line), and where each value is from."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Final

from keeper.config.fields import EnvText
from keeper.config.packaged import chain_names
from keeper.config.schema import Path, dotted, keys_at, nearest, value_at
from keeper.errors import ConfigError

__all__ = ["Layers", "default_files", "gather", "shown_file"]

#: Variables of this shape set config keys: KEEPER_SECTION__KEY. Those without ``__`` mean something else.
PREFIX: Final = "KEEPER_"


@dataclass(slots=True)
class Layers:
    """All layers merged, last wins."""

    raw: dict[str, Any] = field(default_factory=dict)
    #: Where each leaf came from: a file or a variable.
    origins: dict[Path, str] = field(default_factory=dict)
    #: Environment for ``$NAME``: .env below the process environment.
    env: dict[str, str] = field(default_factory=dict)
    #: Problems found while gathering.
    problems: list[str] = field(default_factory=list)
    files: tuple[FilePath, ...] = ()

    def origin(self, path: Path) -> str:
        """Name the source of a value, or of the nearest thing around it."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.origins:
                return self.origins[path[:end]]
        inside = [origin for place, origin in self.origins.items() if place[: len(path)] == path]
        return inside[-1] if inside else (shown_file(self.files[-1]) if self.files else "config")


def shown_file(path: FilePath) -> str:
    """Shorten a file's name for messages when it lies below the working directory."""
    try:
        return str(path.resolve().relative_to(FilePath.cwd()))
    except ValueError:
        return str(path)


def default_files(env: Mapping[str, str]) -> tuple[FilePath, ...]:
    """Return the first file that exists of ./keeper.toml, ./config/keeper.toml and the XDG config folder's."""
    found = next((path for path in candidates(env) if path.is_file()), None)
    return (found,) if found else ()


def candidates(env: Mapping[str, str]) -> tuple[FilePath, ...]:
    """List the places that are looked at when no file is named."""
    from platformdirs import user_config_path  # noqa: PLC0415 (needed only without --config)

    home = env.get("XDG_CONFIG_HOME")
    user = FilePath(home) / "keeper" if home else user_config_path("keeper")
    return FilePath("keeper.toml"), FilePath("config/keeper.toml"), user / "keeper.toml"


def gather(
    files: Sequence[FilePath], env: Mapping[str, str], overrides: Mapping[str, str], dotenv: FilePath | None
) -> Layers:
    """Read and merge every layer. Raises ConfigError when a file cannot be read or parsed."""
    layers = Layers(files=tuple(files))
    broken: list[str] = []
    for file in files:
        try:
            _merge(layers, layers.raw, _read_toml(file), (), shown_file(file))
        except ConfigError as error:
            broken += error.problems
    if broken:
        raise ConfigError(broken)
    lower = _read_dotenv(dotenv, layers.problems)
    layers.env = {**lower, **env}
    _apply(layers, lower, f"{dotenv}: ", skip=env)
    _apply(layers, env, "")
    for key, text in overrides.items():
        _set(layers, tuple(key.split(".")), EnvText(text), "command line")
    return layers


def _read_toml(file: FilePath) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        where, _, place = str(error).rpartition(" (at ")
        place = place.removesuffix(")").replace("end of document", "its end")
        raise ConfigError(f"{shown_file(file)}: {place}: not valid TOML\n  {where or error}") from None
    except FileNotFoundError:
        raise ConfigError(f"{shown_file(file)}: no such file\n  `keeper config init` writes a first one") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{shown_file(file)}: not UTF-8 text\n  save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{shown_file(file)}: cannot be read: {error.strerror}") from None


def _read_dotenv(file: FilePath | None, problems: list[str]) -> dict[str, str]:
    if file is None or not file.is_file():
        return {}
    from dotenv.parser import parse_stream  # noqa: PLC0415 (needed only when there is a .env)

    found: dict[str, str] = {}
    try:
        with file.open(encoding="utf-8") as stream:
            for binding in parse_stream(stream):
                if binding.error:
                    problems.append(
                        f"{file}: line {binding.original.line}: not of the form NAME=value\n  mend or remove it"
                    )
                elif binding.key is not None and binding.value is not None:
                    found[binding.key] = binding.value
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        problems.append(f"{file}: cannot be read: {reason}\n  mend it, or move it away")
    return found


def _merge(layers: Layers, into: dict[str, Any], table: Mapping[str, Any], path: Path, origin: str) -> None:
    """Lay ``table`` over ``into``: tables merge, everything else (arrays too) is replaced whole."""
    for key, value in table.items():
        place = (*path, key)
        if isinstance(value, dict) and isinstance(into.get(key, {}), dict):
            layers.origins.setdefault(place, origin)
            _merge(layers, into.setdefault(key, {}), value, place, origin)
        else:
            into[key] = value
            _note(layers, place, value, origin)


def _note(layers: Layers, place: Path, value: Any, origin: str) -> None:
    """Remember where a value and everything in it came from, forgetting what stood there before."""
    for old in [known for known in layers.origins if known[: len(place)] == place]:
        del layers.origins[old]
    for inner, _ in _leaves(value, place):
        layers.origins[inner] = origin


def _leaves(value: Any, place: Path) -> Iterator[tuple[Path, Any]]:
    yield place, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*place, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(inner, (*place, index))


def _apply(layers: Layers, env: Mapping[str, str], prefix: str, skip: Mapping[str, str] | None = None) -> None:
    """Set keys from KEEPER_ variables: first those that name secret files, then those that carry the value."""
    names = sorted(name for name in env if name.startswith(PREFIX) and "__" in name and name not in (skip or {}))
    direct: list[tuple[Path, EnvText, str]] = []
    for name in names:
        path = _locate(layers, name, prefix)
        if path is None:
            continue
        last = str(path[-1])
        known = keys_at(path[:-1], layers.raw)
        if last.endswith("_file") and known is not None and last not in known:
            secret = _read_secret(layers, env[name], prefix + name)
            if secret is not None:
                _set(layers, (*path[:-1], last.removesuffix("_file")), secret, f"{prefix}{name}")
        else:
            direct.append((path, EnvText(env[name]), prefix + name))
    for path, text, origin in direct:
        _set(layers, path, text, origin)


def _read_secret(layers: Layers, file: str, origin: str) -> EnvText | None:
    try:
        return EnvText(FilePath(file).read_text("utf-8").rstrip("\r\n"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        layers.problems.append(f"{origin}: names the secret file {os.fspath(file)}\n  it cannot be read: {reason}")
        return None


def _locate(layers: Layers, name: str, prefix: str) -> Path | None:
    """Turn KEEPER_CHAINS__bnb__RPC into a place. Fixed keys are lower-case; names keep the case they have."""
    path: Path = ()
    for part in name.removeprefix(PREFIX).split("__"):
        here = value_at(layers.raw, path)
        if isinstance(here, list):
            if not part.isdecimal() or int(part) >= len(here):
                layers.problems.append(
                    f"{prefix}{name}: {dotted(path)} has entries 0 to {len(here) - 1}\n  name one of them by its number"
                )
                return None
            path = (*path, int(part))
            continue
        names = keys_at(path, layers.raw)
        if names is not None:
            path = (*path, part.lower())
        else:
            existing = [*(here if isinstance(here, dict) else ()), *(chain_names() if path == ("chains",) else ())]
            path = (*path, next((known for known in existing if known.lower() == part.lower()), part))
    if path[0] not in (top := keys_at((), {}) or ()):
        hint = nearest(path[0], top)
        layers.problems.append(
            f"{prefix}{name}: no such section {path[0]!r}\n  "
            + (f"did you mean {PREFIX}{hint.upper()}__...?" if hint else f"sections: {', '.join(top)}")
        )
        return None
    return path


def _set(layers: Layers, path: Path, text: EnvText, origin: str) -> None:
    here: Any = layers.raw
    for index, part in enumerate(path[:-1]):
        if isinstance(here, dict) and not isinstance(here.get(part, {}), (dict, list)):
            here[part] = {}
        if isinstance(here, dict):
            layers.origins.setdefault(path[: index + 1], origin)
            here = here.setdefault(part, {})
        else:
            if not isinstance(here[part], (dict, list)):
                here[part] = {}
            here = here[part]
    here[path[-1]] = text
    _note(layers, path, text, origin)
