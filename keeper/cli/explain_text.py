"""``keeper explain`` for people: the verdict, why, what next, every number, every guard, and how it went before."""

from __future__ import annotations

import click

from keeper.cli.explain_rows import rule_rows
from keeper.cli.explain_story import Story
from keeper.cli.grid import room
from keeper.cli.layout import NEW_LINE, Row, head, lay_out
from keeper.cli.output import amount, colored, duration, say
from keeper.cli.pause import stop_line
from keeper.cli.track_record import bias_text, harvest_line
from keeper.cli.views import ago, amounts
from keeper.cli.whatnext import what_next
from keeper.domain.decision import Decision, Verdict
from keeper.domain.harvest import HarvestState

__all__ = ["print_story"]

_COLOURS = {Verdict.HARVEST: "green", Verdict.WAIT: "yellow", Verdict.BLOCKED: "red"}


def print_story(story: Story) -> None:
    """Print the whole story, no wider than the terminal."""
    decision, width = story.known.decision, room()
    if decision is None or story.told is None:
        _print_unseen(story)
        return
    first, *rest = head(*_head(story, decision), width)
    say(_painted(first, decision.verdict))
    for line in [*rest, *lay_out(_rows(story, decision), width)]:
        say(line)


def _print_unseen(story: Story) -> None:
    name = story.known.position.id
    say(f"{name}  not seen yet")
    say("  the journal has no decision about it; `keeper run` makes them,")
    say(f"  `keeper explain {name} --live` asks the chain now (no key needed, nothing is sent)")
    if story.stop is not None:
        say(f"  {stop_line(story.stop)}")


def _head(story: Story, decision: Decision) -> tuple[str, str]:
    known = story.known
    assert story.told is not None
    now = story.told.now
    since = "" if known.since is None or now <= known.since else f"  (since {duration(now - known.since)})"
    age = "asked just now" if story.live else ago(now, decision.block.timestamp)
    return f"{known.position.id}  {decision.verdict.value}{since}", f"block {decision.block.number:,} · {age}"


def _painted(line: str, verdict: Verdict) -> str:
    if not colored() or room() is None:
        return line
    return line.replace(verdict.value, click.style(verdict.value, fg=_COLOURS[verdict], bold=True), 1)


def _rows(story: Story, decision: Decision) -> list[Row]:
    known, told = story.known, story.told
    assert told is not None
    rows = _why_rows(story, decision)
    rows += [Row("advice" if at == 0 else "", [advice.text]) for at, advice in enumerate(story.advice)]
    if decision.numbers is not None:
        rows += rule_rows(told, decision.numbers)
    elif known.observation is not None:
        rows.append(Row("staked", [amount(known.observation.principal)]))
        rows.append(Row("pending", [f"{amounts(known.observation.pending)} (the contract's own view)"]))
    if decision.guards:
        rows.append(Row("guards", [f"ok  {decision.guards[0].text}", *(guard.text for guard in decision.guards[1:])]))
    if known.open is not None:
        rows.append(
            Row("open", [f"compound {known.open.id} is under way since {ago(told.now, known.open.started_at)}"])
        )
    return [*rows, *_past_rows(story)]


def _why_rows(story: Story, decision: Decision) -> list[Row]:
    """Give each reason with what happens next; what stops everything comes with them."""
    rows: list[Row] = []
    assert story.scene is not None
    for index, reason in enumerate(decision.reasons):
        text, then = reason.text, what_next(reason.code, story.scene)
        if index == 0:
            rows += [Row("why", [text]), Row("next", [then])]
        else:
            rows.append(Row("and", [text, NEW_LINE, f"-> {then}"]))
    if story.ended is not None and story.told is not None:
        how = "compounded" if story.ended.state is HarvestState.DONE else "a compound failed"
        when = ago(story.told.now, story.ended.finished_at or story.told.now)
        rows.append(Row("since then", [f"{how} {when}; everything here is from before that"]))
    if story.stop is not None:
        rows.append(Row("paused", [f"{stop_line(story.stop)}; until then nothing new is sent"]))
    if story.halt is not None:
        account, text = story.halt
        rows.append(Row("halted", [text, NEW_LINE, f"-> `keeper unblock {account}` once you have looked"]))
    return rows


def _past_rows(story: Story) -> list[Row]:
    assert story.told is not None
    now = story.told.now
    rows = [Row("last" if at == 0 else "", harvest_line(*item, now)) for at, item in enumerate(story.harvests)]
    if not rows:
        rows = [Row("last", ["no harvest yet"])]
    if off := bias_text(story.bias):
        rows.append(Row("accuracy", [off]))
    earlier = [d for d in story.decisions if (d.block, d.code) != (story.told.decision.block, story.told.decision.code)]
    for at, decision in enumerate(earlier):
        text = f"{ago(now, decision.block.timestamp)}: {decision.verdict.value}  {decision.reasons[0].text}"
        rows.append(Row("decisions" if at == 0 else "", [text]))
    return rows
