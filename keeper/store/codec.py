"""Domain values as JSON text and back, exactly: what is stored comes back equal.

Integers are written as strings, so that no reader loses digits. A field that a later version added is read back with
its default, so that an older journal stays readable.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, NamedTuple, NewType, TypeVar, Union, get_args, get_origin, get_type_hints

__all__ = ["dump", "load"]

Value = TypeVar("Value")


class _Codec(NamedTuple):
    """How one type is written and read."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def dump(kind: Any, value: Any) -> str:
    """Write ``value``, which is of type ``kind`` (a dataclass, or a ``tuple[X, ...]`` of them)."""
    return json.dumps(_codec(kind).write(value), separators=(",", ":"), ensure_ascii=False)


def load(kind: Any, text: str) -> Any:
    """Read what ``dump`` wrote for the same type.

    Raises:
        ValueError: when the text is not such a value.
    """
    try:
        return _codec(kind).read(json.loads(text))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a stored {getattr(kind, '__name__', kind)}: {error!r}") from error


def _same(value: Any) -> Any:
    return value


#: Types that JSON, or one conversion, carries as they are.
_PLAIN: dict[Any, _Codec] = {
    bool: _Codec(_same, _same),
    str: _Codec(_same, _same),
    int: _Codec(str, int),
    bytes: _Codec(bytes.hex, bytes.fromhex),
    NoneType: _Codec(_same, _same),
}


@lru_cache(maxsize=256)
def _codec(kind: Any) -> _Codec:
    if kind in _PLAIN:
        return _PLAIN[kind]
    if isinstance(kind, NewType):
        return _codec(kind.__supertype__)
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _union(get_args(kind))
    if origin in (tuple, frozenset):
        return _collection(origin, get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _Codec(lambda value: value.value, kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return _record(kind)
    raise TypeError(f"{kind!r} has no stored form")


def _union(kinds: tuple[Any, ...]) -> _Codec:
    """``X | None`` is X or null; a union of dataclasses is tagged with the class name."""
    real = [kind for kind in kinds if kind is not NoneType]
    if len(real) == 1:
        write, read = _codec(real[0])
        return _Codec(
            lambda value: None if value is None else write(value), lambda data: None if data is None else read(data)
        )
    by_name = {kind.__name__: _codec(kind) for kind in real}

    def write_tagged(value: Any) -> dict[str, Any]:
        name = type(value).__name__
        return {"type": name, **by_name[name].write(value)}

    return _Codec(write_tagged, lambda data: by_name[data["type"]].read(data))


def _collection(origin: Any, kinds: tuple[Any, ...]) -> _Codec:
    """``tuple[X, ...]``, ``tuple[X, Y]`` and ``frozenset[X]`` are lists."""
    if origin is tuple and kinds[-1] is not Ellipsis:
        parts = [_codec(kind) for kind in kinds]
        return _Codec(
            lambda value: [part.write(item) for part, item in zip(parts, value, strict=True)],
            lambda data: tuple(part.read(item) for part, item in zip(parts, data, strict=True)),
        )
    write, read = _codec(kinds[0])
    if origin is frozenset:
        return _Codec(lambda value: sorted(write(item) for item in value), lambda data: frozenset(map(read, data)))
    return _Codec(lambda value: [write(item) for item in value], lambda data: tuple([read(item) for item in data]))


def _record(kind: type[Any]) -> _Codec:
    """Return the codec of a dataclass: an object by field names."""
    hints = get_type_hints(kind)
    parts = [(field.name, _codec(hints[field.name]), _default(field)) for field in fields(kind)]
    writers = [(name, codec.write) for name, codec, _ in parts]

    def write(value: Any) -> dict[str, Any]:
        return {name: put(getattr(value, name)) for name, put in writers}

    def read(data: Any) -> Any:
        known = {name: codec.read(data[name]) if name in data else default() for name, codec, default in parts}
        return kind(**known)

    return _Codec(write, read)


def _default(field: Field[Any]) -> Callable[[], Any]:
    if field.default_factory is not MISSING:
        return field.default_factory

    def constant() -> Any:
        if field.default is MISSING:
            raise KeyError(field.name)
        return field.default

    return constant
