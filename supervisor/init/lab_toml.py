"""The text of an autoresearch.toml for what was found, or said, of a lab."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from supervisor.lab.config import CONFIG_FILE, LabConfig
from supervisor.lab.config_errors import validated
from supervisor.model.states import Direction
from supervisor.recognition.finding import Fact, Finding, Kind

_WIDTH = 44  # where remarks begin, if the value leaves room
_HINTS = {
    Fact.BUDGET_S: ("budget_s = 300", "training seconds; default: 20 of CPU time on a CPU, else 300"),
    Fact.TIMEOUT_S: ("timeout_s = 600", "wall clock of the whole command, in seconds"),
    Fact.SEED_ENV: ('seed_env = "SEED"', "how the command takes a seed, if it does"),
    Fact.CACHES: ("caches = []", "folders that a run may read; ~ is the home folder"),
    Fact.ENV: ("env = []", "variables passed on; everything else but a short allow-list is not"),
    Fact.NETWORK: (
        'network = "none"',
        'what runs reach: "none", "loopback" (servers of this machine) or "open"',
    ),
    Fact.LINKS: ("links = []", "what git ignores and runs read: node_modules, data"),
}


def lab_toml(finding: Finding) -> str:
    """One file, every line of it commented; what nobody said stands there as a comment with its default."""
    return "\n".join((*_lab(finding), "", *_metric(finding), *_checks(finding), "", *_ends(finding), ""))


def config_of(finding: Finding) -> LabConfig:
    """The configuration that the finding amounts to; what it lacks is as by default. Raises ConfigError."""
    whole = replace(finding, metric=finding.metric or "score", direction=finding.direction or Direction.LOWER)
    text = lab_toml(whole)
    return validated(LabConfig, Path(CONFIG_FILE), text, tomllib.loads(text))


def toml_string(text: str) -> str:
    """The text as a basic string: quoted, with everything escaped that TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_list(entries: Iterable[str]) -> str:
    """The texts as an array on one line."""
    return f"[{', '.join(map(toml_string, entries))}]"


def _lab(finding: Finding) -> list[str]:
    lines = [
        "[lab]",
        _line(f"editable = {toml_list(finding.editable)}", "all else is protected"),
        *([f"new_files = {toml_list(finding.new_files)}"] if finding.new_files else []),
        _line(f"command  = {toml_string(finding.command)}", _seen(finding, Fact.COMMAND)),
        _line(
            f"setup    = {toml_string(finding.setup)}", "" if finding.setup else "once, before the first run"
        ),
        '# smoke  = ""           # a command of seconds before each new edit\'s run; exit code 0: the edit works',
        "# python = \"\"           # default: the lab's own .venv or uv environment, else the tool's",
    ]
    clock = [f'clock    = "{finding.clock}"'] if finding.clock else []
    settings = {
        Fact.BUDGET_S: finding.budget_s and f"budget_s = {finding.budget_s:g}",
        Fact.TIMEOUT_S: finding.timeout_s and f"timeout_s = {finding.timeout_s:g}",
        Fact.SEED_ENV: finding.seed_env and f"seed_env = {toml_string(finding.seed_env)}",
        Fact.CACHES: finding.caches and f"caches   = {toml_list(finding.caches)}",
        Fact.ENV: finding.env and f"env      = {toml_list(finding.env)}",
        Fact.LINKS: finding.links and f"links    = {toml_list(finding.links)}",
        Fact.NETWORK: finding.network and f"network  = {toml_string(finding.network)}",
        Fact.COPIES: finding.copies and f"copies   = {toml_list(finding.copies)}",
    }
    for fact, text in settings.items():
        if text:
            lines.append(_line(text, _seen(finding, fact) or _HINTS[fact][1]))
        elif fact not in (Fact.TIMEOUT_S, Fact.COPIES):
            hint, remark = _HINTS[fact]
            lines.append(f"# {hint:<21} # {remark}")
        if fact is Fact.BUDGET_S:
            lines += [_line(line, "wall seconds, or cpu seconds of the whole process tree") for line in clock]
    return lines


def _metric(finding: Finding) -> list[str]:
    how = "reported by the referee" if finding.kind is Kind.OURS else _seen(finding, Fact.METRIC)
    lines = [
        "[metric]",
        _line(f"name = {toml_string(finding.metric)}", how),
        f'direction = "{finding.direction}"',
    ]
    if finding.file:
        lines.append(_line(f"file = {toml_string(finding.file)}", _seen(finding, Fact.FILE)))
    if finding.pattern:
        lines.append(_line(f"pattern = {toml_string(finding.pattern)}", _seen(finding, Fact.PATTERN)))
    if finding.also:
        tables = ", ".join(f"{{ name = {toml_string(name)} }}" for name in finding.also)
        # As a remark: what is printed as METRIC is kept anyway, and a limit is the person's to set.
        lines.append(
            _line(f"# also = [{tables}]", f"{_seen(finding, Fact.ALSO)}; with worse_pct = 10 it decides")
        )
    for gate in finding.gates:
        equals = gate.equals if gate.equals == "true" or gate.equals.isdigit() else toml_string(gate.equals)
        lines += ["", _line("[[metric.gate]]", "or the experiment is rejected")]
        lines += [_line(f"name = {toml_string(gate.name)}", _seen(finding, Fact.GATES)), f"equals = {equals}"]
    return lines


def _checks(finding: Finding) -> list[str]:
    if not finding.checks:
        return []
    line = _line(f"command = {toml_string(finding.checks)}", "must pass, or the experiment is rejected")
    return ["", "[checks]", line]


def _ends(finding: Finding) -> list[str]:
    experiments = f"experiments = {finding.experiments or 100}"
    hours = f"hours = {finding.hours or 8:g}"
    return [
        "[agents]",
        f"juniors = {finding.juniors}",
        '# chief  = { backend = "offline" }',
        '# junior = { backend = "offline" }',
        "",
        *_devices(finding),
        "[limits]                # any one ends the run",
        experiments if finding.experiments else f"# {experiments}",
        hours if finding.hours else f"# {hours}",
        f"usd = {finding.usd:g}" if finding.usd else "# usd = 20",
    ]


def _devices(finding: Finding) -> list[str]:
    if finding.kind is Kind.OURS:
        return []
    gpus = f"gpus = {finding.gpus}" if finding.gpus else "# gpus = 1"
    return [
        "[devices]               # what one run gets",
        "# cores = 1             # CPU cores; default: all of them, one run at a time",
        _line(gpus, _seen(finding, Fact.GPUS)) if finding.gpus else gpus,
        "",
    ]


def _seen(finding: Finding, fact: Fact) -> str:
    evidence = finding.evidence_for(fact)
    if evidence is None or evidence.where == "you":
        return ""
    return f"{evidence.where}: {evidence.why}" if evidence.where else evidence.why


def _line(text: str, remark: str) -> str:
    # A file of the repository is quoted here: what would end the comment's line ends it for a reader too.
    remark = " ".join("".join(c if c.isprintable() else " " for c in remark).split())
    return f"{text:<{_WIDTH}} # {remark}" if remark else text
