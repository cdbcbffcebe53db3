"""A launcher that brings up the loopback of its own network namespace, then becomes the command: `-- COMMAND`.

Run by its path with `python -I -S`, inside the namespace. Where a relay waits outside (see port_relay.py), it hands
over sockets that listen in here on the ports of the machine's servers.
"""

import contextlib
import fcntl
import os
import socket
import struct
import sys

RELAY_VARIABLE = (
    "AUTORESEARCH_RELAY"  # "DESCRIPTOR:4:8000,6:8000,…": where the sockets go, and what they listen on
)
GET_FLAGS, SET_FLAGS = 0x8913, 0x8914  # SIOCGIFFLAGS, SIOCSIFFLAGS
UP = 0x1
MOST_SOCKETS = 200  # in one message the kernel takes 253
LOCAL = {"4": (socket.AF_INET, "127.0.0.1"), "6": (socket.AF_INET6, "::1")}


def raise_loopback() -> None:
    """Bring `lo` up; a namespace in which it is up already, or cannot be, is left as it is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker, contextlib.suppress(OSError):
        request = struct.pack("16sH14x", b"lo", 0)
        (flags,) = struct.unpack("16xH14x", fcntl.ioctl(asker, GET_FLAGS, request))
        if not flags & UP:
            fcntl.ioctl(asker, SET_FLAGS, struct.pack("16sH14x", b"lo", flags | UP))


def hand_over(wanted: str) -> None:
    """Listen on the ports of the machine's servers and give the sockets to the relay; a port that is refused is not."""
    descriptor, _, ports = wanted.partition(":")
    relay = socket.socket(fileno=int(descriptor))
    names, listening = [], []
    for name in filter(None, ports.split(",")[:MOST_SOCKETS]):
        family, address = LOCAL[name[0]]
        try:
            server = socket.create_server((address, int(name[2:])), family=family, backlog=64)
        except OSError:
            continue
        names.append(name)
        listening.append(server)
    socket.send_fds(relay, [",".join(names).encode() or b","], [server.fileno() for server in listening])
    relay.close()


def main() -> None:
    """Prepare the network, then become the command."""
    command = sys.argv[sys.argv.index("--") + 1 :]
    raise_loopback()
    if wanted := os.environ.pop(RELAY_VARIABLE, ""):
        hand_over(wanted)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"the sandbox cannot start {command[0]}: {error}", file=sys.stderr, flush=True)
        sys.exit(126)


if __name__ == "__main__":
    main()
