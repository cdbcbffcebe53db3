"""A launcher that stays beside the command, outside its network namespace: `-- COMMAND`.

Run by its path with `python -I -S`. What connects inside to a port on which a server of this machine listened at the
start is connected to that server; nothing else of the machine's network is reached. Exits as the command does.
"""

import os
import socket
import subprocess
import sys
import threading

RELAY_VARIABLE = "AUTORESEARCH_RELAY"  # as own_loopback.py reads it
LISTENING = "0A"
TABLES = (("/proc/net/tcp", "4", 8), ("/proc/net/tcp6", "6", 32))
LOCAL = {"4": "127.0.0.1", "6": "::1"}
LOCAL_IN_TABLE = ("0100007F", "00000000", "0" * 32, "0" * 24 + "01000000")
CHUNK = 65536


def machine_servers() -> list[str]:
    """What listens on this machine's loopback, as "4:8000"; one that listens everywhere is there as well."""
    found: dict[str, None] = {}
    for table, family, _ in TABLES:
        try:
            # No pathlib: this starts beside every such run, and would import it for this line.
            with open(table, encoding="ascii") as lines:  # noqa: PTH123
                rows = [line.split() for line in lines][1:]
        except OSError:
            continue
        for row in rows:
            address, _, port = row[1].partition(":")
            if row[3] == LISTENING and address in LOCAL_IN_TABLE:
                found[f"{family}:{int(port, 16)}"] = None
                if address == "0" * 32:  # such a socket takes both families
                    found[f"4:{int(port, 16)}"] = None
    return list(found)


def pump(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes until there is no more."""
    try:
        while data := source.recv(CHUNK):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, target):
            end.close()


def serve(listener: socket.socket, name: str) -> None:
    """Connect whatever comes in to the machine's server of that name."""
    family, _, port = name.partition(":")
    while True:
        try:
            inside, _ = listener.accept()
        except OSError:
            return
        try:
            outside = socket.create_connection((LOCAL[family], int(port)), timeout=10)
            outside.settimeout(None)
        except OSError:
            inside.close()
            continue
        for ends in ((inside, outside), (outside, inside)):
            threading.Thread(target=pump, args=ends, daemon=True).start()


def relay(ours: socket.socket) -> None:
    """Take the listening sockets over, once they come, and serve each."""
    try:
        names, descriptors, _, _ = socket.recv_fds(ours, CHUNK, 253)
    except OSError:
        return
    for name, descriptor in zip(names.decode().split(","), descriptors, strict=False):
        listener = socket.socket(fileno=descriptor)
        threading.Thread(target=serve, args=(listener, name), daemon=True).start()


def main() -> None:
    """Start the command, relay until it ends."""
    command = sys.argv[sys.argv.index("--") + 1 :]
    ours, theirs = socket.socketpair()
    theirs.set_inheritable(True)
    told = os.environ | {RELAY_VARIABLE: f"{theirs.fileno()}:{','.join(machine_servers())}"}
    # The run's own descriptors, its channel among them, are inherited as they are.
    process = subprocess.Popen(command, env=told, close_fds=False)
    theirs.close()
    threading.Thread(target=relay, args=(ours,), daemon=True).start()
    code = process.wait()
    sys.exit(128 - code if code < 0 else code)


if __name__ == "__main__":
    main()
