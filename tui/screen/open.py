"""Opening the screen in this terminal."""

from __future__ import annotations

import sys

from supervisor.client.lab_client import LabClient
from supervisor.model.states import CampaignState


def open_screen(client: LabClient) -> int:
    """Open the screen in this terminal until the person leaves it; returns its exit code. The lab goes on.

    It is a session of its own on the lab's tmux server, so that attaching to a pane is a switch.
    """
    from supervisor.lab.programs import cli_path

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print("there is no terminal here for the screen; `autoresearch-tui status` prints", file=sys.stderr)
        return 1
    lab = client.lab
    argv = [str(cli_path()), "_screen", "--lab", str(lab.root), "--state-dir", str(lab.state_dir)]
    exit_code = client.server.open_screen(argv, lab.root, {})
    client.leave_server()
    campaign = client.snapshot().campaign
    if campaign is not None and campaign.state in (CampaignState.RUNNING, CampaignState.PAUSED):
        print(
            f"the lab goes on ({campaign.tag}); `autoresearch-tui` shows it, `autoresearch-tui stop` ends it"
        )
    return exit_code
