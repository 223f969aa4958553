"""``keeper explain``: why a position is, or is not, compounded: every number, every guard, and what would change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from keeper.cli import Globals
from keeper.cli.explain_story import Story, story_json, story_of
from keeper.cli.explain_text import print_story
from keeper.cli.journal import Known, open_journal, read_known, want_position
from keeper.cli.options import globals_of, json_option, load_config
from keeper.cli.output import emit_json

if TYPE_CHECKING:
    from keeper.config.loader import Loaded
    from keeper.config.models import PositionConfig

__all__ = ["command"]


@click.command(name="explain")
@click.argument("position")
@click.option("--live", is_flag=True, help="Ask the chain and simulate the compound, instead of reading the journal.")
@json_option
@click.pass_context
def command(ctx: click.Context, position: str, live: bool) -> None:
    """Show why POSITION is or is not compounded, and when it would be."""
    options = globals_of(ctx)
    loaded = load_config(options, secrets=False)
    wanted = want_position(loaded, position)
    story = _ask(loaded, options, wanted) if live else _remember(loaded, wanted)
    if options.json:
        emit_json("keeper.explain/1", story_json(story))
    else:
        print_story(story)


def _remember(loaded: Loaded, position: PositionConfig) -> Story:
    with open_journal(loaded) as store:
        known = Known(position) if store is None else read_known(store, position)
        return story_of(loaded, store, known)


def _ask(loaded: Loaded, options: Globals, position: PositionConfig) -> Story:
    """Survey and simulate on the chain, with the journal's history behind the guards; sends and records nothing."""
    from keeper.cli.session import looking

    with looking(loaded, options.overrides) as app:
        earlier = app.store.decisions(position.id, limit=1)
        prepared = app.prepare(position.id)
        app.store.record_decision(prepared.decision)
        known = Known(
            position,
            prepared.decision,
            app.store.verdict_since(position.id) if earlier else None,
            prepared.assessment.observation,
            read_known(app.store, position).open,
        )
        return story_of(loaded, app.store, known, prepared=prepared, live=True)
