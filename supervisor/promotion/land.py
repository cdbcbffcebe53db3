"""Putting on its branch what was proven and accepted: one commit, once, through the person's own checkout."""

from __future__ import annotations

from pathlib import Path

from sessions.errors import GitError
from sessions.git.fast_forward import Landing, advance_branch
from sessions.git.merge import commit_tree, merge_change, person_identity, signs_commits, tree_of
from sessions.git.repository import Repository, Signature
from supervisor.errors import LabError
from supervisor.lab.branches import home_of
from supervisor.model.promotion import Promotion, PromotionKind, PromotionState
from supervisor.model.snapshot import Campaign, LabSnapshot
from supervisor.promotion.apply import keep
from supervisor.promotion.evidence import message_of
from supervisor.store import promotions
from supervisor.store.connection import Store
from supervisor.store.reading import all_promotions

BRANCH = "autoresearch/promoted"


def accept_promotion(
    store: Store,
    repository: Repository,
    snapshot: LabSnapshot,
    campaign: Campaign,
    promotion: Promotion,
    now: float,
) -> bool:
    """Record the person's yes with all that the commit will say; False when it was not there to be accepted.

    Raises LabError, SessionError.
    """
    name, mail = person_identity(repository)
    message = message_of(snapshot, campaign, promotion)
    base = promotion.base_commit
    return promotions.accept(store, promotion, promotion.commit, f"{name} <{mail}>", message, base, now)


def land(store: Store, repository: Repository, promotion: Promotion, now: float) -> PromotionState:
    """Land an accepted promotion, from wherever it was left; returns the state that it is in then.

    REQUESTED: the branch has moved meanwhile, and everything is measured again. Raises LabError, SessionError.
    """
    assert promotion.state is PromotionState.ACCEPTED and promotion.accepted_at is not None
    branch, main = home_of(repository, promotion.home)
    name, _, mail = promotion.author.partition(" <")
    who = Signature(name, mail.removesuffix(">"), int(promotion.accepted_at))
    commit = _commit(repository, promotion, who)
    result = advance_branch(repository, branch, commit, promotion.base_commit)
    match result.landing:
        case Landing.LANDED:
            promotions.record_landed(store, promotion, commit, now)
            return PromotionState.LANDED
        case Landing.MOVED if promotion.kind is PromotionKind.ROLLBACK:
            text = f"{result.reason}; call rollback again"
            promotions.end_promotion(store, promotion, PromotionState.REFUSED, text, now)
            return PromotionState.REFUSED
        case Landing.MOVED:
            promotions.start_again(store, promotion, f"{branch} has moved to {main[:7]}", now)
            return PromotionState.REQUESTED
        case Landing.REFUSED:
            waiting = waiting_branch(promotion)
            keep(repository, f"refs/heads/{waiting}", commit)
            promotions.record_waiting(store, promotion, commit, waiting, result.reason, now)
            return PromotionState.WAITING


def _commit(repository: Repository, promotion: Promotion, who: Signature) -> str:
    """The commit that lands: the same however often it is made; signed where the person's are. Raises LabError."""
    ref = f"refs/autoresearch/promoted/{promotion.number}"
    tree, signed = tree_of(repository, promotion.commit), signs_commits(repository)
    made = repository.refs(ref).get(ref)
    if signed and made is not None and repository.is_same_change(made, tree, promotion.base_commit):
        return made  # a second signature would make another commit
    try:
        commit = commit_tree(repository, tree, promotion.base_commit, promotion.message, who, signed=signed)
    except GitError as error:
        if not signed:
            raise
        raise LabError(
            f"git could not sign the commit ({error}); unlock the key and promote again, or "
            "`git config commit.gpgSign false` lands it unsigned"
        ) from error
    keep(repository, ref, commit)
    return commit


def land_waiting(store: Store, repository: Repository, promotion: Promotion, now: float) -> None:
    """Try a commit that waits once more: what was in git's way may be gone. Raises SessionError."""
    branch, _ = home_of(repository, promotion.home)
    result = advance_branch(repository, branch, promotion.landed_commit, promotion.base_commit)
    if result.landing is Landing.LANDED:
        promotions.record_landed(store, promotion, promotion.landed_commit, now)
    else:
        commit, waiting = promotion.landed_commit, promotion.branch
        promotions.record_waiting(store, promotion, commit, waiting, result.reason, now)


def waiting_branch(promotion: Promotion) -> str:
    """Where its commit waits when git does not advance the branch."""
    return f"{BRANCH}/{promotion.number}"


def merge_line(repository: Repository, promotion: Promotion, here: Path) -> str:
    """The line that lands a waiting commit, to be typed in `here`."""
    branch, _ = home_of(repository, promotion.home)
    checkout = repository.checked_out_at(branch)
    if checkout is None:
        return f"git fetch . {promotion.branch}:{branch}"
    inside = here.resolve().is_relative_to(checkout.resolve())
    return f"git {'' if inside else f'-C {checkout} '}merge --ff-only {promotion.branch}"


def notice_merges(store: Store, repository: Repository, now: float) -> tuple[Promotion, ...]:
    """Record the waiting commits that the person has merged since; returns them."""
    waiting = [p for p in all_promotions(store) if p.state is PromotionState.WAITING]
    merged = tuple(p for p in waiting if _is_home(repository, p))
    for promotion in merged:
        promotions.record_landed(store, promotion, promotion.landed_commit, now)
    return merged


def last_landed(store: Store, repository: Repository) -> Promotion:
    """The last promotion that is on its branch and was not rolled back. Raises LabError."""
    everything = all_promotions(store)
    undone = {p.reverts for p in everything if p.state in (PromotionState.LANDED, PromotionState.WAITING)}
    landed = [
        p
        for p in everything
        if p.kind is PromotionKind.PROMOTE
        and p.state is PromotionState.LANDED
        and p.number not in undone
        and _is_home(repository, p)
    ]
    if not landed:
        raise LabError("there is no promotion to take back")
    return landed[-1]


def _is_home(repository: Repository, promotion: Promotion) -> bool:
    # One whose branch is gone keeps no other from being found.
    try:
        _, tip = home_of(repository, promotion.home)
    except LabError:
        return False
    return repository.is_ancestor(promotion.landed_commit, tip)


def accept_rollback(
    store: Store, repository: Repository, promotion: Promotion, rollback: Promotion, now: float
) -> bool:
    """Make the tree without what `promotion` brought, and record the person's yes. Raises LabError, SessionError."""
    _, main = home_of(repository, rollback.home)
    merged = merge_change(repository, main, promotion.landed_commit, f"{promotion.landed_commit}^")
    if merged.conflicts:
        places = ", ".join(map(str, merged.conflicts))
        text = f"{places} changed since; `git diff {promotion.landed_commit[:10]} {main[:10]}` shows it"
        promotions.end_promotion(store, rollback, PromotionState.CONFLICT, text, now)
        raise LabError(f"promotion {promotion.number} can't be taken back: {text}")
    name, mail = person_identity(repository)
    subject = promotion.message.partition("\n")[0]
    message = (
        f"Roll back promotion {promotion.number}: {subject}\n\nThis reverts commit {promotion.landed_commit}.\n\n"
        f"Autoresearch-Rollback: {promotion.number}\n"
    )
    who = Signature("autoresearch-tui", "autoresearch-tui@localhost", int(rollback.made_at))
    draft = commit_tree(repository, merged.tree, main, message, who)
    keep(repository, f"refs/autoresearch/promotion/{rollback.number}/1", draft)
    return promotions.accept(store, rollback, draft, f"{name} <{mail}>", message, main, now)
