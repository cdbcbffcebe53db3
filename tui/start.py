"""The console script's first module, installed under a name of its own: what is called `tui` may be another's.

A person's PYTHONPATH comes before what is installed. Where there is one, the script starts once more in Python's
isolated mode, which leaves it aside; so does every process of a lab, for all are started through this script.
"""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command line of this process, from the installed packages alone; returns its exit code."""
    if not sys.flags.isolated and os.environ.get("PYTHONPATH"):
        os.execv(sys.executable, [sys.executable, "-I", *sys.argv])
    from tui.main import main as run

    return run()
