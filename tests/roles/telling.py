"""Where a backend under test tells what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Told:
    """A `Report` that remembers."""

    said: list[str] = field(default_factory=list)
    tools: list[tuple[str, str]] = field(default_factory=list)
    at_each: Callable[[], object] = lambda: None

    @property
    def text(self) -> str:
        """All that was said."""
        return "\n".join(self.said)

    def say(self, text: str) -> None:
        """See roles.backend.Report."""
        self.at_each()
        self.said.append(text)

    def stream(self, text: str) -> None:
        """See roles.backend.Report."""
        self.at_each()
        self.said.append(text)

    def tool(self, name: str, detail: str) -> None:
        """See roles.backend.Report."""
        self.at_each()
        self.tools.append((name, detail))
