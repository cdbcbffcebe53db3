"""A lab's past with real diffs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from difflib import unified_diff
from pathlib import Path

import pytest

from roles.backend import Canvas, EditTask, PlanBrief, Tried
from roles.backends.offline.canvas import set_knobs
from roles.backends.offline.edits import CatalogueEdit, Edit, KnobEdit, from_json, to_json
from roles.backends.offline.knob_moves import KnobMove
from supervisor.model.experiment import Experiment, Run
from supervisor.model.snapshot import Hypothesis
from supervisor.model.states import Direction, ExperimentState, HypothesisState, RunKind, RunState, Verdict

PATH = "training/train.py"
NOISE = 0.008


@dataclass
class Past:
    """A lab's experiments: each with the diff that its edit makes on its parent."""

    text: str  # of the baseline
    tried: list[Tried] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    champion: str = "e0000"

    def __post_init__(self) -> None:
        self.sources["e0000"] = self.text
        run = Run("e0000.1", "e0000", RunKind.BASELINE, 1, 7, RunState.FINISHED, 0.0, metric=2.6)
        baseline = replace(self._experiment("e0000", None, "baseline"), verdict=Verdict.BASELINE, runs=(run,))
        self.tried.append(Tried(baseline, "", ""))

    def _experiment(self, id: str, parent: str | None, title: str) -> Experiment:
        return Experiment(id, "junior-1", title, ExperimentState.DECIDED, parent, "c" * 40, "s", 0.0)

    def add(
        self,
        change: Edit | str,
        gain: float | None,
        verdict: Verdict = Verdict.DISCARD,
        parent: str | None = None,
        silent: bool = False,
    ) -> str:
        """Try an edit or a whole text; a keep on the champion becomes it. `silent`: no edit, only a diff."""
        parent = parent or self.champion
        before = self.sources[parent]
        after = change if isinstance(change, str) else change.apply(before)
        id = f"e{len(self.tried):04d}"
        diff = "".join(
            unified_diff(before.splitlines(True), after.splitlines(True), f"a/{PATH}", f"b/{PATH}")
        )
        experiment = replace(
            self._experiment(id, parent, "title"), verdict=verdict, gain=gain, expectation="up", reason="why"
        )
        edit = "" if silent or isinstance(change, str) else to_json(change)
        self.tried.append(Tried(experiment, diff, edit))
        self.sources[id] = after
        if verdict is Verdict.KEEP and parent == self.champion:
            self.champion = id
        return id

    def experiment(self, id: str) -> Experiment:
        return next(entry.experiment for entry in self.tried if entry.experiment.id == id)

    def brief(self, seed: int = 1, wanted: int = 4, **changes: object) -> PlanBrief:
        brief = PlanBrief(
            program="",
            canvas=(Canvas(PATH, self.sources[self.champion]),),
            champion=self.experiment(self.champion),
            metric="val_bpb",
            direction=Direction.LOWER,
            noise_sd=NOISE,
            tried=tuple(self.tried),
            open_hypotheses=(),
            notes=(),
            wanted=wanted,
            seed=seed,
        )
        return replace(brief, **changes)  # type: ignore[arg-type]

    def task(self, worktree: Path, hypothesis: Hypothesis | None, **changes: object) -> EditTask:
        file = worktree / PATH
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.write_text(self.sources[self.champion])
        task = EditTask(
            program="",
            worktree=worktree,
            editable=(PATH,),
            new_files=(),
            hypothesis=hypothesis,
            incumbent=self.experiment(self.champion),
            metric="val_bpb",
            direction=Direction.LOWER,
            noise_sd=NOISE,
            tried=tuple(self.tried),
            seed=3,
        )
        return replace(task, **changes)  # type: ignore[arg-type]


@pytest.fixture
def past(train_text: str) -> Past:
    return Past(train_text)


def knob(name: str, old: object, new: object) -> KnobEdit:
    return KnobEdit((KnobMove.between(name, old, new),))  # type: ignore[arg-type]


def hypothesis(change: str = "", edit: str = "", id: str = "h-01") -> Hypothesis:
    return Hypothesis(change or id, change=change, edit=edit, id=id, state=HypothesisState.OPEN)


@pytest.fixture
def make() -> type:
    """The makers of edits and hypotheses, for the tests of this folder."""

    class Make:
        knob = staticmethod(knob)
        hypothesis = staticmethod(hypothesis)
        structural = staticmethod(CatalogueEdit)
        edit_of = staticmethod(from_json)
        json_of = staticmethod(to_json)
        turned = staticmethod(set_knobs)

    return Make
