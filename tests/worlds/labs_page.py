"""The examples of docs/labs.md as repositories, and the model that one of them asks."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from tests.worlds import foreign
from tests.worlds.foreign import Fork


class _Model(BaseHTTPRequestHandler):
    """Answers sums and products; the more examples it is shown, the more of them rightly."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["prompt"].splitlines()
        shots, question = len(asked) - 1, re.fullmatch(r"(\d+)([+*])(\d+)=", asked[-1])
        assert question is not None, asked
        left, sign, right = question.groups()
        value = int(left) + int(right) if sign == "+" else int(left) * int(right)
        known = sign == "+" or shots >= 2
        body = json.dumps({"text": str(value if known else 0)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the tests read the page's own output."""


@contextmanager
def small_model() -> Iterator[str]:
    """A model server on this machine; yields its address."""
    server = HTTPServer(("127.0.0.1", 0), _Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/complete"
    server.shutdown()
    server.server_close()


PAGE = Path(__file__).parents[2] / "docs" / "labs.md"
PART = re.compile(
    r"^## (?P<title>[^\n]*)$|(?:^`(?P<path>[^`\n]+)`:\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.M | re.S,
)
ASKED = re.compile(r"^(?P<question>\d/8  .*?\?) \[.*?\](?: (?P<answer>.*))?$")
CLONES = {fork.value: fork for fork in Fork}


@dataclass
class Example:
    """One example: what is there, what is typed, what is answered, what is written."""

    title: str
    files: dict[str, str] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    answers: list[tuple[str, str]] = field(default_factory=list)
    toml: str | None = None  # None: the page does not show it


def examples() -> Iterator[Example]:
    example = Example("")
    page = PAGE.read_text(encoding="utf-8")
    for part in PART.finditer(page[page.index("\n## ") :]):
        path, text = part["path"], part["text"]
        if part["title"]:
            if example.commands:
                yield example
            example = Example(part["title"])
        elif path == "autoresearch.toml":
            example.toml = text
            yield example
            example = Example(example.title)
        elif path:
            example.files[path] = text
        elif part["language"] == "sh":
            if example.commands:  # the one before is shown without its file
                yield example
                example = Example(example.title, dict(example.files))
            example.commands = text.splitlines()
        elif part["language"] == "text":
            found = [match for line in text.splitlines() if (match := ASKED.match(line))]
            example.answers = [(match["question"], match["answer"] or "") for match in found]


def make(example: Example, folder: Path) -> Path:
    """The example's repository: its files, or a stand-in for the clone that its first line names."""
    if not example.commands[0].startswith("git clone "):
        return foreign.plant(folder / "project", example.files)
    name = example.commands[0].rpartition("/")[2]
    assert example.commands[1] == f"cd {name}"
    return foreign.plant(folder / name, foreign.karpathy_files(CLONES[name]))
