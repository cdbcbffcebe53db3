"""Putting questions in a terminal: one after another, with defaults, a way back and a way out."""

from __future__ import annotations

from collections.abc import Sequence

import click

from supervisor.init.answers import Answers, BadAnswer
from supervisor.init.questions import Question
from supervisor.recognition.tree import Tree
from tui.views.printing import console, say
from tui.views.text import plain

OUT = "quit"
HOW = "Enter takes what stands in [brackets]; `?` explains, `back` goes back, `quit` leaves everything as it is."


def ask_all(questions: Sequence[Question], answers: Answers, tree: Tree) -> Answers:
    """Every question in turn. Raises click.Abort when the person leaves."""
    known = [answers]  # what was known before each question
    said: dict[str, str] = {}  # by question: who comes back finds what was said
    while len(known) <= len(questions):
        number = len(known)
        question = questions[number - 1]
        default = said.get(question.key) or question.default(known[-1])
        taken = _ask(question, known[-1], tree, f"{number}/{len(questions)}", default)
        if taken is not None:
            after, said[question.key] = taken
            known.append(after)
        elif number > 1:
            known.pop()
        else:
            say("that was the first question", style="dim")
    return known[-1]


def choose_line(text: str, choices: Sequence[str], default: str) -> str:
    """One of a few words. Raises click.Abort when the person leaves."""
    while True:
        said = _prompt(f"{text} ({', '.join(choices)})", default).lower()
        fitting = [choice for choice in choices if choice.startswith(said)] if said else []
        if len(fitting) == 1:
            return fitting[0]
        say(f"one of: {', '.join(choices)}", style="yellow")


def _ask(
    question: Question, answers: Answers, tree: Tree, count: str, default: str
) -> tuple[Answers, str] | None:
    """The answers with this one taken, and its words; None: the person wants to go back."""
    while True:
        said = _prompt(f"{count}  {question.asks}", default)
        match said.lower():
            case "back":
                return None
            case "?":
                say(question.help, style="dim")
                continue
        try:
            return question.take(answers, said, tree), said
        except BadAnswer as problem:
            say(f"{problem}", style="yellow")


def _prompt(text: str, default: str) -> str:
    # Not click's own brackets: a default is a file's name or a command, and has to be shown safely.
    shown = f" [{plain(default)}]" if default else ""
    console().print(f"{text}{shown} ", end="", soft_wrap=True)
    said = click.prompt("", prompt_suffix="", default="", show_default=False).strip()
    if said.lower() == OUT:
        raise click.Abort
    return str(said) or default
