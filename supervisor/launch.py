"""Starting, joining and resuming a campaign."""

from __future__ import annotations

import hashlib
import re
import secrets
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from sessions.devices import FoundDevice, discover
from sessions.git import Repository
from sessions.keeper import keeper_argv
from sessions.tmux import LabServer, socket_name_for
from sessions.tmux_server import check_version
from supervisor.crew import supervisor_argv
from supervisor.errors import LaunchError
from supervisor.judging import baseline_runs_for
from supervisor.lab import Lab
from supervisor.reading import read_snapshot
from supervisor.referee_copy import hash_referee, referee_files, write_referee
from supervisor.running import command_argv, lab_python
from supervisor.snapshot import Campaign, LabSnapshot, Limits, Setting
from supervisor.state_folder import prepare_state
from supervisor.states import CampaignState, Role, Verdict, Wanted
from supervisor.store import agents, campaigns
from supervisor.store.campaigns import NewCampaign
from supervisor.store.connection import Store
from supervisor.store.reading import tags

SUPERVISOR_WINDOW = "supervisor"
FINGERPRINT_KEY = "data_fingerprint:"  # the line by which prepare.py names the data
MAIN_BRANCHES = ("main", "master")
TAG = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """What the person asked for; None: as the configuration says, or as the campaign has it."""

    tag: str | None = None
    juniors: int | None = None
    devices: str | None = None
    chief: str | None = None
    junior: str | None = None
    budget_s: float | None = None
    experiments: int | None = None  # from now on
    hours: float | None = None
    usd: float | None = None


def launch(lab: Lab, options: LaunchOptions, say: Say) -> Campaign:
    """Start, join or resume a campaign and see that its supervisor runs. Raises LabError, SessionError.

    `say` gets a line for each longer step, and the output of the lab's set-up command.
    """
    check_version()
    campaign = open_campaign(lab, options, say)
    start_supervisor(lab, LabServer(socket_name_for(lab.root)))
    return campaign


def open_campaign(lab: Lab, options: LaunchOptions, say: Say) -> Campaign:
    """Everything about a launch that is written down, so that a supervisor finds it. Raises LabError, SessionError."""
    prepare_state(lab)
    repository = Repository(lab.root)
    store = Store(lab.db)
    found = discover(options.devices)
    snapshot = read_snapshot(lab, store, time.time())
    current = snapshot.campaign
    another = current is not None and options.tag is not None and options.tag != current.tag
    if current is None or another or _never_got_going(snapshot):
        _refuse_a_second(current, options)
        _start(lab, store, repository, found, options, say)
    else:
        _join(store, snapshot, found, options)
    snapshot = read_snapshot(lab, store, time.time())
    assert snapshot.campaign is not None
    _staff(lab, store, snapshot, options)
    return snapshot.campaign


def start_supervisor(lab: Lab, server: LabServer) -> None:
    """See that the lab's tmux server and the supervisor's window run. Raises TmuxError."""
    server.ensure_running()
    server.ensure_window(SUPERVISOR_WINDOW, keeper_argv(supervisor_argv(lab)), lab.root, {})


def _never_got_going(snapshot: LabSnapshot) -> bool:
    # Its base does not run: only a new commit mends that, and a campaign has one base.
    baseline = snapshot.experiment(snapshot.baseline_id)
    return baseline is not None and baseline.verdict not in (None, Verdict.BASELINE)


def _refuse_a_second(current: Campaign | None, options: LaunchOptions) -> None:
    if current is not None and current.state in (CampaignState.RUNNING, CampaignState.PAUSED):
        raise LaunchError(
            f"campaign {current.tag} is {current.state}; `autoresearch-tui stop` it before {options.tag} can start"
        )


def _start(
    lab: Lab,
    store: Store,
    repository: Repository,
    found: tuple[FoundDevice, ...],
    options: LaunchOptions,
    say: Say,
) -> None:
    now = time.time()
    tag = _new_tag(repository, store, options.tag, now)
    base = base_commit(repository, say)
    _expect_committed(repository, base, lab.config.lab.editable)
    kinds = {device.kind for device in found}
    if len(kinds) > 1:
        raise LaunchError(
            f"scores of different devices can't be compared: {', '.join(sorted(kinds))}; name one kind"
        )
    files = referee_files(repository, base, lab.config.lab.editable)
    referee = hash_referee(files)
    write_referee(lab.referee_dir, files)
    fingerprint = set_up(lab, say)
    setting = make_setting(lab, referee, fingerprint, kinds.pop(), options.budget_s)
    config = lab.config
    campaigns.record_devices(store, found, now)
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
            ),
            drafts_ahead=config.agents.drafts_ahead,
            approve=config.agents.approve,
            seed=secrets.randbelow(2**31 - 1000),
            baseline_runs=baseline_runs_for(len(found)),
        ),
        now,
    )


def _join(
    store: Store, snapshot: LabSnapshot, found: tuple[FoundDevice, ...], options: LaunchOptions
) -> None:
    campaign = snapshot.campaign
    assert campaign is not None
    if options.budget_s is not None and options.budget_s != campaign.setting.budget_s:
        raise LaunchError(
            f"campaign {campaign.tag} runs on {campaign.setting.budget_s:g} s; another budget needs a --tag of its own"
        )
    wrong = next((d for d in found if d.kind != campaign.setting.device_kind), None)
    if wrong is not None:
        raise LaunchError(
            f"campaign {campaign.tag} was measured on {campaign.setting.device_kind}, and {wrong.id} is {wrong.kind}; "
            "use --devices, or a --tag of its own"
        )
    now = time.time()
    campaigns.record_devices(store, found, now)
    campaigns.resume_campaign(store, campaign.tag, _limits_from_now(snapshot, campaign, options), now)


def _limits_from_now(snapshot: LabSnapshot, campaign: Campaign, options: LaunchOptions) -> Limits:
    """What the person asks for counts from now; a limit that ended the campaign is given once more."""
    old = campaign.limits
    spent = sum(agent.cost_usd for agent in snapshot.agents)
    hours = campaign.running_s / 3600
    experiments = _extended(old.experiments, snapshot.counted, options.experiments)
    return Limits(
        None if experiments is None else round(experiments),
        _extended(old.hours, hours, options.hours),
        _extended(old.usd, spent, options.usd),
    )


def _extended(limit: float | None, used: float, more: float | None) -> float | None:
    if more is not None:
        return used + more
    return used + limit if limit is not None and used >= limit else limit


def _staff(lab: Lab, store: Store, snapshot: LabSnapshot, options: LaunchOptions) -> None:
    campaign, config = snapshot.campaign, lab.config.agents
    assert campaign is not None
    now = time.time()
    if not any(agent.role is Role.CHIEF for agent in snapshot.agents):
        agents.add_agent(store, campaign.tag, Role.CHIEF, options.chief or config.chief.backend, now)
    juniors = [agent for agent in snapshot.agents if agent.role is Role.JUNIOR]
    wanted = options.juniors or (len(juniors) or config.juniors)
    for _ in range(wanted - len(juniors)):
        agents.add_agent(store, campaign.tag, Role.JUNIOR, options.junior or config.junior.backend, now)
    stopped = [a.name for a in snapshot.agents if a.wanted is Wanted.STOPPED]
    if stopped and campaign.wanted is Wanted.RUNNING:
        agents.want_agents(store, campaign.tag, stopped[: max(wanted, 1)], Wanted.RUNNING, now)


def set_up(lab: Lab, say: Say) -> str:
    """Run the lab's set-up command (it prepares the data); returns the data's fingerprint, "" when it names none."""
    if not lab.config.lab.setup:
        return ""
    argv = command_argv(lab.config.lab.setup, lab_python(lab))
    fingerprint, last = "", ""
    try:
        process = subprocess.Popen(
            argv,
            cwd=lab.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    except OSError as error:
        raise LaunchError(f"the set-up command does not start: {error}; see [lab] setup") from error
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            line = line.strip()
            if line.startswith(FINGERPRINT_KEY):
                fingerprint = line.removeprefix(FINGERPRINT_KEY).strip()
            elif line:
                last = line
                say(line)
    if process.returncode:
        raise LaunchError(f"`{' '.join(argv)}` failed with exit code {process.returncode}: {last}")
    return fingerprint


def make_setting(
    lab: Lab, referee: str, fingerprint: str, device_kind: str, budget_s: float | None
) -> Setting:
    """What the campaign's scores can be compared with."""
    budget = lab.config.resolved(device_kind)
    seconds = budget_s or budget.seconds
    parts = (referee, fingerprint, lab.config.metric.name, f"{seconds:g}", budget.clock, device_kind)
    return Setting(
        id=hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12],
        referee_hash=referee,
        data_fingerprint=fingerprint,
        metric=lab.config.metric.name,
        budget_s=seconds,
        clock=budget.clock,
        device_kind=device_kind,
    )


def base_commit(repository: Repository, say: Say) -> str:
    """Where a campaign starts: main, else the commit that is checked out. Raises LaunchError."""
    for branch in MAIN_BRANCHES:
        if repository.exists(f"refs/heads/{branch}"):
            base = repository.rev_parse(f"refs/heads/{branch}")
            break
    else:
        if not repository.exists("HEAD"):
            raise LaunchError("the repository has no commit yet; `git commit` the lab's files first")
        base = repository.rev_parse("HEAD")
    if repository.is_dirty():
        say(f"note: uncommitted changes stay yours; the campaign starts from commit {base[:7]}")
    return base


def _expect_committed(repository: Repository, base: str, editable: tuple[str, ...]) -> None:
    missing = sorted(set(editable) - set(repository.list_files(base)))
    if missing:
        raise LaunchError(f"{missing[0]} is not in commit {base[:7]}; commit it first")


def _new_tag(repository: Repository, store: Store, wanted: str | None, now: float) -> str:
    branches = repository.refs("refs/heads/autoresearch/")
    known = tags(store)

    def is_taken(tag: str) -> bool:
        return tag in known or any(ref.startswith(f"refs/heads/autoresearch/{tag}-") for ref in branches)

    if wanted is not None:
        if not TAG.fullmatch(wanted):
            raise LaunchError(
                f"--tag {wanted!r}: letters, digits, - . and _ only; it becomes part of a branch name"
            )
        if is_taken(wanted):
            raise LaunchError(f"--tag {wanted}: there are branches of that name; take another tag")
        return wanted
    today = time.strftime("%b%d", time.localtime(now)).lower()
    return next(tag for tag in (today, *(f"{today}.{n}" for n in range(2, 1000))) if not is_taken(tag))
