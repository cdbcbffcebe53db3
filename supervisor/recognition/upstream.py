"""karpathy/autoresearch and its forks: train.py, prepare.py and program.md at the root."""

from __future__ import annotations

import sys

from supervisor.lab.config import ACCELERATOR_BUDGET_S
from supervisor.model.states import Clock
from supervisor.recognition.finding import Fact, Finding, Kind
from supervisor.recognition.printed import add_direction, add_metric
from supervisor.recognition.surroundings import add_budget, add_surroundings, add_timeout, uses_uv
from supervisor.recognition.tree import MatchedLine, Tree

CANVAS, REFEREE, PROGRAM = FILES = ("train.py", "prepare.py", "program.md")
_LOOKED_THROUGH = ("prepare.py", "train.py", "pyproject.toml")
# What each fork has that the others have not.
_MARKS = {
    Kind.MLX: (r"^\s*(?:import|from) mlx\b|^\s*[\"']mlx[><=~\"'\[]|mlx\.core",),
    Kind.WIN_RTX: (r"LOCALAPPDATA|os\.name == [\"']nt[\"']|AUTORESEARCH_CACHE_DIR",),
    Kind.MACOS: (r"verify_macos_env|sys\.platform != [\"']darwin[\"']", r"backends\.mps"),
}
_ALSO_CUDA = r"torch\.cuda|[\"']cuda[\"']"  # with it, a word about MPS makes a fork for any machine
_GREP = r"grep\s+[\"']\^(?P<name>[A-Za-z_]\w*):"


def recognise(tree: Tree) -> Finding | None:
    """Upstream's three files, whoever keeps them, with the metric and budget that this copy has."""
    if not all(path in tree for path in FILES):
        return None
    kind, mark = _fork(tree)
    finding = Finding(kind, 0.95, clock=Clock.WALL)
    finding = finding.with_fact(Fact.EDITABLE, (CANVAS,), mark, f"the three files of {kind}")
    finding = finding.with_fact(Fact.PROTECTED, (REFEREE,), REFEREE, "data, budget and evaluation")
    # Without a word about it: upstream runs under uv, and a plain Python would lack its packages.
    where = uses_uv(tree, CANVAS) or "pyproject.toml"
    finding = finding.with_fact(Fact.COMMAND, f"uv run {CANVAS}", where, "uv runs it here")
    finding = finding.with_fact(Fact.SETUP, f"uv run {REFEREE}", REFEREE, "once: data and tokenizer")
    finding = _add_its_metric(finding, tree)
    finding = add_budget(finding, tree, (REFEREE, CANVAS))
    if finding.budget_s is None:
        finding = finding.with_fact(Fact.BUDGET_S, ACCELERATOR_BUDGET_S, "", "upstream's, as none is named")
    finding = add_timeout(finding, tree, (PROGRAM,))
    return _cautioned(add_surroundings(finding, tree, (REFEREE, CANVAS)))


def _fork(tree: Tree) -> tuple[Kind, str]:
    for kind, patterns in _MARKS.items():
        for path in _LOOKED_THROUGH:
            line: MatchedLine | None = next(
                filter(None, (tree.find(path, pattern) for pattern in patterns)), None
            )
            portable = line and "mps" in line.match[0] and any(tree.find(p, _ALSO_CUDA) for p in FILES)
            if line and not portable:
                return kind, line.where
    return Kind.UPSTREAM, CANVAS


def _add_its_metric(finding: Finding, tree: Tree) -> Finding:
    """What program.md tells its agent to grep for, else what train.py prints, else upstream's."""
    for line in tree.find_all(PROGRAM, _GREP):
        name = line.match["name"]
        finding = finding.with_fact(Fact.METRIC, name, line.where, f'`grep "^{name}:"` is its reader')
        return add_direction(finding, tree, (PROGRAM, "README.md"))
    finding = add_metric(finding, tree, (CANVAS, REFEREE))
    if finding.metric:
        return finding
    finding = finding.with_fact(Fact.METRIC, "val_bpb", CANVAS, "upstream's, as nothing else is printed")
    return add_direction(finding, tree)


def _cautioned(finding: Finding) -> Finding:
    if finding.kind in (Kind.MACOS, Kind.MLX) and sys.platform != "darwin":
        return finding.with_caution(
            f"{finding.kind} needs a Mac with Apple silicon; its runs will crash here"
        )
    return finding
