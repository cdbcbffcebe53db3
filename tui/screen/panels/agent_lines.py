"""An agent in words: what it does, since when, and what of its work is on a device."""

from __future__ import annotations

from dataclasses import dataclass

from sessions.runs.contract import RunPhase
from supervisor.model.experiment import DECIDING, Experiment, Run
from supervisor.model.snapshot import Agent, LabSnapshot
from supervisor.model.states import AgentState, ExperimentState, RunState, Wanted
from tui.screen.widgets.lines import Line, Span, Tone, bar, spread
from tui.views.figures import age, clock, share
from tui.views.text import plain

SILENT_AFTER_S = 90.0
_NAME_WIDTH = 9
_BAR_WIDTH = 18

_BADGES: dict[AgentState, tuple[str, Tone]] = {
    AgentState.STARTING: ("◌", Tone.MUTED),
    AgentState.IDLE: ("○", Tone.MUTED),
    AgentState.PLANNING: ("◆", Tone.ACCENT),
    AgentState.THINKING: ("●", Tone.ACCENT),
    AgentState.EDITING: ("●", Tone.ACCENT),
    AgentState.WAITING: ("◔", Tone.MUTED),
    AgentState.REFLECTING: ("●", Tone.ACCENT),
    AgentState.PAUSED: ("‖", Tone.WARN),
    AgentState.PARKED: ("◷", Tone.WARN),
    AgentState.FAILING: ("✕", Tone.WARN),
    AgentState.CRASHED: ("✕", Tone.BAD),
    AgentState.STOPPED: ("■", Tone.MUTED),
}
_AT_WORK = frozenset({AgentState.PLANNING, AgentState.THINKING, AgentState.EDITING, AgentState.REFLECTING})


@dataclass(frozen=True, slots=True)
class Badge:
    """An agent's state for people."""

    glyph: str
    words: str
    tone: Tone


def badge(agent: Agent, snapshot: LabSnapshot, now: float) -> Badge:
    """What the agent does, in a glyph and a few words."""
    glyph, tone = _BADGES[agent.state]
    if agent.state is AgentState.CRASHED:
        return Badge(glyph, f"crashed {agent.restarts}× · r restarts", tone)
    if agent.waiting_for:
        return Badge("◐", "waits for you", Tone.WARN)
    silence = now - agent.heartbeat_at if agent.heartbeat_at is not None else 0.0
    if agent.state in _AT_WORK and silence > SILENT_AFTER_S:
        return Badge("!", f"{agent.state} · silent for {age(silence)}", Tone.WARN)
    words = _words(agent, snapshot)
    if agent.state is AgentState.PARKED and agent.parked_until is not None:
        words = f"parked {clock(max(0.0, agent.parked_until - now))} · {plain(agent.doing)}"
    if agent.state is AgentState.WAITING and running_run(snapshot, agent.name):
        glyph, tone = "●", Tone.GOOD
    if ending := _ending(agent):
        words = f"{words} · {ending}"
    return Badge(glyph, words, tone)


def waits_for_person(agent: Agent) -> bool:
    """True when the agent goes on only after the person did something."""
    return bool(agent.waiting_for) or agent.state is AgentState.CRASHED


def running_run(snapshot: LabSnapshot, agent: str) -> Run | None:
    """The run that the agent's next verdict hangs on, while it is on a device; the lab's own runs are not."""
    for device in snapshot.devices:
        run = snapshot.run(device.run_id)
        if run is None or run.state is not RunState.RUNNING or run.kind not in DECIDING:
            continue
        experiment = snapshot.experiment(run.experiment_id)
        if experiment is not None and experiment.agent == agent:
            return run
    return None


def current_experiment(snapshot: LabSnapshot, agent: str) -> Experiment | None:
    """What the agent is busy with: the one on a device, else its newest."""
    if run := running_run(snapshot, agent):
        return snapshot.experiment(run.experiment_id)
    return next((one for one in reversed(snapshot.experiments) if one.agent == agent), None)


def agent_lines(agent: Agent, snapshot: LabSnapshot, now: float, width: int, roomy: bool) -> list[Line]:
    """The agent's lines in the list: state and age, its run, and with room what it is about."""
    state = badge(agent, snapshot, now)
    head: Line = (
        (f"{state.glyph} ", state.tone),
        (f"{plain(agent.name):<{_NAME_WIDTH}}  ", Tone.STRONG),
        (state.words, state.tone if state.tone in (Tone.WARN, Tone.BAD) else Tone.PLAIN),
    )
    since = age(now - agent.state_since)
    lines = [spread(head, ((since, Tone.MUTED),), width)]
    if run := running_run(snapshot, agent.name):
        lines.append((("  ", Tone.PLAIN), *run_spans(run, snapshot, width - 2)))
    if agent.waiting_for:
        lines.append((("  “", Tone.WARN), (plain(agent.waiting_for), Tone.PLAIN), ("”", Tone.WARN)))
    elif roomy and (about := _about(agent, snapshot)):
        lines.append(((f"  {about}", Tone.MUTED),))
    return lines


def run_spans(run: Run, snapshot: LabSnapshot, width: int) -> tuple[Span, ...]:
    """A run's bar, its share of the budget, what is left of it, and where it runs."""
    progress = run.progress
    device = f"  {run.device or ''}"
    if progress is None or progress.phase in (RunPhase.STARTING, RunPhase.SMOKE, RunPhase.WARM_UP):
        phase = "starting" if progress is None else str(progress.phase)
        return (*bar(0.0, _bar_width(width)), (f"  {phase:<11}", Tone.MUTED), (device, Tone.MUTED))
    if progress.phase is RunPhase.EVALUATING:
        return (*bar(1.0, _bar_width(width)), (f"  {'evaluating':<11}", Tone.MUTED), (device, Tone.MUTED))
    budget_s = snapshot.campaign.setting.budget_s if snapshot.campaign else 0.0
    left = clock(budget_s - progress.elapsed_s)
    return (
        *bar(progress.fraction, _bar_width(width)),
        (f" {share(progress.fraction)}", Tone.PLAIN),
        (f"  {left:>5}", Tone.MUTED),
        (device, Tone.MUTED),
    )


def _bar_width(width: int) -> int:
    return max(4, min(_BAR_WIDTH, width - 24))


def _words(agent: Agent, snapshot: LabSnapshot) -> str:
    if agent.state in (AgentState.PAUSED, AgentState.STOPPED):
        return str(agent.state)
    if agent.state is not AgentState.WAITING:
        return plain(agent.doing) or str(agent.state)
    if run := running_run(snapshot, agent.name):
        return f"training {run.experiment_id}"
    newest = current_experiment(snapshot, agent.name)
    if newest is not None and newest.state is ExperimentState.READY:
        return f"queued {newest.id}"
    return plain(agent.doing) or "waiting"


def _ending(agent: Agent) -> str:
    if agent.wanted is Wanted.PAUSED and agent.state not in (AgentState.PAUSED, AgentState.STOPPED):
        return "will pause"
    if agent.wanted is Wanted.STOPPED and agent.state is not AgentState.STOPPED:
        return "will stop"
    return ""


def _about(agent: Agent, snapshot: LabSnapshot) -> str:
    """The title of what it works on, where its state does not say so already."""
    run = running_run(snapshot, agent.name)
    experiment = snapshot.experiment(run.experiment_id) if run else None
    return plain(experiment.title) if experiment else ""
