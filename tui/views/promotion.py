"""A promotion as JSON and as text: the evidence before the yes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from supervisor.model.promotion import (
    ACTIVE,
    Interval,
    Piece,
    PieceKind,
    PieceState,
    Promotion,
    PromotionState,
)
from supervisor.model.snapshot import LabSnapshot
from supervisor.promotion.evidence import SideFigures, evidence_of
from supervisor.promotion.progress import PromotionProgress
from tui.views.experiment import Fact, flag_in_words
from tui.views.figures import MINUS, NONE, change, clock, gigabytes, metric, tokens_per_second
from tui.views.printing import Column, print_table, say, say_diff, say_fact
from tui.views.text import plain

if TYPE_CHECKING:
    from supervisor.client.promotions import PromotionRequests

GOOD = frozenset(
    {PromotionState.EVIDENCE, PromotionState.ACCEPTED, PromotionState.WAITING, PromotionState.LANDED}
)


def promotion_view(snapshot: LabSnapshot, promotion: Promotion) -> dict[str, Any]:
    """What scripts read: gains are positive when better, in the metric's unit."""
    evidence, whole = evidence_of(snapshot, promotion), promotion.whole
    return {
        "promotion": promotion.number,
        "state": promotion.state.value,
        "candidate": [_candidate(piece) for piece in promotion.pieces if piece.kind is not PieceKind.WHOLE],
        "base": promotion.base_commit or None,
        "onto": promotion.home.branch or None,
        "commit": promotion.landed_commit or None,
        "branch": promotion.branch or None,
        "claimed_gain": evidence.claimed_gain,
        "reproduced_gain": evidence.reproduced.gain if evidence.reproduced else None,
        "interval": _interval(evidence.reproduced),
        "holdout_gain": evidence.holdout.gain if evidence.holdout else None,
        "holdout_interval": _interval(evidence.holdout),
        "lines_added": evidence.lines_added,
        "lines_removed": evidence.lines_removed,
        "main": _side(evidence.base),
        "measured": _side(evidence.candidate),
        "runs": [
            {"id": run.id, "seed": run.seed, "metric": run.metric, "holdout": run.holdout}
            for run in (*evidence.base.runs, *evidence.candidate.runs)
        ],
        "flags": [
            {"experiment": name, "rule": f.rule, "path": f.path, "line": f.line, "excerpt": f.excerpt}
            for name, f in evidence.flags
        ],
        "verdict": "yes" if promotion.state in GOOD else "no",
        "reason": (whole.reason if whole and whole.reason else promotion.reason),
    }


def finalize_view(promotion: Promotion) -> dict[str, Any]:
    """Each keep's branch and what it measured alone."""
    return {
        "promotion": promotion.number,
        "base": promotion.base_commit or None,
        "branches": [
            _candidate(piece) | {"branch": piece.branch or None, "commit": piece.commit or None}
            for piece in promotion.pieces
            if piece.kind is PieceKind.ALONE
        ],
        "left_out": [_candidate(piece) for piece in promotion.pieces if piece.kind is PieceKind.WITHOUT],
    }


def say_evidence(snapshot: LabSnapshot, promotion: Promotion, diff: str) -> None:
    """All that a person should see before the yes."""
    say_diff(diff)
    say(f"promotion {promotion.number}: {promotion.title}", style="bold")
    for name, text in evidence_facts(snapshot, promotion):
        say_fact(name, text)


def evidence_facts(snapshot: LabSnapshot, promotion: Promotion) -> Iterator[Fact]:
    """What was claimed, what was reproduced, what it costs, and every flag; raw text of agents among it."""
    evidence, whole = evidence_of(snapshot, promotion), promotion.whole
    yield "on", _place(promotion)
    for piece in promotion.pieces:
        if piece.kind is PieceKind.STEP:
            why = f", {piece.reason}" if piece.reason else ""
            yield "step", f"{piece.source_id} {piece.title}: {piece.state.value}{why}"
    yield "claimed", change(evidence.claimed_gain)
    yield "reproduced", _gain(evidence.reproduced)
    has_holdout = evidence.holdout is not None or any(run.holdout is not None for run in evidence.base.runs)
    nothing = "not measured: this lab has none" if evidence.base.runs and not has_holdout else NONE
    yield "holdout", _gain(evidence.holdout) if evidence.holdout else nothing
    yield "lines", f"+{evidence.lines_added} {MINUS}{evidence.lines_removed}"
    yield promotion.home.branch or "base", _figures(evidence.base)
    yield "candidate", _figures(evidence.candidate)
    for name, flag in evidence.flags:
        yield "⚑ flag", f"{name}: {flag_in_words(flag)}"
    if not evidence.flags:
        yield "flags", "none"
    yield "evidence", (whole.reason if whole and whole.reason else promotion.reason) or NONE


def progress_line(progress: PromotionProgress) -> str:
    """How far it is, in one line."""
    if progress.ahead:
        return f"waits for {progress.ahead} promotion{'s' if progress.ahead > 1 else ''} before it"
    left = f", about {clock(progress.seconds_left)} left" if progress.wanted else ""
    return plain(f"{int(progress.runs)} of at least {progress.wanted} runs{left} · {progress.doing}")


def outcome(promotion: Promotion, promotions: PromotionRequests) -> str:
    """Where a yes has led to, in words for a person; one line, or two."""
    home = promotion.home.name
    match promotion.state:
        case PromotionState.LANDED if promotion.reverts is not None:
            return f"promotion {promotion.reverts} is taken back, by {promotion.landed_commit[:10]} on {home}"
        case PromotionState.LANDED:
            return f"on {home} as {promotion.landed_commit[:10]}"
        case PromotionState.WAITING:
            line = promotions.merge_line(promotion)
            waits = f"the commit waits as {promotion.branch}; land it with: {line}"
            return f"git left {home} as it is: {promotion.reason}\n{waits}"
        case state if state in ACTIVE:
            return f"{promotion.reason}: it is measured again"
        case _:
            return f"{home} stays as it is: {promotion.reason or promotion.state.value}"


def say_branches(promotion: Promotion) -> None:
    """The table of a finalize."""
    columns = (
        Column("id"),
        Column("branch", style="cyan"),
        Column("claimed", right=True),
        Column("alone", right=True),
        Column("holdout", right=True, spare=2),
        Column("is", spare=1),
        Column("why", wide=True),
    )
    rows = [
        (
            piece.source_id or NONE,
            piece.branch or NONE,
            change(piece.claimed_gain),
            _gain(piece.gain),
            _gain(piece.holdout),
            _standing(piece),
            piece.reason,
        )
        for piece in promotion.pieces
        if piece.kind is PieceKind.ALONE
    ]
    print_table(columns, rows, "There is no keep.")


def _place(promotion: Promotion) -> str:
    parts = (promotion.home.branch, promotion.base_commit[:10])
    return " ".join(filter(None, parts)) or NONE


def _standing(piece: Piece) -> str:
    words = {PieceState.TAKEN: "better alone", PieceState.DROPPED: "not better alone"}
    return words.get(piece.state, piece.state.value) if piece.gain else piece.state.value


def _figures(side: SideFigures) -> str:
    if not side.runs:
        return "no run yet"
    parts = (
        f"{len(side.runs)} run{'s' * (len(side.runs) != 1)}",
        f"mean {metric(side.metric)}",
        f"holdout {metric(side.holdout)}",
        f"{gigabytes(side.peak_memory_mb)} GB",
        tokens_per_second(side.tokens_per_s),
    )
    return ", ".join(part for part in parts if part)


def _gain(interval: Interval | None) -> str:
    if interval is None:
        return NONE
    return f"{change(interval.gain)} ({change(interval.low)} to {change(interval.high)})"


def _candidate(piece: Piece) -> dict[str, Any]:
    return {
        "experiment": piece.source_id,
        "commit": piece.to_commit,
        "title": piece.title,
        "state": piece.state.value,
        "claimed_gain": piece.claimed_gain,
        "gain": piece.gain.gain if piece.gain else None,
        "interval": _interval(piece.gain),
        "reason": piece.reason,
    }


def _side(side: SideFigures) -> dict[str, Any]:
    return {
        "runs": len(side.runs),
        "metric": side.metric,
        "holdout": side.holdout,
        "peak_memory_mb": side.peak_memory_mb,
        "tokens_per_s": side.tokens_per_s,
    }


def _interval(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]
