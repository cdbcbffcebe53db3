"""Student's t, held against scipy's over a wide grid, fractional degrees of freedom included."""

import math
import subprocess
import sys

import pytest
from scipy.special import stdtr, stdtrit

from supervisor.analysis.sequential_test import chance_if_equal
from supervisor.analysis.student_t import exceeded_with, interval_reach, upper_tail

DEGREES = (0.1, 0.5, 1, 1.5, 2, 2.5, 3, 4.5, 8.5, 12, 20.5, 49.5, 99.5, 100, 100.5, 300, 1000.5, 1e4, 1e5)
# scipy's own tail is wrong from the 9th digit on nearer to zero than this.
LARGEST_DEVIATES = [10 ** (exponent / 20) for exponent in range(-100, 121)]
PROBABILITIES = [0.5 * 10 ** (-exponent / 25) for exponent in range(176)]


@pytest.mark.parametrize("degrees", DEGREES)
def test_both_tails_are_those_of_scipy(degrees: float) -> None:
    for t in [0.0, *LARGEST_DEVIATES]:
        assert upper_tail(t, degrees) == pytest.approx(stdtr(degrees, -t), rel=1e-9, abs=1e-10), t
        assert upper_tail(-t, degrees) == pytest.approx(stdtr(degrees, t), abs=1e-10), t


@pytest.mark.parametrize("degrees", DEGREES)
def test_quantiles_are_those_of_scipy(degrees: float) -> None:
    for probability in PROBABILITIES:
        expected = -stdtrit(degrees, probability)
        assert exceeded_with(probability, degrees) == pytest.approx(expected, rel=1e-10, abs=1e-10)
    assert interval_reach(degrees) == pytest.approx(stdtrit(degrees, 0.975), rel=1e-10)


@pytest.mark.parametrize("degrees", [0.5, 8.5, 1e4])
def test_what_no_run_reaches_has_no_tail_and_all_of_it(degrees: float) -> None:
    assert (upper_tail(math.inf, degrees), upper_tail(-math.inf, degrees)) == (0.0, 1.0)
    assert upper_tail(1e300, degrees) == 0.0


def test_equal_code_looks_better_as_often_as_the_tail_says() -> None:
    p = chance_if_equal(0.01, 2, 6, sd=0.01, degrees=7.5)
    assert p == pytest.approx(stdtr(7.5, -1 / math.sqrt(1 / 2 + 1 / 6)), abs=1e-12)
    assert [chance_if_equal(gain, 1, 3, sd=0.0, degrees=2.5) for gain in (-1, 0, 1)] == [1.0, 0.5, 0.0]
    assert chance_if_equal(5.0, 1, 3, sd=0.01, degrees=0) == 0.5


def test_reading_a_lab_imports_neither_numpy_nor_scipy() -> None:
    code = "import sys, supervisor.loop.supervise, tui.main; print({'numpy', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
