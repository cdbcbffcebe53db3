"""What a person may answer to `init`, and what is refused with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.init import answers as taking
from supervisor.init.answers import Answers, BadAnswer
from supervisor.init.program_md import program_text
from supervisor.init.questions import WIZARD, first_guess, gaps_of
from supervisor.init.trial_run import Spread
from supervisor.model.states import Direction
from supervisor.recognition.finding import Fact, Finding, Kind
from supervisor.recognition.tree import Tree

FILES = ("run.sh", "src/a.c", "src/b.c", "notes.md", "two words.py")
TREE = Tree(Path("/nowhere"), FILES)
EMPTY = Answers(Finding(Kind.ASKED, 1.0))


def test_what_may_change_is_files_folders_and_globs() -> None:
    found = taking.take_editable(EMPTY, "./notes.md, src/*.c 'two words.py'", TREE).finding
    assert found.editable == ("notes.md", "src/a.c", "src/b.c", "two words.py")
    assert found.new_files == ("src/*.c",)
    assert taking.take_editable(EMPTY, "src", TREE).finding.new_files == ("src/*",)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "at least one file"),
        ("nope.py", "nope.py is not among the committed files"),
        ("../etc/passwd", "not among the committed files"),
        ("'open", "no closing quotation"),
    ],
)
def test_what_can_not_change_is_named(text: str, why: str) -> None:
    with pytest.raises(BadAnswer, match=why):
        taking.take_editable(EMPTY, text, TREE)


def test_a_command_is_a_program_or_a_committed_file() -> None:
    for line in ("{python} notes.md", "./run.sh --fast", "sh -c 'a && b'"):
        assert taking.take_command(EMPTY, line, TREE).finding.command == line
    for line, why in {
        "": "a command is needed",
        "no-such-program x": "no-such-program is neither a program here nor a committed file$",
        "CUDA=1 x": "no shell reads it",
        "sh {pyton}": r"knows \{python\} only",
        "sh 'x": "no closing quotation",
    }.items():
        with pytest.raises(BadAnswer, match=why):
            taking.take_command(EMPTY, line, TREE)


def test_direction_in_many_words() -> None:
    for text, way in {"up": Direction.HIGHER, " Lower": Direction.LOWER, "minimise": Direction.LOWER}.items():
        assert taking.take_direction(EMPTY, text, TREE).finding.direction is way
    with pytest.raises(BadAnswer, match="neither up nor down"):
        taking.take_direction(EMPTY, "sideways", TREE)


def test_a_metric_brings_its_direction_unless_the_person_said_it() -> None:
    assert taking.take_metric(EMPTY, "accuracy", TREE).finding.direction is Direction.HIGHER
    assert taking.take_metric(EMPTY, "recall@10", TREE).finding.direction is Direction.HIGHER
    said = taking.take_direction(EMPTY, "down", TREE)
    assert taking.take_metric(said, "accuracy", TREE).finding.direction is Direction.LOWER
    assert Fact.DIRECTION in taking.take_metric(EMPTY, "quux", TREE).finding.guesses
    with pytest.raises(BadAnswer, match="is no name of a metric"):
        taking.take_metric(EMPTY, "a b", TREE)


def test_what_must_stay_true_is_a_command_or_words() -> None:
    assert taking.take_checks(EMPTY, "sh run.sh", TREE).finding.checks == "sh run.sh"
    words = taking.take_checks(EMPTY, "the output stays sorted", TREE)
    assert (words.finding.checks, words.stays_true) == ("", "the output stays sorted")
    assert taking.take_checks(words, "none", TREE).stays_true == ""
    with pytest.raises(BadAnswer, match="neither a program"):
        taking.take_checks(EMPTY, "pytset", TREE)


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("100 experiments", (100, None, None)),
        ("8h", (None, 8.0, None)),
        ("30 minutes", (None, 0.5, None)),
        ("$20", (None, None, 20.0)),
        ("50 runs, 2h or $1.5", (50, 2.0, 1.5)),
        ("never", (None, None, None)),
    ],
)
def test_when_to_stop(text: str, limits: tuple[int | None, float | None, float | None]) -> None:
    found = taking.take_end(EMPTY, text, TREE).finding
    assert (found.experiments, found.hours, found.usd) == limits


@pytest.mark.parametrize("text", ["soon", "0 experiments", "$0", "0h", "5 parsecs"])
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(BadAnswer):
        taking.take_end(EMPTY, text, TREE)


@given(st.floats(min_value=1, max_value=1e6).map(lambda seconds: round(seconds, 1)))
def test_durations_are_read_back(seconds: float) -> None:
    assert taking.duration_s(taking.in_words(seconds)) == pytest.approx(seconds, rel=1e-5)


def test_how_many_and_what_is_off_limits() -> None:
    assert taking.take_juniors(EMPTY, "3", TREE).finding.juniors == 3
    for text in ("0", "65", "two"):
        with pytest.raises(BadAnswer, match="from 1 to 64"):
            taking.take_juniors(EMPTY, text, TREE)
    opened = taking.take_editable(EMPTY, "src/a.c", TREE)
    assert taking.take_off_limits(opened, "no lookup tables", TREE).off_limits == "no lookup tables"
    with pytest.raises(BadAnswer, match=r"src/a.c was said to be open"):
        taking.take_off_limits(opened, "leave src/a.c alone", TREE)


def test_every_question_takes_its_own_default() -> None:
    known = Answers(first_guess(Tree(Path("/nowhere"), ["fit.py"])))
    for question in WIZARD:
        known = question.take(known, question.default(known), Tree(Path("/nowhere"), ["fit.py"]))
    assert known.finding.editable == ("fit.py",)
    assert known.finding.command == "{python} fit.py"
    assert known.finding.missing == (Fact.METRIC,), "the first run tells"
    assert [q.key for q in gaps_of(known.finding)] == ["metric"]


def test_the_first_program_says_what_was_answered() -> None:
    known = taking.take_editable(EMPTY, "src/*.c", TREE)
    for take, text in (
        (taking.take_command, "sh run.sh"),
        (taking.take_metric, "latency_ms"),
        (taking.take_checks, "results stay\nthe same"),
        (taking.take_off_limits, "no threads"),
    ):
        known = take(known, text, TREE)
    text = program_text(known, Spread((10.0, 11.0, 12.0)))
    assert "The lowest `latency_ms` that `sh run.sh` prints" in text
    assert "`src/a.c`, `src/b.c`, `src/*.c`" in text
    assert "- Must stay true: results stay the same." in text
    assert "- Off-limits: no threads." in text
    assert "11 ± 1 (3 runs)" in text
    assert "measured 5 every time" in program_text(known, Spread((5.0, 5.0)))


def test_a_link_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "real.py").touch()
    (tmp_path / "link.py").symlink_to("real.py")
    tree = Tree(tmp_path, ["link.py", "real.py"])
    assert taking.take_editable(EMPTY, "real.py", tree).finding.editable == ("real.py",)
    with pytest.raises(BadAnswer, match=r"link.py is a link to real.py; name the file itself"):
        taking.take_editable(EMPTY, "link.py", tree)
