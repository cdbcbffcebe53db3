"""What a document told, laid over what the files of a lab show: the person's word goes first, each with its line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import replace

from supervisor.model.states import Direction
from supervisor.recognition.document import PROGRAMS, Said, Told, read_document
from supervisor.recognition.finding import Fact, Finding, Kind
from supervisor.recognition.gates import add_gates
from supervisor.recognition.printed import add_direction, add_metric
from supervisor.recognition.surroundings import add_own_pace, add_surroundings
from supervisor.recognition.tree import Tree

MOST_FILES = 12
_README = "README.md"
_OWN_WORD = frozenset({Kind.OURS, Kind.UPSTREAM, Kind.MLX, Kind.MACOS, Kind.WIN_RTX, Kind.AUTO})


def held(tree: Tree, path_or_glob: str) -> tuple[str, ...]:
    if path_or_glob in tree:
        return (path_or_glob,)
    if "**" in path_or_glob:
        return tree.below(path_or_glob.split("*")[0].rstrip("/"))
    return tree.matching(path_or_glob) if "*" in path_or_glob else tree.below(path_or_glob)


def files_of(said: Sequence[Said], tree: Tree) -> tuple[str, ...]:
    """The files that these paths, folders and globs name, each once, in their order."""
    return tuple(dict.fromkeys(path for each in said for path in held(tree, each.value)))


def closed_files(told: Told, tree: Tree) -> frozenset[str]:
    """What must not change; a file that is opened by its own name stays open in a folder that is closed."""
    opened = {each.value for each in told.editable if each.value in tree}
    named = {each.value for each in told.forbidden if each.value in tree}
    return frozenset(named | (set(files_of(told.forbidden, tree)) - opened))


def add_told_metric(finding: Finding, told: Told, document: str, tree: Tree) -> Finding:
    """The metric that a document names, with the direction that it says."""
    names = list(dict.fromkeys(said.value for said in told.metrics))
    first = next(said for said in told.metrics if said.value == names[0])
    finding = finding.with_fact(
        Fact.METRIC, names[0], f"{document}:{first.line}", "the document's metric", guess=len(names) > 1
    )
    return _add_told_direction(finding, told, document, tree)


def with_program(finding: Finding | None, tree: Tree) -> Finding | None:
    """The finding under what program.md says; a lab that nothing else shows may be known by it alone."""
    document = tree.first(PROGRAMS)
    if finding is not None and finding.kind in _OWN_WORD:
        return finding
    if document is None:
        return finding and _with_readme(finding, tree)
    told = read_document(tree.text(document), tree)
    if finding is None:
        if not told.editable or not told.commands:
            return None
        finding = add_own_pace(Finding(Kind.TOLD, 0.7))
    finding = _add_files(finding, told, document, tree)
    if finding.kind is Kind.BENCHMARKED:  # how its tool is asked, and read, is the tool's own
        return finding
    finding = _add_command(finding, told, document)
    if told.metrics:
        finding = add_told_metric(finding, told, document, tree)
    elif not finding.metric:
        finding = add_metric(finding, tree, _scripts_of(finding.command, tree))
    if not told.metrics and finding.metric and told.directions:
        finding = _add_told_direction(finding, told, document, tree)
    if finding.kind is not Kind.TOLD:
        return finding
    scripts = _scripts_of(finding.command, tree)
    return add_gates(add_surroundings(finding, tree, (*scripts, *finding.editable)), tree, scripts)


def _with_readme(finding: Finding, tree: Tree) -> Finding:
    """The finding with the files that the README says alone may change; what else it speaks of is the project's use."""
    text = tree.text(_README)
    lines = text.splitlines()
    told = read_document(text, tree)
    opened = [said for said in told.editable if re.search(r"\bonly\b", lines[said.line - 1], re.I)]
    files = files_of(opened, tree)
    if not files or len(files) > MOST_FILES or files == finding.editable:
        return finding
    where = f"{_README}:{opened[0].line}"
    return finding.with_fact(Fact.EDITABLE, files, where, "it says that only this may change")


def _add_files(finding: Finding, told: Told, document: str, tree: Tree) -> Finding:
    closed = closed_files(told, tree)
    opened = [path for path in files_of(told.editable, tree) if path not in closed and path != document]
    if opened and len(opened) <= MOST_FILES:
        where = f"{document}:{told.editable[0].line}"
        finding = finding.with_fact(Fact.EDITABLE, tuple(opened), where, "the document opens it")
    elif shut := [path for path in finding.editable if path in closed]:
        line = next((each.line for each in told.forbidden if shut[0] in held(tree, each.value)), 1)
        left = tuple(path for path in finding.editable if path not in closed)
        why = f"{document}:{line} says that {shut[0]} must not change"
        finding = finding.with_fact(Fact.EDITABLE, left, f"{document}:{line}", why, guess=True)
        finding = finding.with_caution(f"{why}; name what may")
    if closed:
        line = told.forbidden[0].line
        judges = tuple(dict.fromkeys((*finding.protected, *sorted(closed))))[:MOST_FILES]
        judges = tuple(path for path in judges if path not in finding.editable)
        finding = finding.with_fact(Fact.PROTECTED, judges, f"{document}:{line}", "the document closes it")
    return finding


def _add_command(finding: Finding, told: Told, document: str) -> Finding:
    commands = list(dict.fromkeys(said.value for said in told.commands))
    if not commands:
        return finding
    if same := [command for command in commands if _same(command, finding.command)]:
        commands = same
    first = next(said for said in told.commands if said.value == commands[0])
    command = as_lab_command(commands[0])
    doubtful = len(commands) > 1
    where = f"{document}:{first.line}"
    why = f"told there, as is `{commands[1]}`" if doubtful else "told there"
    return finding.with_fact(Fact.COMMAND, command, where, why, guess=doubtful)


def as_lab_command(command: str) -> str:
    """A line that a person would type, as `[lab] command` takes it."""
    words = re.sub(r"^python3?(?=\s)", "{python}", command)
    return f"sh -c {shlex.quote(words)}" if re.search(r"[|&;<>]|^[A-Z_]+=", words) else words


def _scripts_of(command: str, tree: Tree) -> list[str]:
    return [
        word.removeprefix("./")
        for word in re.findall(r"[\w./-]+", command)
        if word.removeprefix("./") in tree
    ]


def _same(told: str, found: str) -> bool:
    scripts = re.findall(r"[\w./-]+\.(?:py|sh|js)", found)
    return bool(scripts) and all(script in told for script in scripts)


def _add_told_direction(finding: Finding, told: Told, document: str, tree: Tree) -> Finding:
    ways = list(dict.fromkeys(said.value for said in told.directions))
    if len(ways) == 1:
        where = f"{document}:{told.directions[0].line}"
        return finding.with_fact(Fact.DIRECTION, Direction(ways[0]), where, "said there")
    finding = add_direction(finding, tree, ())
    if len(ways) > 1:
        finding = replace(finding, guesses=finding.guesses | {Fact.DIRECTION})
    return finding
