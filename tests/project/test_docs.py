"""The documents say what is true: README's commands and tree, ARCHITECTURE's paths."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import click
import pytest

from supervisor.lab.config import read_config
from tui.commands.command_line import command_line
from tui.commands.table import COMMANDS, CommandSection

CHECKOUT = Path(__file__).resolve().parents[2]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (CHECKOUT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def command_lines() -> list[str]:
    """Every autoresearch-tui line that README or ARCHITECTURE gives."""
    lines = [line for block in blocks(README, "sh") for line in block.splitlines()]
    inline = re.findall(r"`(autoresearch-tui[^`]*)`", README + ARCHITECTURE)
    return sorted({line for line in [*lines, *inline] if line.startswith("autoresearch-tui")})


def tracked_files() -> set[str]:
    """Paths of files that git knows, or would once they are added."""
    answer = subprocess.run(
        ["git", "-C", str(CHECKOUT), "ls-files", "-co", "--exclude-standard"],
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    return set(answer.stdout.splitlines())


@pytest.mark.parametrize("line", command_lines())
def test_every_command_line_of_the_documents_parses(line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    context = click.Context(command_line)
    command: click.Command = command_line
    while words and isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        if found is None:
            break
        command, words = found, words[1:]
    if words:
        command.make_context(command.name, words, resilient_parsing=False)


def test_readme_shows_every_command_of_the_table() -> None:
    shown = {words[1] for line in command_lines() if len(words := shlex.split(line, comments=True)) > 1}
    assert {entry.name for entry in COMMANDS if entry.section is not CommandSection.INNER} <= shown


def test_readmes_make_targets_exist() -> None:
    targets = set(
        re.findall(r"^([a-z]+):", (CHECKOUT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    )
    used = set(re.findall(r"(?:^|`)make ([a-z]+)", README, flags=re.MULTILINE))
    assert {"launch", "test", "check", "bench"} <= used <= targets


def test_readmes_tree_is_the_tree() -> None:
    tree = README[README.index("## The tree") :]
    listed = set(re.findall(r"^    (\S+) +\S", tree, flags=re.MULTILINE))
    top = {name.partition("/")[0] + ("/" if "/" in name else "") for name in tracked_files()}
    told = {"README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE", "uv.lock"}
    assert {name for name in top - told if not name.startswith(".")} <= listed
    assert not {name for name in listed if not (CHECKOUT / name).exists()}


def test_readmes_links_and_pictures_exist() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (CHECKOUT / target).exists(), target


def test_readmes_toml_is_a_configuration(tmp_path: Path) -> None:
    (block,) = blocks(README, "toml")
    file = tmp_path / "autoresearch.toml"
    file.write_text(block, encoding="utf-8")
    assert read_config(file).metric.name == "val_loss"


def test_architectures_paths_exist() -> None:
    map_ = ARCHITECTURE[ARCHITECTURE.index("## The map") : ARCHITECTURE.index("## Glossary")]
    paths = re.findall(r"`((?:roles|sessions|supervisor|tui|tests|training)/[\w/.]*|\w+\.(?:py|md))`", map_)
    assert len(paths) > 20
    for path in paths:
        assert (CHECKOUT / path).exists(), path


def test_architectures_contracts_are_those_of_pyproject() -> None:
    settings = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "importlinter"
    ]
    layers = next(one["layers"] for one in settings["contracts"] if one["type"] == "layers")
    assert f"`{' → '.join(layers)}`" in ARCHITECTURE
