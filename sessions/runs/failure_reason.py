"""The one line of a program's output that says why it failed. Pure.

What ends a run is seldom the last thing that it prints: node adds its version, ld an exit status, make the target.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sessions.runs.log import without_escapes

_LONGEST = 300
_LONGEST_LINE = 4_000  # of the output; the patterns below are tried on each
_RANK = re.compile(r"^\s*\[(?:rank|default)\d+\]:\s?")  # of a process that torchrun started

_TRACEBACK = "Traceback (most recent call last):"
_FRAME = re.compile(r'^\s+File "(?P<file>[^"]+)", line (?P<line>\d+)')
_EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(?::(?: .*)?)?$")
_GROUP = "Exception Group Traceback (most recent call last):"
_GROUP_MARGIN = re.compile(r"^ *[|+] ?")
_CAUSED = "The above exception was the direct cause of the following exception:"
# They only say that another program failed, which has said why.
_WRAPPERS = re.compile(r"^(?:\w+\.)*(?:CalledProcessError|ChildFailedError|ProcessRaisedException)\b")

_PYTEST = re.compile(r"^(?:FAILED|ERROR) \S+(?:::\S+)*(?P<why> - .+)?$")
_PYTEST_WHY = re.compile(r"^E {2,}(?P<why>\S.*)$")
_THROWN = re.compile(
    r"^(?:Uncaught )?(?P<why>(?:Exception in thread .*? )?[A-Za-z_$][\w.$]*(?: \[\w+\])?(?::.*)?)$"
)
_STACK = re.compile(r"^\s+at (?:async )?(?:.*\()?(?P<file>(?:file://)?[^()\s]+?):(?P<line>\d+)(?::\d+)?\)?")
_NODE_PLACE = re.compile(r"^(?P<file>/\S+):(?P<line>\d+)$")
_NODE_CARET = re.compile(r"^\s*\^+$")
_PANIC = re.compile(
    r"^thread '.*' (?:\(\d+\) )?panicked at (?:'(?P<why>.*)', )?(?P<file>[^\s:]+):(?P<line>\d+):\d+:?$"
)
_GO_PANIC = re.compile(r"^(?P<why>(?:panic|fatal error): .+)$")
_GO_FRAME = re.compile(r"^\t(?P<file>/\S+\.go):(?P<line>\d+)")
_GO_FAIL = re.compile(r"^\s*--- FAIL: (?P<why>\S+)")
_GO_SAID = re.compile(r"^\s+(?P<file>[\w./-]+_test\.go):(?P<line>\d+): (?P<why>.+)$")
_CPP_TYPE = re.compile(r"^terminate called after throwing an instance of '(?P<type>[^']+)'")
_CPP_WHAT = re.compile(r"^\s+what\(\):\s+(?P<why>.+)$")

_COMPILER = (
    re.compile(r"^(?P<file>[^\s:()][^:()]*):(?P<line>\d+)(?::\d+)?: (?:fatal |internal compiler )?error: (?P<why>.+)$"),
    re.compile(r"^(?P<file>[^\s()]+)\((?P<line>\d+)(?:,\d+)?\): (?:fatal )?error(?: \w+)?: (?P<why>.+)$"),
    re.compile(r"^(?P<file>[\w./-]+\.go):(?P<line>\d+)(?::\d+)?: (?P<why>.+)$"),
    re.compile(r"^(?P<why>error(?:\[E\d+\])?: (?![-+]?[\d.]).+)$"),
    re.compile(r"(?P<why>undefined reference to .+|multiple definition of .+|cannot find -l.+)$"),
    re.compile(r"(?P<why>Undefined symbols for .+)$"),
    re.compile(r"^CMake Error at (?P<file>[^:]+):(?P<line>\d+) .*?(?P<why>\(\S+\):)$"),
    re.compile(r"(?P<why>AddressSanitizer: .+|runtime error: .+)$"),
    re.compile(r"^(?P<why>go: .+|.*no required module provides package .+)$"),
)  # fmt: skip
_RUST_PLACE = re.compile(r"^\s*--> (?P<file>[^:]+):(?P<line>\d+)")
_CAUSED_BY = re.compile(r"^\s*(?:Caused by:|╰─▶|╰──?>)\s*(?P<why>.*)$")
_STRONG = re.compile(
    r"command not found|: not found$|No such file or directory|Permission denied|Is a directory$|No space left"
    r"|Assertion .*failed|No rule to make target|No targets specified"
    r"|Missing script|^(?:\w+: )?fatal: |^ERROR: |^\s*× |^Error in |MemoryError|out of memory",
)
_LAST_WORDS = re.compile(
    r"^Node\.js v\d|^\(Use `node --trace|^npm (?:ERR!|error)|^Lifecycle script |^error Command failed"
    r"|collect2: error: |linker command failed|^(?:g?make|ninja)(?:\[\d+\])?: (?:\*\*\*|Leaving|build stopped)"
    r"|^compilation terminated|^\d+ errors? generated|^exit status \d|^FAIL(?:\s|$)|^error: could not compile"
    r"|^error: (?:test|process|bench) .*(?:failed|exit)|^For more information about this error|^note: "
    r"|(?:Aborted|Segmentation fault|Killed|Bus error|Floating point exception)(?:\s+\(core dumped\))?(?:\s+\S.*)?$"
    r"|^FAILED \(|^=+$|^-+$|^=+ .* =+$|^[\[\]{}()]*$|^\d+ (?:failed|passed|error)|^goroutine |^\s+at |^\s*\^+$"
    r"|^==\d+==ABORTING|^Caused by|^warning: |^\s+code: '|^error: Recipe .* failed|^SUMMARY: |^HINT: ",
)
_SHELLS = re.compile(r"^\S*: line \d+:\s+\d+ ")  # bash tells how its child died
_NEAR_END = 6  # lines; what sounds like an error further up was lived with


@dataclass(frozen=True, slots=True)
class _Found:
    """A line that says why, and where."""

    at: int  # its index
    why: str
    place: str = ""


def failure_reason(text: str) -> str:
    """The one line that says why a program failed, with the place in its own files; "" when it said nothing.

    A stack's exception before a compiler's first error, that before whatever else was said last.
    """
    margin = _GROUP_MARGIN if _GROUP in text else _RANK
    lines = [
        margin.sub("", line.rstrip()[:_LONGEST_LINE])
        for line in without_escapes(text.replace("\r", "\n")).splitlines()
    ]
    found = _reason(lines)
    return _shortened(found.why, found.place) if found else ""


def _reason(lines: Sequence[str]) -> _Found | None:
    return _pytest(lines) or _thrown(lines) or _first_error(lines) or _last_said(lines)


def _thrown(lines: Sequence[str]) -> _Found | None:
    """The exception of the last stack, whatever its language; one that only passes a failure on gives way."""
    stacks = [found for read in _STACKS if (found := read(lines))]
    if not stacks:
        return None
    last = max(stacks, key=lambda found: found.at)
    if not _WRAPPERS.match(last.why):
        return last
    start = max((i for i in range(last.at) if lines[i].strip() == _TRACEBACK), default=0)
    before = lines[:start]
    return _thrown(before) or _first_error(before) or _last_said(before) or last


def _python(lines: Sequence[str]) -> _Found | None:
    frames = [index for index, line in enumerate(lines) if _FRAME.match(line)]
    if not frames:
        return None
    last = frames[-1]
    for at, line in enumerate(lines[last + 1 :], last + 1):
        if line and not line[0].isspace() and _EXCEPTION.match(line):
            return _Found(at, _with_cause(lines, last, line), _python_place(lines[: last + 1]))
    return None


def _with_cause(lines: Sequence[str], last_frame: int, why: str) -> str:
    start = max((i for i in range(last_frame) if lines[i].strip() == _TRACEBACK), default=0)
    before = [line for line in lines[:start] if line.strip()]
    if not before or before[-1].strip() != _CAUSED:
        return why
    cause = next((line for line in reversed(before[:-1]) if line.strip('"')), "")
    return f"{why}, from {cause}" if _EXCEPTION.match(cause) and cause != why else why


def _python_place(lines: Sequence[str]) -> str:
    """Where in the program's own files the last traceback passes, as "train.py:12"."""
    start = max((i for i, line in enumerate(lines) if line.strip() == _TRACEBACK), default=0)
    frames = [match for line in lines[start:] if (match := _FRAME.match(line))]
    own = [f for f in frames if "site-packages" not in f["file"] and "/lib/python" not in f["file"]]
    return _place((own or frames)[-1])


def _node_or_java(lines: Sequence[str]) -> _Found | None:
    """`TypeError: …` above its `at …` lines; node's thrown texts have none, but a caret."""
    for at in range(len(lines) - 1, -1, -1):
        thrown = _THROWN.match(lines[at])
        below = lines[at + 1 : at + 40]
        stack = next((i for i, line in enumerate(below) if _STACK.match(line)), None)
        if thrown and stack is not None and (":" in lines[at] or "Exception" in lines[at]) and stack < 8:
            frames = [match for line in below[stack:] if (match := _STACK.match(line))]
            own = [f for f in frames if not f["file"].startswith("node:") and "node_modules" not in f["file"]]
            own += [match for line in lines[max(at - 5, 0) : at] if (match := _NODE_PLACE.match(line))]
            return _Found(at, _whole(thrown["why"], below), _place(own[0]) if own else "")
        place = _NODE_PLACE.match(lines[at - 2]) if at >= 2 else None
        if place and _NODE_CARET.match(lines[at]):
            said = next((i for i in range(at + 1, len(lines)) if lines[i].strip()), None)
            return _Found(said, lines[said], _place(place)) if said is not None else None
    return None


def _whole(why: str, below: Sequence[str]) -> str:
    """A sentence that ends with a colon goes on in the next line that is not empty."""
    following = next((line for line in below if line.strip()), "")
    return f"{why} {following.strip()}" if why.endswith(":") and not _STACK.match(following) else why


def _rust(lines: Sequence[str]) -> _Found | None:
    for at in range(len(lines) - 1, -1, -1):
        if match := _PANIC.match(lines[at]):
            said = match["why"] or (lines[at + 1].strip() if at + 1 < len(lines) else "")
            sides = [line.strip() for line in lines[at + 2 : at + 4] if re.match(r"^ +(left|right): ", line)]
            return _Found(at, " ".join((f"panicked: {said}", *sides)), _place(match))
    return None


def _go(lines: Sequence[str]) -> _Found | None:
    for at, line in enumerate(lines):
        if (match := _GO_PANIC.match(line)) and any(each.startswith("goroutine ") for each in lines[at:]):
            frames = [f for each in lines[at:] if (f := _GO_FRAME.match(each))]
            own = [f for f in frames if "/go/src/" not in f["file"] and "/pkg/mod/" not in f["file"]]
            return _Found(at, match["why"], _place(own[0]) if own else "")
        if match := _GO_FAIL.match(line):
            said = next((s for each in lines[at:] if (s := _GO_SAID.match(each))), None)
            return _Found(
                at,
                f"{match['why']}: {said['why']}" if said else f"{match['why']} failed",
                _place(said) if said else "",
            )
    return None


def _cpp(lines: Sequence[str]) -> _Found | None:
    for at in range(len(lines) - 1, -1, -1):
        if match := _CPP_TYPE.match(lines[at]):
            what = _CPP_WHAT.match(lines[at + 1]) if at + 1 < len(lines) else None
            return _Found(at, f"{match['type']}: {what['why']}" if what else f"uncaught {match['type']}")
    return None


_STACKS: tuple[Callable[[Sequence[str]], _Found | None], ...] = (_python, _node_or_java, _rust, _go, _cpp)


def _pytest(lines: Sequence[str]) -> _Found | None:
    start = next((i for i, line in enumerate(lines) if "short test summary info" in line), None)
    if start is None:
        return None
    for at, line in enumerate(lines[start + 1 :], start + 1):
        if match := _PYTEST.match(line):
            whys = (m["why"] for each in lines[:start] if (m := _PYTEST_WHY.match(each)))
            return _Found(at, line if match["why"] else f"{line} - {next(whys, '')}".rstrip(" -"))
    return None


def _first_error(lines: Sequence[str]) -> _Found | None:
    """The first that a compiler, a linker or a build tool names: the rest follow from it."""
    for at, line in enumerate(lines):
        for pattern in _COMPILER:
            if (match := pattern.search(line)) and not _LAST_WORDS.search(line):
                where = match if "file" in match.groupdict() else _place_below(lines[at + 1 : at + 4])
                why = " ".join((_whole(match["why"], lines[at + 1 :]), *_causes(lines[at + 1 :])))
                return _Found(at, why, _place(where) if where else "")
    return None


def _place_below(lines: Sequence[str]) -> re.Match[str] | None:
    return next((match for line in lines if (match := _RUST_PLACE.match(line))), None)


def _causes(lines: Sequence[str]) -> Iterator[str]:
    """uv and cargo tell the cause of an error in the lines below it."""
    for at, line in enumerate(lines[:6]):
        if match := _CAUSED_BY.match(line):
            yield match["why"] or (lines[at + 1].strip() if at + 1 < len(lines) else "")


def _last_said(lines: Sequence[str]) -> _Found | None:
    said = [(at, line.strip()) for at, line in enumerate(lines) if line.strip()]
    telling = [(at, line) for at, line in said if not _LAST_WORDS.search(line) and not _SHELLS.match(line)]
    strong = [(at, line) for at, line in telling[-_NEAR_END:] if _STRONG.search(line)] or [
        (at, line) for at, line in said[-_NEAR_END:] if _STRONG.search(line)
    ]
    if not said:
        return None
    at, line = (strong or telling or said)[-1]
    return _Found(at, " ".join((line, *_causes(lines[at + 1 :]))))


def _place(match: re.Match[str]) -> str:
    file = match["file"].removeprefix("file://").removeprefix("./")
    return f"{Path(file).name if file.startswith('/') else file}:{match['line']}"


def _shortened(line: str, place: str) -> str:
    behind = f" ({place})" if place else ""
    line = " ".join(line.split())
    room = _LONGEST - len(behind)
    return (line if len(line) <= room else line[: room - 1] + "…") + behind
