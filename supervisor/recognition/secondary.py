"""Secondary metrics that a session's document lists."""

from __future__ import annotations

import re

from supervisor.recognition.finding import Fact, Finding
from supervisor.recognition.tree import Tree

_LIST = re.compile(
    r"^\s*(?:[-*+]\s+)?\**(?:Secondary|Tradeoff|Secondary metrics?)\**\s*:\**\s*(?P<names>.*)", re.IGNORECASE
)
_BULLET = re.compile(r"^\s+[-*+]\s+(?P<names>.*)")
_NAME = re.compile(r"[A-Za-z_µ][\w./µ-]{0,60}")
_MOST = 8


def add_secondary(finding: Finding, tree: Tree, document: str) -> Finding:
    """What the document names beside the primary metric, on its line or in the list below it."""
    lines = tree.text(document).splitlines()
    for number, text in enumerate(lines, 1):
        if not (match := _LIST.match(text)):
            continue
        parts = [match["names"]]
        for below in lines[number:]:
            if not (bullet := _BULLET.match(below)):
                break
            parts.append(bullet["names"])
        names = dict.fromkeys(name for part in parts for name in _names_in(part) if name != finding.metric)
        if names:
            where = f"{document}:{number}"
            return finding.with_fact(Fact.ALSO, tuple(names)[:_MOST], where, "its secondary metrics")
    return finding


def _names_in(text: str) -> list[str]:
    if ticked := re.findall(r"`([^`]+)`", text):
        return [name for name in ticked if _NAME.fullmatch(name)]
    bare = re.sub(r"\([^)]*\)", "", text)
    words = [word.strip(" *.") for word in re.split(r",|;| and ", bare)]
    return [word for word in words if _NAME.fullmatch(word) and word.lower() not in ("none", "n/a")]
