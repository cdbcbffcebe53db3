"""A first program.md, out of a person's own answers."""

from __future__ import annotations

from supervisor.init.answers import Answers
from supervisor.init.trial_run import Spread
from supervisor.model.states import Direction
from supervisor.text import one_line


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
    return "\n".join((*lines, "", "## What counts", "", *_what_counts(noise))) + "\n"


def _what_counts(noise: Spread | None) -> list[str]:
    lines = ["One idea per experiment, with what it should do to the metric written down before it runs."]
    if noise is None:
        return lines
    measured = f"The unchanged code measured {noise.mean:.6g}"
    if not noise.sd:
        return [f"{measured} every time ({noise.runs} runs).", *lines]
    advice = "Gains below that cannot be told from noise: look for larger ones first."
    return [f"{measured} ± {noise.sd:.2g} ({noise.runs} runs). {advice}", *lines]
