"""The one table of commands: what `--help` lists, where each lives, what a test compares with the docs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CommandSection(StrEnum):
    """Headings of `--help`, in its order."""

    RUN = "Start and watch"
    RESULTS = "Results"
    MAIN = "Promote"
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
    section: CommandSection


COMMANDS = (
    Entry(
        "init", "init", "init", "Make a lab: a new one, or of a repository that is there", CommandSection.RUN
    ),
    Entry("launch", "launch", "launch", "Start, join or resume the lab and open it", CommandSection.RUN),
    Entry("attach", "windows", "attach", "Show an agent's pane in this terminal", CommandSection.RUN),
    Entry("status", "status", "status", "What runs where", CommandSection.RUN),
    Entry(
        "leaderboard", "leaderboard", "leaderboard", "What was measured, best first", CommandSection.RESULTS
    ),
    Entry(
        "branches",
        "branches",
        "branches",
        "Each agent's branch and its chain of keeps",
        CommandSection.RESULTS,
    ),
    Entry(
        "experiments",
        "experiments",
        "experiments",
        "Every experiment, or all about one",
        CommandSection.RESULTS,
    ),
    Entry("diff", "experiments", "diff", "What an experiment changed", CommandSection.RESULTS),
    Entry("log", "log", "log", "What its training run printed", CommandSection.RESULTS),
    Entry(
        "promote",
        "promote",
        "promote",
        "Verify a candidate afresh, then put it on the branch that the run came from",
        CommandSection.MAIN,
    ),
    Entry("rollback", "rollback", "rollback", "Take the last promotion back", CommandSection.MAIN),
    Entry("finalize", "finalize", "finalize", "Each keep as a small branch of its own", CommandSection.MAIN),
    Entry("plan", "plan", "plan", "The hypotheses; add, approve, reject, move", CommandSection.DIRECT),
    Entry("notes", "notes", "notes", "The shared notes; add, show", CommandSection.DIRECT),
    Entry(
        "send",
        "send",
        "send",
        "Leave a message that agents read before their next step",
        CommandSection.DIRECT,
    ),
    Entry("add", "steer", "add", "Hire one more agent", CommandSection.STEER),
    Entry("pause", "steer", "pause", "Pause agents, or the whole lab", CommandSection.STEER),
    Entry("resume", "steer", "resume", "Let paused agents, or the lab, go on", CommandSection.STEER),
    Entry(
        "stop", "steer", "stop", "Stop agents, or the whole lab; everything made stays", CommandSection.STEER
    ),
    Entry("restart", "steer", "restart", "End agents' processes and start them afresh", CommandSection.STEER),
    Entry("takeover", "workbench", "takeover", "Work in a junior's place", CommandSection.STEER),
    Entry("handback", "workbench", "handback", "Let it go on", CommandSection.STEER),
    Entry("try", "workbench", "try_", "Hand over what you edited in its worktree", CommandSection.STEER),
    Entry(
        "mcp",
        "workbench",
        "mcp",
        "The lab's tools for another agent's client, on stdio",
        CommandSection.STEER,
    ),
    Entry(
        "doctor",
        "doctor",
        "doctor",
        "What is here, what is missing, and the line that mends it",
        CommandSection.UPKEEP,
    ),
    Entry("gc", "gc", "gc", "Free benches, logs and servers that nothing needs", CommandSection.UPKEEP),
    Entry("hook", "hook", "hook", "What the hooks of an agent's client run", CommandSection.INNER),
    Entry("agent", "windows", "agent", "One agent's loop, in its tmux pane", CommandSection.INNER),
    Entry(
        "supervise", "windows", "supervise", "The supervisor's loop, in its tmux window", CommandSection.INNER
    ),
    Entry("_screen", "windows", "screen", "The TUI itself, in its viewer session", CommandSection.INNER),
)
BY_NAME = {entry.name: entry for entry in COMMANDS}
