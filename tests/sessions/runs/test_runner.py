"""The runner with real processes: what each kind of trainer comes to, and what is left of it."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sessions.errors import RunnerError
from sessions.processes import marks
from sessions.processes import tree as processes
from sessions.runs.contract import (
    LOG_FILE,
    OUTCOME_FILE,
    RunEnding,
    RunPhase,
    RunSpec,
    read_outcome,
    read_progress,
)
from sessions.runs.start import end_runner, runner_alive, start_runner
from sessions.sandbox import run_sandbox as sandbox
from sessions.sandbox.run_sandbox import Confinement
from tests.sessions import trainers
from tests.sessions.conftest import CLI, Make, eventually, log_of, run


def test_a_good_run_is_measured_by_the_runners_own_meters(make: Make, cli: Path) -> None:
    spec = make(trainers.OK, smoke=True, sandbox=True)
    outcome = run(spec, cli)
    assert (outcome.ending, outcome.reason, outcome.metric) == (RunEnding.MEASURED, "", 1.75)
    assert (outcome.steps, outcome.tokens, outcome.parameters) == (12, 3456, 789)
    assert 0.15 <= outcome.training_s <= 0.5
    assert outcome.cpu_s > outcome.training_s
    assert outcome.total_s > outcome.training_s
    assert outcome.cpu_per_wall is not None and 0.1 < outcome.cpu_per_wall < 1.5
    assert outcome.peak_memory_mb > 5
    assert outcome.exit_code == 0
    assert outcome.sandbox == sandbox.probe().value
    assert log_of(spec).index("hello from smoke") < log_of(spec).index("hello from run")
    assert log_of(spec).count("=====") == 4
    progress = read_progress(spec.directory)
    assert progress is not None and progress.at > 0


CRASHES = {
    "crash": (trainers.CRASH, "NameError: name 'foo' is not defined (train.py:"),
    "syntax": (trainers.SYNTAX, "SyntaxError: invalid syntax (train.py:"),
    "nan": (trainers.NAN, "val_bpb is nan"),
    "diverged": (trainers.DIVERGED, "diverged: loss is nan at step 12"),
    "no result": (trainers.NO_RESULT, "it ended without a result; it last said: all done"),
    "two results": (trainers.TWO, "it reported two results that differ"),
    "another seed": (trainers.ANOTHER_SEED, "it reported seed 1 where 1234 was asked for"),
    "untrained": (trainers.UNTRAINED, "without having trained"),
    "fails late": (trainers.FAILS_AFTER_REPORT, "exit code 3"),
    "signal": (trainers.SIGNALLED, "killed by SIGSEGV; it last said: then"),
}


@pytest.mark.parametrize("kind", CRASHES)
def test_what_is_no_result_is_a_crash_with_its_reason(kind: str, make: Make, cli: Path) -> None:
    script, reason = CRASHES[kind]
    outcome = run(make(script), cli)
    assert outcome.ending is RunEnding.CRASHED
    assert reason in outcome.reason and "\n" not in outcome.reason
    assert outcome.metric is None


@pytest.mark.parametrize("confined", [False, True])
def test_signals_are_named_in_a_sandbox_too(confined: bool, make: Make, cli: Path) -> None:
    outcome = run(make(trainers.SIGNALLED, sandbox=confined), cli)
    assert (outcome.exit_code, outcome.reason) == (-11, "killed by SIGSEGV; it last said: then")


def test_smoke_stops_a_broken_run_early_and_says_so(make: Make, cli: Path) -> None:
    outcome = run(make(trainers.CRASH, smoke=True), cli)
    assert outcome.reason.startswith("smoke run: NameError")
    assert outcome.training_s < 0.2
    outcome = run(make(trainers.CRASH_IN_EARNEST, smoke=True), cli)
    assert outcome.reason.startswith("ValueError: only (train.py:")
    outcome = run(make(trainers.NAN, smoke=True), cli)
    assert outcome.reason == "val_bpb is nan"  # a smoke run's value is ignored


def test_a_second_report_that_is_the_same_changes_nothing(make: Make, cli: Path) -> None:
    assert run(make(trainers.TWICE_THE_SAME), cli).metric == 1.75


def test_rejected_wins_over_any_report(make: Make, cli: Path) -> None:
    outcome = run(make(trainers.REJECTED), cli)
    assert (outcome.ending, outcome.metric) == (RunEnding.REJECTED, None)
    assert outcome.reason == "causality: logits at 3 saw token 9"


def test_noise_on_the_wire_is_ignored(make: Make, cli: Path) -> None:
    assert run(make(trainers.NOISE_ON_THE_WIRE), cli).metric == 1.75


def test_hang_is_timed_out_with_its_phase(make: Make, cli: Path) -> None:
    outcome = run(make(trainers.HANG, smoke=True, timeout_s=2.0), cli)
    assert (outcome.ending, outcome.reason) == (RunEnding.TIMED_OUT, "no result after 2 s, while training")
    assert 2.0 <= outcome.total_s < 4.0
    outcome = run(make("forever()", smoke=True, timeout_s=1.5), cli)
    assert outcome.reason == "smoke run: no result after 0.75 s, while starting"


@pytest.mark.parametrize("script", [trainers.CUDA_MEMORY, trainers.MEMORY])
def test_out_of_memory_is_its_own_ending(script: str, make: Make, cli: Path) -> None:
    outcome = run(make(script), cli)
    assert outcome.ending is RunEnding.OUT_OF_MEMORY
    assert "MemoryError" in outcome.reason


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group with 128 MB of memory, of either version."""
    for root, limit in (("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")):
        group = Path(root) / f"autoresearch-test-{os.getpid()}"
        if not (Path(root) / "cgroup.procs").exists() or not os.access(root, os.W_OK):
            continue
        group.mkdir()
        if (group / limit).exists():
            (group / limit).write_text(str(2**27))
            yield group
            group.rmdir()
            return
        group.rmdir()
    pytest.skip("no control group with a memory limit can be made here")


def test_killed_by_the_kernel_for_memory(make: Make, cli: Path, small_group: Path) -> None:
    join = f"open('{small_group}/cgroup.procs', 'w').write(str(os.getpid()))\n"
    outcome = run(make(join + "train()\nx = b'x' * 2**29\nforever()"), cli)
    assert (outcome.ending, outcome.exit_code) == (RunEnding.OUT_OF_MEMORY, -9)


def test_a_kill_by_hand_is_no_lack_of_memory(make: Make, cli: Path) -> None:
    outcome = run(make("train()\nos.kill(os.getpid(), signal.SIGKILL)"), cli)
    assert (outcome.ending, outcome.reason) == (RunEnding.CRASHED, "killed by SIGKILL")


def test_a_foreign_lab_is_read_from_its_last_metric_line(make: Make, cli: Path) -> None:
    spec = make(trainers.FOREIGN, head="", has_referee=False, smoke=True, clock="wall")
    outcome = run(spec, cli)
    assert (outcome.ending, outcome.metric) == (RunEnding.MEASURED, 1.625)
    assert outcome.training_s > 0
    beside = make("print('latency = 0.12 ms  size: 3 kB')\nprint('val_bpb: 1')", head="", has_referee=False)
    limited = replace(beside, also=("latency", "size"))
    assert run(limited, cli).also == {"latency": 0.12, "size": 3.0}, "a limit would not see it"
    outcome = run(make("print('nothing')", head="", has_referee=False), cli)
    assert outcome.reason == "it ended without a val_bpb"
    outcome = run(make("print('val_bpb: nan')", head="", has_referee=False), cli)
    assert (outcome.ending, outcome.reason) == (RunEnding.CRASHED, "val_bpb is nan")


@pytest.mark.parametrize("confined", [False, True])
def test_a_foreign_lab_has_a_smoke_command_of_its_own(confined: bool, make: Make, cli: Path) -> None:
    def foreign(script: str, **changes: object) -> RunSpec:
        smoke = (sys.executable, "-c", script)
        options = {"smoke": True, "smoke_argv": smoke, "has_referee": False, "sandbox": confined} | changes
        return make(trainers.FOREIGN, head="", **options)

    spec = foreign("print('val_bpb: 0.1')")
    assert (run(spec, cli).metric, log_of(spec).count("val_bpb: 0.1")) == (1.625, 1)
    spec = foreign("print('val_bpb: 0.1'); raise ValueError('no such layer')")
    outcome = run(spec, cli)
    assert (outcome.ending, outcome.metric, outcome.training_s) == (RunEnding.CRASHED, None, 0.0)
    assert outcome.reason.startswith("smoke run: ValueError: no such layer")
    assert "1.625" not in log_of(spec), "the run was made all the same"
    outcome = run(foreign("import time; time.sleep(60)", timeout_s=2.0), cli)
    assert (outcome.ending, outcome.reason) == (RunEnding.TIMED_OUT, "smoke run: no end after 1 s")
    spec = foreign("raise SystemExit(3)", smoke=False)
    assert run(spec, cli).metric == 1.625


def test_the_memory_of_a_gpu_is_what_counts_where_the_run_tells_of_one(make: Make, cli: Path) -> None:
    block = "print('---\\npeak_vram_mb:     {}\\nval_bpb:          1.5\\nMETRIC heap=3')"
    outcome = run(make(block.format("45060.2"), head="", has_referee=False), cli)
    assert (outcome.metric, outcome.peak_memory_mb, outcome.also) == (1.5, 45060.2, {"heap": 3.0})
    outcome = run(make(block.format("0.0"), head="", has_referee=False), cli)
    assert 0 < outcome.peak_memory_mb < 2000


@pytest.mark.parametrize("confined", [False, True])
def test_the_environment_is_the_specs_and_nothing_more(confined: bool, make: Make, cli: Path) -> None:
    os.environ["SECRET_API_KEY"] = "sk-1"
    try:
        spec = make("print(sorted(os.environ))\ntrain()\nreport()", sandbox=confined)
        run(spec, cli)
    finally:
        del os.environ["SECRET_API_KEY"]
    words = log_of(spec).splitlines()[2]
    by_shells = ("PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE")
    names = [name for name in ast.literal_eval(words) if name not in by_shells]
    assert names == ["AUTORESEARCH_CHANNEL", "AUTORESEARCH_RUN", "HOME", "ONLY", "PATH", "TMPDIR"]


def test_a_trainer_that_cannot_start_is_a_crash(make: Make, cli: Path) -> None:
    outcome = run(make("", argv=("/nowhere/python", "train.py")), cli)
    assert outcome.ending is RunEnding.CRASHED
    assert "it cannot be started" in outcome.reason and "/nowhere/python" in outcome.reason


@pytest.mark.parametrize("confined", [False, True])
def test_cpu_time_of_children_counts(confined: bool, make: Make, cli: Path) -> None:
    outcome = run(make(trainers.BURNS_IN_CHILDREN, sandbox=confined), cli)
    assert 0.85 < outcome.training_s < 1.6


def test_it_is_pinned(make: Make, cli: Path) -> None:
    core = max(os.sched_getaffinity(0))
    spec = make("print(os.sched_getaffinity(0))\ntrain()\nreport()", cores=(core,), sandbox=True)
    run(spec, cli)
    assert f"{{{core}}}" in log_of(spec)


def test_a_key_reaches_the_run_and_no_file(make: Make, cli: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-0123456789")
    script = "print('key', os.environ['SOME_API_KEY'], 'OTHER' in os.environ)\ntrain()\nreport()"
    spec = make(script, given=("SOME_API_KEY", "ABSENT_KEY"))
    assert run(spec, cli).metric is not None
    assert "key [secret] False" in log_of(spec)
    for file in spec.directory.rglob("*"):
        assert not file.is_file() or b"sk-0123456789" not in file.read_bytes(), file


# What is left


@pytest.mark.parametrize("confined", [False, True])
def test_helpers_end_with_their_trainer(confined: bool, make: Make, cli: Path) -> None:
    spec = make(trainers.LEAVES_HELPERS, sandbox=confined)
    assert run(spec, cli).metric == 1.75
    assert len(list((spec.cwd / "pids").iterdir())) == 6
    assert marks.find_marked(spec.marker) == []


def hanging(spec: RunSpec, cli: Path) -> int:
    pid = start_runner(spec, cli)
    eventually(lambda: (spec.directory / LOG_FILE).exists() and "hanging" in log_of(spec))
    assert len(marks.find_marked(spec.marker)) >= 7
    return pid


@pytest.mark.parametrize("confined", [False, True])
def test_a_killed_runner_takes_everything_with_it(confined: bool, make: Make, cli: Path) -> None:
    spec = make(trainers.HELPERS_THEN_HANG, sandbox=confined)
    os.kill(hanging(spec, cli), signal.SIGKILL)
    eventually(lambda: not runner_alive(spec.directory))
    eventually(lambda: not marks.find_marked(spec.marker))
    assert read_outcome(spec.directory) is None


def test_a_helper_that_hides_its_mark_ends_with_its_namespace(make: Make, cli: Path) -> None:
    if sandbox.probe() is Confinement.NONE:
        pytest.skip("nothing here ends a process that hides")
    spec = make(trainers.HIDDEN_HELPER, sandbox=True)
    pid = start_runner(spec, cli)
    eventually(lambda: (spec.directory / LOG_FILE).exists() and "hanging" in log_of(spec))
    hidden = [
        p for p in processes.descendants(pid) if b"hidden-helper" in Path(f"/proc/{p}/cmdline").read_bytes()
    ]
    assert len(hidden) == 1 and hidden[0] not in marks.find_marked(spec.marker)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{hidden[0]}").exists())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_runner_told_to_stop_ends_its_run(number: signal.Signals, make: Make, cli: Path) -> None:
    spec = make(trainers.HELPERS_THEN_HANG)
    os.kill(hanging(spec, cli), number)
    eventually(lambda: not runner_alive(spec.directory))
    assert marks.find_marked(spec.marker) == []
    outcome = read_outcome(spec.directory)
    assert outcome is not None and outcome.ending is RunEnding.ENDED


def test_end_runner_and_a_runner_that_will_not_listen(make: Make, cli: Path) -> None:
    spec = make(trainers.HELPERS_THEN_HANG)
    hanging(spec, cli)
    end_runner(spec.directory)
    assert not runner_alive(spec.directory) and marks.find_marked(spec.marker) == []
    end_runner(spec.directory)
    stubborn = make(trainers.HELPERS_THEN_HANG)
    os.kill(hanging(stubborn, cli), signal.SIGSTOP)
    end_runner(stubborn.directory, wait_s=0.5)
    assert not runner_alive(stubborn.directory)


def test_leftovers_of_an_earlier_attempt_end_before_the_next(make: Make, cli: Path) -> None:
    spec = make(trainers.OK)
    mark = {"AUTORESEARCH_RUN": f"{spec.marker}:{spec.run_id}"}
    left = subprocess.Popen(["sleep", "600"], env=os.environ | mark)
    other = subprocess.Popen(["sleep", "600"], env=os.environ | {"AUTORESEARCH_RUN": spec.marker + "x:1"})
    try:
        run(spec, cli)
        assert left.wait(5) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        for process in (left, other):
            process.kill()
            process.wait()


def test_a_run_outside_a_campaign_ends_nothing_of_another_with_its_name(make: Make, cli: Path) -> None:
    spec = make(trainers.OK, marker="", run_id="trial-1")
    other = subprocess.Popen(["sleep", "600"], env=os.environ | {"AUTORESEARCH_RUN": spec.run_id})
    try:
        run(spec, cli)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_nothing_of_the_runner_is_ours(make: Make, cli: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_API_KEY", "sk-1")
    spec = make(trainers.HELPERS_THEN_HANG)
    pid = hanging(spec, cli)
    status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    assert int(status[1]) != os.getpid()  # its parent
    assert int(status[3]) == pid  # its session
    assert b"sk-" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_a_second_runner_is_refused(make: Make, cli: Path) -> None:
    spec = make(trainers.HELPERS_THEN_HANG)
    hanging(spec, cli)
    with pytest.raises(RunnerError, match="already works"):
        start_runner(spec, cli)
    second = subprocess.run([cli, "_runner", spec.directory], capture_output=True, text=True, timeout=30)
    assert second.returncode == 3 and "another runner works" in second.stderr


def test_a_run_is_made_once(make: Make, cli: Path) -> None:
    spec = make(trainers.OK)
    first = run(spec, cli)
    assert run(spec, cli) == first


def test_alive_has_no_gap_after_the_start(make: Make, cli: Path) -> None:
    spec = make(trainers.OK)
    start_runner(spec, cli)
    while read_outcome(spec.directory) is None:
        alive = runner_alive(spec.directory)
        assert alive or read_outcome(spec.directory) is not None
    assert not runner_alive(spec.directory.parent / "nowhere")


def test_bad_specs_are_refused_in_one_line(tmp_path: Path, cli: Path) -> None:
    (tmp_path / "spec.json").write_text("{}")
    done = subprocess.run([cli, "_runner", tmp_path], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and done.stderr.count("\n") == 1


# The disk and the log


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("no small file system can be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_disk_that_fills_up_loses_no_outcome(make: Make, cli: Path, small_disk: Path) -> None:
    spec = make("train()\nprint('x' * 3000000)\nprint('the end')\nreport()", directory=small_disk / "run")
    assert run(spec, cli).metric == 1.75
    assert "bytes left out" in log_of(spec) and log_of(spec).endswith("the end\n")


def test_a_full_disk_is_said_before_any_training(make: Make, cli: Path, small_disk: Path) -> None:
    spec = make(trainers.OK, directory=small_disk / "run")
    spec.directory.mkdir()
    with (small_disk / "ballast").open("wb", buffering=0) as ballast, pytest.raises(OSError):
        while True:
            ballast.write(b"x" * 4096)
    with pytest.raises(RunnerError, match="make room"):
        start_runner(spec, cli)


def test_the_log_is_capped_and_keeps_its_end(make: Make, cli: Path, tmp_path: Path) -> None:
    cli.write_text(
        CLI.replace(
            "sys.exit", "import sessions.runs.runner\nsessions.runs.runner.LOG_LIMIT = 10**6\nsys.exit"
        )
    )
    spec = make(trainers.CHATTY)
    assert run(spec, cli).metric == 1.75
    text = log_of(spec)
    assert len(text) < 1.2e6
    assert "bytes left out" in text and text.endswith("the end\n")


def test_a_flood_does_not_grow_the_runner(make: Make, cli: Path) -> None:
    script = (
        "say('phase', phase='training')\nprint('hanging', flush=True)\n"
        "print('x' * 2 * 10**7, flush=True)\nfor _ in range(300):\n    wire.write('x' * 100000)\nsay('')\n"
        "while True:\n    print('x' * 100000)\n    say('progress', fraction=0.1, elapsed_s=1, step=1)\n"
    )
    spec = make(script)
    pid = start_runner(spec, cli)
    rss = lambda: int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096  # noqa: E731
    eventually(
        lambda: (spec.directory / LOG_FILE).exists() and (spec.directory / LOG_FILE).stat().st_size > 10**6
    )
    before = rss()
    eventually(lambda: (spec.directory / LOG_FILE).stat().st_size >= 4 * 2**20)
    assert rss() - before < 4 * 10**6
    eventually(lambda: read_progress(spec.directory).phase is RunPhase.TRAINING)  # type: ignore[union-attr]
    end_runner(spec.directory)
    assert (spec.directory / OUTCOME_FILE).exists()
    (spec.directory / LOG_FILE).unlink()
