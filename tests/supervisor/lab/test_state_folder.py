"""The state folder: private, out of git's sight, spared by `git clean`, refused where SQLite is not safe."""

from __future__ import annotations

import errno
import shutil
import stat
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.errors import StateError
from supervisor.lab import state_folder
from supervisor.lab.agent_folder import agent_folder
from supervisor.lab.paths import find_lab
from supervisor.lab.state_folder import file_system_kind, prepare_state

Git = Callable[..., str]


def test_it_is_private_and_git_never_sees_it(lab_root: Path, git: Git) -> None:
    lab = find_lab(lab_root)
    before = (lab_root / ".git" / "config").read_bytes()
    prepare_state(lab)
    prepare_state(lab)  # as often as asked
    assert stat.S_IMODE(lab.state_dir.stat().st_mode) == 0o700
    assert git(lab_root, "status", "--porcelain", "--ignored=no") == ""
    exclude = (lab_root / ".git" / "info" / "exclude").read_text().splitlines()
    assert exclude.count("/.autoresearch/") == 1
    assert (lab_root / ".git" / "config").read_bytes() == before


def test_git_clean_spares_it(lab_root: Path, git: Git) -> None:
    lab = find_lab(lab_root)
    prepare_state(lab)
    lab.results_tsv.write_text("kept")
    (lab_root / "litter").write_text("")
    git(lab_root, "clean", "-fdx", "--quiet")
    assert not (lab_root / "litter").exists()
    assert lab.results_tsv.read_text() == "kept"


def test_folders_of_agents_keep_their_things_under_the_new_name(lab_root: Path) -> None:
    lab = find_lab(lab_root)
    for agent in ("junior-1", "junior-2"):
        home = lab.state_dir / "minds" / agent / "home"
        home.mkdir(parents=True)
        (home / "login").write_text(agent)
    agents = lab.state_dir / "agents"
    (agents / "junior-2").mkdir(parents=True)
    (agents / "mine.toml").write_text("")
    prepare_state(lab)
    prepare_state(lab)
    assert (agents / "junior-1/home/login").read_text() == "junior-1"
    assert agent_folder(lab.state_dir, "junior-1") == agents / "junior-1"
    # One that began anew is not overwritten, and nothing is lost.
    assert not (agents / "junior-2/home").exists()
    assert (lab.state_dir / "minds/junior-2/home/login").read_text() == "junior-2"
    assert (agents / "mine.toml").exists()


MOUNTS = """\
tmpfs /home/me/fast tmpfs rw 0 0
server:/home /home nfs4 rw 0 0
/dev/vda / ext4 rw 0 0
host:/x /mnt/with\\040space fuse.sshfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/lab", "ext4"),
        ("/home/me/lab/.autoresearch", "nfs4"),
        ("/home/me/fast/lab", "tmpfs"),
        ("/homes/lab", "ext4"),
        ("/mnt/with space/lab", "fuse.sshfs"),
    ],
)
def test_the_deepest_mount_tells_the_file_system(tmp_path: Path, path: str, kind: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert file_system_kind(Path(path), mounts) == kind


def test_a_network_file_system_is_refused(
    lab_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/labs {lab_root} nfs4 rw 0 0\n")
    monkeypatch.setattr(state_folder, "MOUNTS", mounts)
    with pytest.raises(StateError, match=r"network file system \(nfs4\).*--state-dir"):
        prepare_state(find_lab(lab_root))
    assert not (lab_root / ".autoresearch").exists()
    prepare_state(find_lab(lab_root, tmp_path / "local"))


def test_a_full_disk_is_one_line(lab_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**40, 2**40, 3 * 2**20))
    with pytest.raises(StateError, match=r"only 3 MB are free .* a lab needs 200; free some, or"):
        prepare_state(find_lab(lab_root))


def test_a_disk_that_fills_up_midway_is_one_line(lab_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(StateError, match=r"^no space left for .*--state-dir$"):
        prepare_state(find_lab(lab_root))


def test_a_state_folder_that_is_a_file_is_one_line(lab_root: Path) -> None:
    (lab_root / ".autoresearch").write_text("")
    with pytest.raises(StateError, match=r"\.autoresearch: File exists"):
        prepare_state(find_lab(lab_root))


def test_a_state_folder_that_was_refused_is_not_remembered(
    lab_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = lab_root.parent / "small disk"
    monkeypatch.setattr(state_folder, "LEAST_FREE_MB", 10**9)
    with pytest.raises(StateError, match="are free in"):
        state_folder.prepare_state(find_lab(lab_root, elsewhere))
    assert find_lab(lab_root).state_dir == lab_root / ".autoresearch"


def test_a_lab_has_one_state_folder(lab_root: Path) -> None:
    lab = find_lab(lab_root)
    state_folder.prepare_state(lab)
    lab.db.touch()
    with pytest.raises(StateError, match="leave --state-dir away"):
        state_folder.prepare_state(find_lab(lab_root, lab_root.parent / "other"))
