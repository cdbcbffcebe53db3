"""An agent's own folder in the lab's state: its client's HOME and TMPDIR, its transcripts, what was kept aside.

A client's hooks wait for this import: nothing else of the lab is imported here.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

AGENTS = "agents"
_EARLIER_NAME = "minds"


def agent_folder(state_dir: Path, agent: str) -> Path:
    """Where this agent's own things lie; whoever needs it makes it."""
    return state_dir / AGENTS / agent


def take_over_earlier_folders(state_dir: Path) -> None:
    """Rename what labs made before the folder had its name; what is there under the new one stays. Raises OSError."""
    earlier, agents = state_dir / _EARLIER_NAME, state_dir / AGENTS
    if not earlier.is_dir():
        return
    # The person's own agent files may have made the new folder already.
    agents.mkdir(mode=0o700, exist_ok=True)
    for folder in earlier.iterdir():
        if not (agents / folder.name).exists():
            folder.rename(agents / folder.name)
    with suppress(OSError):  # something is left in it
        earlier.rmdir()
