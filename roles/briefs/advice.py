"""What the lab itself asks of an agent before its next step, in sentences. Pure."""

from __future__ import annotations

from typing import assert_never

from supervisor.analysis.plan_mode import PlanMode, plan_mode_of
from supervisor.analysis.streaks import (
    ANOTHER_PARENT_AFTER,
    INVERT_AFTER,
    misses,
    stuck_juniors,
    wants_review,
)
from supervisor.model.snapshot import LabSnapshot
from supervisor.text import one_line


def junior_advice(snapshot: LabSnapshot, agent: str) -> tuple[str, ...]:
    """A review that is due, and a direction that should rest."""
    missed, advice = misses(snapshot, agent), []
    if review := wants_review(snapshot, agent):
        ids = ", ".join(e.id for e in review)
        advice.append(
            f"{len(missed)} discards in a row. Before the edit, write a review: say first, in your expectation, what "
            f"{ids} have in common, and how this edit differs."
        )
    if len(missed) >= ANOTHER_PARENT_AFTER:
        advice.append(
            f"{len(missed)} misses since your last keep: when this hypothesis is one more of what failed, give it "
            'back: answer "not-applicable" with that reason.'
        )
    return tuple(advice)


def mode_advice(snapshot: LabSnapshot, why: str) -> tuple[str, ...]:
    """Why the chief is asked, and what kind of plan the numbers suggest."""
    mode, reason = plan_mode_of(snapshot)
    advice = [f"You are asked because: {one_line(why)}"] if why else []
    advice.append(f"Mode: {mode.value} ({reason}). {_meaning(mode)}")
    if stuck_juniors(snapshot):
        advice.append(
            f"A junior is {INVERT_AFTER} or more verdicts without progress. Name an assumption that all of its misses "
            "share, and make the first hypothesis its opposite."
        )
    return tuple(advice)


def _meaning(mode: PlanMode) -> str:
    match mode:
        case PlanMode.EXPLORE:
            return "Mostly mechanisms that nobody tried here, cheap tests of large effects first."
        case PlanMode.EXPLOIT:
            return (
                "Mostly further along what was kept last, and what lost before but may win on the new code."
            )
        case PlanMode.COMBINE:
            return "Mostly two or three near misses in one change, such as do not work on the same thing."
        case PlanMode.ABLATE:
            return 'Mostly taking one earlier keep out again (category "ablation"): what no longer pays should go.'
        case _:
            assert_never(mode)
