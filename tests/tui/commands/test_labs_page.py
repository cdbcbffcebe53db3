"""docs/labs.md: every example is made from the page itself, and what `init` writes for it is what the page shows."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sessions.runs.printed_metric import MetricReader
from supervisor.lab.paths import find_lab
from tests.tui.wizard.test_wizard import Terminal
from tests.worlds import foreign
from tests.worlds.foreign import Fork
from tui.commands.command_line import run_command_line

PAGE = Path(__file__).parents[3] / "docs" / "labs.md"
PART = re.compile(
    r"^## (?P<title>[^\n]*)$|(?:^`(?P<path>[^`\n]+)`:\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.M | re.S,
)
ASKED = re.compile(r"^(?P<question>\d/8  .*?\?) \[.*?\](?: (?P<answer>.*))?$")
CLONES = {fork.value: fork for fork in Fork}


@dataclass
class Example:
    """One example: what is there, what is typed, what is answered, what is written."""

    title: str
    files: dict[str, str] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    answers: list[tuple[str, str]] = field(default_factory=list)
    toml: str | None = None  # None: the page does not show it


def examples() -> Iterator[Example]:
    example = Example("")
    page = PAGE.read_text(encoding="utf-8")
    for part in PART.finditer(page[page.index("\n## ") :]):
        path, text = part["path"], part["text"]
        if part["title"]:
            if example.commands:
                yield example
            example = Example(part["title"])
        elif path == "autoresearch.toml":
            example.toml = text
            yield example
            example = Example(example.title)
        elif path:
            example.files[path] = text
        elif part["language"] == "sh":
            if example.commands:  # the one before is shown without its file
                yield example
                example = Example(example.title, dict(example.files))
            example.commands = text.splitlines()
        elif part["language"] == "text":
            found = [match for line in text.splitlines() if (match := ASKED.match(line))]
            example.answers = [(match["question"], match["answer"] or "") for match in found]


EXAMPLES = list(examples())


def make(example: Example, folder: Path) -> Path:
    """The example's repository: its files, or a stand-in for the clone that its first line names."""
    if not example.commands[0].startswith("git clone "):
        return foreign.plant(folder / "project", example.files)
    name = example.commands[0].rpartition("/")[2]
    assert example.commands[1] == f"cd {name}"
    return foreign.plant(folder / name, foreign.karpathy_files(CLONES[name]))


def shown_part(written: str) -> str:
    """What the page shows of a file: what was found, without the comments that stand for defaults."""
    found = written.partition("[agents]")[0]
    return "\n".join(line for line in found.splitlines() if not line.startswith("#")).strip() + "\n"


def test_the_page_has_an_example_of_every_kind() -> None:
    assert len(EXAMPLES) == 10
    clones = {
        example.commands[0].rpartition("/")[2] for example in EXAMPLES if "clone" in example.commands[0]
    }
    assert clones == set(CLONES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example.title}: {example.commands[-1]}")
def test_an_example_is_what_init_makes_of_it(
    example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    root = make(example, tmp_path)
    monkeypatch.chdir(root)
    typed = shlex.split(example.commands[-1])
    assert typed[:2] == ["autoresearch-tui", "init"]
    if example.answers:
        _answer(Terminal(root), example)
    else:
        assert run_command_line(typed[1:]) == 0, capfd.readouterr().err
    written = (root / "autoresearch.toml").read_text(encoding="utf-8")
    if example.toml is not None:
        assert shown_part(written) == example.toml
    config = find_lab(root).config
    if example.files:
        line = config.lab.command.replace("{python}", sys.executable)
        output = subprocess.run(
            shlex.split(line), cwd=root, capture_output=True, text=True, timeout=20, check=True
        )
        reader = MetricReader(config.metric.name)
        reader.take(output.stdout.encode())
        assert reader.reading().value is not None, "the lab reads what the example prints"


def _answer(terminal: Terminal, example: Example) -> None:
    try:
        for question, answer in example.answers:
            terminal.wait_for(question)
            terminal.type(answer)
        terminal.wait_for("this is your noise")
        terminal.wait_for("nothing was committed")
        assert terminal.ends() == 0
    finally:
        terminal.close()
