"""What a person reads in an agent's pane."""

from __future__ import annotations

import pytest

from roles.pane import Pane

ANSWER = 'Narrower may do.\n```json\n{"result":\n "edited"}\n```\nThat is all.\n'


def test_an_answer_that_is_data_is_not_read_aloud(capsys: pytest.CaptureFixture[str]) -> None:
    pane = Pane(colour=False)
    pane.say(ANSWER)
    for character in ANSWER:
        pane.stream(character)
    pane.say('{"hypotheses": [{"title": "t"}]}')
    assert capsys.readouterr().out == "   Narrower may do.\n   That is all.\n" * 2


def test_an_answer_without_an_end_hides_nothing_that_comes_after(capsys: pytest.CaptureFixture[str]) -> None:
    pane = Pane(colour=False)
    pane.say('```json\n{"result":')
    pane.heading("e0002")
    pane.say("```python\nx = {}\n```")
    assert capsys.readouterr().out == "── e0002 \n   ```python\n   x = {}\n   ```\n"
