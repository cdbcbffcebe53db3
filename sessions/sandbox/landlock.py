"""A launcher that takes away the file system and then becomes the command: `landlock.py [options] -- COMMAND`.

Run by its path with `python -I -S`, inside the namespaces of `unshare`: it imports nothing of ours.
  --read PATH    may be read, and programs in it run     --write PATH   may be written too
  --mask PATH    an empty folder in its place, where sockets and files of others lie
Everything else is denied, to the command and to all that it starts. Exit code 126 when that cannot be done.
"""

import ctypes
import os
import struct
import sys
import warnings  # noqa: F401 - execvp imports it, when nothing can be read any more

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every architecture
PR_SET_NO_NEW_PRIVS = 38
MS_NOSUID, MS_NODEV = 2, 4
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
READ = EXECUTE | READ_FILE | READ_DIR
FOR_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV  # the rest is for folders
KNOWN_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # how many an older kernel knows; since 5 there are 16
ALL_RIGHTS = 16

libc = ctypes.CDLL(None, use_errno=True)


def call(number: int, *arguments: object) -> int:
    """One system call. Raises OSError."""
    result: int = libc.syscall(number, *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def mask(path: str) -> None:
    """Put an empty folder over `path`. Raises OSError."""
    options = b"mode=1777"
    if libc.mount(b"tmpfs", os.fsencode(path), b"tmpfs", MS_NOSUID | MS_NODEV, options) != 0:
        raise OSError(ctypes.get_errno(), f"{path} cannot be masked")


def allow(ruleset: int, path: str, rights: int) -> None:
    """Allow `rights` on `path` and below it; a path that is not there needs none."""
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not os.path.isdir(path):  # noqa: PTH112
        rights &= FOR_FILES
    rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, opened))
    call(ADD_RULE, ruleset, 1, rule, 0)
    os.close(opened)


def restrict(readable: list[str], writable: list[str]) -> None:
    """Deny this process and its children everything else. Raises OSError where the kernel has no Landlock."""
    version = call(CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    everything = (1 << KNOWN_RIGHTS.get(version, ALL_RIGHTS)) - 1
    handled = ctypes.create_string_buffer(struct.pack("=Q", everything))
    ruleset = call(CREATE_RULESET, handled, ctypes.c_size_t(8), 0)
    for path in readable:
        allow(ruleset, path, READ & everything)
    for path in writable:
        allow(ruleset, path, everything)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs")
    call(RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def main() -> None:
    """Restrict, then become the command."""
    end = sys.argv.index("--")
    options, command = sys.argv[1:end], sys.argv[end + 1 :]
    named: dict[str, list[str]] = {"--read": [], "--write": [], "--mask": []}
    for name, path in zip(options[::2], options[1::2], strict=True):
        named[name].append(path)
    try:
        for path in named["--mask"]:
            mask(path)
        os.chdir(os.getcwd())  # noqa: PTH109 - a mask may lie over it
        restrict(named["--read"], named["--write"])
        os.execvp(command[0], command)
    except OSError as error:
        print(f"the sandbox cannot start {command[0]}: {error}", file=sys.stderr, flush=True)
        sys.exit(126)


if __name__ == "__main__":
    main()
