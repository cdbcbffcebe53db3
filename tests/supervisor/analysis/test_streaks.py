"""How long somebody has gone without a keep, and what kind of plan the numbers suggest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from roles.briefs.advice import junior_advice, mode_advice
from supervisor.analysis.plan_mode import PlanMode, near_misses, plan_mode_of
from supervisor.analysis.streaks import misses, stuck_juniors, wants_another_parent, wants_review
from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import Agent, Hypothesis, LabSnapshot, Noise
from supervisor.model.states import AgentState, ExperimentState, HypothesisState, Role, Verdict, Wanted

_WORDS = {
    "k": Verdict.KEEP,
    "d": Verdict.DISCARD,
    "c": Verdict.CRASH,
    "t": Verdict.THOUGHT,
    "r": Verdict.REJECTED,
}


def snapshot(
    verdicts: str, *, gain: float = -0.05, parent: str = "e0000", incumbent: str = "e0000"
) -> LabSnapshot:
    """One junior's verdicts in a row, a letter each; keeps stand on each other."""
    made = [
        Experiment(
            "e0000", "", "base", ExperimentState.DECIDED, None, "c0", "s", 0.0, verdict=Verdict.BASELINE
        )
    ]
    tip = parent
    for at, letter in enumerate(verdicts, 1):
        one = Experiment(
            f"e{at:04d}", "junior-1", "t", ExperimentState.DECIDED, tip, "c", "s", 0.0, commit="c",
            verdict=_WORDS[letter], decided_at=float(at), gain=gain, hypothesis_id=f"h-{at:02d}",
        )  # fmt: skip
        made.append(one)
        if letter == "k":
            tip = one.id
    junior = Agent("junior-1", Role.JUNIOR, "x", AgentState.IDLE, 0.0, Wanted.RUNNING, incumbent_id=incumbent)
    chief = Agent("chief", Role.CHIEF, "x", AgentState.IDLE, 0.0, Wanted.RUNNING)
    return LabSnapshot(
        Path("/lab"), 100.0, 1, None, agents=(chief, junior), experiments=tuple(made),
        noise=Noise(0.02, 10, 5), champion_id=tip, baseline_id="e0000",
    )  # fmt: skip


def planned(lab: LabSnapshot, at: float, category: str = "shape", identifier: str = "h-99") -> LabSnapshot:
    one = Hypothesis(
        "t", category=category, id=identifier, state=HypothesisState.OPEN, author="chief", created_at=at
    )
    return replace(lab, hypotheses=(*lab.hypotheses, one))


@pytest.mark.parametrize(
    ("verdicts", "count"), [("", 0), ("ddk", 0), ("kdd", 2), ("kdtcr", 3), ("ttt", 0), ("dkd", 1)]
)
def test_misses_are_counted_since_the_last_keep_and_thoughts_are_neither(verdicts: str, count: int) -> None:
    assert len(misses(snapshot(verdicts), "junior-1")) == count
    assert misses(snapshot(verdicts), "junior-2") == ()


@pytest.mark.parametrize(
    ("verdicts", "due"), [("kdd", False), ("kddd", True), ("kdddd", False), ("dddddd", True)]
)
def test_a_review_is_due_after_every_third_miss(verdicts: str, due: bool) -> None:
    lab = snapshot(verdicts)
    assert bool(wants_review(lab, "junior-1")) is due
    assert any("say first" in line for line in junior_advice(lab, "junior-1")) is due


def test_the_review_names_what_is_to_be_reviewed() -> None:
    assert "e0002, e0003, e0004 have in common" in junior_advice(snapshot("kddd"), "junior-1")[0]


def test_five_misses_on_one_incumbent_want_another_parent() -> None:
    def agent(lab: LabSnapshot) -> Agent:
        return lab.agents[1]

    five = snapshot("ddddd")
    assert wants_another_parent(five, agent(five))
    four = snapshot("dddd")
    assert not wants_another_parent(four, agent(four))
    elsewhere = snapshot("ddddd", incumbent="e0009")
    assert not wants_another_parent(elsewhere, agent(elsewhere))


def test_a_junior_is_stuck_after_eight_until_the_chief_has_planned_again() -> None:
    assert stuck_juniors(snapshot("d" * 7)) == ()
    eight = snapshot("d" * 8)
    assert [(agent.name, count) for agent, count in stuck_juniors(eight)] == [("junior-1", 8)]
    assert "Name an assumption" in "\n".join(mode_advice(eight, ""))
    assert stuck_juniors(planned(eight, 9.0)) == ()
    assert stuck_juniors(planned(snapshot("d" * 15), 9.0)) == ()
    assert [count for _, count in stuck_juniors(planned(snapshot("d" * 16), 9.0))] == [16]


@pytest.mark.parametrize(
    ("verdicts", "gain", "mode"),
    [
        ("ddd", -0.05, PlanMode.EXPLORE),
        ("dddddk", -0.05, PlanMode.EXPLOIT),
        ("kddddddd", -0.05, PlanMode.EXPLOIT),
        ("k" + "d" * 8, -0.05, PlanMode.EXPLORE),
        ("kddddd", 0.03, PlanMode.COMBINE),
        ("dddkkk", -0.05, PlanMode.ABLATE),
    ],
)
def test_the_numbers_suggest_a_mode(verdicts: str, gain: float, mode: PlanMode) -> None:
    lab = snapshot(verdicts, gain=gain)
    assert plan_mode_of(lab)[0] is mode and plan_mode_of(lab)[1]
    said = mode_advice(lab, "the queue is low")
    assert said[0].endswith("the queue is low") and f"Mode: {mode.value}" in said[1]


def test_keeps_that_were_ablated_need_no_ablation() -> None:
    lab = planned(snapshot("dddkkkd"), 6.0, "Ablation", "h-07")
    assert plan_mode_of(lab)[0] is PlanMode.EXPLOIT


def test_a_near_miss_is_a_discard_that_the_noise_could_hide() -> None:
    def ids(gain: float) -> list[str]:
        return [e.id for e in near_misses(snapshot("dk", gain=gain).experiments, 0.02)]

    assert (ids(0.03), ids(0.005), ids(0.07), ids(-0.03)) == (["e0001"], [], [], [])
    assert near_misses(snapshot("d", gain=0.03).experiments, None) == ()
