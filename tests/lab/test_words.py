"""What a person says reaches the agents, and what they think comes back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.worlds.labs import make_toy_lab
from tests.worlds.live import live

pytestmark = pytest.mark.timeout(300)


def test_a_message_is_read_and_acknowledged_and_the_persons_hypothesis_goes_first(tmp_path: Path) -> None:
    lab = make_toy_lab(tmp_path / "lab")
    with live(lab) as running:
        running.launch_and_leave("30", "1")
        running.wait(lambda s: s.counted >= 1, "a verdict")
        sent = running.cli("send", "chief", "think about X", "--wait", "60")
        assert sent.returncode == 0, sent.stdout + sent.stderr
        events = [event.text for event in running.snapshot().events if event.agent == "chief"]
        assert "read: think about X" in events
        added = running.cli("plan", "add", "X = 3.0")
        assert added.returncode == 0, added.stderr
        mine = running.wait(
            lambda s: any(
                e.title.startswith("X = 3.0") or ("X" in e.title and "3.0" in e.title) for e in s.experiments
            ),
            "the person's hypothesis as an experiment",
        )
        hypothesis = next(h for h in mine.hypotheses if h.author == "person")
        done = running.wait(
            lambda s: any(e.hypothesis_id == hypothesis.id and e.verdict for e in s.experiments),
            "its verdict",
        )
        experiment = next(e for e in done.experiments if e.hypothesis_id == hypothesis.id)
        assert experiment.metric is not None and experiment.metric < 10.1
        reflected = running.wait(
            lambda s: getattr(s.experiment(experiment.id), "reflection", ""), "what the junior made of it"
        )
        assert reflected.notes, "a gain that large is worth a note"
        shown = json.loads(running.cli("notes", "--json").stdout)
        assert shown["notes"]
