"""A policy's process may do whatever it likes: the answer is a wait, keeper goes on, and nothing of it is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from textwrap import dedent

import pytest
from policy_kit import SCENE, Heard, SetClock, scene

from keeper.domain.decision import ReasonCode
from keeper.domain.events import EventName
from keeper.notify.redact import Redactor
from keeper.policies import external
from keeper.policies.external import External, ExternalPolicy

HONEST = """
    import json, sys
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps({"id": asked["id"], "harvest": float(asked["reward_usd"]) > 100, "why": "as I like"}), flush=True)
"""


@pytest.fixture
def make(tmp_path):
    """Make a policy of a script in Python; whatever is made is closed, and must leave no process behind."""
    made = []

    def policy(script: str, *, timeout: float = 5.0, events=None, clock=None, **more) -> ExternalPolicy:
        file = tmp_path / f"policy{len(made)}.py"
        file.write_text("import os\n" + pids_to(tmp_path) + dedent(script))
        spec = External((sys.executable, "-S", str(file)), timeout)
        made.append(ExternalPolicy("mine", spec, events or Heard(), clock or SetClock(), **more))
        return made[-1]

    yield policy
    for policy in made:
        policy.close()
    assert [pid for pid in started(tmp_path) if alive(pid)] == []


def pids_to(folder: Path) -> str:
    """The line of a script that notes its process id: what is noted must be gone in the end."""
    return f"open({str(folder / 'pids')!r}, 'a').write(f'{{os.getpid()}}\\n')\n"


def started(folder: Path) -> list[int]:
    file = folder / "pids"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def gone_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and alive(pid):
        time.sleep(0.02)
    return not alive(pid)


def failed(answer, *words: str) -> None:
    assert (answer.harvest, answer.code) == (False, ReasonCode.POLICY_FAILED)
    for word in words:
        assert word in answer.why


# ------------------------------------------------------------------------------------------- what it is asked


def test_an_answer_is_taken_with_its_reason(make):
    policy = make(HONEST)

    yes, no = policy.judge(scene(reward=101.0), "farm"), policy.judge(scene(reward=99.0), "farm")

    assert (yes.harvest, yes.code, yes.why) == (True, ReasonCode.POLICY_HARVESTS, "policy mine harvests: as I like")
    assert (no.harvest, no.code) == (False, ReasonCode.POLICY_WAITS)


def test_the_request_is_the_documented_one(make, tmp_path):
    policy = make(f"""
        import sys
        line = sys.stdin.readline()
        open({str(tmp_path / "asked")!r}, "w").write(line)
        print('{{"id": 1, "harvest": false, "threshold_usd": "202.67"}}', flush=True)
    """)

    answer = policy.judge(scene(reward=0.1 + 0.2, since=59.9), "farm")

    assert answer.threshold_usd == 202_670_000_000_000_000_000
    assert json.loads((tmp_path / "asked").read_text()) == {
        "v": 1,
        "id": 1,
        "position": "farm",
        "now": SCENE.now,
        "principal_usd": "10000.0",
        "reward_usd": "0.30000000000000004",
        "cost_usd": "2.0",
        "forward_usd_per_year": "2000.0",
        "yield": "0.2",
        "depth_usd": None,
        "since_seconds": 59,
        "gas_price_wei": "30000000000",
        "usual_gas_price_wei": "30000000000",
        "day_gas_price_wei": "30000000000",
        "month_gas_price_wei": "30000000000",
    }


def test_it_sees_none_of_keepers_environment(make, tmp_path, monkeypatch):
    for name in ("KEEPER_RPC", "MY_KEY", "PYTHONPATH", "LD_PRELOAD"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("LANG", "C.UTF-8")
    policy = make(f"open({str(tmp_path / 'env')!r}, 'w').write(' '.join(os.environ))")

    policy.judge(SCENE, "farm")

    # LC_CTYPE is set by the script's own interpreter
    assert set((tmp_path / "env").read_text().split()) - {"LC_CTYPE"} == {"PATH", "HOME", "LANG"} & os.environ.keys()


def test_it_has_none_of_keepers_open_files(make, tmp_path):
    with (tmp_path / "journal").open("w") as kept:
        os.set_inheritable(kept.fileno(), True)
        policy = make(f"""
            open({str(tmp_path / "fds")!r}, "w").write("\\n".join(
                os.readlink(f"/proc/self/fd/{{fd}}") for fd in os.listdir("/proc/self/fd")
                if os.path.exists(f"/proc/self/fd/{{fd}}")
            ))
        """)
        policy.judge(SCENE, "farm")

    files = (tmp_path / "fds").read_text().split("\n")
    assert not [file for file in files if "journal" in file]
    assert len([file for file in files if file.startswith("pipe:")]) == 3


def test_nothing_is_started_before_it_is_asked(make, tmp_path):
    policy = make(HONEST)
    assert not started(tmp_path)
    assert policy.judge(scene(reward=0.0), "farm").code is ReasonCode.NOTHING_PENDING
    assert policy.judge(scene(principal=float("nan")), "farm").code is ReasonCode.POLICY_FAILED
    assert not started(tmp_path)
    policy.judge(SCENE, "farm")
    assert len(started(tmp_path)) == 1


def test_threads_take_turns(make):
    policy = make(HONEST)
    answers: dict[int, bool] = {}

    def ask(number: int) -> None:
        for turn in range(20):
            reward = 101.0 if (number + turn) % 2 else 99.0
            answers[number * 100 + turn] = policy.judge(scene(reward=reward), f"farm{number}").harvest

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == {n * 100 + t: (n + t) % 2 == 1 for n in range(4) for t in range(20)}


# ------------------------------------------------------------------------------------------- each fault


def says(answers: str) -> str:
    """A policy that writes this for every request."""
    return f"""
        import sys
        for number, line in enumerate(sys.stdin, 1):
            sys.stdout.write({answers})
            sys.stdout.flush()
    """


@pytest.mark.parametrize(
    ("answers", "word"),
    [
        ("'yes\\n'", "not JSON"),
        ("'\\n'", "not JSON"),
        ("'[true]\\n'", "not an object"),
        ("'[' * 50_000 + '\\n'", "not JSON"),
        ("'{\"id\": ' + '9' * 50_000 + ', \"harvest\": true}\\n'", "not JSON"),
        ('\'{"id": NaN, "harvest": true}\\n\'', "not JSON"),
        ("'{\"harvest\": true}\\n'", "without the request's id"),
        ('\'{"id": true, "harvest": true}\\n\'', "without the request's id"),
        ('\'{"id": "1", "harvest": true}\\n\'', "without the request's id"),
        ("f'{{\"id\": {number}}}\\n'", '"harvest": true'),
        ('f\'{{"id": {number}, "harvest": 1}}\\n\'', '"harvest": true'),
        ('f\'{{"id": {number}, "harvest": "true"}}\\n\'', '"harvest": true'),
        ('f\'{{"id": {number + 1}, "harvest": true}}\\n\'', "answered request 2 when asked 1"),
        ('f\'{{"id": {number - 1}, "harvest": true}}\\n\'', "answered request 0 when asked 1"),
        ('f\'{{"id": {number}, "harvest": true, "why": 7}}\\n\'', '"why"'),
        ('f\'{{"id": {number}, "harvest": true, "threshold_usd": 12.5}}\\n\'', "dollars in quotes"),
        ('f\'{{"id": {number}, "harvest": true, "threshold_usd": "NaN"}}\\n\'', "dollars in quotes"),
        ('f\'{{"id": {number}, "harvest": true, "threshold_usd": "1e999999"}}\\n\'', "dollars in quotes"),
        ('f\'{{"id": {number}, "harvest": true, "threshold_usd": "-1"}}\\n\'', "dollars in quotes"),
    ],
)
def test_an_answer_that_means_nothing_waits_and_ends_it(make, tmp_path, answers, word):
    policy = make(says(answers))

    failed(policy.judge(SCENE, "farm"), word, "one answer a line")

    assert not [pid for pid in started(tmp_path) if alive(pid)]


def test_binary_is_no_answer(make):
    failed(make("os.write(1, bytes(range(128, 256)) + b'\\n'); input()").judge(SCENE, "farm"), "not JSON")


def test_too_long_a_line_ends_it(make, tmp_path):
    policy = make("os.write(1, b'[' * 70_000); import time; time.sleep(60)")

    failed(policy.judge(SCENE, "farm"), "more than 64 kB")

    assert not [pid for pid in started(tmp_path) if alive(pid)]


def test_a_gigabyte_without_a_lines_end_costs_no_memory(make):
    policy = make("""
        for _ in range(16_384):
            os.write(1, b"A" * 65_536)
    """)
    failed(policy.judge(SCENE, "farm"), "more than 64 kB")


def test_a_gigabyte_of_answers_ends_it(make):
    policy = make("""
        line = b'{"id": 1, "harvest": true}\\n' * 2_000
        for _ in range(20_000):
            os.write(1, line)
    """)
    answers = [policy.judge(SCENE, "farm") for _ in range(3)]

    failed(answers[-1])
    assert sum(answer.harvest for answer in answers) <= 1  # the first line was an answer to the first request


def test_a_gigabyte_on_stderr_ends_it_and_the_log_stays_short(make):
    heard = Heard()
    policy = make(
        """
        while True:
            os.write(2, b"spam\\n" * 10_000)
        """,
        events=heard,
    )

    failed(policy.judge(SCENE, "farm"), "1 MB to stderr")

    assert len(heard.said) <= 22


def test_stderr_is_told_redacted_bounded_and_on_one_line(make):
    heard = Heard()
    policy = make(
        r"""
        import sys
        sys.stderr.write("using https://rpc.example/v1/abcdef1234567890\n")
        sys.stderr.write("\x1b[2J\x07 forged\rline " + "x" * 5_000 + "\n\n")
        sys.stderr.write("\xff\ud800".encode("utf-16", "surrogatepass").decode("latin-1") + "last words")
        """,
        events=heard,
        redact=Redactor(["abcdef1234567890"]).text,
    )

    failed(policy.judge(SCENE, "farm"), "ended with status 0", "policy.said")

    assert "abcdef" not in " ".join(heard.said)
    assert heard.said[-1].endswith("last words")
    assert all(line.isprintable() and len(line) <= 300 for line in heard.said)
    assert len(heard.said) == 3


def test_a_reason_is_told_redacted_bounded_and_on_one_line(make):
    policy = make(
        r"""
        import json, sys
        for line in sys.stdin:
            why = "key abcdef1234567890 \x1b[2J\n\ud800" + "x" * 5_000
            print(json.dumps({"id": json.loads(line)["id"], "harvest": True, "why": why}), flush=True)
        """,
        redact=Redactor(["abcdef1234567890"]).text,
    )

    answer = policy.judge(SCENE, "farm")

    assert answer.harvest
    assert "abcdef" not in answer.why
    assert answer.why.isprintable()
    assert len(answer.why) < 250
    answer.why.encode()


def test_death_waits(make):
    failed(make("raise SystemExit(3)").judge(SCENE, "farm"), "ended with status 3")
    failed(make("os.kill(os.getpid(), 9)").judge(SCENE, "farm"), "ended with status 137")


def test_a_command_that_is_not_there_waits():
    heard = Heard()
    policy = ExternalPolicy("mine", External(("/no/such/program", "-x")), heard, SetClock())

    failed(policy.judge(SCENE, "farm"), "could not be started")

    assert heard.said == ["/no/such/program: No such file or directory"]
    policy.close()


def test_closing_its_output_waits(make):
    failed(make("os.close(1); import time; time.sleep(60)").judge(SCENE, "farm"), "closed its output")


def test_closing_its_input_waits(make):
    policy = make("""
        import time
        os.close(0)
        print('{"id": 1, "harvest": false}', flush=True)
        time.sleep(60)
    """)
    policy.judge(SCENE, "farm")
    failed(policy.judge(SCENE, "farm"), "closed its input")


def test_a_hang_is_ended_after_three_deadlines(make, tmp_path):
    heard = Heard()
    policy = make("import time; time.sleep(60)", timeout=0.2, events=heard)

    begun = time.monotonic()
    answers = [policy.judge(SCENE, "farm") for _ in range(3)]
    took = time.monotonic() - begun

    for answer in answers:
        failed(answer, "gave no answer within 0.2 seconds", "policies.mine.timeout")
    assert "3 times in a row" in answers[2].why
    assert 0.6 <= took < 3
    assert not [pid for pid in started(tmp_path) if alive(pid)]
    assert len(heard.named(EventName.POLICY_FAILED)) == 1


def test_a_late_answer_is_skipped_and_never_taken_for_another(make, tmp_path):
    policy = make(
        f"""
        import json, sys, time
        for line in sys.stdin:
            asked = json.loads(line)
            while asked["id"] == 2 and not os.path.exists({str(tmp_path / "late")!r}):
                time.sleep(0.01)
            print(json.dumps({{"id": asked["id"], "harvest": asked["id"] == 2}}), flush=True)
        """,
        timeout=20.0,
    )
    assert policy.judge(SCENE, "farm").code is ReasonCode.POLICY_WAITS  # and it has started

    patient, policy._spec = policy._spec, replace(policy._spec, timeout_seconds=0.3)
    failed(policy.judge(SCENE, "farm"), "gave no answer within 0.3 seconds")
    (tmp_path / "late").touch()
    policy._spec = patient
    answer = policy.judge(SCENE, "farm")

    assert (answer.harvest, answer.code) == (False, ReasonCode.POLICY_WAITS)


def test_what_was_missed_is_not_remembered_for_ever(make, monkeypatch):
    monkeypatch.setattr(external, "_MOST_MISSED", 3, raising=False)
    policy = make(
        """
        import json, sys
        for line in sys.stdin:
            number = json.loads(line)["id"]
            if number % 2:
                print(json.dumps({"id": number, "harvest": False}), flush=True)
        """,
        timeout=20.0,
    )
    patient, hasty = policy._spec, replace(policy._spec, timeout_seconds=0.05)
    for number in range(1, 15):
        policy._spec = patient if number % 2 else hasty
        policy.judge(SCENE, "farm")
    assert policy._missed == {10, 12, 14}  # the newest: an answer to an older one is an answer to nothing


def test_forks_are_ended_with_it_those_that_detach_too(make, tmp_path):
    policy = make(f"""
        import subprocess, sys, time
        note = "import os, time;" + {pids_to(tmp_path)!r}.strip() + ";time.sleep(60)"
        for _ in range(3):
            subprocess.Popen([sys.executable, "-S", "-c", note])
            subprocess.Popen([sys.executable, "-S", "-c", note], start_new_session=True)
        if os.fork() == 0:  # an orphan of an orphan, in a session of its own
            os.setsid()
            if os.fork() == 0:
                exec(note)
            os._exit(0)
        while len(open({str(tmp_path / "pids")!r}).read().split()) < 8:
            time.sleep(0.01)
        raise SystemExit(5)
    """)

    failed(policy.judge(SCENE, "farm"), "ended with status 5")

    assert len(started(tmp_path)) == 8
    assert [pid for pid in started(tmp_path) if alive(pid)] == []


def test_a_child_that_keeps_the_pipes_open_holds_nothing_up(make, tmp_path):
    policy = make(f"""
        import subprocess, sys
        subprocess.Popen([sys.executable, "-S", "-c", "import os, time;" + {pids_to(tmp_path)!r}.strip() + ";time.sleep(60)"])
        print("garbage", flush=True)
        input()
    """)
    begun = time.monotonic()

    failed(policy.judge(SCENE, "farm"), "not JSON")
    policy.close()

    assert time.monotonic() - begun < 3


def test_it_may_ignore_every_signal_and_its_inputs_end(make, tmp_path):
    policy = make("""
        import signal, sys, time
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        print('{"id": 1, "harvest": true}', flush=True)
        while True:
            time.sleep(1)
    """)
    assert policy.judge(SCENE, "farm").harvest
    begun = time.monotonic()

    policy.close()

    assert time.monotonic() - begun < 3
    assert not [pid for pid in started(tmp_path) if alive(pid)]


def test_a_killed_leash_lets_nothing_loose(make, tmp_path):
    policy = make(dedent(HONEST) + "import time; time.sleep(60)")  # it does not end when its input does
    policy.judge(SCENE, "farm")
    (pid,) = started(tmp_path)

    os.kill(int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)
    assert policy.judge(scene(reward=101.0), "farm").harvest
    policy.close()

    assert gone_within(pid, 5)


def test_no_descriptor_is_lost_over_many_starts(make):
    clock = SetClock()
    policy = make("print('garbage', flush=True)", clock=clock)
    policy.judge(SCENE, "farm")
    before = open_descriptors()
    threads = threading.active_count()
    for _ in range(5):
        clock.seconds += 60
        failed(policy.judge(SCENE, "farm"), "not JSON")
    assert open_descriptors() == before
    assert threading.active_count() == threads


# ------------------------------------------------------------------------------------------- starting again


def test_it_is_started_again_ever_more_rarely(make, tmp_path):
    clock = SetClock()
    policy = make("raise SystemExit(1)", clock=clock)
    starts = []
    for _ in range(1_000):
        before = len(started(tmp_path))
        policy.judge(SCENE, "farm")
        if len(started(tmp_path)) > before:
            starts.append(clock.seconds)
        clock.seconds += 0.5

    pauses = [later - earlier for earlier, later in pairwise(starts)]
    assert pauses[:2] == [1.0, 5.0]
    assert set(pauses[2:]) == {60.0}


def test_while_it_rests_nobody_waits_for_it(make):
    clock = SetClock()
    policy = make("raise SystemExit(1)", clock=clock)
    for _ in range(3):
        policy.judge(SCENE, "farm")
        clock.seconds += 5

    took = []
    for _ in range(20):  # a busy machine may hold up one, hardly all
        begun = time.monotonic()
        failed(policy.judge(SCENE, "farm"), "ended with status 1", "started again in 55 s")
        took.append(time.monotonic() - begun)
    assert min(took) < 0.05


def test_a_good_answer_between_does_not_make_it_start_more_often(make, tmp_path):
    clock = SetClock()
    policy = make("print('{\"id\": %d, \"harvest\": false}' % __import__('json').loads(input())['id'])", clock=clock)
    for _ in range(200):
        policy.judge(SCENE, "farm")
        clock.seconds += 1

    assert len(started(tmp_path)) <= 6


def test_failure_and_recovery_are_told_once(make, tmp_path):
    heard, clock = Heard(), SetClock()
    flag = tmp_path / "well"
    policy = make(
        f"if not os.path.exists({str(flag)!r}): raise SystemExit(1)\n" + dedent(HONEST), events=heard, clock=clock
    )
    for _ in range(50):
        policy.judge(SCENE, "farm")
    flag.touch()
    clock.seconds += 10
    policy.judge(SCENE, "farm")
    policy.judge(SCENE, "farm")

    assert [event.name for event in heard.events] == [EventName.POLICY_FAILED, EventName.POLICY_RECOVERED]
    assert heard.events[0].fields["error"] == "it ended with status 1"


# ------------------------------------------------------------------------------------------- the end


def test_it_may_end_by_itself_when_its_input_ends(make, tmp_path):
    done = tmp_path / "done"
    policy = make(dedent(HONEST) + f"open({str(done)!r}, 'w').write('saved')")
    policy.judge(SCENE, "farm")

    policy.close()

    assert done.read_text() == "saved"


def test_close_interrupts_a_question_and_nothing_starts_afterwards(make, tmp_path):
    heard = Heard()
    policy = make("import time; time.sleep(60)", timeout=30.0, events=heard)
    answers = []
    asking = threading.Thread(target=lambda: answers.append(policy.judge(SCENE, "farm")))
    asking.start()
    while not started(tmp_path):
        time.sleep(0.01)

    begun = time.monotonic()
    policy.close()
    asking.join()

    assert time.monotonic() - begun < 5
    failed(answers[0])
    failed(policy.judge(SCENE, "farm"), "is being ended")
    assert len(started(tmp_path)) == 1
    assert not heard.named(EventName.POLICY_FAILED)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_however_keeper_ends_the_process_and_its_children_end(tmp_path, how):
    note = pids_to(tmp_path)
    (tmp_path / "policy.py").write_text(
        dedent(f"""
        import os, subprocess, sys, time
        {note.strip()}
        subprocess.Popen([sys.executable, "-S", "-c", "import os, time;" + {note!r}.strip() + ";time.sleep(60)"],
                         start_new_session=True)
        print('{{"id": 1, "harvest": true}}', flush=True)
        time.sleep(60)
        """)
    )
    keeper = subprocess.Popen(
        [
            sys.executable,
            "-c",
            dedent(f"""
            import sys, time
            sys.path.insert(0, {str(Path(__file__).parents[1])!r})
            from policy_kit import SCENE, Heard, SetClock
            from keeper.policies.external import External, ExternalPolicy
            policy = ExternalPolicy("mine", External((sys.executable, "-S", {str(tmp_path / "policy.py")!r}), 20.0), Heard(), SetClock())
            print(policy.judge(SCENE, "farm").harvest, flush=True)
            time.sleep(60)
            """),
        ],
        stdout=subprocess.PIPE,
    )
    with keeper:
        assert keeper.stdout.readline() == b"True\n"
        while len(started(tmp_path)) < 2:
            time.sleep(0.01)
        keeper.send_signal(how)
        keeper.wait()

    assert all(gone_within(pid, 5) for pid in started(tmp_path))
