"""Hold many conversations with a chain at once: each round's reads of all of them travel together."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

from keeper.domain.block import BlockRef
from keeper.domain.reads import Read, ReadResult
from keeper.errors import KeeperError, ReadFailed
from keeper.ports import Chain, Questions

__all__ = ["converse"]

Key = TypeVar("Key", bound=Hashable)
Learnt = TypeVar("Learnt")


def converse(chain: Chain, block: BlockRef, talks: Mapping[Key, Questions[Learnt]]) -> dict[Key, Learnt | KeeperError]:
    """Bring every conversation to its end.

    An error inside one conversation is that one's answer; a failing chain raises Transient.
    """
    done: dict[Key, Learnt | KeeperError] = {}
    waiting: dict[Key, Sequence[Read]] = {}

    def step(key: Key, answers: Sequence[ReadResult] | None) -> None:
        talk = talks[key]
        try:
            waiting[key] = next(talk) if answers is None else talk.send(answers)
        except StopIteration as stop:
            done[key] = stop.value
        except KeeperError as error:
            done[key] = error
        except Exception as error:  # noqa: BLE001  (what contracts answer can be anything: one talk must stop no other)
            done[key] = ReadFailed(f"what the chain said makes no sense here: {type(error).__name__}: {error}")

    for key in talks:
        step(key, None)
    while waiting:
        batch, waiting = waiting, {}
        answers = iter(chain.read([read for reads in batch.values() for read in reads], block))
        for key, reads in batch.items():
            step(key, [next(answers) for _ in reads])
    return done
