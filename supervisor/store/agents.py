"""Writing: agents and the messages to them."""

from __future__ import annotations

from collections.abc import Sequence

from supervisor.errors import LabError
from supervisor.model.states import AgentState, Mode, Role, Wanted
from supervisor.store import rows
from supervisor.store.campaigns import record_event
from supervisor.store.connection import Connection, Store


def add_agent(
    store: Store,
    tag: str,
    role: Role,
    backend: str,
    now: float,
    *,
    model: str = "",
    mode: Mode = Mode.HEADLESS,
) -> str:
    """A new agent of the campaign, to be started by the supervisor; returns its name."""
    with store.transaction() as db:
        if role is Role.CHIEF:
            name, branch = "chief", ""
        else:
            names = {row["name"] for row in db.execute("SELECT name FROM agents WHERE tag = ?", (tag,))}
            number = next(n for n in range(1, len(names) + 2) if f"junior-{n}" not in names)
            name = f"junior-{number}"
            branch = f"autoresearch/{tag}-{name}"
        baseline = db.execute("SELECT baseline_id FROM campaigns WHERE tag = ?", (tag,)).fetchone()[0]
        rows.insert(
            db,
            "agents",
            tag=tag,
            name=name,
            role=role,
            backend=backend,
            model=model,
            mode=mode,
            state=AgentState.STARTING,
            state_since=now,
            wanted=Wanted.RUNNING,
            branch=branch,
            incumbent_id=baseline if role is Role.JUNIOR else None,
        )
        record_event(db, tag, now, name, f"joined ({backend})")
    return name


def set_agent_state(
    store: Store,
    tag: str,
    name: str,
    state: AgentState,
    now: float,
    *,
    doing: str = "",
    waiting_for: str = "",
) -> None:
    """What the agent is doing now; its age restarts only when the state changes."""
    with store.transaction() as db:
        _set_state(db, tag, name, state, now, doing=doing, waiting_for=waiting_for, parked_until=None)


def record_client_state(
    store: Store, name: str, state: AgentState, now: float, *, doing: str, waiting_for: str
) -> None:
    """What an interactive agent's client does, as its hooks say; of no weight while the person has its place."""
    row = store.connection.execute(
        "SELECT tag FROM agents WHERE name = ? AND mode = ? AND wanted = ? AND tag = "
        "(SELECT tag FROM campaigns ORDER BY started_at DESC, rowid DESC LIMIT 1)",
        (name, Mode.INTERACTIVE, Wanted.RUNNING),
    ).fetchone()
    if row is not None:
        set_agent_state(store, row["tag"], name, state, now, doing=doing, waiting_for=waiting_for)


def park_agent(store: Store, tag: str, name: str, until: float, why: str, now: float) -> None:
    """A limit of its model keeps the agent waiting until then; its next state ends that."""
    with store.transaction() as db:
        _set_state(db, tag, name, AgentState.PARKED, now, doing=why, waiting_for="", parked_until=until)
        record_event(db, tag, now, name, f"parked: {why}")


def stop_agent(store: Store, tag: str, name: str, why: str, now: float) -> None:
    """The agent ends by itself, and says why."""
    with store.transaction() as db:
        rows.update(db, "agents", {"tag": tag, "name": name}, wanted=Wanted.STOPPED)
        record_event(db, tag, now, name, f"stops: {why}")


def record_heartbeat(store: Store, tag: str, name: str, now: float) -> None:
    """The agent's process is alive."""
    with store.transaction() as db:
        rows.update(db, "agents", {"tag": tag, "name": name}, heartbeat_at=now)


def record_agent_death(store: Store, tag: str, name: str, restarts: int, now: float, text: str) -> None:
    """The agent's process died; `restarts` deaths in a row by now."""
    with store.transaction() as db:
        rows.update(db, "agents", {"tag": tag, "name": name}, restarts=restarts, heartbeat_at=now)
        record_event(db, tag, now, name, text)


def want_agents(store: Store, tag: str, names: Sequence[str], wanted: Wanted, now: float) -> None:
    """Ask for agents to run, pause or stop; they obey at their next step. Raises LabError for an unknown name."""
    with store.transaction() as db:
        for name in names:
            agent = {"tag": tag, "name": name}
            _expect_agent(rows.update(db, "agents", agent, wanted=wanted, restarts=0), name)
            record_event(db, tag, now, name, f"the person wants it {wanted}")


def request_restart(store: Store, tag: str, names: Sequence[str], now: float) -> None:
    """Ask the supervisor to end these agents' processes and start them anew. Raises LabError for an unknown name."""
    with store.transaction() as db:
        for name in names:
            agent, restart = {"tag": tag, "name": name}, {"restart_wanted": 1, "restarts": 0}
            _expect_agent(rows.update(db, "agents", agent, restart, wanted=Wanted.RUNNING), name)
            record_event(db, tag, now, name, "the person wants it restarted")


def restarts_wanted(store: Store, tag: str) -> tuple[str, ...]:
    """Agents whose restart was asked for and not done yet."""
    query = "SELECT name FROM agents WHERE tag = ? AND restart_wanted = 1"
    return tuple(name for (name,) in store.connection.execute(query, (tag,)))


def close_restart(store: Store, tag: str, name: str) -> None:
    """The restart was done."""
    with store.transaction() as db:
        rows.update(db, "agents", {"tag": tag, "name": name}, restart_wanted=0)


def send_message(
    store: Store, tag: str, names: Sequence[str], text: str, author: str, now: float
) -> tuple[int, ...]:
    """A message that each agent reads before its next step; returns their numbers. Raises LabError."""
    numbers = []
    with store.transaction() as db:
        for name in names:
            query = "SELECT count(*) FROM agents WHERE tag = ? AND name = ?"
            _expect_agent(db.execute(query, (tag, name)).fetchone()[0], name)
            message = {"tag": tag, "agent": name, "text": text, "author": author, "sent_at": now}
            numbers.append(rows.insert(db, "messages", message))
            record_event(db, tag, now, name, f"message from {author}: {text}")
    return tuple(numbers)


def has_messages(store: Store, tag: str, name: str) -> bool:
    """Whether somebody left the agent a message that it has not read."""
    unread = "SELECT 1 FROM messages WHERE tag = ? AND agent = ? AND read_at IS NULL LIMIT 1"
    return store.connection.execute(unread, (tag, name)).fetchone() is not None


def take_messages(store: Store, tag: str, name: str, now: float) -> tuple[str, ...]:
    """The messages that the agent has not read, marked as read."""
    if not has_messages(store, tag, name):
        return ()
    with store.transaction() as db:
        query = "SELECT id, text FROM messages WHERE tag = ? AND agent = ? AND read_at IS NULL ORDER BY id"
        messages = db.execute(query, (tag, name)).fetchall()
        for number, text in messages:
            rows.update(db, "messages", {"id": number}, read_at=now)
            record_event(db, tag, now, name, f"read: {text}")
    return tuple(text for _, text in messages)


def unread_messages(store: Store, numbers: Sequence[int]) -> tuple[int, ...]:
    """Those of the messages that nobody has read yet."""
    marks = ",".join("?" * len(numbers))
    query = f"SELECT id FROM messages WHERE id IN ({marks}) AND read_at IS NULL"
    return tuple(number for (number,) in store.connection.execute(query, tuple(numbers)))


def _set_state(
    db: Connection, tag: str, name: str, state: AgentState, now: float, **more: str | float | None
) -> None:
    agent = {"tag": tag, "name": name}
    age = "UPDATE agents SET state_since = ? WHERE tag = ? AND name = ? AND state != ?"
    db.execute(age, (now, tag, name, state))
    rows.update(db, "agents", agent, more, state=state, heartbeat_at=now)


def _expect_agent(matches: int, name: str) -> None:
    if not matches:
        raise LabError(f"there is no agent {name!r}; `autoresearch-tui status` lists them")
