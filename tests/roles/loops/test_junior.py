"""What a junior does with every answer of a mind, and with minds that fail."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from roles.backend import BackendError, Cost, EditResult, ParkedError, Reflection
from roles.backends.registry import MAKERS
from roles.loops import backoff
from roles.loops import draft as drafting
from roles.loops.agent_process import AgentProcess
from roles.loops.backoff import Backoff, countdown
from roles.loops.draft import Drafter
from roles.loops.junior import Junior, run_junior
from sessions.runs.contract import RunEnding, RunOutcome
from supervisor.analysis.sequential_test import DecideRules
from supervisor.model.actions import Judge, Mend
from supervisor.model.experiment import Experiment, Run
from supervisor.model.snapshot import Hypothesis, LabSnapshot
from supervisor.model.states import AgentState, ExperimentState, HypothesisState, RunState, Verdict, Wanted
from supervisor.policy.verdicts import judge
from supervisor.runs.spec import run_directory
from supervisor.store import agents, experiments, hypotheses, runs
from tests.worlds.minds import Script, process_in, raises, says, workspace_of, writes

CRASH = "KeyError: 'x' (train.py:3)"


def begun(process: AgentProcess, *, planned: bool = True) -> Experiment:
    if planned:
        new = (Hypothesis("X is 7", "nearer", "X: 8 → 7"),)
        hypotheses.add_hypotheses(
            process.store, process.tag, "chief", new, HypothesisState.OPEN, 1.0, first=True
        )
    identifier = workspace_of(process).begin(without_hypothesis=True)
    found = process.snapshot().experiment(identifier)
    assert found is not None
    return found


def drafted(
    process: AgentProcess, experiment: Experiment, drafter: Drafter | None = None
) -> Experiment | None:
    (drafter or Drafter(process, workspace_of(process))).draft(process.snapshot(), experiment)
    return process.snapshot().experiment(experiment.id)


def brief_of(process: AgentProcess, experiment: Experiment) -> str:
    return (process.lab.runs_dir / experiment.id / "brief.md").read_text()


def test_an_edit_is_ready_and_its_brief_is_kept(tmp_path: Path) -> None:
    script = Script(edits=[writes("X = 8.0", "X = 7.0")])
    process = process_in(tmp_path, script)
    agents.send_message(process.store, process.tag, ("junior-1",), "go slowly", "person", 1.0)
    after = drafted(process, begun(process))
    assert after is not None and after.state is ExperimentState.READY and after.title == "X is 7"
    assert script.tasks[0].text == brief_of(process, after)
    for words in ("> go slowly", "change: X: 8 → 7", "X = 8.0", "Lower the score.", "`autoresearch.toml`"):
        assert words in script.tasks[0].text
    assert any(event.text == "read: go slowly" for event in process.snapshot().events)


@pytest.mark.parametrize("first", [says(EditResult.UNCHANGED), writes("nothing", "such")])
def test_no_edit_gets_one_more_try(tmp_path: Path, first: object) -> None:
    script = Script(edits=[first, writes("X = 8.0", "X = 7.0")])  # type: ignore[list-item]
    process = process_in(tmp_path, script)
    after = drafted(process, begun(process))
    assert after is not None and after.state is ExperimentState.READY
    assert "ended without an edit" in script.tasks[1].text and not script.tasks[0].repair


def test_no_edit_twice_is_a_thought(tmp_path: Path) -> None:
    process = process_in(tmp_path, Script(edits=[says(EditResult.UNCHANGED)] * 2))
    after = drafted(process, begun(process))
    assert after is not None
    assert (after.verdict, after.title) == (Verdict.THOUGHT, "X is 7")


def test_a_refusal_is_withdrawn_with_its_reason(tmp_path: Path) -> None:
    process = process_in(tmp_path, Script(edits=[says(EditResult.REFUSED, "it will not")]))
    assert drafted(process, begun(process)) is None
    (hypothesis,) = process.snapshot().hypotheses
    assert hypothesis.state is HypothesisState.WITHDRAWN and "refused: it will not" in hypothesis.rationale


def test_a_refused_idea_of_its_own_is_a_thought_so_that_it_is_counted(tmp_path: Path) -> None:
    process = process_in(tmp_path, Script(edits=[says(EditResult.REFUSED, "it will not")]))
    after = drafted(process, begun(process, planned=False))
    assert after is not None
    assert (after.verdict, after.reason) == (Verdict.THOUGHT, "refused: it will not")


def test_a_question_waits_for_the_person_and_goes_on_with_the_answer(tmp_path: Path) -> None:
    script = Script(edits=[says(EditResult.QUESTION, "Which\nX?"), writes("X = 8.0", "X = 7.0")])
    process, seen = process_in(tmp_path, script), []

    def person() -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            agent = process.reader.read().agent("junior-1")
            if agent is not None and agent.waiting_for:
                seen.append((agent.state, agent.waiting_for))
                agents.send_message(
                    process.store, process.tag, ("junior-1",), "the first", "person", time.time()
                )
                return
            time.sleep(0.01)

    thread = threading.Thread(target=person)
    thread.start()
    after = drafted(process, begun(process))
    thread.join()
    assert seen == [(AgentState.WAITING, "Which X?")]
    assert any(event.text == "asks: Which X?" for event in process.snapshot().events)
    assert after is not None and after.state is ExperimentState.READY
    assert "> You asked: Which X? The answer: the first" in script.tasks[1].text


def test_an_unanswered_question_gives_the_hypothesis_back_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafting, "ANSWER_WAIT_S", 0.0)
    process = process_in(tmp_path, Script(edits=[says(EditResult.QUESTION, "Which X?")] * 2))
    drafter = Drafter(process, workspace_of(process))
    assert drafted(process, begun(process), drafter) is None
    assert process.snapshot().hypotheses[0].state is HypothesisState.OPEN
    assert drafted(process, begun(process, planned=False), drafter) is None
    assert process.snapshot().hypotheses[0].state is HypothesisState.WITHDRAWN


def test_a_stop_ends_the_wait_for_an_answer_and_loses_nothing(tmp_path: Path) -> None:
    process = process_in(tmp_path, Script(edits=[says(EditResult.QUESTION, "Which X?")]))
    agents.want_agents(process.store, process.tag, ("junior-1",), Wanted.STOPPED, 1.0)
    after = drafted(process, begun(process))
    assert after is not None and after.state is ExperimentState.DRAFTING


def test_a_limit_parks_the_agent_and_the_same_step_is_told_the_same(tmp_path: Path) -> None:
    until = time.time() + 3_600
    limit = ParkedError("usage limit", until, Cost(0.25))
    script = Script(edits=[raises(limit), writes("X = 8.0", "X = 7.0")])  # type: ignore[list-item]
    process = process_in(tmp_path, script)
    agents.send_message(process.store, process.tag, ("junior-1",), "go slowly", "person", 1.0)
    experiment = begun(process)
    with pytest.raises(ParkedError) as error:
        drafted(process, experiment)
    waiting = Backoff(process)
    waiting.after(error.value)
    agent = process.snapshot().agent("junior-1")
    assert agent is not None and (agent.state, agent.parked_until) == (AgentState.PARKED, until)
    assert agent.cost_usd == 0.25
    assert waiting.waits(process.snapshot())
    waiting.until = time.time() - 1
    assert not waiting.waits(process.snapshot())
    after = drafted(process, experiment)
    assert after is not None and after.state is ExperimentState.READY
    assert "> go slowly" in script.tasks[1].text
    assert process.messages() == ()


def test_a_parked_agent_that_was_paused_is_parked_again(tmp_path: Path) -> None:
    process = process_in(tmp_path, Script())
    waiting = Backoff(process)
    waiting.after(ParkedError("usage limit", time.time() + 3_600))
    process.state(AgentState.PAUSED)
    assert waiting.waits(process.snapshot())
    agent = process.snapshot().agent("junior-1")
    assert agent is not None and agent.state is AgentState.PARKED


@pytest.mark.parametrize("until", [0.0, float("nan")])
def test_failures_back_off_twice_as_long_each_time_up_to_ten_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: float
) -> None:
    process = process_in(tmp_path, Script())
    waiting, waits = Backoff(process), []
    monkeypatch.setattr(backoff.time, "time", lambda: 1_000.0)
    for error in (
        BackendError("529"),
        BackendError("cut"),
        ParkedError("429", until),
        *[BackendError("x")] * 4,
    ):
        waiting.after(error)
        waits.append(waiting.until - 1_000.0)
    assert waits == [30, 60, 120, 240, 480, 600, 600]
    waiting.succeeded()
    waiting.after(BackendError("529"))
    assert waiting.until == 1_030.0


def test_a_countdown_is_a_clock() -> None:
    assert (countdown(0.2), countdown(245), countdown(7_445)) == ("0:01", "4:05", "2:04:05")


def crashed_once(process: AgentProcess, experiment: Experiment, reason: str = CRASH) -> LabSnapshot:
    """The experiment's first run starts and ends in a traceback."""
    snapshot = process.snapshot()
    run = next(r for r in _of(snapshot, experiment).runs if r.state is RunState.QUEUED)
    for other in (r for e in snapshot.experiments for r in e.runs if r.state is RunState.RUNNING):
        _finish(process, other, 2.0)
    assert runs.take_lease(process.store, run.id, "cpu:0", time.time())
    folder = run_directory(process.lab, run)
    folder.mkdir(parents=True)
    (folder / "run.log").write_text("noise\nTraceback (most recent call last):\n  File x\nKeyError: 'x'\n")
    _finish(process, run, None, reason)
    return process.snapshot()


def _of(snapshot: LabSnapshot, experiment: Experiment) -> Experiment:
    found = snapshot.experiment(experiment.id)
    assert found is not None
    return found


def _finish(
    process: AgentProcess, run: Run, metric: float | None, reason: str = "", holdout: float | None = None
) -> None:
    ending = RunEnding.CRASHED if metric is None else RunEnding.MEASURED
    outcome = RunOutcome(
        run_id=run.id, ending=ending, reason=reason, metric=metric, started_at=time.time(),
        finished_at=time.time(), training_s=1.0, total_s=1.0, cpu_s=1.0, cpu_per_wall=1.0, peak_memory_mb=1.0,
        holdout=holdout,
    )  # fmt: skip
    assert runs.finish_run(process.store, process.tag, run.id, outcome)


def thinking(snapshot: LabSnapshot) -> LabSnapshot:
    """As if a model stood behind the juniors."""
    return replace(snapshot, agents=tuple(replace(a, backend="script") for a in snapshot.agents))


RULES = DecideRules(repairs=1)


def test_a_crash_is_mended_once_and_stays_on_record(tmp_path: Path) -> None:
    edits = [writes("X = 8.0", "X = y"), writes("X = y", "X = 7.0")]
    script = Script(edits=edits)
    process = process_in(tmp_path, script)
    first = drafted(process, begun(process))
    assert first is not None
    snapshot = crashed_once(process, first)
    assert judge(thinking(snapshot), _of(snapshot, first), RULES) == Mend(first.id, CRASH)
    assert experiments.send_to_mend(process.store, process.tag, first.id, CRASH, time.time())
    mended = drafted(process, _of(process.snapshot(), first))
    assert mended is not None and mended.state is ExperimentState.READY
    assert "KeyError: 'x'" in script.tasks[1].repair and "noise" not in script.tasks[1].repair
    assert script.tasks[1].text.count("KeyError: 'x'") == 1
    assert [r.state for r in mended.runs] == [RunState.FINISHED, RunState.QUEUED]
    assert "X = y" in (process.lab.runs_dir / first.id / "diff-crashed-1.patch").read_text()
    assert "X = 7.0" in workspace_of(process).diff_of(mended)
    assert judge(thinking(process.snapshot()), mended, RULES) is None
    again = crashed_once(process, first)
    outcome = judge(thinking(again), _of(again, first), RULES)
    assert isinstance(outcome, Judge) and outcome.judgement.verdict is Verdict.CRASH


@pytest.mark.parametrize(
    ("rules", "reason", "backend"),
    [(DecideRules(), CRASH, "script"), (RULES, "killed by SIGSEGV", "script"), (RULES, CRASH, "offline")],
)
def test_without_a_repair_left_a_crash_decides_at_once(
    tmp_path: Path, rules: DecideRules, reason: str, backend: str
) -> None:
    process = process_in(tmp_path, Script(edits=[writes("X = 8.0", "X = y")]))
    first = drafted(process, begun(process))
    assert first is not None
    snapshot = crashed_once(process, first, reason)
    snapshot = replace(snapshot, agents=tuple(replace(a, backend=backend) for a in snapshot.agents))
    outcome = judge(snapshot, _of(snapshot, first), rules)
    assert isinstance(outcome, Judge) and outcome.judgement.verdict is Verdict.CRASH


def test_what_cannot_be_mended_is_a_crash(tmp_path: Path) -> None:
    edits = [writes("X = 8.0", "X = y"), says(EditResult.NOT_APPLICABLE, "no way")]
    process = process_in(tmp_path, Script(edits=edits))
    first = drafted(process, begun(process))
    assert first is not None
    crashed_once(process, first)
    experiments.send_to_mend(process.store, process.tag, first.id, CRASH, time.time())
    after = drafted(process, _of(process.snapshot(), first))
    assert (
        after is not None
        and after.verdict is Verdict.CRASH
        and after.reason == f"{CRASH}; not mended: no way"
    )
    assert len(after.runs) == 1
    assert "X = y" in (process.lab.runs_dir / first.id / "diff.patch").read_text()


def test_a_mended_draft_whose_predecessor_was_kept_is_redrafted(tmp_path: Path) -> None:
    process = process_in(tmp_path, Script(edits=[writes("X = 8.0", "X = y"), writes("X = y", "X = 7.0")]))
    first = drafted(process, begun(process))
    assert first is not None
    crashed_once(process, first)
    experiments.send_to_mend(process.store, process.tag, first.id, CRASH, time.time())
    drafted(process, _of(process.snapshot(), first))
    assert experiments.send_back(process.store, process.tag, first.id, "e0000", time.time())
    back = _of(process.snapshot(), first)
    assert back.state is ExperimentState.DRAFTING and [r.ending for r in back.runs] == [RunEnding.CRASHED]


def test_a_reflection_that_never_comes_does_not_stop_the_junior(tmp_path: Path) -> None:
    failing = [raises(BackendError("cut"))] * 3
    process = process_in(tmp_path, Script(edits=[writes("X = 8.0", "X = 7.0")], reflections=failing))  # type: ignore[arg-type]
    workspace = workspace_of(process)
    first = drafted(process, begun(process))
    assert first is not None
    bad = experiments.Judgement(Verdict.DISCARD, "no")
    experiments.record_verdict(process.store, process.tag, first.id, bad, time.time())
    junior = Junior(process, workspace, Drafter(process, workspace))
    for _ in range(2):
        with pytest.raises(BackendError):
            junior.step(process.snapshot())
    assert junior.step(process.snapshot())
    told = [e.reflection for e in process.snapshot().experiments if e.id == first.id]
    assert told == ["(no reflection: cut)"]


def test_no_text_of_a_junior_has_a_holdout_figure(tmp_path: Path) -> None:
    script = Script(edits=[writes("X = 8.0", "X = 7.0")], reflections=[lambda _: Reflection("-")])
    process = process_in(tmp_path, script)
    baseline = process.snapshot().experiment("e0000")
    assert baseline is not None
    assert runs.take_lease(process.store, baseline.runs[0].id, "cpu:0", time.time())
    _finish(process, baseline.runs[0], 2.0, holdout=7771.5)
    first = drafted(process, begun(process))
    assert first is not None
    bad = experiments.Judgement(Verdict.DISCARD, "no promise of a gain", -0.5)
    experiments.record_verdict(process.store, process.tag, first.id, bad, time.time())
    workspace = workspace_of(process)
    assert Junior(process, workspace, Drafter(process, workspace)).step(process.snapshot())
    assert "7771" in repr(process.snapshot())
    assert not any("7771" in repr(task) for task in script.tasks) and "7771" not in brief_of(process, first)


def test_a_reflection_is_told_the_change_and_the_verdict(tmp_path: Path) -> None:
    script = Script(
        edits=[writes("X = 8.0", "X = 7.0")],
        reflections=[lambda _: Reflection("as expected", "X pays", "Lower X pays.")],
    )
    process = process_in(tmp_path, script)
    first = drafted(process, begun(process))
    assert first is not None
    bad = experiments.Judgement(Verdict.DISCARD, "no promise of a gain", -0.5)
    experiments.record_verdict(process.store, process.tag, first.id, bad, time.time())
    workspace = workspace_of(process)
    assert Junior(process, workspace, Drafter(process, workspace)).step(process.snapshot())
    for words in ("no promise of a gain", "gain -0.5000", "+X = 7.0", "it is nearer", "note_text"):
        assert words in script.tasks[-1].text
    assert process.snapshot().notes[0].title == "X pays"


def test_a_junior_without_luck_gives_a_hypothesis_back_to_the_end_of_the_plan(tmp_path: Path) -> None:
    process = process_in(tmp_path, Script(edits=[says(EditResult.NOT_APPLICABLE, "one more of these")]))
    for _ in range(5):
        bad = experiments.Judgement(Verdict.DISCARD, "no")
        experiments.record_verdict(
            process.store, process.tag, begun(process, planned=False).id, bad, time.time()
        )
    new = (Hypothesis("first", "", "x"), Hypothesis("second", "", "x"))
    hypotheses.add_hypotheses(
        process.store, process.tag, "chief", new, HypothesisState.OPEN, 1.0, first=False
    )
    assert drafted(process, begun(process, planned=False)) is None
    assert [(h.title, h.state) for h in process.snapshot().hypotheses] == [
        ("second", HypothesisState.OPEN),
        ("first", HypothesisState.OPEN),
    ]


@pytest.mark.timeout(60)
def test_the_loop_waits_for_a_limit_and_goes_on_with_the_same_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = ParkedError("429", time.time() + 2.5)
    script = Script(edits=[raises(limit), writes("X = 8.0", "X = 7.0")])  # type: ignore[list-item]
    process = process_in(tmp_path, script)
    hypotheses.add_hypotheses(
        process.store,
        process.tag,
        "chief",
        (Hypothesis("X is 7", "", "x"),),
        HypothesisState.OPEN,
        1.0,
        first=True,
    )
    monkeypatch.setitem(MAKERS, "offline", lambda _: script)
    monkeypatch.setattr(AgentProcess, "watch_supervisor", lambda *_: None)
    loop = threading.Thread(target=run_junior, args=(process.lab, "junior-1"))
    loop.start()
    states = set()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        snapshot = process.snapshot()
        agent = snapshot.agent("junior-1")
        assert agent is not None
        states.add((agent.state, agent.parked_until is not None))
        if any(e.state is ExperimentState.READY and e.agent for e in snapshot.experiments):
            break
        time.sleep(0.02)
    agents.want_agents(process.store, process.tag, ("junior-1",), Wanted.STOPPED, 1.0)
    loop.join(20)
    assert not loop.is_alive()
    assert (AgentState.PARKED, True) in states and len(script.tasks) == 2
    assert script.tasks[0].text == script.tasks[1].text
