"""The state folder of a lab: made private, out of git's sight, and only where SQLite is safe."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from sessions.git.repository import Repository
from sessions.locks import FOR_EVER, held
from supervisor.errors import StateError
from supervisor.lab.agent_folder import take_over_earlier_folders
from supervisor.lab.paths import STATE_FOLDER, STATE_POINTER, Lab

# SQLite's WAL keeps its index in memory shared between processes: not across machines.
LEAST_LEFT_MB = 20  # below this a running lab says so: its next write may fail
NETWORK_FILE_SYSTEMS = frozenset(
    """9p afs beegfs ceph cifs fuse.ceph fuse.glusterfs fuse.rclone fuse.s3fs fuse.sshfs fuse.vmhgfs-fuse
    fuse.weka gpfs lustre ncpfs nfs nfs4 smb3 smbfs vboxsf""".split()
)
LEAST_FREE_MB = 200
MOUNTS = Path("/proc/self/mounts")  # Linux only; elsewhere nothing is refused


def prepare_state(lab: Lab) -> None:
    """Make the state folder and its subfolders, as often as asked. Raises StateError."""
    kind = file_system_kind(lab.state_dir, MOUNTS)
    if kind in NETWORK_FILE_SYSTEMS:
        raise StateError(
            f"{lab.state_dir} is on a network file system ({kind}), where the lab's database is not safe; "
            "name a folder on a local disk with --state-dir"
        )
    _refuse_a_second_home(lab)
    try:
        _make_folders(lab)
        take_over_earlier_folders(lab.state_dir)
        expect_space(lab.state_dir, LEAST_FREE_MB)
        # Two processes of a fresh lab may come here at once, and git's `init` bears no company.
        with held(lab.state_dir / "state.lock", FOR_EVER):
            # A nested repository: `git clean -fdx` in the lab passes it by.
            if not (lab.state_dir / ".git" / "HEAD").exists():
                Repository.init(lab.state_dir)
            _hide_from_git(lab)
            _remember(lab)
    except OSError as error:
        raise StateError(_explain(lab.state_dir, error)) from error


def file_system_kind(path: Path, mounts: Path) -> str:
    """The type of the file system that holds `path`, which need not exist; "" where nothing tells."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    path = path.resolve()
    deepest, kind = -1, ""
    for line in lines:
        point, mounted = [*line.split(), "", "", ""][1:3]
        folder = Path(point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"))
        # The last of several mounts on one folder is the one in sight.
        if (path == folder or folder in path.parents) and len(folder.parts) >= deepest:
            deepest, kind = len(folder.parts), mounted
    return kind


def expect_space(folder: Path, least_mb: int) -> None:
    """Raises StateError when fewer than `least_mb` megabytes are free around `folder`."""
    free_mb = shutil.disk_usage(folder).free // 2**20
    if free_mb < least_mb:
        raise StateError(
            f"only {free_mb} MB are free in {folder}, a lab needs {least_mb}; "
            "free some, or name a folder on another disk with --state-dir"
        )


def disk_trouble(folder: Path) -> str:
    """Why nothing can be written around `folder` soon, "" while there is room."""
    free_mb = shutil.disk_usage(folder).free // 2**20
    if free_mb >= LEAST_LEFT_MB:
        return ""
    return f"the disk is full ({free_mb} MB left in {folder}): free some, and the lab goes on"


def _make_folders(lab: Lab) -> None:
    lab.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    lab.state_dir.chmod(0o700)
    for folder in (lab.notes_dir, lab.runs_dir, lab.worktrees_dir, lab.benches_dir, lab.referee_dir):
        folder.mkdir(exist_ok=True)


def _remember(lab: Lab) -> None:
    """Leave word where the state is, so that the next command finds it without --state-dir."""
    standard = lab.root / STATE_FOLDER
    if lab.state_dir != standard:
        standard.mkdir(mode=0o700, exist_ok=True)
        (standard / STATE_POINTER).write_text(f"{lab.state_dir}\n", encoding="utf-8")


def _refuse_a_second_home(lab: Lab) -> None:
    standard = lab.root / STATE_FOLDER
    if lab.state_dir != standard and (standard / lab.db.name).exists():
        raise StateError(f"this lab's state is in {standard} already; leave --state-dir away")


def _hide_from_git(lab: Lab) -> None:
    repository = Repository.find(lab.root)
    within = f"/{lab.folder}/" if lab.folder else "/"
    repository.add_to_exclude(f"{within}{STATE_FOLDER}/")
    if lab.state_dir.is_relative_to(lab.root) and lab.state_dir != lab.root / STATE_FOLDER:
        repository.add_to_exclude(f"{within}{lab.state_dir.relative_to(lab.root).as_posix()}/")


def _explain(folder: Path, error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"no space left for {folder}: free some, or name a folder on another disk with --state-dir"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"{folder} cannot be written ({error.strerror}): name another folder with --state-dir"
        case _:
            return f"{folder}: {error.strerror or error}"
