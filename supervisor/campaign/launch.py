"""Starting, joining and resuming a campaign."""

from __future__ import annotations

import os
import time

from sessions.devices.discovery import FoundDevice, listed_uuids
from sessions.git.repository import Repository
from sessions.locks import FOR_EVER, held, is_locked
from sessions.tmux.restart_loop import keeper_argv
from sessions.tmux.server import check_version
from sessions.tmux.terminal import TmuxServer, socket_name_for
from supervisor.campaign.base_check import asks_another_base, expect_same_base
from supervisor.campaign.limits import limits_from_now
from supervisor.campaign.new_campaign import start_new_campaign
from supervisor.campaign.new_setting import leaves_its_setting
from supervisor.campaign.options import LaunchOptions
from supervisor.errors import LaunchError
from supervisor.history.import_file import import_history
from supervisor.lab.config import CPU_KIND, AgentSpec, guarantees_of
from supervisor.lab.hardware import hardware_for, still_there
from supervisor.lab.paths import Lab
from supervisor.lab.programs import Say, supervisor_argv
from supervisor.lab.state_folder import prepare_state
from supervisor.model.snapshot import Campaign, LabSnapshot
from supervisor.model.states import CampaignState, Role, Verdict, Wanted
from supervisor.snapshot_reader import read_snapshot
from supervisor.store import agents, campaigns, devices, reading
from supervisor.store.connection import Store

SUPERVISOR_WINDOW = "supervisor"
LEAVING_S = 5.0


def launch(lab: Lab, options: LaunchOptions, say: Say) -> Campaign:
    """Start, join or resume a campaign and see that its supervisor runs. Raises LabError, SessionError.

    `say` gets a line for each longer step, and the output of the lab's set-up command.
    """
    check_version()
    for line in guarantees_of(lab.config, has_referee=lab.has_referee).explained:
        say(f"note: {line}")
    campaign = open_campaign(lab, options, say)
    start_supervisor(lab, TmuxServer(socket_name_for(lab.root)))
    return campaign


def open_campaign(lab: Lab, options: LaunchOptions, say: Say) -> Campaign:
    """Everything about a launch that is written down, so that a supervisor finds it. Raises LabError, SessionError.

    One at a time: of two at once the second joins what the first has begun.
    """
    prepare_state(lab)
    with held(lab.state_dir / "launch.lock", 0.0) as mine:
        if mine:
            return _open_campaign(lab, options, say)
    say("another launch is under way in this lab: waiting for it")
    with held(lab.state_dir / "launch.lock", FOR_EVER):
        return _open_campaign(lab, options, say)


def _open_campaign(lab: Lab, options: LaunchOptions, say: Say) -> Campaign:
    repository = Repository(lab.root)
    store = Store(lab.db)
    snapshot = read_snapshot(lab, store, time.time())
    current = snapshot.campaign
    another = current is not None and options.tag is not None and options.tag != current.tag
    if (
        current is None
        or another
        or _never_got_going(snapshot)
        or asks_another_base(repository, current, options)
    ):
        _refuse_a_second(current, options)
        hardware = hardware_for(lab, options.devices)
        start_new_campaign(lab, store, repository, hardware, options, say)
    elif leaves_its_setting(lab, store, snapshot, options, say):
        hardware = hardware_for(lab, options.devices)
        start_new_campaign(lab, store, repository, hardware, options, say)
    else:
        expect_same_base(repository, lab, store, snapshot, options, say)
        _join(store, snapshot, _hardware_from_now(lab, store, current, options), options, say)
    if options.history is not None:
        say(import_history(lab, store, options.history))
    snapshot = read_snapshot(lab, store, time.time())
    assert snapshot.campaign is not None
    _staff(lab, store, snapshot, options)
    return snapshot.campaign


def start_supervisor(lab: Lab, server: TmuxServer) -> None:
    """See that the lab's tmux server and the supervisor's window run. Raises TmuxError."""
    with held(lab.server_lock, FOR_EVER):
        server.ensure_running()
        server.renew_environment(os.environ)
        # One that is just leaving still has its window for a moment, and would take this launch with it.
        deadline = time.monotonic() + LEAVING_S
        while not is_locked(lab.supervisor_lock) and _has_window(server) and time.monotonic() < deadline:
            time.sleep(0.02)
        server.ensure_window(SUPERVISOR_WINDOW, keeper_argv(supervisor_argv(lab)), lab.root, {})


def _has_window(server: TmuxServer) -> bool:
    window = server.windows().get(SUPERVISOR_WINDOW)
    return window is not None and not window.dead


def _never_got_going(snapshot: LabSnapshot) -> bool:
    # Its base does not run: only a new commit mends that, and a campaign has one base.
    baseline = snapshot.experiment(snapshot.baseline_id)
    return baseline is not None and baseline.verdict not in (None, Verdict.BASELINE)


def _refuse_a_second(current: Campaign | None, options: LaunchOptions) -> None:
    if current is not None and current.state in (CampaignState.RUNNING, CampaignState.PAUSED):
        new = options.tag or "another"
        raise LaunchError(
            f"campaign {current.tag} is {current.state}; `autoresearch-tui stop` it before {new} can start"
        )


def _hardware_from_now(
    lab: Lab, store: Store, campaign: Campaign, options: LaunchOptions
) -> tuple[FoundDevice, ...]:
    """What the campaign goes on with: on a CPU the slots that it was measured on, unless others are asked for."""
    slots = reading.cpu_slots(store) if campaign.setting.device_kind == CPU_KIND else ()
    return slots if options.devices is None and still_there(slots) else hardware_for(lab, options.devices)


def _join(
    store: Store, snapshot: LabSnapshot, hardware: tuple[FoundDevice, ...], options: LaunchOptions, say: Say
) -> None:
    campaign = snapshot.campaign
    assert campaign is not None
    if options.budget_s is not None and options.budget_s != campaign.setting.budget_s:
        raise LaunchError(
            f"campaign {campaign.tag} runs on {campaign.setting.budget_s:g} s; another budget needs a --tag of its own"
        )
    wrong = next((d for d in hardware if d.kind != campaign.setting.device_kind), None)
    if wrong is not None:
        raise LaunchError(
            f"campaign {campaign.tag} was measured on {campaign.setting.device_kind}, and {wrong.id} is {wrong.kind}; "
            "use --devices, or a --tag of its own"
        )
    now = time.time()
    devices.record_devices(store, hardware, now, listed_uuids())
    limits = limits_from_now(snapshot, campaign, options.limits)
    campaigns.resume_campaign(store, campaign.tag, limits, now, options.limits)
    if limits.experiments is not None and limits.experiments == campaign.limits.experiments:
        say(f"note: {snapshot.counted} of {limits.experiments} experiments of run {campaign.tag} are made")


def _staff(lab: Lab, store: Store, snapshot: LabSnapshot, options: LaunchOptions) -> None:
    campaign, config = snapshot.campaign, lab.config.agents
    assert campaign is not None
    now = time.time()
    if not any(agent.role is Role.CHIEF for agent in snapshot.agents):
        spec = AgentSpec.of_words(options.chief) if options.chief else config.chief
        agents.add_agent(store, campaign.tag, Role.CHIEF, spec.backend, now, model=spec.model)
    juniors = [agent for agent in snapshot.agents if agent.role is Role.JUNIOR]
    junior_count = options.juniors or (len(juniors) or config.juniors)
    if options.junior:
        specs = tuple(AgentSpec.of_words(words) for words in options.junior.split(","))
        config = config.model_copy(update={"junior": specs})
    for number in range(len(juniors) + 1, junior_count + 1):
        spec = config.spec_of_junior(number)
        agents.add_agent(
            store, campaign.tag, Role.JUNIOR, spec.backend, now, model=spec.model, mode=spec.mode
        )
    stopped = [a.name for a in snapshot.agents if a.wanted is Wanted.STOPPED]
    if stopped and campaign.wanted is Wanted.RUNNING:
        agents.want_agents(store, campaign.tag, stopped[: max(junior_count, 1)], Wanted.RUNNING, now)
