"""The words by which people's documents say what may change, what not, how it is run and which way is up."""

from __future__ import annotations

import re
from enum import StrEnum


class Topic(StrEnum):
    """What a heading says that the lines below it are about."""

    OPEN = "open"
    CLOSED = "closed"
    METRIC = "metric"
    RUN = "run"
    OTHER = "other"


HEADING = re.compile(r"^\s{0,3}(?:#{1,6}\s+(?P<hash>.+?)\s*#*|\*\*(?P<bold>[^*]+?):?\*\*:?)\s*$")
LEAD = re.compile(r"^\s*(?:[-*+]\s+)?\**(?P<label>[A-Za-z][A-Za-z '’/-]{2,40}?)\**\s*:\**\s*(?P<rest>.*)$")
TOPICS = (
    (Topic.CLOSED, r"off[- ]?limits?|out[- ]of[- ]scope|not (?:be )?(?:touch|edit|chang|modif)|"
    r"don['’]?t\b|do not|never|"
     r"read[- ]?only|forbidden|protected|must not|may not|can(?:no|['’])t|immutable|hands[- ]off|"
     r"leave alone|frozen|fixed"),
    (Topic.OPEN, r"in scope|^scope$|editable|(?:can|may|should|to) (?:be )?(?:edit|chang|modif|"
    r"optimi[sz]|tun|improv)|"
     r"(?:you )?(?:can|may) (?:edit|change|modify|touch)|target files?|files? to (?:edit|change|modify|"
     r"touch|optimi)|canvas|"
     r"mutable|allowed (?:files|changes)|knobs"),
    (Topic.METRIC, r"metrics?|objective|score|what counts|success|optimi[sz]ation target"),
    (Topic.RUN, r"how to (?:run|measure|evaluate|benchmark)|^(?:run|running|command|benchmark|measur\w*|"
    r"evaluat\w*)s?$|"
     r"running (?:it|the)|benchmark command|run command"),
)  # fmt: skip
NOT = re.compile(
    r"\b(?:never|do not|don['’]?t|must not|may not|can(?:no|['’])t|not allowed|off[- ]limits|"
    r"read[- ]only|leave|without "
    r"(?:chang|touch|edit|modif)\w+|not (?:be )?(?:edit|chang|modif|touch)\w*|forbidden|is (?:fixed|"
    r"protected|frozen))\b",
    re.I,
)
# Said of what stands before it: `judge.py` is off limits.
SHUT = re.compile(
    r"(?:off[- ]limits|read[- ]only|forbidden|not allowed|is (?:fixed|protected|frozen)|"
    r"(?:must not|may not|can(?:no|['’])t|not) be)\b",
    re.I,
)
BUT = re.compile(
    r"\b(?:other than|except(?: for)?|besides|but|apart from|anything else|everything else|only)\b", re.I
)
EDIT = re.compile(
    r"\b(?:edit|edits|modify|change|optimi[sz]e|improve|tune|rewrite|work on|(?:only|single|"
    r"one) (?:editable )?file|editable|(?:is|are) in scope|"
    r"(?:may|can|should|to) be (?:edited|changed|modified|optimi[sz]ed|improved|tuned|rewritten))\b",
    re.I,
)
RUN = re.compile(r"\b(?:run|runs|execute|measure[ds]?|benchmark|evaluate[ds]?|launch)\b", re.I)
TICKED = re.compile(r"`([^`\n]+)`")
WORD = re.compile(r"(?<![\w/.-])(?:\./)?[\w-]*[\w*.-]*(?:/[\w*.-]+)*(?:/|\.\w+)(?![\w/])")
REDIRECT = re.compile(r"\s*(?:2>&1\s*)?(?:\d?&?>{1,2}\s*[^\s|]+|\|\s*tee\s+\S+(?:\s+-a)?)(?:\s*2>&1)?\s*$")
NO_MEASURE = re.compile(
    r"^(?:git|pip3?|cd|ls|cat|grep|rg|tail|head|cp|mv|rm|mkdir|source|\.|export|echo|curl|wget|apt\S*|brew|conda|"
    r"uv (?:sync|pip|venv|add|lock)|npm (?:ci|i|install)|yarn install|pnpm i\w*|chmod|touch|diff|sed|"
    r"awk|nvidia-smi|ssh|"
    r"docker (?:pull|build)|autoresearch\S*|claude|codex|python3? -m (?:venv|pip))\b"
)
RUNNER = re.compile(
    r"^(?:[A-Z_]+=\S+\s+)*(?:python3?|uv run|bash|sh|zsh|node|npm|npx|pnpm|yarn|bun|deno|make|cargo|go|just|ninja|"
    r"pytest|julia|Rscript|ruby|java|poetry run|pixi run|torchrun|\./|[\w./-]+\.(?:sh|py)\b)"
)
NAME = r"`?(?P<name>[A-Za-z_][\w./%@-]*[\w%])`?"
METRICS = (
    re.compile(r"\bgrep\s+(?:-\w+\s+)*[\"']\^?(?:METRIC\s+)?(?P<name>[A-Za-z_][\w.]*)\s*[:=]"),
    re.compile(rf"\*\*Primary[^*]*\*\*[^`\w]*(?:metric\W+)?{NAME}", re.I),
    re.compile(
        rf"\bprimary(?: optimi[sz]ation)?(?: metric| target)?\s*(?:\([^)]*\))?\s*(?:is|:|=|\|)\s*{NAME}", re.I
    ),
    re.compile(r"\b(?:the |our )?(?:target )?(?:metric|score) (?:is|"
    r"to optimi[sz]e is)\s+(?:the )?`(?P<name>[^`\s]+)`", re.I),
    re.compile(r"^\W*(?:metric|score|objective)\s*[:|]\s*`(?P<name>[^`\s]+)`", re.I),
    re.compile(r"\bprints?\b.*?`(?P<name>[A-Za-z_][\w.%@-]*)\s*[:=]\s*[-+\d.]", re.I),
    re.compile(r"\b(?:lowest|highest|best)(?: possible)? `?(?P<name>[A-Za-z]\w*_\w+)`?", re.I),
    re.compile(r"\b(?:minimi[sz]e|maximi[sz]e|lower|reduce|raise|increase|improve|"
    r"optimi[sz]e)\s+(?:the )?`(?P<name>[\w.%@-]+)`", re.I),
)  # fmt: skip
NAMED_FIRST = re.compile(r"^\s*(?:[-*+]\s+)?\**`(?P<name>[A-Za-z_][\w.%@-]*)`")
SECONDARY = re.compile(r"secondary|also|tie[- ]?break|guard", re.I)
LOWER = re.compile(
    r"\b(?:lower|smaller|less|fewer)\b(?:\W+\w+){0,2}?\W+(?:is |are |= ?|the )?(?:better|wins?|best)|"
    r"\blower\s*=\s*better|"
    r"\bthe (?:lower|smaller|fewer|less)\b.{0,12}\bthe better|\bminimi[sz]e\b|\bas (?:low|small|few|"
    r"fast) as possible|↓|\blowest\b|"
    r"\|\s*(?:lower|down|min(?:imi[sz]e)?)\s*(?:\||$)|\bdirection\W+(?:lower|down|min)",
    re.I,
)
HIGHER = re.compile(
    r"\b(?:higher|larger|greater|more|bigger)\b(?:\W+\w+){0,2}?\W+(?:is |are |= ?|the )?(?:better|wins?|best)|"
    r"\bhigher\s*=\s*better|\bthe (?:higher|larger|more|greater)\b.{0,12}\bthe better|\bmaximi[sz]e\b|"
    r"\bas (?:high|large|much|many) as possible|↑|\bhighest\b|\|\s*(?:higher|up|"
    r"max(?:imi[sz]e)?)\s*(?:\||$)|\bdirection\W+(?:higher|up|max)",
    re.I,
)
