"""Applying what is to be promoted: on the base branch of now, as objects and refs of our own, never in a work tree."""

from __future__ import annotations

from dataclasses import dataclass

from sessions.errors import SessionError
from sessions.git.merge import commit_tree, merge_change, tree_of
from sessions.git.repository import Repository, Signature
from supervisor.errors import LabError
from supervisor.lab.branches import home_of
from supervisor.lab.paths import Lab
from supervisor.lab.referee_copy import hash_referee, referee_of
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
from supervisor.text import slug

REF = "refs/autoresearch/promotion"  # keeps prepared commits from being collected as garbage


@dataclass(frozen=True, slots=True)
class Applied:
    """A piece on top of a commit, or what stands in its way."""

    commit: str = ""
    conflict: str = ""
    empty: bool = False  # it changes nothing there


@dataclass(frozen=True, slots=True)
class PieceApplier:
    """One piece of a promotion, on its way to being measured."""

    lab: Lab
    store: Store
    repository: Repository
    campaign: Campaign
    promotion: Promotion
    piece: Piece
    now: float

    def prepare(self) -> bool:
        """Apply the piece and have it measured, or end what cannot be; True when the lab changed."""
        repository, tag = self.repository, self.campaign.tag
        try:
            branch, main = home_of(repository, self.campaign.base)
            if self.promotion.base_commit and self.promotion.base_commit != main:
                return promotions.start_again(
                    self.store, self.promotion, f"{branch} has moved to {main[:7]}", self.now
                )
            if hash_referee(referee_of(self.lab, repository, main)) != self.campaign.setting.referee_hash:
                return self._refuse(
                    f"the referee on {branch} is not the one that {tag} was measured by; `launch --tag` a new run"
                )
            return self._apply(main)
        except (SessionError, LabError) as error:
            return self._refuse(f"it could not be prepared: {error}")

    def _refuse(self, reason: str, state: PromotionState = PromotionState.REFUSED) -> bool:
        return promotions.end_promotion(self.store, self.promotion, state, reason, self.now)

    def _apply(self, main: str) -> bool:
        piece, promotion = self.piece, self.promotion
        if piece.kind is PieceKind.WHOLE:
            return self._measure(self._prepared(main, main, promotion.commit))
        on_top = piece.kind in (PieceKind.STEP, PieceKind.WITHOUT)
        onto = (promotion.commit or main) if on_top else main
        applied = apply_piece(self.repository, promotion, piece, onto)
        if applied.conflict or applied.empty:
            return self._settle_unapplied(applied.conflict)
        branch = self._final_branch(applied.commit) if piece.kind is PieceKind.ALONE else ""
        prepared = self._prepared(main, onto, applied.commit, branch)
        if piece.kind is PieceKind.GROUND or not promotion.measured:
            return promotions.take_piece(self.store, promotion.number, piece.ordinal, prepared)
        return self._measure(prepared)

    def _prepared(self, main: str, base: str, commit: str, branch: str = "") -> Prepared:
        added, removed = self.repository.numstat(base, commit)
        return Prepared(main, base, commit, added, removed, branch)

    def _measure(self, prepared: Prepared) -> bool:
        number, ordinal = self.promotion.number, self.piece.ordinal
        return promotions.measure_piece(
            self.store, self.campaign.tag, number, ordinal, prepared, LOOKS[0], self.now
        )

    def _settle_unapplied(self, conflict: str) -> bool:
        """End what can't be put there; without a conflict it is there already."""
        # A finalize has branches to show even when the whole does not fit there.
        if self.piece.kind is PieceKind.GROUND and self.promotion.kind is not PromotionKind.FINALIZE:
            if conflict:
                return self._refuse(conflict, PromotionState.CONFLICT)
            return self._refuse(f"{self.campaign.base.name} has this change already")
        settlement = Settlement(PieceState.DROPPED, "what it is put on has this change already")
        if conflict:
            settlement = Settlement(PieceState.CONFLICT, conflict)
        return promotions.settle_piece(self.store, self.promotion, self.piece, settlement, self.now)

    def _final_branch(self, commit: str) -> str:
        name = slug(self.piece.title, 40) or "change"
        branch = f"autoresearch/{self.campaign.tag}-final/{self.piece.ordinal}-{name}"
        keep(self.repository, f"refs/heads/{branch}", commit)
        return branch


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
