"""libtmux's server object for a socket of our own: in UTF-8 whatever the locale, its failures TmuxErrors."""

from __future__ import annotations

from typing import Any

from libtmux import Server
from libtmux.common import tmux_cmd
from libtmux.exc import TmuxCommandNotFound

from sessions.errors import TmuxError, TmuxMissing


class Connection(Server):
    """All of libtmux's objects that hang on it, sessions and panes, send their commands through `cmd`."""

    def cmd(self, cmd: str, *args: Any, target: str | int | None = None) -> tmux_cmd:
        """Run one tmux command. Raises TmuxError, with tmux's own words."""
        place = () if target is None else ("-t", str(target))
        try:
            # -u: without a UTF-8 locale tmux would print every other character as an underscore.
            result = super().cmd("-u", cmd, *place, *args)
        except TmuxCommandNotFound:
            raise TmuxMissing from None
        if result.returncode != 0:
            raise TmuxError(f"tmux {cmd}: {next(iter(result.stderr), 'failed without a word')}")
        return result
