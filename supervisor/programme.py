"""A first program.md, out of a person's own answers."""

from __future__ import annotations

from supervisor.answers import Answers
from supervisor.plain import one_line
from supervisor.states import Direction
from supervisor.trial import Spread


def program_text(answers: Answers, noise: Spread | None) -> str:
    """What the person wants researched, as agents read it."""
    finding = answers.finding
    command = one_line(finding.command).replace("{python}", "python")
    way = "lowest" if finding.direction is Direction.LOWER else "highest"
    lines = [
        "# The program",
        "",
        "What this lab researches. Edit it: agents read it before every plan and every edit.",
        "",
        "## Goal",
        "",
        f"The {way} `{finding.metric}` that `{command}` prints. Nothing else counts.",
        "",
        "## Ground",
        "",
        f"- May change: {', '.join(f'`{path}`' for path in (*finding.editable, *finding.new_files))}.",
        "- Everything else is protected: an edit of it is refused.",
    ]
    if finding.checks:
        lines.append(f"- `{one_line(finding.checks)}` has to pass, or an edit is rejected unmeasured.")
    if answers.stays_true:
        lines.append(f"- Must stay true: {one_line(answers.stays_true)}.")
    if answers.off_limits:
        lines.append(f"- Off-limits: {one_line(answers.off_limits)}.")
    if finding.timeout_s:
        lines.append(f"- One measurement may take {finding.timeout_s:g} seconds.")
    lines += ["", "## What counts", ""]
    if noise is not None and noise.sd:
        lines.append(
            f"The unchanged code measured {noise.mean:.6g} ± {noise.sd:.2g} ({noise.runs} runs). Gains below "
            "that noise cannot be told from it: look for larger ones first."
        )
    elif noise is not None:
        lines.append(f"The unchanged code measured {noise.mean:.6g} every time ({noise.runs} runs).")
    lines.append("One idea per experiment, with what it should do to the metric written down before it runs.")
    return "\n".join(lines) + "\n"
