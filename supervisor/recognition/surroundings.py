"""What a lab needs around it, read off its files: uv, caches, variables, a seed, a budget, a time-out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import replace

from sessions.environment import looks_secret
from supervisor.model.states import Clock
from supervisor.recognition.finding import Fact, Finding
from supervisor.recognition.tree import Tree

LONGEST_S = 600.0  # of a command that ends by itself, where nothing says how long it takes

_READS_ENV = re.compile(
    r"(?:environ(?:\.get\(|\.setdefault\(|\[)|getenv\(|env::var\(|Getenv\(|process\.env\.)"
    r"\s*[\"']?(?P<name>[A-Z][A-Z0-9_]{1,60})\b"
)
_SETS_ENV = re.compile(r"environ\[[\"'](?P<name>\w+)[\"']\]\s*=[^=]")
_CACHE_CALL = re.compile(r"expanduser\(\s*[\"']~[\"']\s*\)\s*(?P<rest>(?:,\s*[\"'][\w.-]+[\"']\s*)+)")
_CACHE_HOME = re.compile(r"Path\.home\(\)\s*(?P<rest>(?:/\s*[\"'][\w./-]+[\"']\s*)+)")
_CACHE_TILDE = re.compile(r"(?P<path>~/\.cache/[\w-][\w./-]*)")
_HUB = re.compile(
    r"^\s*(?:from|import)\s+(kernels|huggingface_hub|transformers|datasets|sentence_transformers)\b"
)
_HUB_CACHE = "~/.cache/huggingface"
# A run has these from the lab, or has none, whatever its code asks for.
_NOT_PASSED = re.compile(
    r"^(PYTHON|PYTORCH_|CUDA_|OMP_|MKL_|OPENBLAS_|NUMBA_|HF_HUB|TOKENIZERS_|TORCH|XLA_|LOCALAPPDATA$|APPDATA$|HOME$|"
    r"PATH$|USER$|SHELL$|TERM$|TMPDIR$|PWD$|RANK$|LOCAL_RANK$|WORLD_SIZE$|MASTER_|CI$|DEBUG$)|SEED"
)
_SEED = re.compile(r"^(\w+_)?SEED$")
_BUDGET = re.compile(
    r"^\s*(?P<name>(?:TRAIN(?:ING)?_)?TIME_(?:BUDGET|LIMIT)(?:_S(?:EC(?:ONDS)?)?)?)\b[^=]*=\s*(?P<value>.+)"
)
_KILL = re.compile(
    r"(?:exceed\w*|more than|longer than|over|>)\s*~?\s*(?P<number>\d+)\s*(?P<unit>min|sec|s\b)", re.I
)
_BETTER = re.compile(
    r"(?P<lower>\blowest\b|\blower\b[^.]{0,20}\bbetter\b|\bminimi[sz]e\b|\bsmaller is better\b)|"
    r"(?P<higher>\bhighest\b|\bhigher\b[^.]{0,20}\bbetter\b|\bmaximi[sz]e\b|\blarger is better\b)",
    re.I,
)


def uses_uv(tree: Tree, script: str) -> str:
    """Where it says that `uv run` runs the script or the project; "" when nothing does."""
    if "uv.lock" in tree:
        return "uv.lock"
    for path in ("program.md", "README.md", script):
        if line := tree.find(path, rf"uv run (?:--\S+ )*(?:python )?{re.escape(script)}"):
            return line.where
    line = tree.find("pyproject.toml", r"^\[tool\.uv\b")
    return line.where if line else ""


def add_python_command(finding: Finding, tree: Tree, script: str) -> Finding:
    """The script as the command: through uv where the lab says so, else with the lab's own Python."""
    if where := uses_uv(tree, script):
        return finding.with_fact(Fact.COMMAND, f"uv run {quoted(script)}", where, "uv runs it here")
    return finding.with_fact(Fact.COMMAND, f"{{python}} {quoted(script)}", script, "it prints the metric")


def add_surroundings(finding: Finding, tree: Tree, paths: Iterable[str]) -> Finding:
    """Caches, variables and the seed that these files ask for."""
    paths = tuple(dict.fromkeys(paths))
    return _add_env(_add_caches(finding, tree, paths), tree, paths)


def add_budget(finding: Finding, tree: Tree, paths: Iterable[str]) -> Finding:
    """The training seconds that a constant of the fixed side names."""
    for path in paths:
        for line, text in enumerate(tree.text(path).splitlines(), 1):
            if (match := _BUDGET.match(text)) and (seconds := _product(match["value"])):
                where = f"{path}:{line}"
                return finding.with_fact(Fact.BUDGET_S, seconds, where, f"{match['name']} of wall clock")
    return finding


def add_timeout(finding: Finding, tree: Tree, paths: Iterable[str]) -> Finding:
    """When the program tells an agent to kill a run."""
    for path in paths:
        for line in tree.find_all(path, r"(?i)kill|time-?out"):
            if limit := _KILL.search(line.match.string):
                seconds = float(limit["number"]) * (60 if limit["unit"].startswith("m") else 1)
                return finding.with_fact(
                    Fact.TIMEOUT_S, seconds, line.where, "a run this long is to be killed"
                )
    return finding


def add_own_pace(finding: Finding) -> Finding:
    """For commands that end by themselves: wall clock, and a time-out where nothing names one."""
    finding = replace(finding, clock=Clock.WALL)
    if finding.timeout_s or finding.budget_s:
        return finding
    return finding.with_fact(Fact.TIMEOUT_S, LONGEST_S, "", "a run this long is taken to hang")


def told_direction(tree: Tree, metric: str, paths: Iterable[str]) -> tuple[str, str] | None:
    """ "lower" or "higher" and where a sentence about the metric, or about the score, says so."""
    for path in paths:
        for line, text in enumerate(tree.text(path).splitlines(), 1):
            about = re.search(rf"(?<![\w]){re.escape(metric)}(?![\w])|\bscore\b|\bmetric\b", text)
            if about and (match := _BETTER.search(text)) and len(_BETTER.findall(text)) == 1:
                return ("lower" if match["lower"] else "higher"), f"{path}:{line}"
    return None


def quoted(path: str) -> str:
    """The path as one word of a command line of the configuration."""
    return shlex.quote(path)


def _add_caches(finding: Finding, tree: Tree, paths: tuple[str, ...]) -> Finding:
    places: dict[str, str] = {}
    hub = ""
    for path in paths:
        for line, text in enumerate(tree.text(path).splitlines(), 1):
            for folder in _cache_folders(text):
                places.setdefault(folder, f"{path}:{line}")
            if not hub and _HUB.match(text):
                hub = f"{path}:{line}"
    tops = {f: w for f, w in places.items() if not any(f != g and f.startswith(f"{g}/") for g in places)}
    if hub:
        tops.setdefault(_HUB_CACHE, hub)
    if not tops:
        return finding
    where = next(iter(tops.values()))
    return finding.with_fact(Fact.CACHES, tuple(tops), where, "read by runs, filled by the set-up")


def _cache_folders(text: str) -> list[str]:
    folders = []
    for match in (*_CACHE_CALL.finditer(text), *_CACHE_HOME.finditer(text)):
        parts = re.findall(r"[\"']([\w./-]+)[\"']", match["rest"])
        folders.append("/".join(("~", *parts)))
    folders += [match["path"].rstrip("./") for match in _CACHE_TILDE.finditer(text)]
    # A home folder itself is nobody's cache.
    return [folder for folder in folders if folder.count("/") >= 2 and ".." not in folder]


def _add_env(finding: Finding, tree: Tree, paths: tuple[str, ...]) -> Finding:
    reads: dict[str, str] = {}
    sets: set[str] = set()
    for path in paths:
        for line, text in enumerate(tree.text(path).splitlines(), 1):
            sets |= {match["name"] for match in _SETS_ENV.finditer(text)}
            for match in _READS_ENV.finditer(text):
                reads.setdefault(match["name"], f"{path}:{line}")
    for name in sets:
        reads.pop(name, None)
    for name, where in reads.items():
        if _SEED.match(name):
            finding = finding.with_fact(Fact.SEED_ENV, name, where, "the code takes its seed from it")
            break
    secret = [name for name in reads if looks_secret(name)]
    passed_on = [name for name in reads if not _NOT_PASSED.search(name) and name not in secret]
    if secret:
        finding = finding.with_caution(
            f"{reads[secret[0]]} reads {secret[0]}: runs get no keys; name it in [lab] env if they must"
        )
    if passed_on:
        finding = finding.with_fact(
            Fact.ENV, tuple(passed_on), reads[passed_on[0]], "read there, passed on when set"
        )
    return finding


def _product(expression: str) -> float | None:
    """The value of `300`, `5 * 60` or `300.0  # comment`; None for anything else."""
    bare = re.split(r"[#;/]", expression)[0].strip().replace("_", "")
    parts = [part.strip() for part in bare.split("*")]
    if not all(re.fullmatch(r"\d+(\.\d+)?", part) for part in parts):
        return None
    value = 1.0
    for part in parts:
        value *= float(part)
    return value if value > 0 else None
