"""The one table of commands: what `--help` lists, where each lives, what a test compares with the docs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Section(StrEnum):
    """Headings of `--help`, in its order."""

    RUN = "Start and watch"
    RESULTS = "Results"
    MAIN = "Put it on main"
    DIRECT = "Direct the research"
    STEER = "Steer the agents"
    UPKEEP = "Upkeep"
    INNER = ""  # for the lab's own processes; not listed


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: `module` below tui.commands holds it as `attribute`."""

    name: str
    module: str
    attribute: str
    summary: str
    section: Section


COMMANDS = (
    Entry("init", "init", "init", "Make a lab: a new one, or of a repository that is there", Section.RUN),
    Entry("launch", "launch", "launch", "Start, join or resume the lab and open it", Section.RUN),
    Entry("attach", "windows", "attach", "Show an agent's pane in this terminal", Section.RUN),
    Entry("status", "status", "status", "What runs where", Section.RUN),
    Entry("leaderboard", "leaderboard", "leaderboard", "What was measured, best first", Section.RESULTS),
    Entry("branches", "branches", "branches", "Each agent's branch and its chain of keeps", Section.RESULTS),
    Entry("experiments", "experiments", "experiments", "Every experiment, or all about one", Section.RESULTS),
    Entry("diff", "experiments", "diff", "What an experiment changed", Section.RESULTS),
    Entry("log", "log", "log", "What its training run printed", Section.RESULTS),
    Entry("promote", "promote", "promote", "Verify a candidate afresh, then put it on main", Section.MAIN),
    Entry("rollback", "rollback", "rollback", "Take the last promotion back", Section.MAIN),
    Entry("finalize", "finalize", "finalize", "Each keep as a small branch of its own", Section.MAIN),
    Entry("plan", "plan", "plan", "The hypotheses; add, approve, reject, move", Section.DIRECT),
    Entry("notes", "notes", "notes", "The shared notes; add, show", Section.DIRECT),
    Entry("send", "send", "send", "Leave a message that agents read before their next step", Section.DIRECT),
    Entry("add", "steer", "add", "Hire one more agent", Section.STEER),
    Entry("pause", "steer", "pause", "Pause agents, or the whole lab", Section.STEER),
    Entry("resume", "steer", "resume", "Let paused agents, or the lab, go on", Section.STEER),
    Entry("stop", "steer", "stop", "Stop agents, or the whole lab; everything made stays", Section.STEER),
    Entry("restart", "steer", "restart", "End agents' processes and start them afresh", Section.STEER),
    Entry("takeover", "workbench", "takeover", "Work in a junior's place", Section.STEER),
    Entry("handback", "workbench", "handback", "Let it go on", Section.STEER),
    Entry("try", "workbench", "try_", "Hand over what you edited in its worktree", Section.STEER),
    Entry("mcp", "workbench", "mcp", "The lab's tools for another agent's client, on stdio", Section.STEER),
    Entry(
        "doctor",
        "doctor",
        "doctor",
        "What is here, what is missing, and the line that mends it",
        Section.UPKEEP,
    ),
    Entry("hook", "hook", "hook", "What the hooks of an agent's client run", Section.INNER),
    Entry("agent", "windows", "agent", "One agent's loop, in its tmux pane", Section.INNER),
    Entry("supervise", "windows", "supervise", "The supervisor's loop, in its tmux window", Section.INNER),
    Entry("_screen", "windows", "screen", "The TUI itself, in its viewer session", Section.INNER),
)
BY_NAME = {entry.name: entry for entry in COMMANDS}
