"""What git ignores, lies in the checkout and is used by what measures: without it no run would work."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from supervisor.recognition.finding import Fact, Finding
from supervisor.recognition.pairs import used_by
from supervisor.recognition.tree import MatchedLine, Tree

_MOST_SOURCES = 200  # beside what measures and what may change
_SOURCE = re.compile(
    r"(\.(py|js|mjs|cjs|ts|sh|c|cc|cpp|h|rs|go|jl|R|toml|ya?ml|json|mk)|(^|/)(Makefile|makefile))$"
)
# Made by tools, and made again where they are missing.
_MADE = re.compile(
    r"(^|/)(__pycache__|\.?[a-z_]*cache|\.tox|\.nox|\.idea|\.vscode|\.git|\.autoresearch|\.ipynb_checkpoints|build|dist"
    r"|target|out|coverage|htmlcov|\.next|\.nuxt|wandb|mlruns|logs?|tmp|temp)(/|$)|\.(pyc|pyo|o|so|log|egg-info/?)$"
    r"|(^|/)(\.DS_Store|results\.tsv|run\.log)$"
)
_SECRETS = re.compile(r"(^|/)\.env(\.[\w.-]+)?$|(^|/)[\w.-]*(secret|credential)[\w.-]*$", re.I)
_NODE = re.compile(r"\b(npm|npx|pnpm|yarn|bun|node|tsx|ts-node|vitest|jest)\b")
_WHY = {
    Fact.LINKS: "ignored by git, and used there",
    Fact.COPIES: "ignored by git, read and written there",
}
_VENV = re.compile(r"(^|/)\.?v?env/$")
_WRITES = re.compile(
    r"""open\([^)]*,\s*["'][wax]|mkdir|makedirs|write_text|write_bytes|savefig|\.to_(csv|json|parquet|pickle)|\bdump\("""
    r"""|\bsave\(|savez|writeFile|createWriteStream|os\.Create|File::create|rm -rf|>\s*["']?[\w./]"""
)


def add_beside(finding: Finding, tree: Tree, ignored: Iterable[str]) -> Finding:
    """The finding with what of these ignored paths the lab's command uses: linked, or copied where it writes there."""
    sources = _sources(finding, tree)
    links: dict[str, str] = {}  # each with the place where it was seen
    copies: dict[str, str] = {}
    for entry in ignored:
        if _MADE.search(entry):
            continue
        lines = list(_lines_about(entry, finding, tree, sources))
        if _SECRETS.search(entry):
            if lines:
                finding = finding.with_caution(
                    f"{lines[0].where} reads {entry}, which git ignores: runs get it only if [lab] copies names it"
                )
            continue
        if listing := _listing_of(entry, finding, tree):
            links[entry.rstrip("/")] = listing
        elif reading := [line for line in lines if not _WRITES.search(line.match.string)]:
            into = copies if len(reading) < len(lines) else links
            into[entry.rstrip("/")] = reading[0].where
    for fact, found in ((Fact.LINKS, links), (Fact.COPIES, copies)):
        if found:
            where = ", ".join(dict.fromkeys(found.values()))
            finding = finding.with_fact(fact, tuple(found), where, _WHY[fact], guess=fact is Fact.COPIES)
    return finding


def _listing_of(entry: str, finding: Finding, tree: Tree) -> str:
    """The file that lists the packages which a tool looks for in the entry by itself; "" for anything else."""
    path = PurePosixPath(entry)
    beside = "" if str(path.parent) == "." else f"{path.parent}/"
    if path.name == "node_modules" and f"{beside}package.json" in tree:
        scripts = (re.search(r"\.(js|mjs|cjs|ts|tsx)$", path) for path in finding.editable)
        return f"{beside}package.json" if _NODE.search(finding.command) or any(scripts) else ""
    if path.name == "vendor":
        return tree.first((f"{beside}go.mod", f"{beside}composer.json", f"{beside}Gemfile")) or ""
    return ""


def _lines_about(entry: str, finding: Finding, tree: Tree, sources: tuple[str, ...]) -> Iterator[MatchedLine]:
    """Where the entry is named as a path: in a text of its own, or as the beginning of one."""
    name = re.escape(entry.rstrip("/"))
    if _VENV.search(entry):  # `{python}` finds it by itself; what else is in it has to be named
        pattern = rf"(?<![\w./-])(?:\./)?{name}/bin/(?!python|activate)"
    elif entry.endswith("/"):
        pattern = rf"(?<![\w.-])(?:\./)?{name}/|[\"'](?:\./)?{name}[\"']"
    else:
        pattern = rf"(?<![\w.-]){name}(?![\w-])"
    if match := re.search(pattern, finding.command):
        yield MatchedLine("the command", 1, match)
    for path in sources:
        yield from tree.find_all(path, pattern)


def sources_of(finding: Finding, tree: Tree) -> tuple[str, ...]:
    """What measures and what may change: the files that the command names, the judges, the editable ones."""
    named = [word.removeprefix("./") for word in _words(finding.command)]
    measuring = [path for path in (*named, *finding.protected) if path in tree]
    used = [path for script in measuring for path in used_by(tree, script)]
    return tuple(dict.fromkeys((*measuring, *used, *(path for path in finding.editable if path in tree))))


def _sources(finding: Finding, tree: Tree) -> tuple[str, ...]:
    """The surest witnesses first, then the rest of the sources."""
    others = [path for path in tree.files if _SOURCE.search(path) and "test" not in path]
    return tuple(dict.fromkeys((*sources_of(finding, tree), *others[:_MOST_SOURCES])))


def _words(command: str) -> list[str]:
    try:
        return [part for word in shlex.split(command) for part in word.split()]
    except ValueError:
        return []
