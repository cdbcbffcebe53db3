"""Process trees: listing, metering, ending, finding; real processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from sessions.processes import marks
from sessions.processes import tree as processes
from tests.sessions.conftest import eventually

BURN = "import sys, time\nuntil = float(sys.argv[1])\nwhile time.process_time() < until: pass"


def _in_own_process(body: Callable[[], None]) -> None:
    """Meters and subreapers are of the whole process, so each test gets one of its own."""
    child = multiprocessing.get_context("fork").Process(target=body)
    child.start()
    child.join(60)
    assert child.exitcode == 0


def burn(seconds: float) -> list[str]:
    return [sys.executable, "-S", "-c", BURN, str(seconds)]


def test_meter_counts_exited_and_unwaited_children() -> None:
    def body() -> None:
        processes.become_subreaper()
        meter = processes.TreeMeter()
        subprocess.run(burn(0.3), check=True)  # waited for between two samples
        assert 0.28 <= meter.sample() < 0.6
        # A middle process that ignores its children: the kernel forgets their times, the samples don't.
        script = (
            "import signal, subprocess\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
            f"for _ in range(3): subprocess.Popen({burn(0.3)!r}).wait()"
        )
        middle = subprocess.Popen([sys.executable, "-S", "-c", script])
        while middle.poll() is None:
            meter.sample()
        assert 0.85 <= meter.sample() < 1.5
        assert meter.peak_mb() > 3

    _in_own_process(body)


def test_descendants_are_found_through_every_level() -> None:
    nested = subprocess.Popen(["/bin/sh", "-c", "sh -c 'sleep 600 & wait' & sleep 600 & wait"])
    try:
        eventually(lambda: len(processes.descendants(nested.pid)) == 3)
    finally:
        processes.end_tree(nested.pid)
        nested.wait()
    assert processes.descendants(nested.pid) == []


def test_end_tree_ends_what_ignores_term() -> None:
    stubborn = subprocess.Popen(
        ["/bin/sh", "-c", "trap '' TERM; echo ready; sleep 600; sleep 600"], stdout=subprocess.PIPE
    )
    assert stubborn.stdout is not None and stubborn.stdout.readline() == b"ready\n"
    processes.end_tree(stubborn.pid, grace_s=0.1)
    assert stubborn.wait(5) == -signal.SIGKILL
    stubborn.stdout.close()


def test_marks_match_whole_or_up_to_a_colon() -> None:
    def marked(mark: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["sleep", "600"], env=os.environ | {"AUTORESEARCH_RUN": mark})

    lab = f"lab-{os.getpid()}"
    exact, of_run, other = marked(lab), marked(f"{lab}:e1.1"), marked(f"{lab}2:e1.1")
    try:
        eventually(lambda: set(marks.find_marked(lab)) == {exact.pid, of_run.pid})
        assert marks.find_marked(f"{lab}:e1.1") == [of_run.pid]
        assert marks.end_marked(lab) == 2
        assert marks.find_marked(lab) == [] and other.poll() is None
    finally:
        for process in (exact, of_run, other):
            process.kill()
            process.wait()


@pytest.mark.skipif(not processes.LINUX, reason="Linux only")
def test_a_child_dies_with_its_parent() -> None:
    script = (
        "import os, subprocess\nfrom sessions.processes.tree import die_with_parent\nme = os.getpid()\n"
        "child = subprocess.Popen(['sleep', '600'], preexec_fn=lambda: die_with_parent(me))\n"
        "print(child.pid, flush=True)\nos.kill(me, 9)"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, timeout=30)
    child = int(done.stdout)
    eventually(lambda: processes.is_dead(child))
