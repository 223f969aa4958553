"""The documents hold together: links lead somewhere, commands and targets exist, examples parse."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

from keeper import __version__
from keeper.cli import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "config" / "README.md"])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
#: Files of this repository as they are named in running text.
NAMED = re.compile(
    r"(?<![\w$/.])(?:keeper|tests|tools|config|docs|requirements)/(?:[\w.-]+/)*[\w-]+"
    r"\.(?:py|md|toml|sol|json|yml|service|sh|svg|lock)"
)
#: Made by the reader, or examples of what they would write.
MADE = {"keeper/protocols/smart_chef.py", "config/keeper.toml"}


@pytest.fixture(params=PAGES, ids=NAMES)
def page(request) -> Path:
    return request.param


def anchors(text: str) -> set[str]:
    """GitHub's anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_relative_link_leads_to_a_file(page):
    text = page.read_text()
    for target in LINK.findall(FENCE.sub("", text)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.is_relative_to(ROOT), target
        assert there.is_file(), f"{target} is not there"
        assert not anchor or anchor in anchors(there.read_text()), f"{target} has no such heading"


def test_every_file_that_is_named_exists(page):
    for name in set(NAMED.findall(page.read_text())) - MADE:
        assert (ROOT / name).is_file() or (page.parent / name).is_file(), f"{name} is not there"


def commands(text: str) -> list[str]:
    """Every ``keeper ...`` command line of a page, from code spans and fenced blocks."""
    lines = [line for kind, body in FENCE.findall(text) if kind in {"sh", ""} for line in body.splitlines()]
    lines += SPAN.findall(FENCE.sub("", text))
    found = []
    for line in lines:
        plain = re.sub(r"\s+#.*", "", line.strip())
        plain = re.sub(r"^docker compose (?:run --rm|exec) keeper (?:keeper )?", "keeper ", plain)
        plain = re.sub(r"^\.venv/bin/", "", plain).partition(" | ")[0].partition(" > ")[0]
        if plain.startswith("keeper "):
            found.append(plain)
    return found


def resolve(line: str) -> tuple[click.Command, list[str]]:
    """Find the command that a line names, and what stands after it."""
    words = shlex.split(line)[1:]
    while words and words[0].startswith("-"):  # the group's own options
        name = words.pop(0)
        option = next((p for p in cli.get_params(click.Context(cli)) if name.partition("=")[0] in p.opts), None)
        assert option is not None, f"{line}: keeper has no option {name}"
        if not (getattr(option, "is_flag", False) or getattr(option, "count", False) or "=" in name):
            words.pop(0)
    command: click.Command = cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        context = click.Context(command)
        child = command.get_command(context, words[0])
        assert child is not None, f"{line}: there is no command {words[0]}"
        command, words = child, words[1:]
    return command, words


def test_every_command_that_is_named_exists_with_its_options(page):
    for line in commands(page.read_text()):
        name = shlex.split(line)[1]
        if not name.startswith("-"):
            assert name in COMMANDS, f"{line}: no such command"
        command, words = resolve(line)
        known = {opt for p in command.params for opt in (*p.opts, *p.secondary_opts)} | {"--help", "-h", "--version"}
        for word in words:
            if word.startswith("-"):
                assert word.partition("=")[0] in known, f"{line}: {command.name} has no {word}"


def test_every_command_is_told_about_somewhere():
    told = {shlex.split(line)[1] for page in PAGES for line in commands(page.read_text())}
    assert set(COMMANDS) <= told


def test_every_make_target_that_is_named_exists(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = page.read_text()
    named = {m[1] for m in re.finditer(r"`make ([a-z-]+)`", text)}
    named |= {m[1] for _, body in FENCE.findall(text) for m in re.finditer(r"^make ([a-z-]+)", body, re.MULTILINE)}
    assert named <= targets


def test_every_toml_example_parses(page):
    for kind, body in FENCE.findall(page.read_text()):
        if kind == "toml":
            tomllib.loads(body)


def test_the_readme_states_the_packages_version():
    stated = re.findall(r"\bversion (\d+\.\d+\.\d+)", (ROOT / "README.md").read_text())
    assert stated == [__version__]
    assert f"\n### {__version__}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_nothing_of_one_machine_is_written_down(page):
    text = page.read_text()
    for path in ("/root/", "/work/", "/tmp/", "/home/"):
        assert path not in re.sub(r"tmpfs.*|/tmp:.*", "", text), path


def test_the_picture_asks_no_other_host_for_anything():
    picture = (ROOT / "docs" / "images" / "demo.svg").read_text()
    assert "font-face" not in picture
    assert set(re.findall(r"https?://[^\"' )<]+", picture)) == {"http://www.w3.org/2000/svg"}
