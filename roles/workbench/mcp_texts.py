"""What the lab says to a client over MCP: bounded text, what others wrote quoted as data, no holdout figure."""

from __future__ import annotations

from collections.abc import Iterable

from roles.backend import EditTask
from supervisor.analysis.holdout import without_holdout
from supervisor.analysis.leaderboard import leaderboard
from supervisor.lab.notes import read_note
from supervisor.model.experiment import Experiment, Run
from supervisor.model.snapshot import Agent, LabSnapshot, Note
from supervisor.model.states import ExperimentState, HypothesisState, RunState
from supervisor.text import one_line, plain

ROWS = 20
NOTES = 12
NOTE_LIMIT = 800  # characters of each note in a list
TEXT_LIMIT = 6000  # of one note
LINE_LIMIT = 300


def line(text: str, limit: int = LINE_LIMIT) -> str:
    """One line of at most so many characters."""
    whole = one_line(text)
    return whole if len(whole) <= limit else f"{whole[: limit - 1]}…"


def quoted(text: str, limit: int) -> str:
    """What somebody else wrote, marked as data line by line."""
    cut = plain(text).strip()
    cut = cut if len(cut) <= limit else f"{cut[:limit]} …"
    return "\n".join(f"> {each}" for each in cut.splitlines())


def experiment_state(snapshot: LabSnapshot, experiment: Experiment) -> str:
    """Where an experiment stands: its state, its progress, its verdict with the gain and its interval."""
    experiment = without_holdout(experiment)
    lines = [f"experiment: {experiment.id}", f"state: {experiment.state}"]
    if running := next((run for run in experiment.runs if run.state is RunState.RUNNING), None):
        lines.append(f"progress: {_progress(running)}")
    if experiment.state is not ExperimentState.DECIDED:
        if experiment.state is ExperimentState.DRAFTING and experiment.reason:
            lines.append(f"back: {line(experiment.reason)}; claim_hypothesis lays it out")
        return "\n".join(lines)
    lines.append(f"verdict: {experiment.verdict}")
    if experiment.metric is not None and snapshot.campaign is not None:
        lines.append(f"{snapshot.campaign.metric}: {experiment.metric:.6g}")
    if experiment.gain is not None:
        lines.append(f"gain: {experiment.gain:+.6g} over {experiment.parent_id}, positive is better")
    if experiment.gain_low is not None and experiment.gain_high is not None:
        lines.append(f"interval: {experiment.gain_low:+.6g} to {experiment.gain_high:+.6g}")
    lines.append(f"reason: {line(experiment.reason)}")
    return "\n".join(lines)


def _progress(run: Run) -> str:
    if run.progress is None:
        return f"{run.id} starts on {run.device}"
    return f"{run.id} on {run.device}, {run.progress.phase}, {run.progress.fraction:.0%}"


def board(snapshot: LabSnapshot) -> str:
    """What was measured, best first, and how far to believe it."""
    rows = leaderboard(snapshot)
    if not rows:
        return "nothing is measured yet"
    lines = [_noise(snapshot)]
    for row in rows[:ROWS]:
        gain = "" if row.delta_incumbent is None else f", gain {row.delta_incumbent:+.6g}"
        marks = (" inside the noise" if row.inside_noise else "") + (" champion" if row.champion else "")
        e = row.experiment
        lines.append(
            f"{row.rank}. {e.id} {e.verdict} {row.metric:.6g}{gain} ({row.runs} runs){marks}: {line(e.title, 120)}"
        )
    if len(rows) > ROWS:
        lines.append(f"… {len(rows) - ROWS} more")
    return "\n".join(lines)


def _noise(snapshot: LabSnapshot) -> str:
    assert snapshot.campaign is not None
    better = "lower" if snapshot.campaign.direction.sign < 0 else "higher"
    noise = f"; one run's standard deviation is {snapshot.noise.sd:.3g}" if snapshot.noise else ""
    return f"{snapshot.campaign.metric}, {better} is better{noise}"


def all_notes(snapshot: LabSnapshot) -> str:
    """The newest notes, each cut; quoted, for they are what others wrote."""
    if not snapshot.notes:
        return "no notes yet"
    parts = [_note(note, NOTE_LIMIT) for note in snapshot.notes[:NOTES]]
    rest = [f"- {n.id}: {line(n.title, 100)}" for n in snapshot.notes[NOTES : NOTES + ROWS]]
    return "\n\n".join([*parts, *(["older ones:\n" + "\n".join(rest)] if rest else [])])


def one_note(snapshot: LabSnapshot, note_id: str) -> str | None:
    """One note, whole as far as it goes; None when there is none of that id."""
    note = next((n for n in snapshot.notes if n.id == note_id.strip()), None)
    return _note(note, TEXT_LIMIT) if note else None


def _note(note: Note, limit: int) -> str:
    about = f", about {note.experiment_id}" if note.experiment_id else ""
    text = read_note(note.path.parent, note.id)
    return f"{note.id} by {line(note.author, 40)}{about}: {line(note.title, 120)}\n{quoted(text, limit)}"


def experiment_brief(task: EditTask, experiment: Experiment) -> str:
    """The open experiment: where it is edited, and the text that every junior is given for it."""
    may_add = f"; new files may be added as {', '.join(task.new_files)}" if task.new_files else ""
    return (
        f"experiment {experiment.id}, on top of {experiment.parent_id} ({line(task.incumbent.title, 120)})\n"
        f"worktree: {task.worktree}\n"
        f"you may change: {', '.join(task.editable)}{may_add}; anything else is refused\n\n{task.text}"
    ).rstrip()


def lab_brief(snapshot: LabSnapshot, agent: Agent, program: str) -> str:
    """Where the lab stands, for an agent that has nothing open."""
    incumbent = snapshot.experiment(agent.incumbent_id)
    title = line(incumbent.title, 120) if incumbent else "nothing yet"
    waiting = [h for h in snapshot.hypotheses if h.state is HypothesisState.OPEN]
    plan = [f"- {h.id}: {line(h.title, 120)}" for h in waiting[:ROWS]] or [
        "- nothing: form an idea of your own"
    ]
    parts = [
        f"you are {agent.name} and build on {agent.incumbent_id} ({title}); nothing is open: claim_hypothesis",
        "\n".join(["the plan:", *plan]),
        f"what was measured:\n{board(snapshot)}",
        *([f"program.md:\n{quoted(program, 4000)}"] if program else []),
    ]
    return "\n\n".join(parts)


def with_messages(text: str, messages: Iterable[str]) -> str:
    """The text, with what the person said meanwhile ahead of it."""
    return "\n\n".join([*(f"The person says: {line(message, 2000)}" for message in messages), text])
