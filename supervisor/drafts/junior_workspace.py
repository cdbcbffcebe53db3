"""What a junior's loop asks of the lab, step by step: begin, edit in a worktree, hand over, reflect."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sessions.files import write_atomically
from sessions.git.repository import Repository
from sessions.git.worktrees import Worktrees
from supervisor.analysis.limits import accepts_work
from supervisor.audit.audit import audit
from supervisor.drafts.change_title import change_title
from supervisor.drafts.guard import (
    GuardRule,
    Refusal,
    check_edit,
    hash_sources,
    read_canvas,
    refused_flag,
    stands_in,
)
from supervisor.lab.paths import Lab
from supervisor.lab.referee_copy import referee_of
from supervisor.model.experiment import Experiment, Flag
from supervisor.model.records import Draft, Judgement
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import ExperimentState, Verdict
from supervisor.runs.checks import failed_check
from supervisor.snapshot_reader import read_snapshot
from supervisor.store import experiments
from supervisor.store.connection import Store


@dataclass(frozen=True, slots=True)
class JuniorWorkspace:
    """The lab as one junior sees it."""

    lab: Lab
    store: Store
    repository: Repository
    tag: str
    agent: str

    def snapshot(self) -> LabSnapshot:
        """The lab as it is now."""
        return read_snapshot(self.lab, self.store, time.time())

    def worktree(self) -> Path:
        """Where this junior edits."""
        return self.lab.worktrees_dir / self.agent

    def open_draft(self, snapshot: LabSnapshot) -> Experiment | None:
        """A draft of this junior's that is not handed over: one cut short, or one sent back."""
        own = (e for e in snapshot.experiments if e.agent == self.agent)
        return next((e for e in own if e.state is ExperimentState.DRAFTING), None)

    def has_room(self, snapshot: LabSnapshot) -> bool:
        """Whether another draft may be begun: one being measured and `drafts_ahead` behind it."""
        campaign = snapshot.campaign
        if campaign is None or not accepts_work(snapshot):
            return False
        states = (ExperimentState.READY, ExperimentState.MEASURING)
        under_way = sum(e.agent == self.agent and e.state in states for e in snapshot.experiments)
        return under_way <= campaign.drafts_ahead

    def begin(self, *, without_hypothesis: bool, own_idea: bool = False) -> str | None:
        """Claim a hypothesis, unless it is an idea of its own, and open an experiment; None: nothing to take."""
        options = {"without_hypothesis": without_hypothesis, "own_idea": own_idea}
        return experiments.begin_experiment(self.store, self.tag, self.agent, time.time(), **options)

    def checked_out_commit(self) -> str | None:
        """The commit that the worktree is laid out on; None without a worktree."""
        worktree = self.worktree()
        return Repository(worktree).rev_parse("HEAD") if (worktree / ".git").exists() else None

    def changed(self, commit: str) -> tuple[str, ...]:
        """What differs from `commit` in the worktree."""
        return self.repository.changed_since(self.worktree(), commit)

    def move_head(self, commit: str) -> None:
        """Take the worktree back to `commit` and leave every file in it as it is."""
        Repository(self.worktree()).ask("reset", "--quiet", "--mixed", commit)

    def reset_to_parent(self, experiment: Experiment) -> Path:
        """Set the worktree to the experiment's parent, whatever was left in it."""
        return self.reset_to(experiment.parent_commit)

    def reset_to(self, commit: str) -> Path:
        """Set the worktree to a commit, whatever was left in it."""
        worktree = self.worktree()
        Worktrees(self.repository, self.lab.worktree_lock).reset(worktree, commit)
        return worktree

    def apply_change_of(self, other: Experiment) -> bool:
        """Carry the change of another experiment over into the worktree; False when it does not fit."""
        if other.commit is None:
            return False
        patch = self.repository.diff(other.parent_commit, other.commit)
        return bool(patch) and self.repository.apply_patch(self.worktree(), patch)

    def diff_of(self, experiment: Experiment) -> str:
        """The experiment's change as a unified diff."""
        return self.repository.diff(experiment.parent_commit, experiment.commit) if experiment.commit else ""

    def canvas(self, commit: str, changed: Sequence[str] = ()) -> tuple[str, ...]:
        """The files that an edit on top of `commit` may change, of those that are there or are `changed`."""
        return self.lab.config.lab.canvas((*self.repository.list_files(commit), *changed))

    def hand_over(self, experiment: Experiment, draft: Draft) -> Refusal | None:
        """Guard, commit under the experiment's own ref, call it ready; or record why it was rejected."""
        worktree, now = self.worktree(), time.time()
        changed = self.repository.changed_since(worktree, experiment.parent_commit)
        canvas = self.canvas(experiment.parent_commit, changed)
        sources = read_canvas(worktree, [path for path in canvas if self._is_there(worktree, path)])
        if isinstance(sources, Refusal):
            self._reject(experiment, replace(draft, title=draft.title or experiment.title), sources, now)
            return sources
        before = self._sources_of(experiment.parent_commit)
        # An idea that nobody gave a title may have become another edit: what was changed is what it is called.
        draft = replace(draft, title=draft.title or change_title(before, sources) or experiment.title)
        refusal = check_edit(self.store, self.tag, sources, hash_sources(before), changed, canvas)
        refusal = refusal or self._changed_mode(experiment, sources) or self._stands_in(before, sources)
        flags = self._audit(sources)
        refusal = refusal or refused_flag(flags, self.lab.config.audit.hard)
        if refusal is None and (why := failed_check(self.lab, worktree)):
            refusal = Refusal(GuardRule.CHECKS_FAILED, why)
        if sources != before:
            paths = [path for path in canvas if path in sources or path in before]
            draft = self._commit(experiment, draft, sources, paths)
        if refusal is not None:
            self._reject(experiment, draft, refusal, now, flags)
            return refusal
        experiments.record_ready(self.store, self.tag, experiment.id, draft, now, flags)
        return None

    def _audit(self, sources: Mapping[str, str]) -> tuple[Flag, ...]:
        """What looks like gaming beside the code that the campaign began with."""
        campaign, config = self.snapshot().campaign, self.lab.config
        assert campaign is not None
        base = self._sources_of(campaign.base_commit)
        flags = audit(base, sources, has_referee=self.lab.has_referee, metric=config.metric.name)
        return tuple(flag for flag in flags if flag.rule not in config.audit.allow)

    def _is_there(self, worktree: Path, path: str) -> bool:
        # A new file may go again; an editable one that is gone is refused by name.
        return path in self.lab.config.lab.editable or os.path.lexists(worktree / path)

    def _sources_of(self, commit: str) -> dict[str, str]:
        return self.repository.read_files(commit, self.canvas(commit))

    def _changed_mode(self, experiment: Experiment, sources: Mapping[str, str]) -> Refusal | None:
        known = set(self.canvas(experiment.parent_commit))
        for path in sources:
            runs = bool((self.worktree() / path).stat().st_mode & 0o100)
            if runs != (path in known and self.repository.is_executable(experiment.parent_commit, path)):
                return Refusal(GuardRule.MODE_CHANGED, f"{path} {'became' if runs else 'was'} executable")
        return None

    def _stands_in(self, before: Mapping[str, str], sources: Mapping[str, str]) -> Refusal | None:
        new = sources.keys() - before.keys()
        if not new:
            return None
        campaign = self.snapshot().campaign
        assert campaign is not None
        return stands_in(new, {**before, **referee_of(self.lab, self.repository, campaign.base_commit)})

    def record_thought(self, experiment: Experiment, title: str, text: str) -> None:
        """Reasoned, and nothing worth a run came of it."""
        draft = Draft("", title, text, "", "", 0, 0)
        judgement = Judgement(Verdict.THOUGHT, text)
        experiments.record_verdict(self.store, self.tag, experiment.id, judgement, time.time(), draft=draft)

    def withdraw(self, experiment: Experiment, reason: str) -> None:
        """The hypothesis can't be applied to this canvas."""
        experiments.withdraw_experiment(self.store, self.tag, experiment.id, reason, time.time())

    def release(self, experiment: Experiment) -> None:
        """Give the hypothesis back for somebody else: it goes to the end of the plan."""
        experiments.release_experiment(self.store, experiment.id, last=True)

    def _commit(
        self, experiment: Experiment, draft: Draft, sources: Mapping[str, str], paths: Sequence[str]
    ) -> Draft:
        message = f"{draft.title}\n\nExperiment: {experiment.id}\nAgent: {self.agent}\n"
        commit = self.repository.commit_worktree(self.worktree(), paths, message, self.agent)
        ref = f"{self.lab.refs}/exp/{experiment.id}"
        self.repository.set_ref(ref, commit, self.repository.refs(ref).get(ref))
        patch = self.repository.diff(experiment.parent_commit, commit)
        folder = self.lab.runs_dir / experiment.id
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "diff.patch", patch)
        added, removed = self.repository.numstat(experiment.parent_commit, commit)
        own_hash = hash_sources(sources)
        return replace(draft, commit=commit, source_hash=own_hash, lines_added=added, lines_removed=removed)

    def _reject(
        self,
        experiment: Experiment,
        draft: Draft,
        refusal: Refusal,
        now: float,
        flags: tuple[Flag, ...] = (),
    ) -> None:
        # A twin's hash would make the first one look tried twice.
        draft, judgement = replace(draft, source_hash=""), Judgement(Verdict.REJECTED, str(refusal))
        experiments.record_verdict(
            self.store, self.tag, experiment.id, judgement, now, draft=draft, flags=flags
        )
