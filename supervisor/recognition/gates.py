"""Fields by which a benchmark says whether its results are right: in its code, and in what a run printed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sessions.runs.log import without_escapes
from supervisor.recognition.finding import Fact, Finding, FoundGate
from supervisor.recognition.printed import SINGLE_CASE
from supervisor.recognition.tree import Tree

_GOOD = "pass passed ok true correct valid yes success 1".split()
_BAD = "fail failed error false incorrect wrong invalid mismatch bad no failure 0".split()
_JUDGING = _GOOD[:2] + _GOOD[4:6] + _BAD[:2] + _BAD[4:8]  # words that say nothing else under any name
# Names under which a boolean is a judgement of the results; the second kind may be a count as well.
_BY_NAME = """ok valid verified is_correct is_valid all_pass all_passed tests_pass all_correct correctness
success""".split()
_MAY_COUNT = frozenset("pass passed correct matches".split())
_NAMES = frozenset(_BY_NAME) | _MAY_COUNT
_NAME = r"(?P<name>[A-Za-z_][\w.-]{0,40})"
_GOOD_ONE, _BAD_ONE, _ANY = "|".join(_GOOD), "|".join(_BAD), "|".join(_GOOD + _BAD)
_PAIR = re.compile(
    rf"[\"'](?P<first>{_GOOD_ONE})[\"'].*[\"'](?:{_BAD_ONE})[\"']"
    rf"|[\"'](?:{_BAD_ONE})[\"'].*[\"'](?P<last>{_GOOD_ONE})[\"']",
    re.IGNORECASE,
)
_ASSIGNED = re.compile(
    r"^\s*(?:(?:const|let|var|auto|char|bool|\*)\s*)*(?P<name>[A-Za-z_]\w*)\s*:?=\s*(?P<value>.+)"
)
# No placeholder (`{size:5d}`) and no headline (`=== CORRECTNESS ===`).
_TITLE = re.compile(rf"[\"'`][^\"'`]*?(?<![\w.{{%-]){_NAME}[\"']?[ \t]*[:=](?!=)(?P<rest>.*)")
_VALUE_FIRST = re.compile(
    r"\{[^{}\"']*\}|%[-+.\d]*[a-z]"
)  # a placeholder that is closed before the words begin
_FORMAT = re.compile(r"[<>^=+,.\d]+[A-Za-z%]?\}")  # what follows the colon of `{name:>8.2f}`
_KEY = re.compile(r"[\"'](?P<name>[A-Za-z_]\w*)[\"']\s*:\s*(?P<rest>[^,}]*)")
_PRINTS = re.compile(r"print|echo|log\(|write|puts|format!|cout|dump|stringify", re.IGNORECASE)
_BOOLEAN = re.compile(
    r"==|!=|[<>]=? |\b(?:all|any|bool)\(|allclose|array_equal|\b[Tt]rue\b|\b[Ff]alse\b|\bnot | \? "
)
_NEAR = 8  # lines between a key and the metric's: farther away it is another record's
_PRINTED = re.compile(
    rf"(?:^|[\s,{{|\"']){_NAME}[\"']?[ \t]*[:=|][ \t]*[\"']?(?P<word>{_ANY})(?![\w.])", re.IGNORECASE
)
_LONGEST_LINE = 4096


@dataclass(frozen=True, slots=True)
class _Seen:
    """A field that judges, and its good word as it is printed."""

    gate: FoundGate
    where: str


def add_gates(finding: Finding, tree: Tree, paths: Iterable[str]) -> Finding:
    """The fields by which these files say that their results are right or wrong."""
    evidence = finding.evidence_for(Fact.METRIC)
    where = evidence.where if evidence else ""
    seen: dict[str, _Seen] = {}
    paths = tuple(paths)
    for path in paths:
        for one in _in_source(tree.text(path), path, where):
            if one.gate.name != finding.metric:
                seen.setdefault(one.gate.name, one)
    if not seen:
        return _told_of_nameless(finding, tree, paths)
    gates = tuple(one.gate for one in seen.values())
    return finding.with_fact(
        Fact.GATES, gates, next(iter(seen.values())).where, "it says whether its result is right"
    )


def _told_of_nameless(finding: Finding, tree: Tree, paths: Iterable[str]) -> Finding:
    """A caution where a judgement is printed in a column, or by itself: no gate can ask for it by a name."""
    for path in paths:
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            if _PRINTS.search(line) and (word := _good_word(line)):
                return finding.with_caution(
                    f"{path}:{number} prints {word}, or that it is wrong, under no name: no gate asks for it; "
                    f"let it print `correctness: {word}` as well"
                )
    return finding


def add_printed_gates(finding: Finding, output: str) -> Finding:
    """The same by what a run of the unchanged code printed; what it finds wrong is told."""
    known = {gate.name for gate in finding.gates}
    words: dict[str, list[str]] = {}
    for line in re.split(r"[\r\n]+", without_escapes(output)):
        for match in _PRINTED.finditer(line[:_LONGEST_LINE]):
            if match["word"].lower() in _JUDGING or match["name"].lower() in _NAMES:
                words.setdefault(match["name"], []).append(match["word"])
    found = []
    for name, said in words.items():
        bad = [word for word in said if word.lower() in _BAD]
        if name == finding.metric or name in known or (bad and len(bad) < len(said)):
            continue  # good here and bad there: it speaks of single cases
        if bad:
            finding = finding.with_caution(
                f"the unchanged code prints {name}: {bad[-1]}; mend that first, no gate asks for it yet"
            )
        else:
            found.append(FoundGate(name, _as_gate(said[-1])))
    if not found:
        return finding
    return finding.with_fact(Fact.GATES, (*finding.gates, *found), "", "printed by the trial run")


def _as_gate(word: str) -> str:
    return "true" if word.lower() in ("true", "1") else word


def _in_source(text: str, path: str, metric_at: str) -> list[_Seen]:
    lines = text.splitlines()
    words = {
        m["name"]: pair for line in lines if (m := _ASSIGNED.match(line)) and (pair := _good_word(m["value"]))
    }
    booleans = {m["name"] for line in lines if (m := _ASSIGNED.match(line)) and _BOOLEAN.search(m["value"])}
    at = int(metric_at.rpartition(":")[2]) if metric_at.startswith(f"{path}:") else None
    depth = _indentation(lines[at - 1]) if at and at <= len(lines) else None
    dumps = any(re.search(r"json\.dump|JSON\.stringify", line) for line in lines)
    seen = []
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith(("#", "//", "*")):
            continue
        near = at is not None and abs(number - at) <= _NEAR
        titled = _TITLE.search(line) if _PRINTS.search(line) else None
        titled = None if titled and _FORMAT.match(titled["rest"]) else titled
        if titled and (word := _word_of(line, titled) or _named(words, titled["rest"])):
            seen.append(_Seen(FoundGate(titled["name"], word), f"{path}:{number}"))
            continue
        fields = [titled] if titled else []
        if dumps and near and not SINGLE_CASE.search(line):
            fields += _KEY.finditer(line)
        for field in fields:
            deeper = depth is not None and _indentation(line) > depth and not near
            if _is_judgement(field["name"], field["rest"], booleans) and not deeper:
                seen.append(_Seen(FoundGate(field["name"], "true"), f"{path}:{number}"))
    return seen


def _is_judgement(name: str, rest: str, booleans: set[str]) -> bool:
    if name.lower() not in _NAMES:
        return False
    return bool(_BOOLEAN.search(rest)) or any(word in booleans for word in re.findall(r"[A-Za-z_]\w*", rest))


def _good_word(text: str) -> str:
    match = _PAIR.search(text)
    return (match["first"] or match["last"]) if match else ""


def _word_of(line: str, titled: re.Match[str]) -> str:
    """The good word that is printed as the title's value; one that only follows it is none."""
    pair = _PAIR.search(line)
    if pair is None or titled.start("name") > pair.start():  # `ok ? "PASSED" : …`
        return ""
    if len(_VALUE_FIRST.findall(line[titled.start("rest") : pair.start()])) > ("%s" in titled["rest"]):
        return ""
    return _good_word(line)


def _named(words: dict[str, str], rest: str) -> str:
    return next((words[name] for name in re.findall(r"[A-Za-z_]\w*", rest) if name in words), "")


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())
