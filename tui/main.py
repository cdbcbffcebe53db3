"""The console script. Runners start here too, so nothing heavy is imported before it is needed."""

from __future__ import annotations

import sys

RUNNER_COMMAND = "_runner"  # `autoresearch-tui _runner DIR` makes one training run and exits


def main() -> int:
    """Run the command line of this process; returns its exit code."""
    arguments = sys.argv[1:]
    if arguments[:1] == [RUNNER_COMMAND] and len(arguments) == 2:
        from sessions.runs.runner import main as run

        return run(arguments[1])
    from tui.commands.command_line import run_command_line

    return run_command_line(arguments)


if __name__ == "__main__":
    sys.exit(main())
