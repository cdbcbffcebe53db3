"""Applying what is to go on main: on the main of now, as objects and refs of our own, never in a work tree."""

from __future__ import annotations

from dataclasses import dataclass

from sessions.errors import SessionError
from sessions.git.merge import commit_tree, merge_change, tree_of
from sessions.git.repository import Repository, Signature
from supervisor.errors import LabError
from supervisor.lab.branches import main_of
from supervisor.lab.paths import Lab
from supervisor.lab.referee_copy import hash_referee, referee_files
from supervisor.model.promotion import (
    Piece,
    PieceKind,
    PieceState,
    Prepared,
    Promotion,
    PromotionKind,
    PromotionState,
    Settlement,
)
from supervisor.model.snapshot import Campaign
from supervisor.promotion.paired_test import LOOKS
from supervisor.store import promotions
from supervisor.store.connection import Store

REF = "refs/autoresearch/promotion"  # keeps prepared commits from being collected as garbage


@dataclass(frozen=True, slots=True)
class Applied:
    """A piece on top of a commit, or what stands in its way."""

    commit: str = ""
    conflict: str = ""
    empty: bool = False  # it changes nothing there


def prepare_piece(
    lab: Lab,
    store: Store,
    repository: Repository,
    campaign: Campaign,
    promotion: Promotion,
    piece: Piece,
    now: float,
) -> bool:
    """Apply the next piece and have it measured, or end what cannot be; True when the lab changed."""
    try:
        _, main = main_of(repository)
        if promotion.base_commit and promotion.base_commit != main:
            return promotions.start_again(store, promotion, f"main has moved to {main[:7]}", now)
        files = referee_files(repository, main, lab.config.lab.canvas(repository.list_files(main)))
        if hash_referee(files) != campaign.setting.referee_hash:
            text = f"the referee on main is not the one that {campaign.tag} was measured by; `launch --tag` a new run"
            return promotions.end_promotion(store, promotion, PromotionState.REFUSED, text, now)
        return _prepare(store, repository, campaign, promotion, piece, main, now)
    except (SessionError, LabError) as error:
        text = f"it could not be prepared: {error}"
        return promotions.end_promotion(store, promotion, PromotionState.REFUSED, text, now)


def _prepare(
    store: Store,
    repository: Repository,
    campaign: Campaign,
    promotion: Promotion,
    piece: Piece,
    main: str,
    now: float,
) -> bool:
    number = promotion.number
    if piece.kind is PieceKind.WHOLE:
        whole = _prepared(repository, main, main, promotion.commit)
        return promotions.measure_piece(store, campaign.tag, number, piece.ordinal, whole, LOOKS[0], now)
    on_top = piece.kind in (PieceKind.STEP, PieceKind.WITHOUT)
    onto = (promotion.commit or main) if on_top else main
    applied = apply_piece(repository, promotion, piece, onto)
    if applied.conflict:
        return _conflict(store, promotion, piece, applied.conflict, now)
    if applied.empty:
        return _nothing_left(store, promotion, piece, now)
    branch = (
        _final_branch(repository, campaign, piece, applied.commit) if piece.kind is PieceKind.ALONE else ""
    )
    prepared = _prepared(repository, main, onto, applied.commit, branch)
    if piece.kind is PieceKind.GROUND or not promotion.measured:
        return promotions.take_piece(store, number, piece.ordinal, prepared)
    return promotions.measure_piece(store, campaign.tag, number, piece.ordinal, prepared, LOOKS[0], now)


def apply_piece(repository: Repository, promotion: Promotion, piece: Piece, onto: str) -> Applied:
    """The piece's change on top of `onto`, by three-way merge; the same commit however often it is made."""
    merged = merge_change(repository, onto, piece.from_commit, piece.to_commit)
    if merged.conflicts:
        places = ", ".join(map(str, merged.conflicts))
        paths = " ".join(dict.fromkeys(conflict.path for conflict in merged.conflicts))
        line = f"git diff {piece.from_commit[:10]} {onto[:10]} -- {paths}"
        return Applied(conflict=f"{places} changed there too; `{line}` shows it")
    if merged.tree == tree_of(repository, onto):
        return Applied(empty=True)
    who = Signature("autoresearch-tui", "autoresearch-tui@localhost", int(promotion.made_at))
    commit = commit_tree(repository, merged.tree, onto, piece.title, who)
    keep(repository, f"{REF}/{promotion.number}/{piece.ordinal}", commit)
    return Applied(commit)


def keep(repository: Repository, ref: str, commit: str) -> None:
    """Point a ref of our own at the commit, wherever it pointed."""
    before = repository.refs(ref).get(ref)
    if before != commit:
        repository.set_ref(ref, commit, before)


def _prepared(repository: Repository, main: str, base: str, commit: str, branch: str = "") -> Prepared:
    added, removed = repository.numstat(base, commit)
    return Prepared(main, base, commit, added, removed, branch)


def _conflict(store: Store, promotion: Promotion, piece: Piece, text: str, now: float) -> bool:
    if _is_all(promotion, piece):
        return promotions.end_promotion(store, promotion, PromotionState.CONFLICT, text, now)
    return promotions.settle_piece(store, promotion, piece, Settlement(PieceState.CONFLICT, text), now)


def _is_all(promotion: Promotion, piece: Piece) -> bool:
    # A finalize has branches to show even when the whole does not fit on main.
    return piece.kind is PieceKind.GROUND and promotion.kind is not PromotionKind.FINALIZE


def _nothing_left(store: Store, promotion: Promotion, piece: Piece, now: float) -> bool:
    if _is_all(promotion, piece):
        text = "main has this change already"
        return promotions.end_promotion(store, promotion, PromotionState.REFUSED, text, now)
    settlement = Settlement(PieceState.DROPPED, "what it is put on has this change already")
    return promotions.settle_piece(store, promotion, piece, settlement, now)


def _final_branch(repository: Repository, campaign: Campaign, piece: Piece, commit: str) -> str:
    words = "".join(
        letter if letter.isascii() and letter.isalnum() else " " for letter in piece.title.lower()
    )
    slug = "-".join(words.split())[:40].strip("-") or "change"
    branch = f"autoresearch/{campaign.tag}-final/{piece.ordinal}-{slug}"
    keep(repository, f"refs/heads/{branch}", commit)
    return branch
