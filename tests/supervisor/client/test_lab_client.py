"""A lab's client: what wakes who waits, and what a person is told of an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.client.lab_client import LabClient
from supervisor.errors import LabError, line_for_person
from supervisor.lab.paths import find_lab
from supervisor.lab.state_folder import prepare_state
from supervisor.store.connection import Store

SHORT_S = 0.25


@pytest.fixture
def client(lab_root: Path) -> LabClient:
    """Of a lab before its first launch, read once."""
    lab = find_lab(lab_root)
    prepare_state(lab)
    Store(lab.db).close()
    client = LabClient(lab)
    client.snapshot()
    return client


def test_a_row_and_a_note_wake_who_waits_once(client: LabClient) -> None:
    assert not client.wait_for_change(SHORT_S)
    with client.store.transaction():
        pass
    assert client.wait_for_change(5.0)
    note_id = client.add_note("Depth 2", "is enough")
    assert client.wait_for_change(5.0)
    file = client.lab.notes_dir / f"{note_id}.md"
    file.write_text(file.read_text() + "\nmore\n")  # in its place, as an editor may
    assert client.wait_for_change(5.0)
    file.unlink()
    assert client.wait_for_change(5.0)
    assert not client.wait_for_change(SHORT_S)


@pytest.mark.parametrize(
    "ask", [lambda client: client.pause(()), lambda client: client.promotions.promote(())]
)
def test_before_the_first_launch_a_request_says_so(client: LabClient, ask: object) -> None:
    with pytest.raises(LabError, match="nothing was launched"):
        ask(client)  # type: ignore[operator]


def test_what_may_go_wrong_is_a_line_and_a_fault_of_ours_is_raised() -> None:
    assert line_for_person(LabError("launch it first")) == "launch it first"
    assert "No space left" in line_for_person(OSError(28, "No space left on device"))
    with pytest.raises(KeyError):
        line_for_person(KeyError("ours"))
