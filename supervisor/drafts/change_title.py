"""What an edit changed, in one line, read off the code: `RATE 0.5 → 0.25`, `train.py: step(), +3 −1 lines`. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence

_LONGEST = 120
_LONGEST_VALUE = 24
_MOST = 3
_MOST_LINES = 4000  # of a file that is compared
_VALUE = re.compile(
    r"\s*(?:(?:export|pub|const|let|var|static|final|#define|constexpr|int|long|float|double|usize)\s+)*"
    r"(?P<name>[A-Za-z_][\w.\[\]\"']*)(?:\s*:[^=]+)?(?:\s*[:=]=?\s*|\s+)(?P<value>[^=#;\s][^#;]*?)\s*,?\s*;?\s*(?:(?:#|//|/\*).*)?"
)
_PLACE = re.compile(
    r"\s*(?:(?:async|export|pub|static|public|private)\s+)*(?:def|class|fn|func|function|impl)\s+(?:\([^)]*\)\s*)?(?P<name>\w+)"
)


def change_title(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """The change between two states of some files, by path; "" when there is none."""
    changed = [path for path in dict.fromkeys((*before, *after)) if before.get(path) != after.get(path)]
    parts: list[str] = []
    for path in changed:
        one = _of_file(before.get(path, ""), after.get(path, ""))
        only_values = all("→" in part for part in one)
        parts += one if only_values and len(changed) == 1 else [f"{path}: {', '.join(one)}"]
    shown = parts[:_MOST] + ([f"{len(parts) - _MOST} more"] if len(parts) > _MOST else [])
    title = ", ".join(shown)
    return title if len(title) <= _LONGEST else title[: _LONGEST - 1] + "…"


def _of_file(before: str, after: str) -> list[str]:
    old, new = before.splitlines()[:_MOST_LINES], after.splitlines()[:_MOST_LINES]
    values: list[str] = []
    places: dict[str, None] = {}
    added = removed = 0
    whole = True
    for tag, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        added, removed = added + d - c, removed + b - a
        pairs = list(_values(old[a:b], new[c:d]))
        values += [one for one in pairs if one]
        whole = whole and len(pairs) == b - a == d - c and all(pairs)
        places |= dict.fromkeys(filter(None, (_place(new, c),)))
    if whole and values:
        return values
    where = [f"{name}()" for name in places][:_MOST]
    return [*values[:1], *where, f"+{added} −{removed} lines"]


def _values(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    for before, after in zip(old, new, strict=False):
        one, other = _VALUE.fullmatch(before), _VALUE.fullmatch(after)
        if one and other and one["name"] == other["name"]:
            yield f"{one['name']} {_short(one['value'])} → {_short(other['value'])}"
        else:
            yield ""


def _short(value: str) -> str:
    return value if len(value) <= _LONGEST_VALUE else value[: _LONGEST_VALUE - 1] + "…"


def _place(lines: Sequence[str], at: int) -> str:
    for line in reversed(lines[: at + 1]):
        if match := _PLACE.match(line):
            return match["name"]
    return ""
