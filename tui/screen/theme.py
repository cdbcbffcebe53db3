"""Colours: quiet greys, one accent, and three that mean something."""

from textual.theme import Theme

# What a tone falls back to when the person picks one of Textual's own themes.
EXTRA_COLOURS = {"muted": "#8a94a3", "faint": "#454e5b", "line": "#333b47", "cursor": "#232b36"}

LAB_DARK = Theme(
    name="lab-dark",
    primary="#7fa8d4",
    secondary="#a795d0",
    accent="#7fb8c4",
    success="#93bf74",
    warning="#dcb066",
    error="#dc7a73",
    foreground="#d6dbe2",
    background="#12161c",
    surface="#171c23",
    panel="#1d232c",
    variables={
        **EXTRA_COLOURS,
        "footer-key-foreground": "#7fa8d4",
        "input-selection-background": "#7fa8d4 30%",
    },
)

LAB_LIGHT = Theme(
    name="lab-light",
    primary="#2b5f93",
    secondary="#6a4f9c",
    accent="#21707f",
    success="#3f7420",
    warning="#8f6206",
    error="#ae3a33",
    foreground="#22272e",
    background="#fbfaf7",
    surface="#f3f1ec",
    panel="#e9e6df",
    dark=False,
    variables={"muted": "#66707c", "faint": "#b4b5b3", "line": "#d2cfc7", "cursor": "#e4e8ec"},
)
