"""Shows the screen on a made-up lab: `python -m tests.tui.look mid [PICTURE.svg COLUMNS ROWS KEY…]`.

With a picture's name it draws the screen at that size after the keys, and ends.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.tui.screen import snapshots
from tests.tui.screen.memory_client import MemoryClient
from tui.screen.app import LabApp


async def draw(name: str, picture: Path, columns: int, rows: int, keys: list[str]) -> None:
    """Write one picture."""
    app = LabApp(MemoryClient(snapshots.ALL[name]()), now=lambda: snapshots.NOW)
    async with app.run_test(size=(columns, rows)) as pilot:
        while app.snapshot is None:
            await pilot.pause()
        await pilot.press(*keys)
        while any(worker.group != "follow" and not worker.is_finished for worker in app.workers):
            await pilot.pause()
        await pilot.pause()
        picture.write_text(app.export_screenshot())


def main() -> None:
    """See the module."""
    name, *rest = sys.argv[1:]
    if rest:
        asyncio.run(draw(name, Path(rest[0]), int(rest[1]), int(rest[2]), rest[3:]))
    else:
        LabApp(MemoryClient(snapshots.ALL[name]()), now=lambda: snapshots.NOW).run()


if __name__ == "__main__":
    main()
