"""Opening the screen: a session of its own on the lab's tmux server, so that attaching to a pane is a switch."""

from __future__ import annotations

import sys

from supervisor.lab.paths import Lab
from tui.lab_access import lab as lab_calls


def open_viewer(lab: Lab) -> int:
    """Open the screen in this terminal; returns when the person leaves it. The lab goes on. Raises SessionError."""
    from sessions.tmux.terminal import TmuxServer
    from supervisor.lab.programs import cli_path

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print("there is no terminal here for the screen; `autoresearch-tui status` prints", file=sys.stderr)
        return 1
    server = TmuxServer(lab_calls.tmux_socket(lab))
    argv = [str(cli_path()), "_screen", "--lab", str(lab.root), "--state-dir", str(lab.state_dir)]
    code = server.open_screen(argv, lab.root, {})
    _say_what_goes_on(lab)
    return code


def run_app(lab: Lab) -> int:
    """The screen itself, in this terminal."""
    from supervisor.lab.state_folder import prepare_state
    from tui.lab_access.store_port import StorePort
    from tui.screen.app import run

    prepare_state(lab)
    return run(StorePort(lab))


def _say_what_goes_on(lab: Lab) -> None:
    campaign = lab_calls.read_lab(lab).campaign
    if campaign is not None and campaign.state in ("running", "paused"):
        print(
            f"the lab goes on ({campaign.tag}); `autoresearch-tui` shows it, `autoresearch-tui stop` ends it"
        )
