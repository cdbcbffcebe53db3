"""A pi-autoresearch session: `.auto/`, or the older flat `autoresearch.*` files."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import pairwise

from sessions.runs.metric_formats import json_object
from supervisor.model.states import Clock, Direction
from supervisor.recognition.document import read_document
from supervisor.recognition.finding import Fact, Finding, Kind
from supervisor.recognition.gates import add_gates
from supervisor.recognition.printed import add_direction, add_metric
from supervisor.recognition.secondary import add_secondary
from supervisor.recognition.surroundings import add_surroundings, quoted
from supervisor.recognition.told import add_told_metric, closed_files, files_of, held
from supervisor.recognition.tree import Tree

TIMEOUT_S = 600.0  # that client's own for a run
_MOST_FILES = 12
_PRIMARY = re.compile(
    r"\*\*Primary[^*]*\*\*\s*[:–—-]?\s*`?(?P<name>[\w./µ-]+)`?\s*(?:\((?P<about>[^)]*)\)|(?P<rest>.*))", re.I
)
_BULLET = re.compile(r"^\s*(?:[-*+]|\d+\.)\s+(?P<text>.*)")
_TICKED = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Session:
    """The files of one session."""

    measure: str
    checks: str
    prompt: str
    log: str
    config: str


LAYOUTS = (
    Session(*(f".auto/{name}" for name in "measure.sh checks.sh prompt.md log.jsonl config.json".split())),
    Session(*(f"autoresearch.{name}" for name in "sh checks.sh md jsonl config.json".split())),
    Session(*(f"auto/autoresearch.{name}" for name in "sh checks.sh md jsonl config.json".split())),
    Session(*(f"auto/{name}" for name in "measure.sh checks.sh prompt.md log.jsonl config.json".split())),
)


def recognise(tree: Tree) -> Finding | None:
    """A session whose measuring script is tracked."""
    files = next((layout for layout in LAYOUTS if layout.measure in tree), None)
    if files is None:
        return None
    finding = Finding(Kind.AUTO, 0.97, clock=Clock.WALL)
    finding = finding.with_fact(Fact.COMMAND, _shell(tree, files.measure), files.measure, "it measures")
    judges = tuple(path for path in (files.measure, files.checks) if path in tree)
    finding = finding.with_fact(Fact.PROTECTED, judges, files.measure, "the session's own scripts")
    finding = _add_scope(finding, tree, files)
    finding = add_secondary(_add_primary(finding, tree, files), tree, files.prompt)
    finding = finding.with_fact(Fact.TIMEOUT_S, TIMEOUT_S, "", "pi-autoresearch's own limit for a run")
    if files.checks in tree:
        command = _shell(tree, files.checks)
        finding = finding.with_fact(Fact.CHECKS, command, files.checks, "must pass before a run")
    finding = add_gates(finding, tree, (files.measure, *_scripts_named(tree, files.measure)))
    return add_surroundings(_add_limits(finding, tree, files), tree, (files.measure, *finding.editable))


def untracked_session(tree: Tree) -> str:
    """The measuring script that lies on the disk and not in git, where no run would see it; "" without one."""
    for layout in LAYOUTS:
        if layout.measure not in tree and (tree.root / layout.measure).is_file():
            return layout.measure
    return ""


def _shell(tree: Tree, script: str) -> str:
    shebang = tree.text(script).partition("\n")[0]
    known = re.match(r"#!\s*\S*?(?:env\s+)?(?P<shell>bash|sh|zsh)\b", shebang)
    if shebang.startswith("#!") and not known:
        return f"./{quoted(script)}"
    return f"{known['shell'] if known else 'bash'} {quoted(script)}"


def _add_scope(finding: Finding, tree: Tree, files: Session) -> Finding:
    """The prompt's list of files in scope: files as they are, folders and globs as what they hold."""
    paths: list[str] = []
    globs: list[str] = []
    where = ""
    for line, text in _section(tree, files.prompt, "files in scope"):
        where = where or f"{files.prompt}:{line}"
        for path_or_glob in _paths_in(text):
            matches = held(tree, path_or_glob)
            paths += matches
            if matches and matches != (path_or_glob,):
                globs.append(path_or_glob if "*" in path_or_glob else f"{path_or_glob.rstrip('/')}/*")
    told = read_document(tree.text(files.prompt), tree)
    if not paths:
        paths = list(files_of(told.editable, tree))
        where = f"{files.prompt}:{told.editable[0].line}" if told.editable else ""
    closed = closed_files(told, tree)
    paths = [path for path in dict.fromkeys(paths) if _may_change(path, finding, files, closed)]
    if not paths:
        return finding
    first, flat = paths[:_MOST_FILES], tuple(glob for glob in dict.fromkeys(globs) if "**" not in glob)
    finding = finding.with_fact(Fact.EDITABLE, tuple(first), where, "its files in scope")
    if len(paths) > _MOST_FILES and not flat:
        finding = finding.with_caution(
            f"{files.prompt} names {len(paths)} files; the first {_MOST_FILES} are taken"
        )
    return finding.with_fact(Fact.NEW_FILES, flat, where, "a folder in scope") if flat else finding


def _may_change(path: str, finding: Finding, files: Session, closed: frozenset[str]) -> bool:
    folder = files.measure.rpartition("/")[0]
    own = path.startswith((".auto/", "autoresearch.")) or (bool(folder) and path.startswith(f"{folder}/"))
    return not own and path not in finding.protected and path not in closed


def _paths_in(bullet: str) -> list[str]:
    ticked = _TICKED.findall(bullet)
    words = ticked or bullet.split()[:1]
    return [word.strip().removeprefix("./").rstrip(":,;") for word in words if " " not in word.strip()]


def _section(tree: Tree, path: str, title: str) -> list[tuple[int, str]]:
    """The bullets under the heading of that title, with their lines."""
    inside, bullets = False, []
    for line, text in enumerate(tree.text(path).splitlines(), 1):
        if text.startswith("#"):
            inside = text.strip("# ").lower().startswith(title)
        elif inside and (bullet := _BULLET.match(text)):
            bullets.append((line, bullet["text"]))
    return bullets


def _add_primary(finding: Finding, tree: Tree, files: Session) -> Finding:
    """The metric by the log's header, else by the prompt's primary metric, else by what the script prints."""
    for line, text in reversed(list(enumerate(tree.text(files.log).splitlines(), 1))):
        header = _header(text)
        if header:
            where, name = f"{files.log}:{line}", header["metricName"]
            finding = finding.with_fact(Fact.METRIC, name, where, "the session's primary metric")
            if header.get("bestDirection") in tuple(Direction):
                way = Direction(header["bestDirection"])
                return finding.with_fact(Fact.DIRECTION, way, where, "the session's own word")
            return add_direction(finding, tree, (files.prompt,))
    lines = [*tree.text(files.prompt).splitlines(), ""]
    for line, (text, below) in enumerate(pairwise(lines), 1):
        whole = text if _BULLET.match(below) else f"{text} {below.strip()}"  # a bullet may go on below
        if match := _PRIMARY.search(text) and _PRIMARY.search(whole):
            where = f"{files.prompt}:{line}"
            finding = finding.with_fact(Fact.METRIC, match["name"], where, "its primary metric")
            about = f"{match['about'] or ''} {match['rest'] or ''}".lower()
            ways = [way for way in Direction if re.search(f"{way.value} (is )?better", about)]
            if len(ways) == 1:
                return finding.with_fact(Fact.DIRECTION, ways[0], where, "said there")
            return add_direction(finding, tree, ())
    if (told := read_document(tree.text(files.prompt), tree)).metrics:
        return add_told_metric(finding, told, files.prompt, tree)
    return add_metric(finding, tree, (files.measure, *_scripts_named(tree, files.measure)))


def _header(text: str) -> dict[str, str]:
    entry = json_object(text.strip()) or {}
    if entry.get("type") != "config":
        return {}
    name = entry.get("metricName")
    return entry if isinstance(name, str) and re.fullmatch(r"[\w./µ-]{1,60}", name) else {}


def _scripts_named(tree: Tree, script: str) -> list[str]:
    words = re.findall(r"[\w./-]+", tree.text(script))
    return [word.removeprefix("./") for word in words if word.removeprefix("./") in tree]


def _add_limits(finding: Finding, tree: Tree, files: Session) -> Finding:
    try:
        config = json.loads(tree.text(files.config) or "{}")
    except (ValueError, RecursionError):
        return finding.with_caution(f"{files.config} is no JSON and was passed over")
    if not isinstance(config, dict):
        return finding
    most = config.get("maxIterations")
    if isinstance(most, int) and not isinstance(most, bool) and most > 0:
        finding = finding.with_fact(Fact.EXPERIMENTS, most, files.config, "its maxIterations")
    folder = config.get("workingDir")
    if isinstance(folder, str) and folder.strip("./"):
        finding = finding.with_caution(
            f"{files.config} has a workingDir ({folder}); runs start at the top of the checkout"
        )
    return finding
