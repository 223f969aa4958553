"""Loads the config: gathers the layers, checks everything, and gives the values that the engine takes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import cast

from keeper.config import models
from keeper.config.catalogue import Catalogue
from keeper.config.chains import merge
from keeper.config.checks import Parts, check_parts
from keeper.config.fields import parse_address
from keeper.config.keystores import keystore_address
from keeper.config.problems import Problems
from keeper.config.references import check_references, check_secrets
from keeper.config.schema import dotted
from keeper.config.sources import PREFIX, Layers, candidates, default_files, gather
from keeper.config.strategy_references import payout_clash
from keeper.domain.facts import ChainFacts
from keeper.domain.money import Address
from keeper.domain.position import Position
from keeper.domain.transaction import Submission
from keeper.errors import ConfigError
from keeper.ports import PriceSpec

__all__ = ["Loaded", "load", "state_folder"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A config without mistakes."""

    settings: models.Settings
    layers: Layers

    @property
    def files(self) -> tuple[FilePath, ...]:
        """The TOML files that were read, first to last."""
        return self.layers.files

    @property
    def env(self) -> Mapping[str, str]:
        """The environment with .env below it: where signers find their variables."""
        return self.layers.env

    @property
    def state(self) -> FilePath:
        """Folder of the journal."""
        return self.settings.keeper.state or state_folder(self.layers.env)

    @property
    def journal(self) -> FilePath:
        """The journal's file."""
        return self.state / "keeper.db"

    @property
    def heartbeat_file(self) -> FilePath:
        """File that the daemon touches with every turn of its loop."""
        return self.settings.keeper.heartbeat_file or self.state / "heartbeat"

    @property
    def kill_file(self) -> FilePath:
        """File whose presence pauses everything."""
        return self.settings.keeper.kill_file or self.state / "PAUSE"

    def chain_facts(self, name: str) -> ChainFacts:
        """Return the facts of a configured chain.

        Raises:
            ConfigError: when the config has no such chain.
        """
        if name not in self.settings.chains:
            known = ", ".join(self.settings.chains) or "none"
            raise ConfigError(f"no chain {name!r} in this config; chains: {known}")
        return merge(name, self.settings.chains[name])

    def quorum(self, name: str) -> int:
        """Return how many endpoints of a chain must agree where money depends on the answer."""
        chain = self.settings.chains[name]
        return chain.quorum or max(1, min(2, len(chain.rpc)))

    def error_words(self, name: str) -> Mapping[Submission, tuple[str, ...]]:
        """Return what nodes of a chain say to transactions, as far as the config knows better than keeper."""
        errors = self.settings.chains[name].errors
        return errors.to_domain() if errors else MappingProxyType({})

    def price_specs(self) -> Mapping[tuple[str, Address], tuple[PriceSpec, ...]]:
        """Return the price sources by chain and token: the chain's trusted feed first, then the configured ones.

        A token whose own block names a ``chainlink`` source does without the chain's feed.
        """
        specs: dict[tuple[str, Address], tuple[PriceSpec, ...]] = {}
        for name in self.settings.chains:
            facts = self.chain_facts(name)
            uptime = {"sequencer_feed": facts.sequencer_feed} if facts.sequencer_feed else {}
            for token, feed in facts.feeds.items():
                settings: dict[str, str | int] = {"feed": feed.feed, "max_age_seconds": feed.max_age_seconds, **uptime}
                specs[name, token] = (PriceSpec("chainlink", MappingProxyType(settings)),)
        for block in self.settings.prices.tokens:
            watched = self.chain_facts(block.chain).sequencer_feed
            own = tuple(_with_uptime(_price_spec(source), watched) for source in block.sources)
            trusted = () if any(spec.kind == "chainlink" for spec in own) else specs.get((block.chain, block.token), ())
            specs[block.chain, block.token] = (*trusted, *own)
        return MappingProxyType(specs)

    def owner_of(self, position: models.PositionConfig) -> Address | None:
        """Return the owner's address as far as the config knows it; ``None`` when only the opened key can say."""
        if position.owner is not None:
            return position.owner
        signer = self.settings.signers[cast("str", position.signer)]
        if signer.address is not None:
            return signer.address
        named = keystore_address(signer.path) if isinstance(signer, models.KeystoreSigner) else None
        return parse_address(named.lower()) if named else None

    def positions(self, owners: Mapping[str, Address] = MappingProxyType({})) -> tuple[Position, ...]:
        """Return all positions as domain values; ``owners`` are addresses of opened keys by signer name.

        Raises:
            ConfigError: when an owner is known neither here nor there.
        """
        return tuple(self._position(position, owners) for position in self.settings.positions)

    def _position(self, position: models.PositionConfig, owners: Mapping[str, Address]) -> Position:
        owner = owners.get(position.signer or "") or self.owner_of(position)
        if owner is None:
            raise ConfigError(
                f"{self.layers.origin(('signers', str(position.signer)))}: signers.{position.signer}: "
                f'whose key this is can only be known by opening it\n  write address = "0x..." beside it'
            )
        if what := payout_clash(position, owner):
            place = ("positions", self.settings.positions.index(position), "payout", "to")
            raise ConfigError(
                f"{self.layers.origin(place)}: {dotted(place)}: is {what}\n  name another wallet of yours"
            )
        signer = self.settings.signers.get(position.signer or "")
        return position.to_domain(owner, can_sign=signer is not None and not isinstance(signer, models.WatchSigner))


def _price_spec(source: Mapping[str, str | int]) -> PriceSpec:
    settings = {key: value for key, value in source.items() if key != "kind"}
    return PriceSpec(str(source["kind"]), MappingProxyType(settings))


def _with_uptime(spec: PriceSpec, uptime: Address | None) -> PriceSpec:
    """Give a feed of one's own the chain's sequencer check too: a price from before an L2's stop is no price."""
    if spec.kind != "chainlink" or uptime is None or "sequencer_feed" in spec.settings:
        return spec
    return PriceSpec(spec.kind, MappingProxyType({**spec.settings, "sequencer_feed": uptime}))


def state_folder(env: Mapping[str, str]) -> FilePath:
    """Return where the journal lives when nothing says otherwise: /data in the container image, else XDG state."""
    if env.get("KEEPER_CONTAINER"):
        return FilePath("/data")
    if env.get("XDG_STATE_HOME"):
        return FilePath(env["XDG_STATE_HOME"]) / "keeper"
    from platformdirs import user_state_path  # noqa: PLC0415 (needed only outside containers)

    return user_state_path("keeper")


def load(
    files: Sequence[FilePath] = (),
    env: Mapping[str, str] | None = None,
    overrides: Mapping[str, str] | None = None,
    catalogue: Catalogue | None = None,
    *,
    dotenv: FilePath | None = FilePath(".env"),
    secrets: bool = True,
) -> Loaded:
    """Load and check the config.

    Args:
        files: TOML files, last wins; none means the first found of the usual places.
        env: process environment; ``os.environ`` when not given.
        overrides: dotted keys from the command line, e.g. ``{"keeper.log_level": "debug"}``.
        catalogue: what plugins understand; without it, protocols and their keys are not checked.
        dotenv: the .env file; it never overrides the process environment.
        secrets: whether keystores, passwords and key variables must exist (a dry run needs none).

    Raises:
        ConfigError: with every mistake found.
    """
    environment = dict(os.environ if env is None else env)
    chosen = tuple(files) or default_files(environment)
    if not chosen and not any(name.startswith(PREFIX) and "__" in name for name in environment):
        places = ", ".join(str(place) for place in candidates(environment))
        raise ConfigError(f"no configuration found (looked for {places})\n  `keeper config init` writes a first one")
    layers = gather(chosen, environment, overrides or {}, dotenv)
    problems = Problems(layers)
    parts = check_parts(layers, problems, catalogue)
    check_references(layers, problems, parts, catalogue.policies if catalogue else None)
    if secrets:
        check_secrets(layers, problems, parts)
    if problems.lines:
        raise ConfigError(problems.lines)
    return Loaded(_settings(parts), layers)


def _settings(parts: Parts) -> models.Settings:
    sections = parts.sections
    return models.Settings(
        keeper=cast("models.KeeperConfig", sections["keeper"]),
        chains=MappingProxyType(parts.chains),
        signers=MappingProxyType(parts.signers),
        prices=cast("models.PricesConfig", sections["prices"]),
        limits=cast("models.LimitsConfig", sections["limits"]),
        quotes=cast("models.QuotesConfig", sections["quotes"]),
        web=cast("models.WebConfig", sections["web"]),
        notify=cast("models.NotifyConfig", sections["notify"]),
        report=cast("models.ReportConfig", sections["report"]),
        strategy=cast("models.StrategyConfig", sections["strategy"]),
        policies=MappingProxyType(parts.policies),
        batches=MappingProxyType(parts.batches),
        positions=tuple(parts.positions.values()),
        policy_params=MappingProxyType(parts.policy_params),
    )
