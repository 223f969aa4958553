"""Makes the policies that a config names as the engine asks them: installed ones, and processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from types import MappingProxyType

from keeper.errors import ConfigError
from keeper.policies.external import External, ExternalPolicy
from keeper.policies.installed import InstalledPolicy
from keeper.policies.telling import Teller
from keeper.ports import Clock, EventSink
from keeper.strategy.policies import DEFAULT, policy
from keeper.strategy.policy import Policy
from keeper.strategy.verdicts import LivePolicy

__all__ = ["live_policies"]


def live_policies(
    names: Iterable[str],
    external: Mapping[str, External],
    installed: Mapping[str, Policy],
    *,
    events: EventSink,
    clock: Clock,
    resources: ExitStack,
    params: Mapping[str, Mapping[str, str | int | bool]] = MappingProxyType({}),
    redact: Callable[[str], str] = str,
) -> Mapping[str, LivePolicy]:
    """Make each named policy once.

    Args:
        names: what ``policy =`` says, of ``[strategy]`` and of every position. keeper's rule (and an empty name) is
            left out: the engine has it in exact integers.
        external: ``[policies.NAME]`` blocks; nothing is started before it is first asked.
        installed: policies by entry point, checked (``keeper.config.plugins.load_policies``).
        events: hears of policies that fail.
        clock: for the time between two starts of a process.
        resources: ends the processes when it closes.
        params: keys that the config gives to installed policies, checked against what they declare.
        redact: removes secrets from what a policy says.

    Raises:
        ConfigError: a name is known to none of them, or an installed policy does not take its keys.
    """
    made: dict[str, LivePolicy] = {}
    for name in dict.fromkeys(names):
        if name in external:
            process = ExternalPolicy(name, external[name], events, clock, redact)
            resources.callback(process.close)
            made[name] = process
        elif name not in {"", DEFAULT}:
            found = _with_params(_find(name, installed), params.get(name, {}))
            made[name] = InstalledPolicy(found, Teller(name, events, clock, redact))
    return made


def _with_params(found: Policy, params: Mapping[str, str | int | bool]) -> Policy:
    """Make an installed policy anew with the keys that the config gives it."""
    if not params:
        return found
    try:
        made: Policy = type(found)(**params)
    except Exception as error:  # noqa: BLE001 (a third party's policy may fail in any way)
        raise ConfigError(
            f"policies.{found.name}: the policy does not take these values ({type(error).__name__}: {error})\n"
            "  change them; `keeper protocols` lists what it takes"
        ) from None
    return made


def _find(name: str, installed: Mapping[str, Policy]) -> Policy:
    if name in installed:
        return installed[name]
    try:
        return policy(name)  # a multiple of the cost that is no entry point: "r>37g"
    except KeyError:
        known = ", ".join(sorted(installed))
        raise ConfigError(f"no policy {name!r}; `keeper protocols` lists all: {known}") from None
