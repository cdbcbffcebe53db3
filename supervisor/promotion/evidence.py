"""What a promotion shows: figures of both sides, every flag, and the message of the commit that carries them."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.analysis.lineage import lineage_of
from supervisor.model.experiment import Experiment, Flag, Run
from supervisor.model.promotion import Interval, Piece, PieceKind, PieceState, Promotion
from supervisor.model.snapshot import Campaign, LabSnapshot

TITLE_CELLS = 72


@dataclass(frozen=True, slots=True)
class SideFigures:
    """What one side costs to train; None where no run told."""

    metric: float | None
    holdout: float | None
    peak_memory_mb: float | None
    tokens_per_s: float | None
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class PromotionEvidence:
    """All that a person is shown before the yes; gains are in the metric's unit, positive is better."""

    claimed_gain: float | None
    reproduced: Interval | None
    holdout: Interval | None
    lines_added: int
    lines_removed: int
    base: SideFigures
    candidate: SideFigures
    flags: tuple[tuple[str, Flag], ...]  # with the experiment that each was seen in


def evidence_of(snapshot: LabSnapshot, promotion: Promotion) -> PromotionEvidence:
    """The evidence of a promotion as it stands."""
    whole = promotion.whole
    base, candidate = (whole.base, whole.candidate) if whole else (None, None)
    return PromotionEvidence(
        claimed_gain=claimed_gain(promotion),
        reproduced=whole.gain if whole else None,
        holdout=whole.holdout if whole else None,
        lines_added=candidate.lines_added if candidate else 0,
        lines_removed=candidate.lines_removed if candidate else 0,
        base=figures_of(base),
        candidate=figures_of(candidate),
        flags=flags_of(snapshot, promotion),
    )


def claimed_gain(promotion: Promotion) -> float | None:
    """What the keeps in it said they gain, in all."""
    pieces = [piece for piece in promotion.pieces if piece.kind is not PieceKind.WHOLE and _in(piece)]
    claims = [piece.claimed_gain for piece in pieces if piece.claimed_gain is not None]
    return sum(claims) if claims else None


def flags_of(snapshot: LabSnapshot, promotion: Promotion) -> tuple[tuple[str, Flag], ...]:
    """Every flag of every commit in it, and of its own runs."""
    sources: dict[str, Experiment] = {}
    for piece in promotion.pieces:
        if piece.candidate is not None:
            sources[piece.candidate.id] = piece.candidate
        if piece.kind is PieceKind.GROUND:
            sources |= {e.id: e for e in lineage_of(snapshot, piece.source_id)}
        elif (source := snapshot.experiment(piece.source_id)) is not None and _in(piece):
            sources[source.id] = source
    return tuple((name, flag) for name, source in sorted(sources.items()) for flag in source.flags)


def figures_of(side: Experiment | None) -> SideFigures:
    """The means of a side's measured runs."""
    runs = tuple(run for run in (side.runs if side else ()) if run.metric is not None)
    return SideFigures(
        metric=_mean([run.metric for run in runs]),
        holdout=_mean([run.holdout for run in runs]),
        peak_memory_mb=max(
            (run.peak_memory_mb for run in runs if run.peak_memory_mb is not None), default=None
        ),
        tokens_per_s=_mean(
            [run.tokens / run.training_s if run.tokens and run.training_s else None for run in runs]
        ),
        runs=runs,
    )


def message_of(snapshot: LabSnapshot, campaign: Campaign, promotion: Promotion) -> str:
    """The commit's message: title, a sentence, and trailers that `git interpret-trailers` reads."""
    evidence, whole = evidence_of(snapshot, promotion), promotion.whole
    assert whole is not None
    ground, home = promotion.pieces[0], campaign.base.name
    runs = (*evidence.base.runs, *evidence.candidate.runs)
    trailers = {
        "Autoresearch-Promotion": str(promotion.number),
        "Autoresearch-Candidate": " ".join(
            _source(piece) for piece in promotion.pieces if _in(piece) and piece.to_commit
        ),
        "Autoresearch-Base": promotion.base_commit,
        "Autoresearch-Claimed-Gain": _number(evidence.claimed_gain),
        "Autoresearch-Reproduced-Gain": _number(evidence.reproduced.gain if evidence.reproduced else None),
        "Autoresearch-Interval": _interval(evidence.reproduced),
        "Autoresearch-Holdout-Gain": _number(evidence.holdout.gain if evidence.holdout else None),
        "Autoresearch-Holdout-Interval": _interval(evidence.holdout),
        "Autoresearch-Runs": f"{len(evidence.base.runs)} of {home}, {len(evidence.candidate.runs)} of the candidate",
        "Autoresearch-Seeds": " ".join(str(seed) for seed in sorted({run.seed for run in runs})),
        "Autoresearch-Metric": f"{campaign.metric}, {campaign.direction} is better",
        "Autoresearch-Setting": campaign.setting.id,
        "Autoresearch-Flags": " ".join(sorted({flag.rule for _, flag in evidence.flags})) or "none",
    }
    body = f"Measured against {home} on fresh seeds: {whole.reason}."
    lines = [f"{name}: {' '.join(value.split())}" for name, value in trailers.items()]
    return "\n".join([one_title(ground.title, promotion), "", " ".join(body.split()), "", *lines, ""])


def one_title(title: str, promotion: Promotion) -> str:
    """The subject of the commit, one line."""
    others = sum(p.kind is PieceKind.STEP and _in(p) for p in promotion.pieces)
    more = f" (and {others} more)" if others else ""
    clean = " ".join(title.split()) or f"promotion {promotion.number}"
    room = TITLE_CELLS - len(more)
    return (clean if len(clean) <= room else clean[: room - 1] + "…") + more


def _in(piece: Piece) -> bool:
    return piece.state is PieceState.TAKEN


def _source(piece: Piece) -> str:
    return f"{piece.source_id}/{piece.to_commit}" if piece.source_id else piece.to_commit


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:+.6g}"


def _interval(interval: Interval | None) -> str:
    return "none" if interval is None else f"{interval.low:+.6g} {interval.high:+.6g}"
