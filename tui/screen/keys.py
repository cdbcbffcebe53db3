"""The one table of commands: bindings, footer, palette, help screen and docs/keys.md are read from it.

`python -P -m tui.screen.keys > docs/keys.md` writes the page anew; a test fails when it is stale.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum, auto


class Group(StrEnum):
    """Headings of the help screen."""

    MOVE = "Move"
    AGENTS = "Agents"
    RESEARCH = "Research"
    VIEW = "View"
    LAB = "Lab"


class Needs(Enum):
    """What must be there for a command to mean something; the screen says what is."""

    NOTHING = auto()
    CAMPAIGN = auto()
    JUNIORS = auto()
    LISTING = auto()  # the focus is on something that moves
    AGENT = auto()  # the focus is on an agent
    AGENT_GOING = auto()
    AGENT_PAUSED = auto()
    AGENT_NOT_STOPPED = auto()
    EXPERIMENT = auto()
    EXPERIMENT_ROW = auto()  # the focus is on an experiment
    PROPOSAL = auto()  # the focus is on a hypothesis that waits for a yes
    SORTABLE = auto()
    FILTERABLE = auto()
    COPYABLE = auto()
    WAITING = auto()  # somebody waits for the person
    WAY_BACK = auto()
    KEPT = auto()  # something that main has not
    PROMOTED = auto()  # main has something of the lab's


@dataclass(frozen=True, slots=True)
class Command:
    """One thing that a person can ask for."""

    id: str  # "pause"; its action on the screen is action_pause
    keys: tuple[str, ...]  # as Textual names them
    shown: str  # as people write them
    label: str  # in the footer, a word or two
    help: str  # one sentence
    group: Group
    needs: Needs = Needs.NOTHING
    footer: int = 0  # the smaller, the longer it stays as the footer gets narrow; 0: not in the footer

    @property
    def action(self) -> str:
        """The action that its bindings run; `{key}` stands for the key pressed."""
        return "tab('{key}')" if self.id == "tab" else self.id.replace("-", "_")


def _move(id: str, keys: tuple[str, ...], shown: str, help: str, footer: int = 0, label: str = "") -> Command:
    return Command(id, keys, shown, label, help, Group.MOVE, Needs.LISTING, footer)


COMMANDS: tuple[Command, ...] = (
    _move("down", ("j", "down"), "j ↓", "Down one line"),
    _move("up", ("k", "up"), "k ↑", "Up one line"),
    _move("page-down", ("pagedown", "ctrl+d"), "PgDn ^d", "Down one page"),
    _move("page-up", ("pageup", "ctrl+u"), "PgUp ^u", "Up one page"),
    _move("top", ("home",), "gg Home", "To the top"),
    _move("bottom", ("G", "end"), "G End", "To the bottom"),
    Command("next-panel", ("tab",), "Tab", "", "To the next panel", Group.MOVE),
    Command("previous-panel", ("shift+tab",), "⇧Tab", "", "To the previous panel", Group.MOVE),
    Command(
        "back",
        ("escape",),
        "Esc",
        "back",
        "Clear the filter, or go back",
        Group.MOVE,
        Needs.WAY_BACK,
        footer=12,
    ),
    Command(
        "next-waiting",
        ("w",),
        "w",
        "waiting",
        "To the next agent that waits for you or crashed",
        Group.MOVE,
        Needs.WAITING,
        footer=3,
    ),
    Command(
        "attach",
        ("enter",),
        "⏎",
        "attach",
        "Show the agent's own pane; Ctrl+q or F12 brings you back",
        Group.AGENTS,
        Needs.AGENT,
        footer=2,
    ),
    Command(
        "pause",
        ("space",),
        "space",
        "pause",
        "Pause the agent after its current step",
        Group.AGENTS,
        Needs.AGENT_GOING,
        footer=4,
    ),
    Command(
        "resume",
        ("space",),
        "space",
        "resume",
        "Let a paused or stopped agent go on",
        Group.AGENTS,
        Needs.AGENT_PAUSED,
        footer=4,
    ),
    Command(
        "stop",
        ("x",),
        "x",
        "stop",
        "Stop the agent; its branch, commits and notes stay",
        Group.AGENTS,
        Needs.AGENT_NOT_STOPPED,
        footer=9,
    ),
    Command(
        "restart", ("r",), "r", "restart", "Start the agent afresh", Group.AGENTS, Needs.AGENT, footer=10
    ),
    Command(
        "message",
        ("m",),
        "m",
        "message",
        "Write to the agent; it reads this before its next step",
        Group.AGENTS,
        Needs.AGENT,
        footer=5,
    ),
    Command(
        "message-all",
        ("M",),
        "M",
        "message all",
        "Write to all junior engineers",
        Group.AGENTS,
        Needs.JUNIORS,
        footer=14,
    ),
    Command(
        "new-junior",
        ("n",),
        "n",
        "new junior",
        "Add a junior engineer",
        Group.AGENTS,
        Needs.CAMPAIGN,
        footer=13,
    ),
    Command(
        "hypothesis",
        ("h",),
        "h",
        "hypothesis",
        "Put a hypothesis of yours at the head of the plan",
        Group.RESEARCH,
        Needs.CAMPAIGN,
        footer=6,
    ),
    Command(
        "approve",
        ("a",),
        "a",
        "approve",
        "Open the proposed hypothesis for the juniors",
        Group.RESEARCH,
        Needs.PROPOSAL,
        footer=1,
    ),
    Command(
        "promote",
        ("P",),
        "P",
        "promote",
        "Measure the selected branch or experiment, or else the champion, against main; show the evidence",
        Group.RESEARCH,
        Needs.KEPT,
        footer=3,
    ),
    Command(
        "roll-back",
        ("R",),
        "R",
        "roll back",
        "Take the last promotion off main again",
        Group.RESEARCH,
        Needs.PROMOTED,
        footer=15,
    ),
    Command(
        "open", ("enter",), "⏎", "open", "Show the experiment", Group.RESEARCH, Needs.EXPERIMENT_ROW, footer=2
    ),
    Command(
        "diff",
        ("d",),
        "d",
        "diff",
        "Show the experiment: its verdict, its runs and its change",
        Group.RESEARCH,
        Needs.EXPERIMENT,
        footer=7,
    ),
    Command(
        "log",
        ("l",),
        "l",
        "log",
        "Show the output of the experiment's newest run",
        Group.RESEARCH,
        Needs.EXPERIMENT,
        footer=8,
    ),
    Command(
        "copy",
        ("y",),
        "y",
        "copy",
        "Copy the commit, branch, idea or path that is selected",
        Group.RESEARCH,
        Needs.COPYABLE,
        footer=15,
    ),
    Command("tab", tuple("12345678"), "1–8", "tabs", "Show a tab", Group.VIEW, footer=16),
    Command("previous-tab", ("left_square_bracket",), "[", "", "The tab before", Group.VIEW),
    Command("next-tab", ("right_square_bracket",), "]", "", "The tab after", Group.VIEW),
    Command(
        "sort",
        ("s",),
        "s",
        "sort",
        "Sort by rank, by time or by agent",
        Group.VIEW,
        Needs.SORTABLE,
        footer=17,
    ),
    Command(
        "filter",
        ("slash",),
        "/",
        "filter",
        "Show only the rows that contain some text",
        Group.VIEW,
        Needs.FILTERABLE,
        footer=11,
    ),
    Command("palette", ("colon", "ctrl+p"), ": ^p", "", "Find a command by its name", Group.LAB),
    Command("help", ("question_mark",), "?", "help", "Show all keys", Group.LAB, footer=1),
    Command("quit", ("q",), "q", "quit", "Close the screen; the lab goes on", Group.LAB, footer=1),
)


def grouped(commands: Iterable[Command] = COMMANDS) -> list[tuple[Group, list[Command]]]:
    """The commands under their headings, in the table's order."""
    commands = list(commands)
    groups = [(group, [one for one in commands if one.group is group]) for group in Group]
    return [(group, members) for group, members in groups if members]


def keys_page() -> str:
    """docs/keys.md."""
    lines = [
        "# Keys",
        "",
        "Written from the table in `tui/screen/keys.py` by `python -P -m tui.screen.keys > docs/keys.md`.",
        "The line at the bottom of the screen shows those that work where you are; `?` shows all of them.",
    ]
    for group, members in grouped():
        lines += ["", f"## {group}", "", "| key | what it does |", "|---|---|"]
        for command in members:
            keys = " ".join(f"`{key}`" for key in command.shown.split())
            lines.append(f"| {keys} | {command.help} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(keys_page(), end="")
