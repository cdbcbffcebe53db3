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
    history = [answers]  # what was known before each question
    words_of: dict[str, str] = {}  # by question: who comes back finds what was said
    while len(history) <= len(questions):
        number = len(history)
        question = questions[number - 1]
        default = words_of.get(question.key) or question.default(history[-1])
        answer = _ask(question, history[-1], tree, f"{number}/{len(questions)}", default)
        if answer is not None:
            answers_after, words_of[question.key] = answer
            history.append(answers_after)
        elif number > 1:
            history.pop()
        else:
            say("that was the first question", style="dim")
    return history[-1]


def choose_line(text: str, choices: Sequence[str], default: str) -> str:
    """One of a few words. Raises click.Abort when the person leaves."""
    while True:
        word = _prompt(f"{text} ({', '.join(choices)})", default).lower()
        matches = [choice for choice in choices if choice.startswith(word)] if word else []
        if len(matches) == 1:
            return matches[0]
        say(f"one of: {', '.join(choices)}", style="yellow")


def _ask(
    question: Question, answers: Answers, tree: Tree, count: str, default: str
) -> tuple[Answers, str] | None:
    """The answers with this one taken, and its words; None: the person wants to go back."""
    while True:
        line = _prompt(f"{count}  {question.asks}", default)
        match line.lower():
            case "back":
                return None
            case "?":
                say(question.help, style="dim")
                continue
        try:
            return question.take(answers, line, tree), line
        except BadAnswer as problem:
            say(f"{problem}", style="yellow")


def _prompt(text: str, default: str) -> str:
    # Not click's own brackets: a default is a file's name or a command, and has to be shown safely.
    hint = f" [{plain(default)}]" if default else ""
    console().print(f"{text}{hint} ", end="", soft_wrap=True)
    line = click.prompt("", prompt_suffix="", default="", show_default=False).strip()
    if line.lower() == OUT:
        raise click.Abort
    return str(line) or default
