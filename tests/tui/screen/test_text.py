"""Text and numbers: nothing hostile gets through, nothing is wider than it may be."""

import pytest
from rich.cells import cell_len
from rich.color import Color
from rich.style import Style

from tui.screen.widgets.ansi import AnsiText, parse_line
from tui.screen.widgets.lines import Tone, bar, cut, spread, width_of
from tui.views import figures
from tui.views.text import fit, plain, plain_lines, shorten, wrap


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb\x1b[0mc", "abc"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP+q\x1b\\x", "x"),
        ("\x9b31mred", "31mred"),
        ("two\nlines\tand a tab", "two lines and a tab"),
        ("a\u202eb\u200bc\x00\x07d", "abcd"),
        ("[b]markup[/b]", "[b]markup[/b]"),
        ("unended \x1b]0;title", "unended"),
    ],
)
def test_plain(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_an_overwritten_line_shows_what_was_written_last() -> None:
    assert plain_lines("step 1\rstep 2\nend\r\n\n") == ["step 2", "end", ""]


@pytest.mark.parametrize("width", range(9))
def test_shorten_and_fit_count_cells_not_letters(width: int) -> None:
    for text in ("深層学習", "abcdefgh", "é", ""):
        assert cell_len(shorten(text, width)) <= width
        assert cell_len(fit(text, width)) == width
        assert cell_len(fit(text, width, right=True)) == width


def test_a_cut_shows() -> None:
    assert shorten("depth nine", 6) == "depth…"
    assert shorten("depth", 5) == "depth"
    assert cut((("depth ", Tone.PLAIN), ("nine", Tone.MUTED)), 8) == (
        ("depth ", Tone.PLAIN),
        ("n…", Tone.MUTED),
    )


@pytest.mark.parametrize("width", [3, 7, 20])
def test_wrap_loses_nothing(width: int) -> None:
    text = "a longish sentence with a verylongwordthatmustbecut and 深層学習深層学習 end"
    lines = wrap(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("width", [0, 5, 30])
def test_spread_takes_the_whole_width(width: int) -> None:
    assert width_of(spread((("left side", Tone.PLAIN),), (("12m", Tone.MUTED),), max(width, 3))) == max(
        width, 3
    )


@pytest.mark.parametrize("fraction", [-1.0, 0.0, 0.24, 0.5, 0.99, 1.0, 7.0])
def test_a_bar_has_its_width(fraction: float) -> None:
    assert width_of(bar(fraction, 16)) == 16


def test_figures() -> None:
    assert figures.change(-0.0123) == "−.0123"
    assert figures.change(1.5) == "+1.5000"
    assert figures.change(0.0) == "±.0000"
    assert (figures.change(0.00001), figures.change(-4.2e-5)) == ("+1.0e−5", "−4.2e−5")
    assert [figures.metric(v) for v in (4.012e-5, 0.00123, 31.0, 984231.0, 12345.678, -1.5e9)] == [
        "4.012e−5", "0.001230", "31.0000", "984231", "12345.7", "−1.5000e9",
    ]  # fmt: skip
    assert figures.percent(-0.0836) == "−8.4 %"
    assert figures.metric(None) == "–"
    assert [figures.age(s) for s in (-3, 59, 60, 3599, 11_520, 180_000)] == [
        "0s",
        "59s",
        "1m",
        "59m",
        "3h12m",
        "2d02h",
    ]
    assert figures.clock(111) == "1:51"
    assert {len(figures.share(part)) for part in (0.0, 0.05, 0.63, 1.0, 2.0)} == {5}


def test_sgr_codes_become_styles_and_carry_over_lines() -> None:
    segments, style = parse_line("\x1b[1;38;2;1;2;3mbold\x1b[22m \x1b[48;5;9mred", Style.null())
    assert [segment.text for segment in segments] == ["bold", " ", "red"]
    assert segments[0].style == Style(bold=True, color=Color.from_rgb(1, 2, 3))
    assert style.bgcolor == Color.from_ansi(9)
    text = AnsiText()
    text.update("\x1b[32mgreen\nstill\x1b[0m\nplain")
    styles = [strip._segments[0].style for strip in text.strips]
    assert styles == [Style(color=Color.from_ansi(2)), Style(color=Color.from_ansi(2)), Style.null()]


@pytest.mark.parametrize("code", ["38;5", "38;2;1", "38;5;999", "48;9;1", "999", "", "38:5:1"])
def test_broken_codes_are_harmless(code: str) -> None:
    segments, _ = parse_line(f"a\x1b[{code}mb\x1b[2Jc\x1b]0;t\x07d", Style.null())
    assert "".join(segment.text for segment in segments) == "abcd"


def test_only_changed_lines_are_drawn_again() -> None:
    text = AnsiText()
    assert text.update("a\nb\nc") == [0, 1, 2]
    assert text.update("a\nB\nc\n") == [1]
    assert text.update("a") == [1, 2]
    assert text.update("\x1b[1ma\nb") == [0, 1]


def test_a_terminals_default_colour_is_the_panels_own() -> None:
    segments, style = parse_line("\x1b[1;31;42mred on green\x1b[39mgreen only\x1b[49mplain", Style.null())
    green = Color.from_ansi(2)
    assert [s.style for s in segments if s.style][1:] == [Style(bold=True, bgcolor=green), Style(bold=True)]
    assert style == Style(bold=True)
