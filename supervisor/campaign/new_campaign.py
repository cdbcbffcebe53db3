"""A new campaign: where it starts from, what its scores can be compared with, and the data it needs."""

from __future__ import annotations

import re
import secrets
import time
from pathlib import Path

from sessions.devices.discovery import FoundDevice, listed_uuids
from sessions.git.repository import Repository
from sessions.git.worktrees import Worktrees
from supervisor.campaign.canaries import make_canaries
from supervisor.campaign.options import LaunchOptions
from supervisor.campaign.set_up import set_up
from supervisor.campaign.setting import make_setting
from supervisor.errors import LaunchError
from supervisor.lab.active_environment import settle_on_active
from supervisor.lab.branches import base_at
from supervisor.lab.hardware import cores_compared, runs_at_once, share_in_words
from supervisor.lab.ignored_files import SET_UP_BENCH, expect_beside, lay_out
from supervisor.lab.paths import Lab
from supervisor.lab.presets import CANVAS, better_preset, template_path
from supervisor.lab.programs import Say
from supervisor.lab.referee_copy import hash_referee, referee_of, write_referee
from supervisor.lab.uv_environment import make_environment
from supervisor.model.records import NewCampaign
from supervisor.model.snapshot import Limits
from supervisor.policy.verdicts import baseline_runs_for
from supervisor.runs.checks import failed_check
from supervisor.store import campaigns, devices
from supervisor.store.connection import Store
from supervisor.store.reading import is_proven, tags

TAG = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?")


def start_new_campaign(
    lab: Lab,
    store: Store,
    repository: Repository,
    hardware: tuple[FoundDevice, ...],
    options: LaunchOptions,
    say: Say,
) -> None:
    """Record a new campaign from what is checked out, or the base that was asked for. Raises LaunchError."""
    now = time.time()
    tag = _new_tag(repository, store, options.tag, now)
    start = base_at(repository, options.base)
    base = start.commit
    say(f"base: {start.place} “{repository.subject(base)}”")
    if repository.is_dirty():
        say(f"note: uncommitted changes stay yours; the campaign starts from commit {base[:7]}")
    _expect_committed(repository, base, lab.config.lab.editable)
    kinds = {device.kind for device in hardware}
    if len(kinds) > 1:
        raise LaunchError(
            f"scores of different devices can't be compared: {', '.join(sorted(kinds))}; name one kind"
        )
    files = referee_of(lab, repository, base)
    referee = hash_referee(files)
    write_referee(lab.referee_dir, files)
    checkout = _checkout_of(lab, repository, base)
    make_environment(lab, checkout / lab.folder, say)
    settle_on_active(lab, say)
    fingerprint = set_up(lab, checkout, say)
    expect_beside(lab, repository, checkout, base, say)
    _expect_checks(lab, checkout, say)
    setting = make_setting(
        lab, referee, fingerprint, kinds.pop(), options.budget_s, cores_compared(lab, hardware)
    )
    config = lab.config
    runs = baseline_runs_for(runs_at_once(hardware, config.devices.gpus))
    if lab.has_referee:
        _name_better_preset(lab, repository, base, hardware, say)
    else:
        share = share_in_words(hardware, config.devices.gpus)
        say(f"note: each run gets {share}; the baseline is {runs} runs, and their spread is the noise")
    canaries = () if is_proven(store, setting, base) else make_canaries(repository, base, config, tag)
    devices.record_devices(store, hardware, now, listed_uuids())
    campaigns.start_campaign(
        store,
        NewCampaign(
            tag=tag,
            base_commit=base,
            metric=config.metric.name,
            direction=config.metric.direction,
            setting=setting,
            limits=Limits(
                options.experiments or config.limits.experiments,
                options.hours or config.limits.hours,
                options.usd or config.limits.usd,
                config.limits.usd_each,
            ),
            drafts_ahead=config.agents.drafts_ahead,
            approve=config.agents.approve,
            seed=secrets.randbelow(2**31 - 1000),
            baseline_runs=runs,
            base_branch=start.branch,
            canaries=canaries,
            asked=options.limits,
        ),
        now,
    )


def _name_better_preset(
    lab: Lab, repository: Repository, base: str, hardware: tuple[FoundDevice, ...], say: Say
) -> None:
    if lab.config.lab.editable != (CANVAS,):
        return
    canvas = repository.read_file(base, CANVAS)
    preset = better_preset(hardware, canvas, (template_path() / CANVAS).read_text(encoding="utf-8"))
    if preset is not None:
        line = f"autoresearch-tui init DIR --preset {preset.name}"
        say(f"note: {CANVAS} is set to a CPU core; `{line}` makes a lab that is set to {hardware[0].label}")


def _checkout_of(lab: Lab, repository: Repository, commit: str) -> Path:
    # Not the person's work tree: what is not committed there is not what runs will see.
    checkout = lab.benches_dir / SET_UP_BENCH
    Worktrees(repository, lab.worktree_lock).reset(checkout, commit)
    # The set-up has no sandbox: what it could write through a link would be the person's own.
    lay_out(lab, repository, checkout, commit, linked=False)
    return checkout


def _expect_checks(lab: Lab, checkout: Path, say: Say) -> None:
    command = lab.config.checks.command
    if not command:
        return
    say(f"checks: `{command}` on the code as it stands")
    if why := failed_check(lab, checkout):
        raise LaunchError(
            f"the checks fail on the code as it stands, so they would reject every edit: {why}; "
            "mend the code, or [checks] command"
        )


def _expect_committed(repository: Repository, base: str, editable: tuple[str, ...]) -> None:
    missing = sorted(set(editable) - set(repository.list_files(base)))
    if missing:
        raise LaunchError(f"{missing[0]} is not in commit {base[:7]}; commit it first")


def _new_tag(repository: Repository, store: Store, requested: str | None, now: float) -> str:
    branches = repository.refs("refs/heads/autoresearch/")
    known = tags(store)

    def is_taken(tag: str) -> bool:
        return tag in known or any(ref.startswith(f"refs/heads/autoresearch/{tag}-") for ref in branches)

    if requested is not None:
        if not TAG.fullmatch(requested):
            raise LaunchError(
                f"--tag {requested!r}: letters, digits, - . and _ only; it becomes part of a branch name"
            )
        if is_taken(requested):
            raise LaunchError(f"--tag {requested}: there are branches of that name; take another tag")
        return requested
    today = time.strftime("%b%d", time.localtime(now)).lower()
    return next(tag for tag in (today, *(f"{today}.{n}" for n in range(2, 1000))) if not is_taken(tag))
