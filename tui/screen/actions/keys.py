"""The one table of keys: bindings, footer, palette, help screen and docs/keys.md are read from it.

`python -P -m tui.screen.actions.keys > docs/keys.md` writes the page anew; a test fails when it is stale.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from textual.binding import Binding, BindingType


class Heading(StrEnum):
    """Of the help screen and of the docs page."""

    MOVE = "Move"
    AGENTS = "Agents"
    RESEARCH = "Research"
    VIEW = "View"
    LAB = "Lab"
    QUESTION = "In a question"
    LINE = "In a line of text"
    FILTER = "In the filter"
    TEXT = "In a text over the screen"
    HELP = "In the help"
    PROMOTION = "In a promotion"


class Needs(Enum):
    """What must be there for a command to mean something; the screen says what is."""

    NOTHING = auto()
    CAMPAIGN = auto()
    JUNIORS = auto()
    # The focus is on something that moves.
    LISTING = auto()
    # The focus is on an agent.
    AGENT = auto()
    AGENT_GOING = auto()
    AGENT_PAUSED = auto()
    AGENT_NOT_STOPPED = auto()
    EXPERIMENT = auto()
    # The focus is on an experiment.
    EXPERIMENT_ROW = auto()
    # The focus is on a hypothesis that waits for a yes.
    PROPOSAL = auto()
    SORTABLE = auto()
    FILTERABLE = auto()
    COPYABLE = auto()
    # Somebody waits for the person.
    WAITING = auto()
    WAY_BACK = auto()
    # There is something to promote.
    KEPT = auto()
    # Main has something of the lab's.
    PROMOTED = auto()


@dataclass(frozen=True, slots=True)
class KeyCommand:
    """One thing that a person can ask for with a key.

    `typed` are its keys as Textual names them; its id "next-tab" means the screen's action `next_tab`, unless `run`
    says another, in which `{key}` stands for the key pressed. The smaller its place in the footer, the longer it stays
    as the footer gets narrow; 0 is not in the footer. `symbols` is how people write the keys, where the keys' own
    symbols don't say it.
    """

    id: str
    typed: str
    label: str
    help: str
    needs: Needs = Needs.NOTHING
    footer: int = 0
    run: str = ""
    symbols: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """Its keys, as Textual names them."""
        return tuple(self.typed.split())

    @property
    def shown(self) -> str:
        """Its keys, as people write them."""
        return self.symbols or " ".join(_symbol(key) for key in self.keys)

    @property
    def action(self) -> str:
        """The action that its bindings run."""
        return self.run or self.id.replace("-", "_")


_SYMBOLS = {
    "down": "↓", "up": "↑", "pagedown": "PgDn", "pageup": "PgUp", "home": "Home", "end": "End",
    "tab": "Tab", "shift+tab": "⇧Tab", "escape": "Esc", "enter": "⏎", "slash": "/", "colon": ":",
    "question_mark": "?", "left_square_bracket": "[", "right_square_bracket": "]",
}  # fmt: skip


def _symbol(key: str) -> str:
    return _SYMBOLS.get(key, key.replace("ctrl+", "^"))


def _verb(id: str, key: str, label: str, help: str, needs: Needs, footer: int) -> KeyCommand:
    """A key that asks something of the lab: tui/screen/verbs.py has a function of its id's name."""
    return KeyCommand(id, key, label, help, needs, footer, run=f"ask('{id}')")


MOVES = (
    KeyCommand("down", "j down", "", "Down one line", Needs.LISTING, run="move(1)"),
    KeyCommand("up", "k up", "", "Up one line", Needs.LISTING, run="move(-1)"),
    KeyCommand("page-down", "pagedown ctrl+d", "", "Down one page", Needs.LISTING, run="move_page(1)"),
    KeyCommand("page-up", "pageup ctrl+u", "", "Up one page", Needs.LISTING, run="move_page(-1)"),
    KeyCommand("top", "home", "", "To the top", Needs.LISTING, run="move_end(False)", symbols="gg Home"),
    KeyCommand("bottom", "G end", "", "To the bottom", Needs.LISTING, run="move_end(True)"),
)
_SCREEN_TABLE = {
    Heading.MOVE: (
        *MOVES,
        KeyCommand("next-panel", "tab", "", "To the next panel"),
        KeyCommand("previous-panel", "shift+tab", "", "To the previous panel"),
        KeyCommand("back", "escape", "back", "Clear the filter, or go back", Needs.WAY_BACK, 12),
        KeyCommand(
            "next-waiting",
            "w",
            "waiting",
            "To the next agent that waits for you or crashed",
            Needs.WAITING,
            3,
        ),
    ),
    Heading.AGENTS: (
        _verb(
            "attach",
            "enter",
            "attach",
            "Show the agent's own pane; Ctrl+q or F12 brings you back",
            Needs.AGENT,
            2,
        ),
        _verb("pause", "space", "pause", "Pause the agent after its current step", Needs.AGENT_GOING, 4),
        _verb("resume", "space", "resume", "Let a paused or stopped agent go on", Needs.AGENT_PAUSED, 4),
        _verb(
            "stop",
            "x",
            "stop",
            "Stop the agent; its branch, commits and notes stay",
            Needs.AGENT_NOT_STOPPED,
            9,
        ),
        _verb("restart", "r", "restart", "Start the agent afresh", Needs.AGENT, 10),
        _verb(
            "message",
            "m",
            "message",
            "Write to the agent; it reads this before its next step",
            Needs.AGENT,
            5,
        ),
        _verb("message-all", "M", "message all", "Write to all junior engineers", Needs.JUNIORS, 14),
        _verb("new-junior", "n", "new junior", "Add a junior engineer", Needs.CAMPAIGN, 13),
    ),
    Heading.RESEARCH: (
        _verb(
            "hypothesis",
            "h",
            "hypothesis",
            "Put a hypothesis of yours at the head of the plan",
            Needs.CAMPAIGN,
            6,
        ),
        _verb("approve", "a", "approve", "Open the proposed hypothesis for the juniors", Needs.PROPOSAL, 1),
        _verb(
            "promote",
            "P",
            "promote",
            "Measure the selected branch or experiment, or else the champion, against its base; show the evidence",
            Needs.KEPT,
            3,
        ),
        _verb("roll-back", "R", "roll back", "Take the last promotion back", Needs.PROMOTED, 15),
        KeyCommand("open", "enter", "open", "Show the experiment", Needs.EXPERIMENT_ROW, 2),
        KeyCommand(
            "diff",
            "d",
            "diff",
            "Show the experiment: its verdict, its runs and its change",
            Needs.EXPERIMENT,
            7,
        ),
        KeyCommand("log", "l", "log", "Show the output of the experiment's newest run", Needs.EXPERIMENT, 8),
        KeyCommand(
            "copy", "y", "copy", "Copy the commit, branch, idea or path that is selected", Needs.COPYABLE, 15
        ),
    ),
    Heading.VIEW: (
        KeyCommand(
            "tab", "1 2 3 4 5 6 7 8", "tabs", "Show a tab", footer=16, run="tab('{key}')", symbols="1–8"
        ),
        KeyCommand("previous-tab", "left_square_bracket", "", "The tab before"),
        KeyCommand("next-tab", "right_square_bracket", "", "The tab after"),
        KeyCommand("sort", "s", "sort", "Sort by rank, by time or by agent", Needs.SORTABLE, 17),
        KeyCommand(
            "filter", "slash", "filter", "Show only the rows that contain some text", Needs.FILTERABLE, 11
        ),
    ),
    Heading.LAB: (
        KeyCommand("palette", "colon ctrl+p", "", "Find a command by its name"),
        KeyCommand("help", "question_mark", "help", "Show all keys", footer=1),
        KeyCommand("quit", "q", "quit", "Close the screen; the lab goes on", footer=1),
    ),
}
YES = KeyCommand("yes", "y", "yes", "Yes, do it")
NO = KeyCommand("no", "n escape enter q", "no", "No, change nothing")
SEND = KeyCommand("send", "enter", "send", "Send the line; an empty one says nothing")
LEAVE_LINE = KeyCommand("leave", "escape", "leave", "Leave; nothing is sent")
LEAVE = KeyCommand("leave", "escape q", "leave", "Close the text; nothing else ends with it")
LAND = KeyCommand("land", "y", "land it", "Put it on the run's base branch, where the evidence says yes")
DECLINE = KeyCommand("decline", "n", "decline", "Decline it, or end its measuring, after a question")
MODAL_TABLE = {
    Heading.QUESTION: (YES, NO),
    # The input line itself has the first one, while it has the focus.
    Heading.LINE: (SEND, LEAVE_LINE),
    # The input line itself has the first one, the screen the second.
    Heading.FILTER: (
        KeyCommand("keep-filter", "enter", "", "Back to the rows, with the filter as it is"),
        KeyCommand("clear-filter", "escape", "", "Show all rows again"),
    ),
    Heading.TEXT: (LEAVE, KeyCommand("page-down", "space", "", "Down one page", run="move_page(1)")),
    Heading.HELP: (KeyCommand("close", "question_mark", "", "Close the help", run="leave"),),
    Heading.PROMOTION: (LAND, DECLINE),
}
COMMANDS = tuple(command for commands in _SCREEN_TABLE.values() for command in commands)
TABLE = _SCREEN_TABLE | MODAL_TABLE


def bindings(commands: Iterable[KeyCommand]) -> list[BindingType]:
    """Textual's bindings of these commands. None goes before the widget in the focus: it has its keys in turn."""
    return [
        Binding(
            key,
            command.action.format(key=key),
            command.help,
            show=False,
            id=f"{command.id}.{key}",
        )
        for command in commands
        for key in command.keys
    ]


def hints(*commands: KeyCommand, **labels: str) -> str:
    """A line of keys with what they do, as Textual's markup; `labels` says it otherwise, by the command's id."""
    return "   ".join(
        f"[$primary]{_symbol(command.keys[0])}[/] {labels.get(command.id, command.label)}"
        for command in commands
    )


def keys_page() -> str:
    """docs/keys.md."""
    lines = [
        "# Keys",
        "",
        "Written from the table in `tui/screen/actions/keys.py` by",
        "`python -P -m tui.screen.actions.keys > docs/keys.md`.",
        "The line at the bottom of the screen shows those that work where you are; `?` shows all of them.",
    ]
    for heading, commands in TABLE.items():
        lines += ["", f"## {heading}", "", "| key | what it does |", "|---|---|"]
        for command in commands:
            keys = " ".join(f"`{key}`" for key in command.shown.split())
            lines.append(f"| {keys} | {command.help} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(keys_page(), end="")
