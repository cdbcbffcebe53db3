"""The referee's word against the runner's meters: canvases that lie over the real socket, and honest ones."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from sessions.runs.contract import PROGRESS_FILE, Expected, RunEnding, read_spec
from tests.sessions import trainers
from tests.sessions.conftest import Make, log_of, run

TOLD = "told.update(steps=12, tokens=3456, training_s={0}); say('phase', phase='evaluating', **told)\n"
TRAINED = "say('phase', phase='training')\nburn(0.05)\n" + TOLD.format(0.05)
LIES = {
    "trains on": (
        "say('phase', phase='training')\nburn(1.6)\n" + TOLD.format(0.2) + "report()",
        "clock: it trained for 1.",
    ),
    "claims more": ("train()\nreport(training_s=9.0)", "clock: it reported 9.0 s of training"),
    "other steps": ("train()\nreport(steps=99)", "report: steps 99 where it was 12 when training ended"),
    "other tokens": ("train()\nreport(tokens=0)", "report: tokens 0 where it was 3456"),
    "steps fall": (
        "say('phase', phase='training')\nsay('progress', step=9)\nsay('progress', step=3)\n"
        + TOLD.format(0.0)
        + "report()",
        "report: the count of steps fell",
    ),
    "steps fall at the end": (
        "say('phase', phase='training')\nsay('progress', step=900)\n" + TOLD.format(0.0) + "report()",
        "report: the count of steps fell",
    ),
    "shrinks the evaluation": (
        "train()\nreport(evaluated_bytes=10)",
        "report: evaluated_bytes 10 where 5000",
    ),
    "other data": (
        "train()\nreport(data_fingerprint='cd34')",
        "report: data_fingerprint 'cd34' where 'ab12'",
    ),
    "prints better": (
        "train()\nprint('val_bpb: 1.2')\nreport()",
        "printed val_bpb 1.2 is not the reported 1.75",
    ),
    "prints better early": (
        "print('val_bpb: 1.2')\nprint('x' * 200000)\ntrain()\nreport()",
        "printed val_bpb 1.2 is not the reported 1.75",
    ),
}
HONEST = {
    "rounds": "train()\nprint('val_bpb:          1.750000')\nprint('val_bpb: 1.8')\nreport(1.7500001)",
    "another name": "print('train_val_bpb: 0.3')\nprint('val_bpb: soon')\ntrain()\nreport()",
    "warms up beyond the cap": (
        "say('phase', phase='warm-up')\nburn(2.5)\nsay('phase', phase='starting')\n"
        "say('phase', phase='training')\nburn(0.1)\n" + TOLD.format(2.6) + "report()"
    ),
    "progress": "say('phase', phase='training')\nsay('progress', step=3)\nsay('progress', step=3)\n"
    + TOLD.format(0.0)
    + "say('progress', step=1)\nreport()",
}
SAME = """
plain_report = report
def report(*value, **rest):
    plain_report(*value, **{"evaluated_bytes": 5000, "data_fingerprint": "ab12", **rest})
"""
EXPECTED = Expected(data_fingerprint="ab12", evaluated_bytes=5000)


@pytest.mark.parametrize("kind", LIES)
def test_what_cannot_be_true_is_rejected(kind: str, make: Make, cli: Path) -> None:
    script, reason = LIES[kind]
    outcome = run(make(SAME + script, expected=EXPECTED), cli)
    assert outcome.ending is RunEnding.REJECTED and outcome.metric is None
    assert reason in outcome.reason


@pytest.mark.parametrize("kind", HONEST)
def test_an_honest_run_passes(kind: str, make: Make, cli: Path) -> None:
    outcome = run(make(SAME + HONEST[kind], expected=EXPECTED), cli)
    assert (outcome.ending, outcome.reason) == (RunEnding.MEASURED, "")
    assert (outcome.suspicions, outcome.evaluated_bytes) == ((), 5000)


def test_phases_are_metered_and_warm_up_is_not_held_against_the_start(make: Make, cli: Path) -> None:
    script = (
        "burn(0.3)\nsay('phase', phase='warm-up')\nburn(0.8)\nsay('phase', phase='starting')\nburn(0.2)\n"
        + TRAINED
        + "burn(0.4)\nreport()"
    )
    outcome = run(make(script), cli)
    assert outcome.starting_cpu_s == pytest.approx(0.55, abs=0.25)
    assert outcome.training_s == pytest.approx(0.05, abs=0.1)
    assert outcome.evaluating_cpu_s == pytest.approx(0.4, abs=0.2)


@pytest.mark.parametrize(
    ("script", "rule"),
    [
        ("burn(0.6)\ntrain()\nreport()", "compute-before-the-clock"),
        ("train()\nburn(0.6)\nreport()", "compute-after-the-clock"),
        (trainers.LEAVES_HELPERS, "processes-left"),
    ],
)
def test_what_is_strange_is_a_suspicion(
    script: str,
    rule: str,
    make: Make,
    cli: Path,
) -> None:
    # The baseline's figures, less what is always let pass: as if it had taken no time at all.
    usual = Expected(starting_cpu_s=-2.35, evaluating_cpu_s=-2.35)
    outcome = run(make(script, expected=usual), cli)
    assert outcome.ending is RunEnding.MEASURED, "a suspicion ends nothing"
    assert [seen.rule for seen in outcome.suspicions] == [rule]
    quiet = run(make(script.replace("0.6", "0.01").replace(trainers.HELPERS, ""), expected=usual), cli)
    assert quiet.suspicions == ()


def test_two_reports_of_a_foreign_lab_that_differ_are_a_suspicion(make: Make, cli: Path) -> None:
    outcome = run(make(trainers.FOREIGN, head="", has_referee=False), cli)
    assert (outcome.metric, outcome.suspicions) == (1.625, ()), "a metric that is printed as it goes is none"
    both = "print('METRIC val_bpb=1.5')\nprint('val_bpb: 0.9')"
    outcome = run(make(both, head="", has_referee=False), cli)
    assert outcome.metric == 1.5
    assert [seen.detail for seen in outcome.suspicions] == [
        "val_bpb 1.5 (metric) counts; it also printed 0.9 (colon)"
    ]


# Tampering


TAMPER = {
    "the referee": (
        "open(REFEREE + '/prepare.py', 'a').write('#')",
        "prepare.py of the referee's copy changed",
    ),
    "a file beside": ("open('prepare.py', 'w').write('#')", "prepare.py of the bench appeared"),
    "the script": ("os.unlink('train.py')", "train.py of the bench is gone"),
    "a link": ("os.symlink('/etc', 'data')", "data of the bench appeared"),
}


@pytest.mark.parametrize("when", ["smoke", "run"])
@pytest.mark.parametrize("kind", TAMPER)
def test_files_that_change_are_tampering(
    kind: str,
    when: str,
    make: Make,
    cli: Path,
    tmp_path: Path,
) -> None:
    action, reason = TAMPER[kind]
    referee = tmp_path / "referee"
    referee.mkdir()
    (referee / "prepare.py").write_text("# the referee\n")
    script = (
        f"REFEREE = {str(referee)!r}\ntrain()\nif task['smoke'] == {when == 'smoke'}:\n    {action}\nreport()"
    )
    outcome = run(make(script, referee=referee, smoke=True), cli)
    assert outcome.ending is RunEnding.REJECTED
    assert f"tampering: {reason} while it ran" in outcome.reason
    assert outcome.reason.startswith("smoke run") == (when == "smoke")


def test_a_foreign_lab_may_write_in_its_bench_but_not_on_protected_files(
    make: Make,
    cli: Path,
    tmp_path: Path,
) -> None:
    script = "open('model.pt', 'w').write('x')\nopen('train.py', 'a').write('#')\nprint('val_bpb: 1.5')"
    spec = make(script, head="", has_referee=False, referee=tmp_path / "none")
    assert run(spec, cli).metric == 1.5
    spec = make("open('prepare.py', 'w').write('x')\n" + script, head="", has_referee=False)
    (spec.cwd / "prepare.py").write_text("fixed")
    spec = dataclasses.replace(spec, referee=tmp_path / "none", protected=(spec.cwd / "prepare.py",))
    outcome = run(spec, cli)
    assert outcome.reason == "tampering: prepare.py of the bench changed while it ran"


def test_nothing_of_a_smoke_run_reaches_the_run(make: Make, cli: Path) -> None:
    script = (
        "traps = [os.environ[name] + '/trap' for name in ('HOME', 'TMPDIR')]\n"
        "print('found', [os.path.exists(trap) for trap in traps])\n"
        "[open(trap, 'w') for trap in traps]\ntrain()\nreport()"
    )
    spec = make(script, smoke=True)
    assert run(spec, cli).metric == 1.75
    assert log_of(spec).count("found [False, False]") == 2
    assert not [path for path in spec.directory.iterdir() if path.name.startswith("private")]


# The sealed holdout


ASK = """
def ask():
    say("phase", phase="holdout")
    head = json.loads(binary.readline())
    return binary.read(2 * head["tokens"])
binary = wire.buffer
"""


def sealed(tmp_path: Path, tokens: int = 300_000) -> Path:
    path = tmp_path / "sealed.bin"
    path.write_bytes(bytes(range(250)) * (tokens * 2 // 250))
    return path


def test_the_holdout_is_streamed_once_training_has_ended(make: Make, cli: Path, tmp_path: Path) -> None:
    path = sealed(tmp_path)
    script = (
        "import hashlib\nassert task['holdout'] != task['smoke']\n"
        "say('phase', phase='holdout')\ntrain()\nif task['smoke']:\n    report()\n    sys.exit()\n"
        "text = ask()\nprint('what it saw:', text[:9])\n"
        f"assert hashlib.sha256(text).digest() == hashlib.sha256(open({str(path)!r}, 'rb').read()).digest()\n"
        "report(holdout=1.875)"
    )
    script = script.replace("task['holdout'] != task['smoke']", "task.get('holdout', False) != task['smoke']")
    spec = make(ASK + script, holdout=path, smoke=True)
    outcome = run(spec, cli)
    assert (outcome.ending, outcome.reason, outcome.metric) == (RunEnding.MEASURED, "", 1.75)
    assert outcome.holdout == 1.875 and "holdout" not in outcome.report
    assert "what it saw" not in log_of(spec) and "1.875" not in log_of(spec)
    assert "1.875" not in (spec.directory / PROGRESS_FILE).read_text()
    assert not any(str(path) in value for value in read_spec(spec.directory).env.values())


def test_no_holdout_without_having_been_given_one(make: Make, cli: Path) -> None:
    outcome = run(make("assert 'holdout' not in task\ntrain()\nreport(holdout=1.0)"), cli)
    assert (outcome.metric, outcome.holdout) == (1.75, None)
    assert "holdout" not in json.dumps(outcome.report)


def test_failing_on_the_holdout_tells_nothing_of_it(make: Make, cli: Path, tmp_path: Path) -> None:
    for last, reason in (
        ("raise ValueError(text[:20])", "it failed on the sealed holdout"),
        ("say('rejected', reason='causality: ' + str(text[:20]))", "causality: on the sealed holdout"),
    ):
        spec = make(ASK + "train()\ntext = ask()\n" + last, holdout=sealed(tmp_path))
        assert run(spec, cli).reason == reason
        assert "ValueError" not in log_of(spec)


def test_a_referee_that_takes_nothing_in_blocks_nothing(make: Make, cli: Path, tmp_path: Path) -> None:
    script = "train()\nsay('phase', phase='holdout')\nreport(holdout=float('nan'))"
    outcome = run(make(script, holdout=sealed(tmp_path)), cli)
    assert (outcome.metric, outcome.holdout) == (1.75, None)
