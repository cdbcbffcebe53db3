"""All that the command line asks of the lab, in one place: who prints knows nothing of stores and tmux.

Heavy imports (SQLite and tmux clients, the screen) happen inside the functions that need them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.errors import LabError
from supervisor.lab.config import AgentSpec
from supervisor.lab.paths import Lab
from supervisor.model.experiment import Experiment, Run
from supervisor.model.snapshot import Hypothesis, LabSnapshot
from supervisor.model.states import HypothesisState, Role, Wanted

if TYPE_CHECKING:
    from supervisor.campaign.new_campaign import LaunchOptions
    from supervisor.model.records import ThinkingStep
    from supervisor.store.connection import Store

PERSON = "person"


# Reading


def read_lab(lab: Lab) -> LabSnapshot:
    """The lab as it is now; an empty snapshot before the first launch. Makes nothing."""
    if not lab.db.exists():
        from supervisor.lab.config import guarantees_of
        from supervisor.lab.notes import read_notes

        notes = read_notes(lab.notes_dir)
        given = guarantees_of(lab.config, has_referee=lab.has_referee)
        return LabSnapshot(
            root=lab.root, taken_at=time.time(), version=0, campaign=None, notes=notes, guarantees=given
        )
    from supervisor.snapshot_reader import read_snapshot

    return read_snapshot(lab, _store(lab), time.time())


def wait_for_change(lab: Lab, version: int, timeout_s: float) -> None:
    """Block until the lab's version differs from `version`, or the time is over."""
    store = _store(lab)
    deadline = time.monotonic() + timeout_s
    while store.version() == version and time.monotonic() < deadline:
        time.sleep(0.1)


def version(lab: Lab) -> int:
    """The number of the lab's transitions so far; 0 before the first launch."""
    return _store(lab).version() if lab.db.exists() else 0


def launched(lab: Lab) -> LabSnapshot:
    """As `read_lab`. Raises LabError before the first launch."""
    snapshot = read_lab(lab)
    if snapshot.campaign is None:
        raise LabError(f"nothing was launched in {lab.root} yet; `autoresearch-tui launch` starts")
    return snapshot


def experiment_named(snapshot: LabSnapshot, experiment_id: str) -> Experiment:
    """The experiment of that id. Raises LabError."""
    experiment = snapshot.experiment(experiment_id)
    if experiment is None:
        raise LabError(f"there is no experiment {experiment_id!r}; `autoresearch-tui experiments` lists them")
    return experiment


def steps_of(lab: Lab, experiment: Experiment) -> tuple[ThinkingStep, ...]:
    """What was thought about an experiment, step by step, oldest first. Raises StoreError."""
    from supervisor.store.steps import read_steps

    return read_steps(_store(lab), experiment.id)


def read_diff(lab: Lab, experiment: Experiment) -> str:
    """What the experiment changed, as a unified diff. Raises LabError while there is nothing to show."""
    file = lab.runs_dir / experiment.id / "diff.patch"
    if file.is_file():
        return file.read_bytes().decode(errors="replace")
    if experiment.commit is None or experiment.commit == experiment.parent_commit:
        raise LabError(
            f"{experiment.id} has no diff: {'it is ' + (experiment.verdict or experiment.state).value}"
        )
    from sessions.git.repository import Repository

    return Repository.find(lab.root).diff(experiment.parent_commit, experiment.commit)


def log_of(lab: Lab, snapshot: LabSnapshot, name: str) -> tuple[Run, Path]:
    """The run that `name` means (e0012.3, or e0012: its latest) and its log file. Raises LabError."""
    from supervisor.runs.spec import run_directory

    experiment = experiment_named(snapshot, name.partition(".")[0])
    started = [run for run in experiment.runs if run_directory(lab, run).is_dir()]
    run = snapshot.run(name) if "." in name else (started[-1] if started else None)
    if run is None:
        known = ", ".join(one.id for one in experiment.runs) or "none"
        raise LabError(f"{name} has no log yet; runs of {experiment.id}: {known}")
    return run, run_directory(lab, run) / "run.log"


def read_note_text(lab: Lab, note_id: str) -> str:
    """A note's Markdown below its header. Raises LabError."""
    from supervisor.lab.notes import read_note

    return read_note(lab.notes_dir, note_id)


def tmux_socket(lab: Lab) -> str:
    """The name of the lab's private tmux server (`tmux -L`)."""
    from sessions.tmux.terminal import socket_name_for

    return socket_name_for(lab.root)


# Directing


def add_note(lab: Lab, title: str, text: str, experiment_id: str | None) -> str:
    """Publish a finding of the person's; returns the note's id."""
    from supervisor.lab.notes import publish_note
    from supervisor.lab.state_folder import prepare_state

    prepare_state(lab)
    return publish_note(lab.notes_dir, title, text, PERSON, time.time(), experiment_id)


def add_hypothesis(lab: Lab, title: str, change: str, rationale: str, parent_id: str | None) -> str:
    """Put the person's hypothesis at the head of the plan; returns its id."""
    from supervisor.model.snapshot import Hypothesis
    from supervisor.store.hypotheses import add_hypotheses

    new = Hypothesis(title=title, rationale=rationale, change=change or title, parent_id=parent_id)
    return add_hypotheses(*_campaign(lab), PERSON, (new,), HypothesisState.OPEN, time.time(), first=True)[0]


def approve_hypothesis(lab: Lab, hypothesis_id: str) -> None:
    """Open a proposed hypothesis for the juniors. Raises LabError."""
    from supervisor.store.hypotheses import set_hypothesis_state

    set_hypothesis_state(*_campaign(lab), hypothesis_id, HypothesisState.OPEN, time.time())


def reject_hypothesis(lab: Lab, hypothesis_id: str) -> None:
    """Take a hypothesis out of the plan. Raises LabError."""
    from supervisor.store.hypotheses import set_hypothesis_state

    set_hypothesis_state(*_campaign(lab), hypothesis_id, HypothesisState.WITHDRAWN, time.time())


def move_hypothesis(lab: Lab, hypothesis_id: str, before: str | None) -> None:
    """Put a hypothesis right before another one, or first. Raises LabError."""
    from supervisor.store.hypotheses import move_hypothesis as move

    move(*_campaign(lab), hypothesis_id, before, time.time())


def hypotheses(lab: Lab) -> tuple[Hypothesis, ...]:
    """The plan, in the order in which it is taken."""
    return launched(lab).hypotheses


def send_message(lab: Lab, agents: Sequence[str], text: str) -> tuple[int, ...]:
    """Leave a message that these agents read before their next step; returns one number per agent."""
    from supervisor.store.agents import send_message as send

    return send(*_campaign(lab), agents, text, PERSON, time.time())


def unread_messages(lab: Lab, numbers: Sequence[int]) -> tuple[int, ...]:
    """Those of the messages that were not read yet."""
    from supervisor.store.agents import unread_messages as unread

    return unread(_store(lab), numbers)


# Steering


def add_agent(lab: Lab, role: Role, words: str = "") -> tuple[str, str]:
    """Hire one more agent of "backend[:model]", or as the lab's file says; the supervisor starts it.

    Returns its name and backend. Raises LabError.
    """
    from supervisor.store.agents import add_agent as add

    snapshot = launched(lab)
    if role is Role.CHIEF and any(agent.role is Role.CHIEF for agent in snapshot.agents):
        raise LabError("the lab has its chief; `autoresearch-tui restart chief` starts it afresh")
    config = lab.config.agents
    number = 1 + sum(agent.role is Role.JUNIOR for agent in snapshot.agents)
    spec = config.chief if role is Role.CHIEF else config.spec_of_junior(number)
    if words:
        spec = AgentSpec.of_words(words)
    name = add(*_campaign(lab), role, spec.backend, time.time(), model=spec.model, mode=spec.mode)
    return name, spec.backend


def want(lab: Lab, agents: Sequence[str], wanted: Wanted) -> None:
    """Ask agents, or with none named the whole lab, to run, pause or stop. Raises LabError."""
    from supervisor.store.agents import want_agents
    from supervisor.store.campaigns import want_campaign

    store, tag = _campaign(lab)
    if agents:
        want_agents(store, tag, agents, wanted, time.time())
    else:
        want_campaign(store, tag, wanted, time.time())


def restart(lab: Lab, agents: Sequence[str]) -> tuple[str, ...]:
    """Ask the supervisor to start these agents, or all, afresh; returns their names. Raises LabError."""
    from supervisor.store.agents import request_restart

    names = tuple(agents) or tuple(agent.name for agent in launched(lab).agents)
    request_restart(*_campaign(lab), names, time.time())
    return names


# Starting and showing


def start_lab(lab: Lab, options: LaunchOptions, say: Callable[[str], None]) -> None:
    """Start, join or resume the lab's campaign. Raises LabError."""
    from supervisor.campaign.launch import launch

    launch(lab, options, say)


def attach(lab: Lab, agent: str) -> int:
    """Show an agent's pane (or "supervisor") in this terminal until the person leaves it. Raises LabError."""
    from sessions.tmux.terminal import TmuxServer

    server = TmuxServer(tmux_socket(lab))
    windows = server.windows()
    if agent not in windows:
        shown = ", ".join(windows) or "none: the lab does not run"
        raise LabError(f"there is no pane of {agent!r}; panes: {shown}")
    return server.attach(agent)


def run_agent(lab: Lab, name: str) -> int:
    """One agent's loop, until it is told to stop."""
    from roles.loops import run_agent as run

    return run(lab, name)


def run_supervisor(lab: Lab) -> int:
    """The supervisor's loop, until the campaign ends."""
    from supervisor.loop.supervise import supervise

    return supervise(lab)


def serve_mcp(lab: Lab, agent: str) -> None:
    """Serve the lab to an MCP client on stdio, as this agent, until it leaves. Raises LabError."""
    from roles.workbench.workbench import open_workbench

    bench = open_workbench(lab, agent)
    from roles.workbench.mcp_server import serve

    serve(bench)


def try_edit(lab: Lab, agent: str, title: str, expectation: str) -> tuple[str, str]:
    """Hand over what is in the agent's worktree: the experiment's id, and why it was refused. Raises LabError.

    What was handed over is taken out of the worktree: the next edit starts from the incumbent.
    """
    from roles.workbench.workbench import open_workbench

    bench = open_workbench(lab, agent)
    said = expectation or "a person's edit, to be seen"
    experiment, refusal = bench.hand_over(title or "a person's edit", said)
    if refusal is None:
        bench.start_afresh()
    return experiment.id, str(refusal or "")


def lay_out_afresh(lab: Lab, agent: str) -> str:
    """Lay the agent's worktree out as its next experiment begins; returns that one's parent. Raises LabError."""
    from roles.workbench.workbench import open_workbench

    parent = open_workbench(lab, agent).start_afresh()
    return parent.id if parent else "nothing: there is no baseline yet"


def _store(lab: Lab) -> Store:
    return _opened(lab.db)


@cache
def _opened(db: Path) -> Store:
    from supervisor.store.connection import Store

    return Store(db)


def _campaign(lab: Lab) -> tuple[Store, str]:
    """Where requests are written, and the campaign's tag. Raises LabError before the first launch."""
    campaign = launched(lab).campaign
    assert campaign is not None
    return _store(lab), campaign.tag
