"""From what was tried to what to try next: candidates that nobody tried, ranked by Thompson sampling."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from roles.backend import Canvas, Tried
from roles.backends.offline.beliefs import Belief, Beliefs
from roles.backends.offline.canvas import read_knobs
from roles.backends.offline.catalogue import CATALOGUE
from roles.backends.offline.edits import CatalogueEdit, Edit, KnobEdit, NotApplicableError
from roles.backends.offline.history import EditVerdict, ancestors, measured_code, read_verdicts, root_id
from roles.backends.offline.knob_moves import moves_of
from roles.backends.offline.source import UnreadableCanvasError, normalised


@dataclass(frozen=True, slots=True)
class Proposal:
    """One edit worth a run."""

    edit: Edit
    belief: Belief
    port_of: str = ""  # the experiment that kept it elsewhere
    message: str = ""  # the person's words, when it is theirs


class Search:
    """Everything tried so far, from where one canvas stands."""

    def __init__(
        self,
        canvas: Canvas,
        at: str | None,
        tried: Sequence[Tried],
        noise_sd: float | None,
        metric: float | None,
    ) -> None:
        """`at`: the experiment whose code the canvas is; None: the root. `metric`: its value, for a scale."""
        self.canvas = canvas
        self.scale = noise_sd or _guessed_noise(metric)
        self.verdicts = read_verdicts(tried, self.scale)
        self.banked = ancestors(at or root_id(tried), tried)
        self.beliefs = Beliefs(self.verdicts, self.banked, self.scale)
        self._taken = set(measured_code(canvas.path, canvas.text, at, tried))

    def take(self, edit: Edit | None) -> bool:
        """Mark the code that an edit leads to as taken; whether it was still free."""
        if edit is None:
            return False
        try:
            code = normalised(edit.apply(self.canvas.text))
        except (NotApplicableError, UnreadableCanvasError):
            return False
        if code in self._taken:
            return False
        self._taken.add(code)
        return True

    def ranked(self, seed: int) -> Iterator[Proposal]:
        """Free proposals, best draw first. The same seed and history give the same order."""
        lots = random.Random(seed)
        draws: dict[tuple[str, ...], float] = {}  # one per arm: a halving and a quartering are one belief
        ranking = []
        for order, proposal in enumerate(self._candidates()):
            belief, arms = proposal.belief, proposal.edit.arms
            if arms not in draws:
                draws[arms] = lots.gauss(belief.mean, belief.sd)
            ranking.append((-draws[arms], not proposal.port_of, lots.random(), order, proposal))
        for *_, proposal in sorted(ranking):
            if self.take(proposal.edit):
                yield proposal

    def _candidates(self) -> Iterator[Proposal]:
        yield from self._ports()
        knobs = read_knobs(self.canvas.text)
        for knob in knobs.values():
            for move in moves_of(knob, self.canvas.text, knobs):
                edit = KnobEdit((move,))
                yield Proposal(edit, self.beliefs.of(edit))
        for entry in CATALOGUE.values():
            if entry.apply(self.canvas.text) is not None:
                structural = CatalogueEdit(entry.id)
                yield Proposal(structural, self.beliefs.of(structural))

    def _ports(self) -> Iterator[Proposal]:
        """What was kept on another branch and is not in this one."""
        for item in self.verdicts:
            if item.kept and item.experiment_id not in self.banked and self._still_fits(item):
                yield Proposal(item.edit, self.beliefs.of(item.edit), port_of=item.experiment_id)

    def _still_fits(self, item: EditVerdict) -> bool:
        knobs = read_knobs(self.canvas.text)
        match item.edit:
            case KnobEdit(moves=moves):
                return all(move.knob in knobs and knobs[move.knob].value == move.old for move in moves)
            case CatalogueEdit(id=id):
                return CATALOGUE[id].apply(self.canvas.text) is not None


def distinct(
    proposals: Iterator[Proposal], wanted: int, open_subjects: set[str], used: set[str]
) -> list[Proposal]:
    """The first `wanted` proposals on different subjects, none in `used`; those of open hypotheses come last."""
    chosen: list[Proposal] = []
    last: list[Proposal] = []
    used = set(used)

    def choose(proposal: Proposal) -> None:
        if len(chosen) < wanted and proposal.edit.subject not in used:
            used.add(proposal.edit.subject)
            chosen.append(proposal)

    for proposal in proposals:
        if len(chosen) >= wanted:
            return chosen
        if proposal.edit.subject in open_subjects:
            last.append(proposal)
        else:
            choose(proposal)
    for proposal in last:
        choose(proposal)
    return chosen


def _guessed_noise(metric: float | None) -> float:
    """Half a percent of the metric until repeats have measured the noise."""
    return abs(metric) * 0.005 if metric else 0.01
