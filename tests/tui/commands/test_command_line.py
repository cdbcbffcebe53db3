"""The command line itself: the table, help, exit codes, errors, pipes, terminals."""

from __future__ import annotations

import fcntl
import importlib
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

from supervisor.lab.paths import Lab
from tests.worlds.command_lines import Run
from tests.worlds.fast_motion import World
from tui.commands.command_line import command_line
from tui.commands.table import COMMANDS, CommandSection
from tui.views.text import plain_lines

PROGRAM = [sys.executable, "-P", "-m", "tui.main"]
# Each costs every start of the tool a tenth of a second to a second.
HEAVY = ("torch", "textual", "scipy", "anthropic", "git", "libtmux", "pydantic", "rich", "watchdog", "numpy")


def all_commands() -> list[tuple[str, click.Command]]:
    """Every command and sub-command with its words."""
    context = click.Context(command_line)
    found = []
    for entry in COMMANDS:
        command = command_line.get_command(context, entry.name)
        assert command is not None
        found.append((entry.name, command))
        if isinstance(command, click.Group):
            found += [(f"{entry.name} {name}", inner) for name, inner in command.commands.items()]
    return found


def test_the_table_names_real_commands_by_their_names() -> None:
    for entry in COMMANDS:
        command = getattr(importlib.import_module(f"tui.commands.{entry.module}"), entry.attribute)
        assert command.name == entry.name
        assert command.hidden == (entry.section is CommandSection.INNER)


@pytest.mark.parametrize(
    ("words", "command"), all_commands(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_has_help_with_examples_of_itself(run: Run, words: str, command: click.Command) -> None:
    result = run(*words.split(), "--help")
    assert result.code == 0
    examples = result.out.partition("Examples:\n")[2].splitlines()
    assert examples
    for example in examples:
        assert f"autoresearch-tui {words}" in example
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{words} {parameter.name}"


def test_every_option_that_an_example_uses_exists() -> None:
    for words, command in all_commands():
        known = {option for parameter in command.params for option in parameter.opts}
        inner = command.commands.values() if isinstance(command, click.Group) else ()
        known |= {option for one in inner for parameter in one.params for option in parameter.opts}
        for example in getattr(command, "examples", ()):
            typed = example.partition(" | ")[0]
            used = {word for word in typed.split() if word.startswith("-") and word != "-"}
            assert used <= known, f"{words}: {used - known}"


def test_help_lists_every_command_of_the_table_by_section(run: Run) -> None:
    said = run("--help").out
    for entry in COMMANDS:
        listed = any(line.split()[:1] == [entry.name] for line in said.splitlines())
        assert listed == (entry.section is not CommandSection.INNER), entry.name


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['autoresearch-tui', '--help']\n"
        "from tui.main import main\nstatus = main()\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "sys.exit(f'{status} {heavy}' if status or heavy else 0)"
    )
    answer = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert answer.returncode == 0, answer.stderr


def test_a_runner_starts_without_the_command_line(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.argv = ['autoresearch-tui', '_runner', {str(tmp_path)!r}]\n"
        "from tui.main import main\nstatus = main()\n"
        f"heavy = [name for name in {(*HEAVY[:-2], 'click')!r} if name in sys.modules]\n"
        "sys.exit(f'{status} {heavy}' if status != 2 or heavy else 0)"
    )
    answer = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert "spec.json" in answer.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("statsu",), "no command 'statsu'; did you mean status?; see `autoresearch-tui --help`"),
        (("zzz",), "no command 'zzz'; autoresearch-tui --help lists them"),
        (("status", "--jsn"), "No such option"),
        (("launch", "--juniors", "0"), "--juniors"),
        (("launch", "--budget", "0"), "--budget"),
        (("diff",), "Missing argument 'ID'"),
        (("experiments", "--verdict", "great"), "--verdict"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(run: Run, words: Sequence[str], said: str) -> None:
    result = run(*words)
    assert result.code == 2
    assert result.out == ""
    assert said in result.err
    assert result.err.startswith("autoresearch-tui: ")
    assert result.err.count("\n") == 1


def test_outside_a_lab_one_line_says_what_to_do(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in ((), ("status",), ("launch", "--headless"), ("plan", "add", "x")):
        result = run(*words)
        assert (result.code, result.out) == (1, "")
        assert result.err == (
            f"autoresearch-tui: {tmp_path} is not in a git repository; "
            "`autoresearch-tui init` makes a lab, --lab DIR names one\n"
        )


def test_the_lab_is_named_before_or_after_the_command(
    run: Run, lab_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = str(lab_root)
    for words in (("--lab", name, "status"), ("status", "--lab", name), ("notes", "--lab", name)):
        assert run(*words).code == 0
    assert run("--lab", name, "notes", "add", "A finding", "text").code == 0
    assert run("notes", "--lab", name, "add", "Another", "text").code == 0
    assert len(run("--lab", name, "notes").table) == 2


def test_an_error_shows_no_control_characters(run: Run, lab_root: Path) -> None:
    result = run("status", "--lab", "evil\x1b[2Jname\r")
    assert result.code == 1
    assert "evilname is not a folder" in result.err
    assert result.err.count("\n") == 1


def test_a_reader_that_leaves_is_no_error(lab: Lab, played: World) -> None:
    command = [*PROGRAM, "--lab", str(lab.root), "experiments", "--json"]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        answer = subprocess.run(
            command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    finally:
        os.close(writing)
    assert (answer.returncode, answer.stderr) == (0, "")


def in_terminal(words: Sequence[str], columns: int, **environment: str) -> str:
    """What the command shows in a terminal of that width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {**os.environ, "TERM": "xterm-256color", **environment}
    with subprocess.Popen([*PROGRAM, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                chunk = os.read(ours, 4096)
            except OSError:  # Linux says so when the last writer is gone
                break
            if not chunk:
                break
            shown += chunk
    os.close(ours)
    assert process.returncode == 0, shown.decode()
    return shown.decode().replace("\r\n", "\n")


def test_a_terminal_gets_a_table_that_fits(lab: Lab, played: World) -> None:
    shown = in_terminal(["--lab", str(lab.root), "leaderboard"], columns=80, NO_COLOR="1")
    assert "lower is better, 20 s of cpu time on cpu" in shown
    assert "\t" not in shown
    assert "e0000" in shown
    assert all(len(line) <= 80 for line in plain_lines(shown))


def test_colours_are_for_terminals_and_no_color_is_respected(lab: Lab, played: World) -> None:
    words = ["--lab", str(lab.root), "leaderboard"]
    assert "\x1b[" in in_terminal(words, columns=120)
    shown = in_terminal(words, columns=120, NO_COLOR="1")
    assert "\x1b[3" not in shown  # bold may stay, colours may not


def test_a_diff_in_a_terminal_cannot_reach_it(lab: Lab, played: World) -> None:
    (lab.runs_dir / "e0001").mkdir()
    (lab.runs_dir / "e0001" / "diff.patch").write_text("+print('\x1b]0;owned\x07\x1b[2J')\n")
    shown = in_terminal(["--lab", str(lab.root), "diff", "e0001"], columns=80, NO_COLOR="1")
    assert shown == "+print('')\n"


def test_packages_of_the_persons_never_stand_in_for_ours(tmp_path: Path) -> None:
    for name in ("tui", "roles", "supervisor", "sessions", "click"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise SystemExit('{name} is the person\\'s')\n")
    script = Path(sys.executable).with_name("autoresearch-tui")
    for folders in (str(tmp_path), ":"):
        env = os.environ | {"PYTHONPATH": folders}
        done = subprocess.run([script, "--version"], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.stdout.startswith("autoresearch-tui "), done.stderr
    runner = subprocess.run(
        [script, "_runner", tmp_path], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert "its spec.json is not there" in runner.stderr
