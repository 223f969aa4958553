"""Remember what a position's contracts said first: what may be signed follows from it; nothing said later widens it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from keeper import __version__
from keeper.domain.ids import content_id
from keeper.engine.book import Book
from keeper.errors import Refused
from keeper.ports import Permission, Store

__all__ = ["pin_key", "pinned"]


def pin_key(position_id: str) -> str:
    """Name the flag that holds a position's pin; ``keeper unblock`` clears it."""
    return f"pin:{position_id}"


def pinned(store: Store, book: Book, allowed: Mapping[str, Sequence[Permission]]) -> Book:
    """Leave out positions whose contracts now answer so that their key could sign something new.

    A pin belongs to a position's config and to this version of keeper: after a change of either the next answer is
    remembered anew.
    """
    failures, first = dict(book.failures), dict[str, str | None]()
    for holding in book.holdings:
        position = holding.position
        about = f"{__version__}-{content_id(position)}"
        said = content_id(sorted(_spelled(permission) for permission in allowed[position.id]))
        before, _, remembered = (store.get_flag(pin_key(position.id)) or ":").partition(":")
        if before != about:
            first[pin_key(position.id)] = f"{about}:{said}"
        elif remembered != said:
            failures[position.id] = Refused(
                f"{position.id}: its contracts (or the endpoint) answer differently than when keeper first saw them; "
                f"look at `keeper positions --live`, then accept it with `keeper unblock {position.id}`"
            )
    store.set_flags(first)
    kept = tuple(h for h in book.holdings if h.position.id not in failures)
    return replace(book, holdings=kept, failures=failures)


def _spelled(permission: Permission) -> str:
    """Spell what a permission allows; its label is for people, and a token may change its ticker."""
    rules = [f"{rule.word}:{sorted(rule.allowed)}:{rule.at_least}:{rule.at_most}" for rule in permission.args]
    return f"{permission.to} {permission.selector.hex()} {permission.words} {' '.join(rules)}"
