"""Checks one part of the config at a time, so that a mistake in one hides none in another."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from keeper.config import models
from keeper.config.catalogue import Catalogue
from keeper.config.chains import missing_facts, shipped
from keeper.config.packaged import chain_names
from keeper.config.plugin_keys import check_keys
from keeper.config.position_models import INHERITED
from keeper.config.problems import Problems
from keeper.config.schema import SECTIONS, SIGNER_KINDS, Path, keys_at, nearest
from keeper.config.sources import Layers

__all__ = ["Parts", "check_parts"]

M = TypeVar("M", bound=models.Table)


class Parts:
    """What could be understood; whatever is missing here has been reported."""

    def __init__(self) -> None:
        self.sections: dict[str, models.Table] = {}
        self.chains: dict[str, models.ChainConfig] = {}
        self.signers: dict[str, models.SignerConfig] = {}
        self.policies: dict[str, models.PolicyConfig] = {}
        #: An installed policy's own keys.
        self.policy_params: dict[str, dict[str, str | int | bool]] = {}
        self.batches: dict[str, models.BatchConfig] = {}
        #: By index in the file.
        self.positions: dict[int, models.PositionConfig] = {}


class _Checker:
    def __init__(self, layers: Layers, problems: Problems, catalogue: Catalogue | None) -> None:
        self.raw: Mapping[str, Any] = layers.raw
        self.context = {"env": layers.env, "now": int(time.time())}
        self.problems = problems
        self.catalogue = catalogue
        #: What ``[strategy]`` says, as written, once it has been found right: positions take it over.
        self.inherited: dict[str, Any] = {}

    def model(self, model: type[M], value: Any, path: Path) -> M | None:
        """Validate one table; report and return ``None`` when it is wrong."""
        if not isinstance(value, Mapping):
            self.problems.add(path, f"must be a table ([{path[0]}]{', its keys below' if len(path) == 1 else ''})")
            return None
        try:
            return model.model_validate(value, context=self.context)
        except ValidationError as error:
            self.problems.pydantic(path, error)
            return None

    def named(self, section: str) -> list[tuple[str, Any]]:
        """List the tables of ``[section.NAME]``."""
        tables = self.raw.get(section, {})
        if not isinstance(tables, Mapping):
            self.problems.add((section,), f"must be tables of the form [{section}.NAME]")
            return []
        return list(tables.items())

    def chain(self, name: str, value: Any) -> models.ChainConfig | None:
        """Check a chain's table, and that every fact is known."""
        chain = self.model(models.ChainConfig, value, ("chains", name))
        if chain is None:
            return None
        missing = missing_facts(name, chain)
        if missing and shipped(name) is None:
            hint = nearest(name, chain_names())
            say = f'did you mean "{hint}"? ' if hint else ""
            self.problems.add(
                ("chains", name),
                f"{say}keeper ships no facts for this chain (it knows {', '.join(chain_names())}); "
                f"give them here: {', '.join(missing)}",
            )
            return None
        return self._offers(chain, ("chains", name), value)

    def _offers(self, chain: models.ChainConfig, path: Path, value: Mapping[str, Any]) -> models.ChainConfig | None:
        """Check what a chain's own exchanges and places name, and the places' params."""
        before = len(self.problems.lines)
        self._route((*path, "exchanges"), value.get("exchanges"))
        places = []
        for index, place in enumerate(chain.places):
            here: Path = (*path, "places", index)
            specs = None if self.catalogue is None else self.catalogue.protocols.get(place.protocol)
            if specs is not None:
                further = self.catalogue.place_params.get(place.protocol, {}) if self.catalogue else {}
                loose = {key: replace(spec, required=False) for key, spec in {**specs, **further}.items()}
                own = check_keys(self.problems, (*here, "params"), place.params, loose, whose=place.protocol)
                places.append(place.model_copy(update={"params": own}))
            elif self.catalogue is not None:
                self._no_such((*here, "protocol"), "protocol", self.catalogue.protocols)
            else:
                places.append(place)
        if len(self.problems.lines) > before:
            return None
        return chain.model_copy(update={"places": tuple(places)}) if places else chain

    def signer(self, name: str, value: Any) -> models.SignerConfig | None:
        """Check a signer's table by its kind."""
        path: Path = ("signers", name)
        if not isinstance(value, Mapping):
            self.problems.add(path, "must be a table ([signers.NAME])")
            return None
        kind = value.get("kind")
        if not isinstance(kind, str) or kind not in SIGNER_KINDS:
            hint = nearest(kind, SIGNER_KINDS)
            say = "is required; it" if kind is None else (f'did you mean "{hint}"? it' if hint else "no such kind; it")
            self.problems.add((*path, "kind"), f"{say} must be one of: {', '.join(SIGNER_KINDS)}")
            return None
        return cast("models.SignerConfig | None", self.model(SIGNER_KINDS[kind], value, path))

    def policy(self, parts: Parts, name: str, value: Any) -> None:
        """Check a policy's table: the keys of an installed one that takes any, else a command."""
        path: Path = ("policies", name)
        specs = self.catalogue.policy_params.get(name) if self.catalogue else None
        if specs is not None and isinstance(value, Mapping):
            parts.policy_params[name] = check_keys(self.problems, path, value, specs, whose=name)
        elif (policy := self.model(models.PolicyConfig, value, path)) is not None:
            parts.policies[name] = policy

    def position(self, index: int, value: Any) -> models.PositionConfig | None:
        """Check a position, its protocol's keys among them."""
        path: Path = ("positions", index)
        if not isinstance(value, Mapping):
            self.problems.add(path, "must be a table ([[positions]])")
            return None
        own = {key: item for key, item in value.items() if key in models.PositionConfig.written}
        before = len(self.problems.lines)
        params = self._params(path, value.get("protocol"), {key: value[key] for key in value if key not in own})
        self._route((*path, "route"), value.get("route"))
        position = self.model(models.PositionConfig, {**self.inherited, **own, "params": params}, path)
        return position if len(self.problems.lines) == before else None

    def _params(self, path: Path, protocol: Any, extra: Mapping[str, Any]) -> dict[str, str | int | bool]:
        common = keys_at(path, self.raw) or ()
        if self.catalogue is None:
            return {key: value for key, value in extra.items() if isinstance(value, (str, int))}
        specs = self.catalogue.protocols.get(protocol) if isinstance(protocol, str) else None
        if specs is not None:
            return check_keys(self.problems, path, extra, specs, beside=common, whose=str(protocol))
        if isinstance(protocol, str):
            self._no_such((*path, "protocol"), "protocol", self.catalogue.protocols)
        likely = self.catalogue.protocols.get(nearest(protocol, self.catalogue.protocols) or "", {})
        for key in extra:
            if key not in likely and nearest(key, common, 0.8):
                self.problems.unknown_key((*path, key), common)
        return {}

    def _route(self, path: Path, route: Any) -> None:
        """Check the exchange of a route, or of each of several."""
        if isinstance(route, list):
            for index, one in enumerate(route):
                self._route((*path, index), one)
            return
        kind = route.get("kind") if isinstance(route, Mapping) else None
        if self.catalogue is not None and isinstance(kind, str) and kind not in self.catalogue.swaps:
            self._no_such((*path, "kind"), "exchange", self.catalogue.swaps)

    def _no_such(self, path: Path, what: str, known: Any) -> None:
        hint = nearest(self._at(path), known)
        names = ", ".join(sorted(known)) if known else "none is installed"
        advice = f'did you mean "{hint}"?' if hint else f"known: {names}."
        self.problems.add(path, f"no such {what}; {advice}  `keeper protocols` lists all.")

    def _at(self, path: Path) -> Any:
        value: Any = self.raw
        for part in path:
            value = value[part]
        return value

    def price_sources(self, prices: models.PricesConfig) -> None:
        """Check every source of every token by its kind; settings come out in exact types."""
        for index, token in enumerate(prices.tokens):
            for place, source in enumerate(token.sources):
                path: Path = ("prices", "tokens", index, "sources", place)
                if not isinstance(source.get("kind"), str):
                    known = sorted(self.catalogue.prices) if self.catalogue else ()
                    self.problems.add((*path, "kind"), f"is required; one of: {', '.join(known)}")
                elif self.catalogue is not None and source["kind"] not in self.catalogue.prices:
                    self._no_such((*path, "kind"), "price source", self.catalogue.prices)
                elif self.catalogue is not None:
                    kind = source.pop("kind")
                    specs = self.catalogue.prices[kind]
                    values = check_keys(self.problems, path, source, specs, beside=("kind",), whose=kind)
                    source.clear()
                    source.update({"kind": kind, **values})


def check_parts(layers: Layers, problems: Problems, catalogue: Catalogue | None) -> Parts:
    """Check every part by itself."""
    checker = _Checker(layers, problems, catalogue)
    parts = Parts()
    for key in layers.raw:
        if key not in (keys_at((), layers.raw) or ()):
            problems.unknown_key((key,))
    for section, model in SECTIONS.items():
        checked = checker.model(model, layers.raw.get(section, {}), (section,))
        if checked is not None:
            parts.sections[section] = checked
    if "strategy" in parts.sections:
        strategy = layers.raw.get("strategy", {})
        checker.inherited = {key: strategy[key] for key in INHERITED if key in strategy}
    prices = parts.sections.get("prices")
    if isinstance(prices, models.PricesConfig):
        checker.price_sources(prices)
    parts.chains = {name: found for name, value in checker.named("chains") if (found := checker.chain(name, value))}
    parts.signers = {
        name: signer for name, value in checker.named("signers") if (signer := checker.signer(name, value))
    }
    for name, value in checker.named("policies"):
        checker.policy(parts, name, value)
    parts.batches = {
        name: batch
        for name, value in checker.named("batches")
        if (batch := checker.model(models.BatchConfig, value, ("batches", name)))
    }
    positions = layers.raw.get("positions", [])
    if not isinstance(positions, list):
        problems.add(("positions",), "must be tables of the form [[positions]] (two brackets)")
        positions = []
    checked_positions = ((index, checker.position(index, value)) for index, value in enumerate(positions))
    parts.positions = {index: position for index, position in checked_positions if position}
    return parts
