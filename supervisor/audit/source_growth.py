"""How much an edit makes the source say, beyond what a change of that many statements needs."""

from __future__ import annotations

import ast
import lzma
from collections import Counter
from collections.abc import Mapping

from supervisor.audit.reader import as_text, nodes_of
from supervisor.text import parsed

# Of honest edits, compressed beside the code that they change, a statement takes 20 to 60 bytes with all its names.
_STATEMENT_BYTES, _EDIT_BYTES = 90, 700
LINEAGE = 3  # experiments' worth that all the keeps of a campaign may add together


def find_data(
    base: Mapping[str, str], before: Mapping[str, str], after: Mapping[str, str], source_kb: float
) -> str:
    """Why `after` carries more than code, or "". `base` is what the campaign began with, `before` the parent."""
    excess = unexplained_bytes(before, after)
    if excess > 0:
        grown = grown_bytes(before, after)
        return f"the source grew by {grown:,} compressed bytes, {excess:,} more than its new statements need"
    for since, known, kilobytes in (
        ("its parent", before, source_kb),
        ("the campaign began", base, LINEAGE * source_kb),
    ):
        grown = grown_bytes(known, after)
        if grown > 1024 * kilobytes:
            allowed = f"[audit] source_kb allows {1024 * kilobytes:,.0f}"
            return f"the source grew by {grown:,} compressed bytes since {since}; {allowed}"
    return ""


def unexplained_bytes(before: Mapping[str, str], after: Mapping[str, str]) -> int:
    """Compressed bytes that the sources grew by, less what their new statements may take; 0 or less is honest."""
    statements = _statements(after) - _statements(before)
    return grown_bytes(before, after) - _EDIT_BYTES - _STATEMENT_BYTES * statements.total()


def grown_bytes(before: Mapping[str, str], after: Mapping[str, str]) -> int:
    """What these sources say that those did not, compressed: moved and repeated text counts for nothing."""
    known = "\n".join(text for _, text in sorted(before.items()))
    new = "\n".join(text for _, text in sorted(after.items()))
    return _compressed(known + "\n" + new) - _compressed(known)


def _compressed(text: str) -> int:
    return len(lzma.compress(text.encode(), format=lzma.FORMAT_ALONE, preset=6))


def _statements(sources: Mapping[str, str]) -> Counter[str]:
    """Simple statements and the heads of others, as text; literals and texts that nothing uses are none."""
    found: Counter[str] = Counter()
    for text in sources.values():
        tree = parsed(text)
        for node in nodes_of(tree) if tree else ():
            match node:
                case ast.Expr(value=ast.Constant()):
                    continue
                case ast.stmt():
                    found[_head(node)] += 1
    return found


def _head(node: ast.stmt) -> str:
    return as_text(node).partition("\n")[0]
