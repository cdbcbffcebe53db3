"""A restart loop for the supervisor's window, in plain sh: it must not share a fault with what it keeps."""

from __future__ import annotations

from collections.abc import Sequence

LONGEST_PAUSE_S = 60
QUICK_DEATHS = 10

_SCRIPT = f"""
trap : INT
pause=1
deaths=0
while :; do
  began=$(date +%s)
  "$@"
  code=$?
  [ "$code" -eq 0 ] && exit 0
  if [ $(($(date +%s) - began)) -gt {LONGEST_PAUSE_S} ]; then pause=1; deaths=0; fi
  deaths=$((deaths + 1))
  if [ "$deaths" -ge {QUICK_DEATHS} ]; then
    echo "gave up: it ended {QUICK_DEATHS} times in a row within {LONGEST_PAUSE_S} s, last with code $code"
    echo "mend what it says above, then: autoresearch-tui restart"
    exit "$code"
  fi
  echo "it ended with code $code; starting again in $pause s (death $deaths of {QUICK_DEATHS} in a row)"
  sleep "$pause"
  pause=$((pause * 2))
  [ "$pause" -gt {LONGEST_PAUSE_S} ] && pause={LONGEST_PAUSE_S}
done
"""


def keeper_argv(argv: Sequence[str]) -> list[str]:
    """A command that runs `argv` until it exits 0.

    It starts it again after 1, 2, 4 … 60 s, and gives up, with its exit code, after ten quick deaths.
    """
    return ["/bin/sh", "-c", _SCRIPT, "keeper", *argv]
