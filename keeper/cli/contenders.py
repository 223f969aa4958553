"""The policies that a backtest asks: built in, installed, and the config's own processes, by their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from keeper.domain.decision import ReasonCode
from keeper.domain.events import Event, EventName
from keeper.errors import KeeperError
from keeper.strategy.policies import DEFAULT, POLICIES, policy

if TYPE_CHECKING:
    from keeper.config.loader import Loaded
    from keeper.strategy.policy import Policy, Scene
    from keeper.strategy.verdicts import LivePolicy

__all__ = ["Contenders", "contenders"]


@dataclass(frozen=True, slots=True)
class Contenders:
    """Policies in the order of the rows."""

    names: tuple[str, ...]
    #: Those that are asked one position at a time.
    live: Mapping[str, LivePolicy]

    def for_position(self, position_id: str, own: Policy) -> list[Policy]:
        """Return them for one position; ``own`` stands for keeper's rule."""
        return [self._one(name, position_id, own) for name in self.names]

    def _one(self, name: str, position_id: str, own: Policy) -> Policy:
        if name == DEFAULT:
            return own
        return _Asked(self.live[name], position_id) if name in self.live else policy(name)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A policy of somebody else, about one position. One that fails ends the backtest: it would look like a wait."""

    judge: LivePolicy
    position_id: str

    @property
    def name(self) -> str:
        """The name it has in the config."""
        return self.judge.name

    def wants(self, scene: Scene) -> bool:
        """Say whether to harvest now.

        Raises:
            KeeperError: it gave no answer.
        """
        answer = self.judge.judge(scene, self.position_id)
        if answer.code is ReasonCode.POLICY_FAILED:
            raise KeeperError(f"{self.position_id}: {answer.why}; or leave it out with --policy")
        return answer.harvest


class _Loud:
    """Passes on what policies say for people."""

    def emit(self, event: Event) -> None:
        if event.name is EventName.POLICY_SAID:
            click.echo(f"{event.fields.get('policy')}: {event.fields.get('text')}", err=True)


@contextmanager
def contenders(names: Sequence[str], loaded: Loaded | None) -> Iterator[Contenders]:
    """Lend policies; processes that were started end with it.

    Args:
        names: which; without any all that are built in or installed, and all that the config names.
        loaded: the config, where there is one.

    Raises:
        click.BadParameter: there is none of a name.
    """
    from keeper.config.plugins import load_policies
    from keeper.engine.clock import SystemClock
    from keeper.policies.external import External
    from keeper.policies.live import live_policies

    installed = load_policies()
    blocks = {} if loaded is None else loaded.settings.policies
    known = tuple(dict.fromkeys((*POLICIES, *installed, *blocks)))
    chosen = tuple(dict.fromkeys(names)) or known
    for name in chosen:
        if name not in known and not _is_multiple(name):
            text = f"no policy is called {name!r}; there are {', '.join(known)}, and r>Kg for any K"
            raise click.BadParameter(text, param_hint="--policy")
    foreign = [name for name in chosen if name in known and name not in POLICIES]
    with ExitStack() as resources:
        live = live_policies(
            foreign,
            {name: External(block.command, float(block.timeout)) for name, block in blocks.items()},
            installed,
            events=_Loud(),
            clock=SystemClock(),
            resources=resources,
        )
        yield Contenders(chosen, live)


def _is_multiple(name: str) -> bool:
    try:
        policy(name)
    except KeyError:
        return False
    return True
