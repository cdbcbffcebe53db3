"""What people write of their labs, in their many ways: what may change, how it is run, what counts, which way is up."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from supervisor.model.states import Direction
from supervisor.recognition.finding import Fact, Finding, Kind
from supervisor.recognition.recognise import recognise
from supervisor.recognition.tree import Tree

CODE = {
    "src/fast.py": "STEP = 7\n",
    "src/slow.py": "STEP = 9\n",
    "src/judge.py": "CASES = 40\n",
    "tools/run_bench.py": 'print(f"cost: {7}")\nprint(f"share: {0.5}")\n',
    "tools/other.py": "",
    "data/cases.json": "[]",
}


def found_in(files: dict[str, str]) -> Finding | None:
    return recognise(Tree(Path("/nowhere"), files, read=lambda path: files[path].encode()))


PLAIN = """\
# Make it cheap

Edit `src/fast.py` to lower the cost. Run `python tools/run_bench.py > run.log 2>&1`, then
`grep "^cost:" run.log`. Lower is better. Never touch `src/judge.py` or anything in `data/`.
"""
HEADED = """\
# Program

## What you can change
- `src/fast.py`: the hot path, used by `tools/run_bench.py`

## Do NOT modify
- `tools/run_bench.py`
- `src/judge.py`

## How to run

```bash
pip install -r requirements.txt
python tools/run_bench.py
```

## Metric
`cost` (the lower the better)
"""
TABLED = """\
| File | Role | Editable |
|---|---|---|

**Editable files**: `src/fast.py`
**Off limits**: `src/judge.py`, `data/`
**Command**: `python tools/run_bench.py 2>&1 | tee run.log`
**Primary metric**: `cost`, minimize
"""
EXCEPT = """\
You must not modify any file other than `src/fast.py`. Benchmark with `python3 tools/run_bench.py`.
The metric is `cost`. We want it as low as possible.
"""
SOLE = """\
The only file you may edit is src/fast.py. Everything else (src/judge.py, tools/) is read-only.

To measure:

    python tools/run_bench.py

Measure with `python tools/run_bench.py`; minimize `cost`.
"""
PASSIVE = """\
Only `src/fast.py` may be edited; `tools/run_bench.py` must not be changed.

Run `python tools/run_bench.py`. The metric is `cost`, lower is better.
"""
SCOPED = """\
Everything in `src/` is in scope; `src/slow.py` and `src/judge.py` are off limits.

Run `python tools/run_bench.py`. The metric is `cost`, lower is better.
"""


@pytest.mark.parametrize("program", [PLAIN, HEADED, TABLED, EXCEPT, SOLE, PASSIVE, SCOPED])
def test_a_program_says_what_a_lab_is(program: str) -> None:
    finding = found_in(CODE | {"program.md": program})
    assert finding is not None
    assert finding.editable == ("src/fast.py",)
    assert finding.command == "{python} tools/run_bench.py"
    assert (finding.metric, finding.direction) == ("cost", Direction.LOWER)
    assert not finding.guesses
    assert not finding.missing
    for fact in (Fact.EDITABLE, Fact.COMMAND, Fact.METRIC, Fact.DIRECTION):
        evidence = finding.evidence_for(fact)
        assert evidence is not None
        assert evidence.where.startswith("program.md:"), fact


def test_a_readme_that_says_what_alone_may_change_goes_before_what_the_evaluator_uses() -> None:
    files = {
        "bench.sh": "python3 serve.py &\npython3 judge.py\n",
        "serve.py": "PORT = 80\n",
        "judge.py": 'open("prompts/system.md")\nprint(f"cost: {7}")\n',
        "prompts/system.md": "Be brief.\n",
        "README.md": "You can change `serve.py` to use another port.\n\nOnly `prompts/system.md` may be edited.\n",
    }
    finding = found_in(files)
    assert finding is not None
    assert finding.editable == ("prompts/system.md",)
    evidence = finding.evidence_for(Fact.EDITABLE)
    assert evidence is not None and evidence.where == "README.md:3"


def test_higher_and_a_folder_and_a_shell_line() -> None:
    program = (
        "Optimize anything under `src/`, but never touch `src/judge.py`.\n\n"
        "Run: `TRIES=3 python tools/run_bench.py | awk '{print $2}'`\n\nMaximize `share`; higher is better.\n"
    )
    finding = found_in(CODE | {"program.md": program})
    assert finding is not None
    assert finding.editable == ("src/fast.py", "src/slow.py")
    assert shlex.split(finding.command)[2:] == ["TRIES=3 python tools/run_bench.py | awk '{print $2}'"]
    assert (finding.metric, finding.direction) == ("share", Direction.HIGHER)


def test_what_is_closed_is_never_the_canvas_and_a_doubt_is_a_question() -> None:
    files = {"train.py": "LR = 0.1\nprint(f'loss: {LR}')\n", "model.py": "DEPTH = 3\n"}
    finding = found_in(files | {"program.md": "Do not modify `train.py`: it is the benchmark.\n"})
    assert finding is not None
    assert Fact.EDITABLE in finding.missing
    assert any("program.md:1 says that train.py must not change" in caution for caution in finding.cautions)
    for said in ("`train.py` is off limits.\n", "`train.py` must not be changed.\n"):
        shut = found_in(files | {"program.md": said})
        assert shut is not None and Fact.EDITABLE in shut.missing
    finding = found_in(files | {"program.md": "`train.py` is off limits. Edit `model.py` only.\n"})
    assert finding is not None
    assert finding.editable == ("model.py",)


def test_two_commands_two_metrics_and_two_ways_up_are_doubts() -> None:
    program = (
        "Edit `src/fast.py`.\n\nRun `python tools/run_bench.py` or run `python tools/other.py`.\n\n"
        "Minimize `cost`.\n\nMaximize `share`.\n"
    )
    finding = found_in(CODE | {"program.md": program})
    assert finding is not None
    assert {Fact.COMMAND, Fact.METRIC, Fact.DIRECTION} <= finding.guesses


@pytest.mark.parametrize(
    "prompt",
    [
        "## Metrics\n- **Primary (optimization target)**: `ratio` — lower is better\n- **Secondary**:\n"
        "  - `base_ms` — without it\n\n## Files in Scope\n- `src/a.py` — the hot path\n\n"
        "## Off Limits\n- `auto/`\n",
        "**Primary metric:** `ratio` (lower is better)\n\n### Scope\n\n| file | what |\n"
        "|---|---|\n| `src/a.py` | hot |\n\n### Out of scope\n`src/b.py`, `auto/`\n",
        "You may only change `src/a.py`; `src/b.py` is off limits.\n\nPrimary metric is `ratio`; lower is better.\n",
        "## Objective\nMinimize `ratio`.\n\n## Editable files\n1. src/a.py\n\n## Constraints\n- Don't touch src/b.py\n",
    ],
)
def test_sessions_as_people_write_them(prompt: str) -> None:
    files = {
        "src/a.py": "STEP = 7\n",
        "src/b.py": "STEP = 8\n",
        "auto/bench.py": 'print(f"METRIC base_ms={70.0}")\nprint(f"METRIC ratio={1.5}")\n',
        "auto/autoresearch.sh": "#!/usr/bin/env bash\npython3 auto/bench.py\n",
        "auto/autoresearch.md": f"# Autoresearch: less overhead\n\n{prompt}",
    }
    finding = found_in(files)
    assert finding is not None
    assert finding.kind is Kind.AUTO
    assert finding.editable == ("src/a.py",)
    assert finding.command == "bash auto/autoresearch.sh"
    assert (finding.metric, finding.direction) == ("ratio", Direction.LOWER)


def test_the_usual_program_of_another_project() -> None:
    program = (
        "Each experiment runs on one GPU: `uv run fit.py`.\n\n**What you CAN do:**\n- Modify `model.py` — this is the "
        "only file you edit.\n\n**What you CANNOT do:**\n- Modify `loader.py`. It is read-only.\n- Install packages: "
        "use what is in `pyproject.toml`.\n\n**The goal is simple: get the lowest val_loss.**\n\n1. Tune `model.py`\n"
        '2. Run: `uv run fit.py > run.log 2>&1`\n3. `grep "^val_loss:" run.log`; if it is empty, `tail -n 50 run.log`\n'
    )
    files = {"model.py": "K = 1\n", "fit.py": "import model\nprint(f'val_loss: {0.1}')\n", "loader.py": ""}
    finding = found_in(files | {"pyproject.toml": "", "program.md": program})
    assert finding is not None
    assert (finding.editable, finding.command) == (("model.py",), "uv run fit.py")
    assert (finding.metric, finding.direction, finding.guesses) == ("val_loss", Direction.LOWER, frozenset())
    assert "loader.py" in finding.protected


def test_a_program_that_tells_nothing_changes_nothing() -> None:
    files = {"solution.py": "K = 1\n", "evaluate.py": "import solution\nprint(f'score: {1}')\n"}
    assert found_in(files | {"program.md": "# Hi\nPlease research this.\n"}) == found_in(files)
