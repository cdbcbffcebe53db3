"""Whole runs in processes of their own: over the channel, and by hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Canvas = Callable[..., Any]
Assignment = dict[str, Any]


def test_a_run_over_the_channel(run_canvas: Canvas, assignment: Assignment) -> None:
    ended = run_canvas("prepare.warm_up(model, step, 2)\nLOOP\nprepare.finish(model, depth=3)", assignment)
    assert ended.exit_code == 0, ended.stderr
    assert [each["phase"] for each in ended.of("phase")] == [
        "warm-up",
        "starting",
        "training",
        "evaluating",
    ]
    (report,) = ended.of("report")
    assert ended.events[-1] is report
    assert report["metric"] == "val_bpb"
    assert 0 < report["value"] < 10
    assert (report["seed"], report["budget_s"], report["clock"]) == (42, 0.5, "cpu")
    assert 0.5 <= report["training_s"] < 1.1
    assert report["tokens"] == report["steps"] * 2 * 128
    assert report["parameters"] == 2048 * 8 + 8 * 2048 + 2048
    assert report["evaluated_bytes"] > 1000
    assert report["extras"] == {"depth": 3}
    assert len(report["data_fingerprint"]) == 16
    counts = {name: report[name] for name in ("steps", "tokens", "training_s")}
    assert counts.items() <= ended.of("phase")[-1].items()
    assert report["holdout"] is None
    for progress in ended.of("progress"):
        assert 0 < progress["fraction"] < 1
        assert progress["loss"] < 8
        assert progress["tokens_per_s"] > 0
    assert "seed 42, 0.5 s of cpu time on cpu:0 (from the runner)" in ended.stdout
    block = dict(line.split(":", 1) for line in ended.stdout.partition("---\n")[2].splitlines())
    assert float(block["val_bpb"]) == pytest.approx(report["value"], abs=1e-6)
    assert int(block["num_steps"]) == report["steps"]
    assert block["depth"].strip() == "3"


def test_the_sealed_holdout_is_scored_after_training(
    run_canvas: Canvas, assignment: Assignment, corpus_code: ModuleType, corpus: Path, tmp_path: Path
) -> None:
    sealed = tmp_path / "holdout.bin"
    corpus_code.prepare(str(corpus), sealed)
    ended = run_canvas("LOOP\nprepare.finish(model)", assignment | {"holdout": True}, sealed.read_bytes())
    assert ended.exit_code == 0, ended.stderr
    assert [each["phase"] for each in ended.of("phase")] == ["training", "evaluating", "holdout"]
    (report,) = ended.of("report")
    assert 0 < report["holdout"] < 10
    assert report["holdout"] != report["value"]
    assert f"{report['holdout']:.4f}" not in ended.stdout + ended.stderr  # nobody who reads logs may know
    smoke = run_canvas("LOOP\nprepare.finish(model)", assignment | {"holdout": True, "smoke": True})
    assert smoke.of("report")[0]["holdout"] is None


def test_a_holdout_that_comes_to_nothing_is_told(run_canvas: Canvas, assignment: Assignment) -> None:
    ended = run_canvas("LOOP\nprepare.finish(model)", assignment | {"holdout": True}, b"")
    assert ended.exit_code == 1
    assert "too little" in ended.of("crash")[0]["reason"]


def test_smoke_is_a_few_batches(run_canvas: Canvas, assignment: Assignment) -> None:
    ended = run_canvas("LOOP\nprepare.finish(model)", assignment | {"smoke": True, "budget_s": 1000})
    assert ended.exit_code == 0, ended.stderr
    assert ended.of("report")[0]["steps"] == 8


def test_by_hand_it_says_what_it_took(run_canvas: Canvas) -> None:
    ended = run_canvas(
        "LOOP\nprepare.finish(model)", None, AUTORESEARCH_SEED="5", AUTORESEARCH_BUDGET_S="0.3"
    )
    assert ended.exit_code == 0, ended.stderr
    assert ended.events == []
    assert "seed 5, 0.3 s of cpu time on cpu (by hand; " in ended.stdout
    assert "val_bpb: " in ended.stdout


@pytest.mark.parametrize(
    ("body", "event", "reason"),
    [
        (
            "next(prepare.batches(1)); prepare.watch(float('nan'))",
            "crash",
            "^diverged: loss is nan at step 1$",
        ),
        ("prepare.finish(model)", "crash", "before the first batch"),
        (
            "try:\n    next(prepare.batches(1)); prepare.watch(torch.tensor(float('inf')))\n"
            "except prepare.Diverged: pass\nprepare.finish(model)",
            "crash",
            "^diverged: loss is inf",
        ),
        (
            "class Cheat(Model):\n    def forward(self, x): return self.head(self.embedding(x.roll(-1, 1)))\n"
            "model = Cheat(); LOOP\nprepare.finish(model)",
            "rejected",
            "^causality: ",
        ),
        (
            "LOOP\nend = time.process_time() + 1.5\n"
            "while time.process_time() < end: pass\nprepare.finish(model)",
            "rejected",
            r"^clock: trained \d\.\d s on a budget of 0.5 s$",
        ),
    ],
)
def test_a_bad_end_is_told_with_its_reason(
    run_canvas: Canvas, assignment: Assignment, body: str, event: str, reason: str
) -> None:

    ended = run_canvas(body.replace("; LOOP", "\nLOOP"), assignment)
    last_words = [each for each in ended.events if each["event"] in ("report", "crash", "rejected")]
    assert [each["event"] for each in last_words] == [event]
    assert re.search(reason, last_words[0]["reason"]), last_words
    if "except" not in body:
        assert ended.exit_code == 1
    if event == "rejected":
        assert "Traceback" not in ended.stderr
        assert ended.stderr.strip() == f"rejected: {last_words[0]['reason']}"


def test_a_second_finish_reports_nothing_more(run_canvas: Canvas, assignment: Assignment) -> None:
    ended = run_canvas("LOOP\nprepare.finish(model)\nprepare.finish(model)", assignment)
    assert ended.exit_code == 1
    assert len(ended.of("report")) == 1
    assert ended.of("crash") == []


def test_children_of_the_canvas_are_no_referees(run_canvas: Canvas, assignment: Assignment) -> None:
    body = """
    import subprocess
    assert "AUTORESEARCH_CHANNEL" not in os.environ
    if os.fork() == 0:
        prepare.this_run().channel.send("report", value=0.0)
        os._exit(0)
    os.wait()
    prepare.this_run().channel.send("crash", reason="mine")
    """
    assert [each.get("reason") for each in run_canvas(body, assignment).events] == ["mine"]


def test_a_runner_that_is_gone_ends_the_run(run_canvas: Canvas, assignment: Assignment) -> None:
    body = (
        "import socket\nprepare.this_run().channel.socket.shutdown(socket.SHUT_RDWR)\nLOOP\nprint('went on')"
    )
    ended = run_canvas(body, assignment)
    assert ended.exit_code == 1
    assert "runner is gone" in ended.stderr
    assert "went on" not in ended.stdout


def test_an_assignment_that_is_none_is_a_crash(run_canvas: Canvas) -> None:
    ended = run_canvas("LOOP\n", {"seed": "x"})
    assert ended.exit_code == 1
    assert "no assignment" in ended.of("crash")[0]["reason"]


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("AUTORESEARCH_DEVICE", "cuda:77", "'cuda:77' cannot be used"),
        ("AUTORESEARCH_CLOCK", "moon", "moon"),
        ("AUTORESEARCH_BUDGET_S", "0", "a budget of 0.0 s"),
        ("AUTORESEARCH_SEED", "x", "'x'"),
    ],
)
def test_what_cannot_be_taken_by_hand_is_one_line(
    referee: ModuleType, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(referee.RefereeError, match=says) as raised:
        _ = referee.seed
    assert "\n" not in str(raised.value)


def test_in_a_pid_namespace_of_its_own(run_canvas: Canvas) -> None:
    """/proc still belongs to the outer namespace there: the clock must take no harm."""
    body = """
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x10000000 | 0x20000000):  # CLONE_NEWUSER | CLONE_NEWPID
        print("no namespaces here")
        raise SystemExit(77)
    child = os.fork()
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    assert os.getpid() == 1
    import subprocess
    burn = "import time\\nwhile time.process_time() < 0.2: pass\\nprint(flush=True)\\ninput()"
    argv = [sys.executable, "-S", "-c", burn]
    burner = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    burner.stdout.readline()
    assert 0.18 <= prepare.living_children_cpu_s() < 1.0  # the burner, and not the machine
    LOOP
    prepare.finish(model)
    """
    ended = run_canvas(body, None, AUTORESEARCH_BUDGET_S="0.3")
    if ended.exit_code == 77:
        pytest.skip("no user namespaces on this machine")
    assert ended.exit_code == 0, ended.stderr
    assert "val_bpb: " in ended.stdout
