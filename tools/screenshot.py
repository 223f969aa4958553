"""Take the README's picture: run ``keeper demo`` in a real terminal (tmux) and keep one screen of it as SVG.

``python tools/screenshot.py`` writes docs/images/demo.svg. What the terminal shows is captured with its colours, and
nothing is drawn by hand. The picture is taken while a compound is under way, from the given day on.
"""

# ruff: noqa: INP001, S603, T201
from __future__ import annotations

import argparse
import html
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from keeper.chain.anvil_binary import devnet_home

ROOT: Final = Path(__file__).resolve().parents[1]
PICTURE: Final = ROOT / "docs" / "images" / "demo.svg"

#: The terminal, in characters.
WIDTH: Final = 132
HEIGHT: Final = 34

#: Days after which any screen is taken, when no compound was caught in the act.
PATIENCE_DAYS: Final = 12

#: Fonts that most machines have; the picture asks no other host for one.
FONTS: Final = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"

#: A piece of text as Rich writes it, with its place and length.
_TEXT: Final = re.compile(r'(<text [^>]*?)x="([0-9.]+)"([^>]*?)textLength="([0-9.]+)"([^>]*)>([^<]*)</text>')


class Terminal:
    """A tmux server of our own with one pane."""

    def __init__(self, home: Path) -> None:
        self._tmux = ["tmux", "-u", "-f", "/dev/null", "-S", str(home / "tmux")]
        # The local chain is installed once; the demo's own folder is put beside this link, not over the last demo's.
        (home / "devnet").symlink_to(devnet_home())
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = {"PATH": path, "PS1": "$ ", "KEEPER_DEVNET_HOME": str(home / "devnet"), "ENV": ""}
        shell = ["env", *(f"{key}={value}" for key, value in env.items()), "sh", "-i"]
        self._run("new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT), *shell)
        self._run("set", "-g", "status", "off")

    def type(self, line: str) -> None:
        """Type a line and press return."""
        self._run("send-keys", line, "Enter")

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._run("send-keys", "C-c")

    def screen(self) -> str:
        """Return what is shown, with colours as escape sequences."""
        return self._run("capture-pane", "-e", "-p")

    def close(self) -> None:
        """End the terminal and what runs in it."""
        self._run("kill-server")

    def _run(self, *args: str) -> str:
        return subprocess.run([*self._tmux, *args], check=True, capture_output=True, text=True).stdout


def capture(command: str, from_day: int) -> str:
    """Run the demo and return one screen of it."""
    with tempfile.TemporaryDirectory(prefix="keeper-screenshot-") as folder:
        terminal = Terminal(Path(folder))
        try:
            terminal.type(command)
            screen = _wait(terminal, from_day)
            terminal.interrupt()
            _await_prompt(terminal)
        finally:
            terminal.close()
    return screen


def _wait(terminal: Terminal, from_day: int) -> str:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        time.sleep(0.1)
        screen = terminal.screen()
        text = Text.from_ansi(screen).plain
        day = re.search(r"^\s*day +([0-9.]+) ", text, re.MULTILINE)
        whole = "daily cron" in text and text.rstrip().count("┤") == 7
        if day is None or not whole or float(day[1]) < from_day:
            continue
        if " leg " in text or float(day[1]) > from_day + PATIENCE_DAYS:
            return screen
    raise SystemExit("the demo did not get that far in five minutes; look at `keeper demo` by itself")


def _await_prompt(terminal: Terminal) -> None:
    """Let the demo end by itself after Ctrl-C, so that nothing of it is left running."""
    for _ in range(300):
        lines = [line for line in Text.from_ansi(terminal.screen()).plain.splitlines() if line.strip()]
        if lines and lines[-1].strip() == "$":
            return
        time.sleep(0.1)


def draw(screen: str, title: str, *, name: str = "keeper-demo", wrap: bool = False) -> str:
    """Turn a captured screen into an SVG that refers to nothing outside itself; ``name`` is unique among pictures."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    text = Text.from_ansi(screen.rstrip())
    console.print(text, no_wrap=not wrap, overflow="fold" if wrap else "crop", crop=True)
    template = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    template = re.sub(r"font-family: [^;]*;", f"font-family: {FONTS};", template)
    svg = console.export_svg(title=title, theme=MONOKAI, code_format=template, unique_id=name)
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "").replace("https://www.textualize.io", "")
    svg = re.sub(r"<!-- Generated with Rich.*?-->\s*", "", svg)
    return _TEXT.sub(_place_words, svg)


def _place_words(match: re.Match[str]) -> str:
    """Give every group of words its own place; some programs drop leading blanks or ignore ``textLength``."""
    head, x, middle, length, tail, content = match.groups()
    plain = html.unescape(content)
    step = float(length) / len(plain)
    parts = []
    for words in re.finditer(r"[^\xa0]+(?:\xa0[^\xa0]+)*", plain):
        at, size = f"{float(x) + words.start() * step:.1f}", f"{len(words[0]) * step:.1f}"
        text = html.escape(words[0].replace("\xa0", " "), quote=False)
        parts.append(f'{head}x="{at}"{middle}textLength="{size}"{tail}>{text}</text>')
    return "".join(parts)


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PICTURE)
    parser.add_argument("--day", type=int, default=22, help="Day of the demo from which a screen is taken.")
    parser.add_argument("--ansi", type=Path, help="Draw this captured screen instead of taking one.")
    parser.add_argument("--keep", type=Path, help="Keep the captured screen here.")
    options = parser.parse_args()
    screen = options.ansi.read_text() if options.ansi else capture("keeper demo", options.day)
    if options.keep:
        options.keep.write_text(screen)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(draw(screen, "keeper demo"))
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
