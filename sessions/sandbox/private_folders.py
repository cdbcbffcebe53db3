"""The home and the temporary folder of one trainer process: fresh, private, gone when it ends."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path


class PrivateFolders:
    """What a smoke run leaves in them, a cache or a trap, never reaches the run.

    The caches of compilers (inductor, Triton, C++ extensions) lie in them by default.
    """

    def __init__(self, folder: Path, caches: Sequence[Path] = ()) -> None:
        """`caches`: folders of the person's that the command looks for below its HOME."""
        self._folder = folder.resolve()
        self._caches = caches

    @property
    def env(self) -> dict[str, str]:
        """The variables that name them."""
        return {"HOME": str(self._folder / "home"), "TMPDIR": str(self._folder / "tmp")}

    def make(self) -> None:
        """Make them, empty. Raises OSError."""
        shutil.rmtree(self._folder, ignore_errors=True)  # of an attempt that was killed
        for path in self.env.values():
            Path(path).mkdir(parents=True, mode=0o700)
        for cache in self._caches:
            self._link(cache)

    def _link(self, cache: Path) -> None:
        if not cache.is_relative_to(Path.home()) or cache == Path.home():
            return
        link = self._folder / "home" / cache.relative_to(Path.home())
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists() and not link.is_symlink():
            link.symlink_to(cache)

    def remove(self) -> None:
        """Remove them with all that is in them; what cannot be removed stays in the run's folder."""
        shutil.rmtree(self._folder, ignore_errors=True)
