"""Secrets that a run is given, taken out of what it prints: logs are read by agents, and kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from sessions.environment import looks_secret

_LEAST = 8  # characters: what is shorter may stand in any output
_SHOWN = b"[secret]"
_ENTRY = re.compile(r"^\s*(?:export\s+)?(?P<name>\w+)\s*=\s*(?P<quote>[\"']?)(?P<value>.*?)(?P=quote)\s*$")


def secrets_in(environment: Mapping[str, str], files: Iterable[Path]) -> tuple[str, ...]:
    """The values of variables, and of the entries of .env files, whose names say that they are secret."""
    named = dict(environment)
    for file in files:
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        named |= {match["name"]: match["value"] for line in lines if (match := _ENTRY.match(line))}
    found = {value for name, value in named.items() if looks_secret(name) and len(value) >= _LEAST}
    return tuple(sorted(found, key=len, reverse=True))


class Redactor:
    """Replaces secrets in a stream of bytes, also where one comes in two pieces."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = [secret.encode() for secret in secrets]
        self._held = b""

    def clean(self, data: bytes) -> bytes:
        """What may be shown so far; the beginning of a secret waits for the rest."""
        if not self._secrets:
            return data
        data = self._held + data
        for secret in self._secrets:
            data = data.replace(secret, _SHOWN)
        held = max((_overlap(data, secret) for secret in self._secrets), default=0)
        self._held = data[len(data) - held :]
        return data[: len(data) - held]

    def whole(self, text: str) -> str:
        """A text of which nothing more comes."""
        return (self.clean(text.encode()) + self.rest()).decode("utf-8", "replace")

    def rest(self) -> bytes:
        """What waited in vain."""
        held, self._held = self._held, b""
        return held


def _overlap(data: bytes, secret: bytes) -> int:
    """How many of the last bytes are the secret's first ones."""
    sizes = range(min(len(secret) - 1, len(data)), 0, -1)
    return next((size for size in sizes if data.endswith(secret[:size])), 0)
