"""One run of an external policy's process: lines in, lines out, its own words aside; gone when it is stopped.

One thread owns every descriptor of the process, so that nothing is ever closed under a reader. Whoever asks puts lines
into an outbox, and waits for lines to come in.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from keeper.policies.lines import LONGEST
from keeper.policies.words import Words

__all__ = ["Child", "Gone"]

#: Read at once, bytes.
_CHUNK: Final = 65_536

#: Lines that may wait to be read: one is asked for at a time, and a late one or two may come before it.
_MOST_LINES: Final = 64

#: Seconds that a process has to end by itself once its input has ended.
_GRACE_SECONDS: Final = 0.5

#: Seconds that the leash has to end everything, before the whole group is killed.
_LEASH_SECONDS: Final = 4.0

#: Seconds in which the exit status follows the end of the output, where the process has ended.
_STATUS_SECONDS: Final = 0.3

#: All that a policy sees of keeper's environment.
_VARIABLES: Final = ("PATH", "HOME", "LANG")

_LEASH: Final = str(Path(__file__).with_name("leash.py"))


class Gone(Exception):
    """The process has ended, or was ended for what it did; ``str`` says why, as the end of a sentence about it."""


class Child:
    """A running process. Everything it starts ends with it."""

    def __init__(
        self, command: Sequence[str], hear: Callable[[str], None], environ: Mapping[str, str] = os.environ
    ) -> None:
        """Start it.

        Args:
            command: program and arguments; no shell.
            hear: takes lines that it writes to stderr, from another thread.
            environ: where the few variables come from that it gets.

        Raises:
            Gone: there is not so much as a descriptor for it.
        """
        self._words = Words(hear)
        self._changed = threading.Condition()
        self._lines: deque[bytes] = deque()
        self._partial = b""
        self._outbox = bytearray()
        self._gone: str | None = None
        #: How it is to be ended; ``None`` while it is not.
        self._ending: str | None = None
        try:
            self._start(command, {name: environ[name] for name in _VARIABLES if name in environ})
        except (OSError, RuntimeError) as error:
            raise Gone(f"could not be started ({error})") from error

    def _start(self, command: Sequence[str], environment: dict[str, str]) -> None:
        with contextlib.ExitStack() as undo:
            lifeline, self._lifeline = _pipe(undo)
            self._woken, self._waker = _pipe(undo)
            os.set_blocking(self._waker, False)
            self._process = subprocess.Popen(  # noqa: S603 - the operator's own command line, no shell
                [sys.executable, "-I", "-S", _LEASH, str(lifeline), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=environment,
                pass_fds=(lifeline,),
                start_new_session=True,
            )
            self._thread = threading.Thread(target=self._run, name="policy", daemon=True)
            self._thread.start()
            undo.pop_all()
        os.close(lifeline)

    # ----------------------------------------------------------------------------- for whoever asks

    def send(self, line: bytes) -> None:
        """Write a line, soon."""
        with self._changed:
            self._outbox += line
            self._wake()

    def next_line(self, deadline: float) -> bytes | None:
        """Return the next line that it wrote; ``None`` when there is none by then (``time.monotonic``).

        Raises:
            Gone: it has ended.
        """
        with self._changed:
            while not self._lines:
                if self._gone is not None:
                    raise Gone(self._gone)
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)
            return self._lines.popleft()

    def stop(self, *, kill: bool = True) -> None:
        """End it and everything it started; returns when that is done.

        Args:
            kill: at once; else its input ends first, and it has a moment to end by itself.
        """
        with self._changed:
            self._ending = self._ending or ("kill" if kill else "let")
            self._wake()
        self._thread.join()

    def _wake(self) -> None:
        """Make the thread look; under the lock, because the pipe's number is somebody else's once it is closed."""
        if self._gone is None:
            with contextlib.suppress(BlockingIOError):  # full, so it has not looked yet
                os.write(self._waker, b"!")

    # ----------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        why = "was ended"
        try:
            why = self._pump()
        finally:
            self._bury(why)

    @property
    def _pipes(self) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin is not None
        assert stdout is not None
        assert stderr is not None
        return stdin, stdout, stderr

    def _pump(self) -> str:
        """Move bytes until it ends or has to be ended; return why."""
        stdin, stdout, stderr = self._pipes
        for pipe in (stdin, stdout, stderr):
            os.set_blocking(pipe.fileno(), False)
        with selectors.DefaultSelector() as ready:
            ready.register(self._woken, selectors.EVENT_READ, self._look)
            ready.register(stdout, selectors.EVENT_READ, self._take_lines)
            ready.register(stderr, selectors.EVENT_READ, lambda: self._take_words(ready))
            while True:
                if self._outbox and stdin not in ready.get_map():
                    ready.register(stdin, selectors.EVENT_WRITE, lambda: self._write(ready))
                for key, _ in ready.select():
                    if (why := key.data()) is not None:
                        return str(why)

    def _look(self) -> str | None:
        os.read(self._woken, _CHUNK)
        return None if self._ending is None else "was ended"

    def _write(self, ready: selectors.BaseSelector) -> str | None:
        stdin = self._pipes[0]
        try:
            with self._changed:
                del self._outbox[: os.write(stdin.fileno(), self._outbox[:_CHUNK])]
        except BlockingIOError:
            return None
        except BrokenPipeError:
            return self._ended("closed its input")
        if not self._outbox:
            ready.unregister(stdin)
        return None

    def _take_lines(self) -> str | None:
        data = _read(self._pipes[1])
        if data == b"":
            return self._ended("closed its output")
        *lines, self._partial = (self._partial + (data or b"")).split(b"\n")
        if max(map(len, (*lines, self._partial))) > LONGEST:
            return f"wrote a line of more than {LONGEST // 1024} kB"
        with self._changed:
            self._lines += lines
            self._changed.notify_all()
            return "wrote answers that nobody had asked for" if len(self._lines) > _MOST_LINES else None

    def _take_words(self, ready: selectors.BaseSelector) -> str | None:
        stderr = self._pipes[2]
        data = _read(stderr)
        if data == b"":
            ready.unregister(stderr)
        return None if self._words.feed(data or b"") else "wrote more than 1 MB to stderr within a minute"

    def _ended(self, otherwise: str) -> str:
        """Word the end of a pipe: usually it is the end of the process."""
        try:
            status = self._process.wait(_STATUS_SECONDS)
        except subprocess.TimeoutExpired:
            return otherwise
        return "could not be started" if status == 127 else f"ended with status {status}"

    def _bury(self, why: str) -> None:
        stdin, stdout, stderr = self._pipes
        stdin.close()
        if self._ending == "let":
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_SECONDS)
        os.close(self._lifeline)
        try:
            status = self._process.wait(_LEASH_SECONDS)
        except subprocess.TimeoutExpired:
            status = -signal.SIGKILL
        if status < 0:  # the leash hangs, or was killed itself: the group is what it led
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._words.feed(_read(stderr) or b"")
        self._words.close()
        with self._changed:
            self._gone = why
            for pipe in (stdout, stderr):
                pipe.close()
            os.close(self._woken)
            os.close(self._waker)
            self._changed.notify_all()


def _pipe(undo: contextlib.ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        undo.callback(os.close, end)
    return ends


def _read(pipe: IO[bytes]) -> bytes | None:
    """Read what is there; ``None`` when there is nothing yet, empty when there never will be."""
    try:
        return os.read(pipe.fileno(), _CHUNK)
    except BlockingIOError:
        return None
