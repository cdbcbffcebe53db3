"""What the person means by a candidate: which changes are to be promoted. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from supervisor.analysis.lineage import lineage_of
from supervisor.errors import LabError
from supervisor.model.experiment import Experiment
from supervisor.model.promotion import (
    OPEN,
    NewPiece,
    NewPromotion,
    PieceKind,
    Promotion,
    PromotionKind,
    PromotionState,
)
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import Verdict

SHORTEST_COMMIT = 4  # letters of a commit's hash that may stand for it
UNFIT = frozenset({Verdict.REJECTED, Verdict.CRASH, Verdict.TIMEOUT, Verdict.THOUGHT, Verdict.BASELINE})


@dataclass(frozen=True, slots=True)
class Simpler:
    """A change that measured equal within the noise and makes the code shorter."""

    experiment: Experiment
    lines_saved: int
    why: str


def promotion_of(snapshot: LabSnapshot, names: Sequence[str]) -> NewPromotion:
    """The champion, or what is named: the best of it whole, each keep that only the others have on top.

    Raises LabError when a name means nothing that can be promoted.
    """
    candidates = _chosen(snapshot, names)
    best = _best(snapshot, candidates)
    ground, others = _ground(snapshot, best), [e for e in candidates if e.id != best.id]
    known = {e.id for e in lineage_of(snapshot, best.id)}
    steps: list[Experiment] = []
    for other in others:
        fresh = [e for e in lineage_of(snapshot, other.id) if e.id not in known and _is_step(e, other)]
        steps += fresh
        known |= {e.id for e in fresh}
    title = ground.title + (f" and {len(steps)} more" if steps else "")
    pieces = (ground, *(_change(PieceKind.STEP, e) for e in steps), NewPiece(PieceKind.WHOLE, title))
    return NewPromotion(PromotionKind.PROMOTE, title, pieces)


def finalize_of(snapshot: LabSnapshot, names: Sequence[str], *, measured: bool) -> NewPromotion:
    """Each keep of the champion's lineage, or of what is named, by itself. Raises LabError."""
    chains = (lineage_of(snapshot, one.id) for one in _chosen(snapshot, names))
    keeps = {e.id: e for chain in chains for e in chain if e.verdict is Verdict.KEEP}
    if not keeps:
        raise LabError("there is no keep to make a branch of")
    pieces = [_change(PieceKind.ALONE, e) for e in keeps.values()]
    longer = [e for e in keeps.values() if e.lines_added > e.lines_removed]
    if measured and longer and len(keeps) > 1:
        # What adds lines is left out once, on top of all: equal without it is simpler.
        head = _ground(snapshot, _best(snapshot, _chosen(snapshot, names)))
        pieces.append(head)
        pieces += [_left_out(e) for e in longer]
    return NewPromotion(PromotionKind.FINALIZE, f"{len(keeps)} keeps", tuple(pieces), measured)


def same_request(snapshot: LabSnapshot, new: NewPromotion, base_tip: str) -> Promotion | None:
    """The promotion that this request goes on with: one that is open, or answered on this very commit.

    What was refused is not measured until luck says yes.
    """
    changes = _changes(new)
    for promotion in reversed(snapshot.promotions):
        same = (promotion.kind, promotion.changes, promotion.measured) == (new.kind, changes, new.measured)
        if not same:
            continue
        weighed = promotion.whole is not None and promotion.whole.gain is not None
        answered = promotion.state is PromotionState.REFUSED and weighed and promotion.base_commit == base_tip
        landed = promotion.state is PromotionState.LANDED and promotion.landed_commit == base_tip
        finalized = promotion.state is PromotionState.DONE and promotion.base_commit == base_tip
        answered = answered or finalized
        if promotion.state in OPEN or promotion.state is PromotionState.WAITING or answered or landed:
            return promotion
    return None


def open_request(snapshot: LabSnapshot, names: Sequence[str]) -> Promotion | None:
    """The promotion of these names that is not answered yet; without names the one that waits longest for anything.

    Raises LabError when a name means nothing.
    """
    promotes = (p for p in snapshot.promotions if p.kind is PromotionKind.PROMOTE)
    unanswered = [p for p in promotes if p.state in OPEN | {PromotionState.WAITING}]
    if not names:
        return next(iter(unanswered), None)
    new = promotion_of(snapshot, names)
    return next((p for p in unanswered if p.changes == _changes(new)), None)


def simplifications(snapshot: LabSnapshot, finalize: Promotion | None = None) -> tuple[Simpler, ...]:
    """Discards inside the noise that take lines away, and keeps that are not missed; the most lines first."""
    simpler = list(_not_missed(snapshot, finalize)) if finalize else []
    simpler += [
        Simpler(e, e.lines_removed - e.lines_added, "discarded, yet equal within the noise")
        for e in snapshot.experiments
        if e.verdict is Verdict.DISCARD
        and e.lines_removed > e.lines_added
        and e.gain_low is not None
        and e.gain_high is not None
        and e.gain_low < 0 < e.gain_high
    ]
    return tuple(sorted(simpler, key=lambda one: -one.lines_saved))


def _not_missed(snapshot: LabSnapshot, finalize: Promotion) -> Iterator[Simpler]:
    for piece in finalize.pieces:
        source, gain = snapshot.experiment(piece.source_id), piece.gain
        if piece.kind is PieceKind.WITHOUT and source is not None and gain is not None and gain.high > 0:
            saved = source.lines_added - source.lines_removed
            yield Simpler(source, saved, f"kept, yet equal without it ({gain.gain:+.4g} when it is left out)")


def _changes(new: NewPromotion) -> tuple[tuple[str, str], ...]:
    return tuple((p.from_commit, p.to_commit) for p in new.pieces if p.kind is not PieceKind.WHOLE)


def promoted_ids(snapshot: LabSnapshot) -> frozenset[str]:
    """The experiments whose code, with all that they build on, is on the base branch and was not rolled back."""
    undone = {p.reverts for p in snapshot.promotions if p.state is PromotionState.LANDED}
    return frozenset(
        p.pieces[0].source_id or ""
        for p in snapshot.promotions
        if p.kind is PromotionKind.PROMOTE and p.state is PromotionState.LANDED and p.number not in undone
    )


def _chosen(snapshot: LabSnapshot, names: Sequence[str]) -> tuple[Experiment, ...]:
    if names:
        return tuple({e.id: e for e in (_named(snapshot, name) for name in names)}.values())
    champion = snapshot.experiment(snapshot.champion_id)
    if champion is None or champion.verdict is Verdict.BASELINE:
        raise LabError(
            "there is no champion yet: nothing kept has three runs of its own; name a branch or commit"
        )
    return (champion,)


def _named(snapshot: LabSnapshot, name: str) -> Experiment:
    agent = next((a for a in snapshot.agents if name in (a.name, a.branch)), None)
    experiment_id = agent.incumbent_id if agent else name
    is_hash = len(name) >= SHORTEST_COMMIT
    matches = [
        e
        for e in snapshot.experiments
        if e.id == experiment_id or (is_hash and (e.commit or "").startswith(name))
    ]
    if not matches:
        raise LabError(
            f"{name} is no branch, agent, experiment or commit of this run; `autoresearch-tui branches`"
        )
    # The base is the baseline's commit too: an experiment of its own goes first.
    experiment = matches[-1]
    if experiment.verdict is Verdict.BASELINE:
        raise LabError(f"{name} has kept nothing yet: it is where the run began")
    if experiment.commit is None or not experiment.is_decided or experiment.verdict in UNFIT:
        raise LabError(f"{experiment.id} can't be promoted: it is {experiment.verdict or experiment.state}")
    return experiment


def _ground(snapshot: LabSnapshot, best: Experiment) -> NewPiece:
    chain, on_main = lineage_of(snapshot, best.id)[::-1], promoted_ids(snapshot)
    new = list(takewhile(lambda e: e.id not in on_main and e.verdict is not Verdict.BASELINE, chain))
    assert snapshot.campaign is not None and best.commit is not None
    stands_on = chain[len(new)].commit if 0 < len(new) < len(chain) else None
    gains = [e.gain for e in new if e.gain is not None]
    start = stands_on or snapshot.campaign.base_commit
    claimed_gain = sum(gains) if gains else None
    return NewPiece(PieceKind.GROUND, best.title, best.id, start, best.commit, claimed_gain)


def _best(snapshot: LabSnapshot, candidates: Sequence[Experiment]) -> Experiment:
    return max(candidates, key=lambda e: (e.id == snapshot.champion_id, _score(snapshot, e), e.id))


def _left_out(experiment: Experiment) -> NewPiece:
    assert experiment.commit is not None
    commit, parent = experiment.commit, experiment.parent_commit
    return NewPiece(PieceKind.WITHOUT, f"leave out {experiment.id}", experiment.id, commit, parent)


def _is_step(entry: Experiment, candidate: Experiment) -> bool:
    return entry.verdict is Verdict.KEEP or entry.id == candidate.id


def _change(kind: PieceKind, experiment: Experiment) -> NewPiece:
    assert experiment.commit is not None
    start, end = experiment.parent_commit, experiment.commit
    return NewPiece(kind, experiment.title, experiment.id, start, end, experiment.gain)


def _score(snapshot: LabSnapshot, experiment: Experiment) -> float:
    assert snapshot.campaign is not None
    metric = experiment.metric
    return float("-inf") if metric is None else snapshot.campaign.direction.sign * metric
