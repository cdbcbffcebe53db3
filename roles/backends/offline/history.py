"""What was tried: which edit each experiment made and what it gained, and which code was measured already."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from roles.backend import Tried
from roles.backends.offline.canvas import read_knobs
from roles.backends.offline.edits import Edit, KnobEdit, from_json
from roles.backends.offline.knob_moves import KnobMove
from roles.backends.offline.patches import Hunk, apply_hunks, read_patch
from roles.backends.offline.source import UnreadableCanvasError, normalised
from supervisor.model.states import Verdict
from supervisor.text import figure

FAILED = frozenset({Verdict.CRASH, Verdict.REJECTED, Verdict.TIMEOUT})
# A failure counts as a loss of this many noise SDs: the run taught little and cost as much.
_FAILURE_SDS = 4.0


@dataclass(frozen=True, slots=True)
class EditVerdict:
    """One verdict on one edit."""

    experiment_id: str
    edit: Edit
    gain: float  # in the metric's unit; for a failure, what it is taken to be worth
    verdict: Verdict

    @property
    def kept(self) -> bool:
        """Whether it was built on."""
        return self.verdict is Verdict.KEEP

    @property
    def words(self) -> str:
        """For a rationale: "gained 0.1200 in e0003 (keep)"."""
        if self.verdict in FAILED:
            return f"ended as {self.verdict.value} in {self.experiment_id}"
        change = f"{'gained' if self.gain > 0 else 'lost'} {figure(abs(self.gain))}"
        return f"{change} in {self.experiment_id} ({self.verdict.value})"


def read_verdicts(tried: Sequence[Tried], scale: float) -> list[EditVerdict]:
    """The verdicts that teach something about an edit this backend could make, oldest first.

    `scale`: the noise of one run in the metric's unit.
    """
    verdicts = []
    for entry in tried:
        verdict, gain = entry.experiment.verdict, entry.experiment.gain
        if verdict in FAILED:
            gain = -_FAILURE_SDS * scale
        if verdict is None or gain is None or verdict in (Verdict.BASELINE, Verdict.THOUGHT):
            continue
        edit = from_json(entry.edit) or edit_in_diff(entry.diff)
        if edit:
            verdicts.append(EditVerdict(entry.experiment.id, edit, gain, verdict))
    return verdicts


def edit_in_diff(diff: str) -> KnobEdit | None:
    """The knob edit that a diff amounts to, whoever made it; None when it changes more than knobs."""
    files = read_patch(diff)
    if len(files) != 1:
        return None
    moves: list[KnobMove] = []
    for hunk in next(iter(files.values())):
        of_hunk = _moves_in(hunk)
        if of_hunk is None:
            return None
        moves.extend(of_hunk)
    return KnobEdit(tuple(moves)) if moves else None


def _moves_in(hunk: Hunk) -> list[KnobMove] | None:
    if len(hunk.before) != len(hunk.after):
        return None
    moves = []
    for before, after in zip(hunk.before, hunk.after, strict=True):
        if before == after:
            continue
        old, new = _knob_on(before), _knob_on(after)
        if not old or not new or old[0] != new[0]:
            return None
        moves.append(KnobMove.between(old[0], old[1], new[1]))
    return moves


def _knob_on(line: str) -> tuple[str, int | float | str | bool] | None:
    if not re.match(r"[A-Za-z]|#\s*define\b", line):
        return None  # indented: inside a function, no knob
    try:
        knobs = read_knobs(line)
    except Exception:  # half a statement is no knob
        return None
    return next(((knob.name, knob.value) for knob in knobs.values()), None)


def ancestors(experiment_id: str | None, tried: Sequence[Tried]) -> frozenset[str]:
    """The ids of the experiments that a commit stands on, itself included."""
    parents = {entry.experiment.id: entry.experiment.parent_id for entry in tried}
    chain: set[str] = set()
    while experiment_id is not None and experiment_id not in chain:
        chain.add(experiment_id)
        experiment_id = parents.get(experiment_id)
    return frozenset(chain)


def root_id(tried: Sequence[Tried]) -> str | None:
    """The experiment that stands on none: the baseline."""
    return next((entry.experiment.id for entry in tried if entry.experiment.parent_id is None), None)


def _sources_of(path: str, text: str, known_id: str | None, tried: Sequence[Tried]) -> dict[str, str]:
    """The canvas at each experiment that the diffs lead to, from its text at `known_id` (default: the root).

    A child is its parent with the diff applied, a parent its child with the diff taken back. An experiment
    whose diff does not fit is left out.
    """
    known_id = known_id or root_id(tried)
    if known_id is None:
        return {}
    patches = {entry.experiment.id: read_patch(entry.diff).get(path, ()) for entry in tried}
    edges = [(entry.experiment.parent_id, entry.experiment.id) for entry in tried if entry.diff]
    neighbours: dict[str, list[tuple[str, str, bool]]] = {}
    for parent, child in edges:
        if parent is not None:
            neighbours.setdefault(parent, []).append((child, child, False))
            neighbours.setdefault(child, []).append((parent, child, True))
    sources, queue = {known_id: text}, [known_id]
    while queue:
        at = queue.pop()
        for other, patch, take_back in neighbours.get(at, ()):
            if other not in sources:
                result = apply_hunks(sources[at], patches[patch], take_back=take_back)
                if result is not None:
                    sources[other] = result
                    queue.append(other)
    return sources


def measured_code(path: str, text: str, known_id: str | None, tried: Sequence[Tried]) -> frozenset[str]:
    """The normalised code of everything that was tried, whatever became of it, and of the canvas itself."""
    codes = {normalised(text)}
    for source in _sources_of(path, text, known_id, tried).values():
        try:
            codes.add(normalised(source))
        except UnreadableCanvasError:
            continue  # a broken draft of the past: nothing that parses can equal it
    return frozenset(codes)
