"""What was tried, read as evidence: which edit each experiment made and what it gained."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from roles.backend import Tried
from roles.backends.offline.canvas import read_knobs
from roles.backends.offline.edits import Edit, KnobEdit, from_json
from roles.backends.offline.patches import Hunk, read_patch
from roles.backends.offline.steps import Step
from supervisor.model.states import Verdict

FAILED = frozenset({Verdict.CRASH, Verdict.REJECTED, Verdict.TIMEOUT})
_FAILURE_SDS = (
    4.0  # a failure counts as a loss of this many noise SDs: the run taught little and cost as much
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One verdict on one edit."""

    experiment_id: str
    edit: Edit
    gain: float  # in the metric's unit; for a failure, what it is taken to be worth
    verdict: Verdict

    @property
    def kept(self) -> bool:
        return self.verdict is Verdict.KEEP

    @property
    def words(self) -> str:
        """For a rationale: "gained 0.1200 in e0003 (keep)"."""
        if self.verdict in FAILED:
            return f"ended as {self.verdict.value} in {self.experiment_id}"
        change = f"{'gained' if self.gain > 0 else 'lost'} {abs(self.gain):.4f}"
        return f"{change} in {self.experiment_id} ({self.verdict.value})"


def read_evidence(tried: Sequence[Tried], scale: float) -> list[Evidence]:
    """The verdicts that teach something about an edit this backend could make, oldest first.

    `scale`: the noise of one run in the metric's unit.
    """
    found = []
    for entry in tried:
        verdict, gain = entry.experiment.verdict, entry.experiment.gain
        if verdict in FAILED:
            gain = -_FAILURE_SDS * scale
        if verdict is None or gain is None or verdict in (Verdict.BASELINE, Verdict.THOUGHT):
            continue
        edit = from_json(entry.edit) or edit_in_diff(entry.diff)
        if edit:
            found.append(Evidence(entry.experiment.id, edit, gain, verdict))
    return found


def edit_in_diff(diff: str) -> KnobEdit | None:
    """The knob edit that a diff amounts to, whoever made it; None when it changes more than knobs."""
    files = read_patch(diff)
    if len(files) != 1:
        return None
    steps: list[Step] = []
    for hunk in next(iter(files.values())):
        moved = _steps_in(hunk)
        if moved is None:
            return None
        steps.extend(moved)
    return KnobEdit(tuple(steps)) if steps else None


def _steps_in(hunk: Hunk) -> list[Step] | None:
    if len(hunk.before) != len(hunk.after):
        return None
    steps = []
    for before, after in zip(hunk.before, hunk.after, strict=True):
        if before == after:
            continue
        old, new = _knob_on(before), _knob_on(after)
        if not old or not new or old[0] != new[0]:
            return None
        steps.append(Step.between(old[0], old[1], new[1]))
    return steps


def _knob_on(line: str) -> tuple[str, int | float | str | bool] | None:
    if not re.match(r"[A-Za-z]|#\s*define\b", line):
        return None  # indented: inside a function, no knob
    try:
        knobs = read_knobs(line)
    except Exception:  # half a statement is no knob
        return None
    return next(((knob.name, knob.value) for knob in knobs.values()), None)
