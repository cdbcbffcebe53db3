"""The chief plans from one text, in a room where nothing changes."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from roles.backend import BackendError, Plan, PlanBrief
from roles.loops.chief import plan
from supervisor.model.snapshot import Hypothesis, LabSnapshot
from supervisor.model.states import HypothesisState
from supervisor.store import agents
from tests.worlds.minds import Script, process_in

ONE = Hypothesis(
    "X is 7", "nearer", "X: 8 → 7", 0.1, "shape",
    parent_id="e0099", risk="too low", builds_on=("e0000", "e0099"), falsified_by="a loss", independent=True,
)  # fmt: skip


def events(snapshot: LabSnapshot) -> list[str]:
    return [event.text for event in snapshot.events if event.agent == "chief"]


def planned(tmp_path: Path, act: Callable[[Path], object], config: str = "") -> tuple[Script, LabSnapshot]:
    def think(brief: PlanBrief) -> Plan:
        assert brief.worktree is not None
        act(brief.worktree)
        return Plan(tuple(replace(ONE, change=f"X: 8 → {n}") for n in range(99)), "a summary")

    script = Script(plans=[think])
    process = process_in(tmp_path, script, "chief", config)
    agents.send_message(process.store, process.tag, ("chief",), "mind the width", "person", 1.0)
    plan(process, process.snapshot(), "the plan runs low")
    assert (process.lab.state_dir / "plans" / "1.md").read_text() == script.briefs[0].text
    return script, process.snapshot()


def test_a_plan_is_told_why_and_reads_the_champions_code(tmp_path: Path) -> None:
    script, after = planned(tmp_path, lambda room: (room / "train.py").read_text())
    text = script.briefs[0].text
    for words in (
        "asked because: the plan runs low",
        "Mode: explore",
        "> mind the width",
        "X = 8.0",
        "No ablations",
    ):
        assert words in text
    assert not any("tried to change" in text for text in events(after))


def test_a_plan_holds_what_was_wanted_and_only_experiments_that_are_there(tmp_path: Path) -> None:
    script, after = planned(tmp_path, lambda _: None)
    assert len(after.hypotheses) == script.briefs[0].wanted == 3
    one = after.hypotheses[0]
    assert (one.parent_id, one.builds_on, one.risk) == (None, ("e0000",), "too low")
    assert (one.falsified_by, one.independent, one.state) == ("a loss", True, HypothesisState.OPEN)


def test_what_the_plan_holds_already_is_not_planned_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = replace(ONE, title="x IS  7", parent_id=None)
    other = replace(ONE, change="X: 8 → 6")
    script = Script(plans=[lambda _: Plan((ONE, again), ""), lambda _: Plan((again, other), "")])
    process = process_in(tmp_path, script, "chief")
    assert len(plan(process, process.snapshot(), "the plan runs low")) == 1
    assert len(plan(process, process.snapshot(), "the plan runs low")) == 1
    assert [h.change for h in process.snapshot().hypotheses] == ["X: 8 → 7", "X: 8 → 6"]
    assert "x IS  7: in the plan already, h-01" in capsys.readouterr().out


def _commit(room: Path) -> None:
    (room / "train.py").chmod(0o644)
    (room / "train.py").write_text("X = 0\n")
    git = ("git", "-c", "user.name=x", "-c", "user.email=x@example.org")
    subprocess.run([*git, "commit", "-qam", "mine"], cwd=room, check=True)


def _put_back(room: Path) -> None:
    file = room / "train.py"
    text, times = file.read_bytes(), file.stat()
    file.chmod(0o644)
    file.write_bytes(b"X = 0\n")
    file.write_bytes(text)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    file.chmod(stat.S_IMODE(times.st_mode))


def _write(room: Path) -> None:
    (room / "train.py").chmod(0o644)
    (room / "train.py").write_text("X = 0\n")


def _add(room: Path) -> None:
    room.chmod(0o755)
    (room / "mine.py").write_text("X = 0\n")


def _hide(room: Path) -> None:
    subprocess.run(["git", "update-index", "--skip-worktree", "train.py"], cwd=room, check=True)
    _write(room)


@pytest.mark.parametrize(
    ("act", "named"),
    [
        (_write, "train.py"),
        (_add, "mine.py"),
        (_put_back, "train.py"),
        (_hide, "train.py"),
        (_commit, "HEAD"),
    ],
)
def test_what_a_chief_changes_is_undone_and_told_and_the_plan_counts(
    tmp_path: Path, act: Callable[[Path], object], named: str
) -> None:
    script, after = planned(tmp_path, act)
    (told,) = [text for text in events(after) if text.startswith("the chief tried to change")]
    assert named in told and told.endswith("; undone")
    room = script.briefs[0].worktree
    assert room is not None and "X = 8.0" in (room / "train.py").read_text()
    assert not (room / "mine.py").exists()
    assert after.hypotheses


def test_the_room_is_read_only(tmp_path: Path) -> None:
    modes: list[int] = []
    planned(
        tmp_path,
        lambda room: modes.extend(p.stat().st_mode for p in (room, room / "train.py", room / ".git")),
    )
    assert [mode & 0o222 for mode in modes] == [0, 0, 0]


def test_a_branch_of_the_chiefs_is_told(tmp_path: Path) -> None:
    _, after = planned(tmp_path, lambda room: subprocess.run(["git", "branch", "mine"], cwd=room, check=True))
    assert "while the chief planned somebody moved refs/heads/mine" in events(after)


def test_a_plan_that_fails_leaves_the_room_as_it_was_and_the_message_unheard(tmp_path: Path) -> None:
    def fails(brief: PlanBrief) -> Plan:
        assert brief.worktree is not None
        _write(brief.worktree)
        raise BackendError("cut")

    script = Script(plans=[fails, lambda _: Plan((ONE,), "")])
    process = process_in(tmp_path, script, "chief")
    agents.send_message(process.store, process.tag, ("chief",), "mind the width", "person", 1.0)
    with pytest.raises(BackendError):
        plan(process, process.snapshot(), "low")
    assert any("tried to change" in text for text in events(process.snapshot()))
    assert process.has_messages()
    plan(process, process.snapshot(), "low")
    assert "> mind the width" in script.briefs[1].text and not process.has_messages()
