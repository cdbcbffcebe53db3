"""docs/labs.md: every example is made from the page itself, and what `init` writes for it is what the page shows."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessions.runs.printed_metric import MetricReader
from supervisor.lab.config import read_config
from supervisor.lab.paths import find_lab
from tests.tui.wizard.test_wizard import Terminal
from tests.worlds.labs_page import CLONES, PAGE, PART, Example, examples, make, small_model
from tests.worlds.toolchains import put_toolchains
from tui.commands.command_line import run_command_line

EXAMPLES = list(examples())


@pytest.fixture
def model() -> Iterator[str]:
    with small_model() as address:
        yield address


def shown_part(written: str) -> str:
    """What the page shows of a file: what was found, without the comments that stand for defaults."""
    found = written.partition("[agents]")[0]
    return "\n".join(line for line in found.splitlines() if not line.startswith("#")).strip() + "\n"


def test_the_page_has_an_example_of_every_kind() -> None:
    assert len(EXAMPLES) == 19
    clones = {
        example.commands[0].rpartition("/")[2] for example in EXAMPLES if "clone" in example.commands[0]
    }
    assert clones == set(CLONES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example.title}: {example.commands[-1]}")
def test_an_example_is_what_init_makes_of_it(
    example: Example,
    tmp_path: Path,
    model: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    if "package.json" in example.files and not shutil.which("npm"):
        pytest.skip("there is no npm here")
    root = make(example, tmp_path)
    for command in example.commands[:-1]:
        root /= command.partition("cd ")[2] if "clone" not in example.commands[0] else ""
    monkeypatch.chdir(root)
    monkeypatch.setenv("MODEL_URL", model)
    for name, value in put_toolchains(tmp_path / "toolchains").items():
        monkeypatch.setenv(name, f"{value}:{os.environ['PATH']}" if name == "PATH" else value)
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
        if config.metric.file:
            reader.take_file((root / config.metric.file).read_text())
        assert reader.reading().value is not None, "the lab reads what the example prints"


def test_what_the_page_says_of_gates_and_patterns_is_read(tmp_path: Path) -> None:
    blocks = [
        part["text"] for part in PART.finditer(PAGE.read_text(encoding="utf-8")) if part["language"] == "toml"
    ]
    own = [text for text in blocks if text.startswith("[metric]")]
    assert len(own) == 2
    for text in own:
        (tmp_path / "autoresearch.toml").write_text(text, encoding="utf-8")
        assert read_config(tmp_path / "autoresearch.toml").metric.name in text


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
