"""One run of a client: its command line, its events, and how it ended."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roles.backend import BackendError, Cost, ParkedError, Report
from roles.backends.clients.client_setup import ClientSetup, marker_of
from roles.backends.clients.limits import ends_at, is_limit
from roles.backends.clients.spec import AgentFile, BriefBy, Format, argv_of, filled
from roles.backends.clients.transcript import Transcript
from sessions.errors import SessionError
from sessions.processes.guarded_child import ChildHangs, GuardedChild
from sessions.sandbox.client_sandbox import can_limit, limited
from supervisor.text import one_line

LINGER_S = 15.0  # a client that said it is done, and does not go
LONGEST_ARGUMENT = 120_000  # bytes; the kernel takes 128 KiB
LONGEST_REASON = 300
_EVENTS_READ = 16 * 2**20  # bytes of an events file
_NUMBER = re.compile(r"\d+(?:\.\d+)+[\w.+-]*")
_VERSION_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class ClientCall:
    """What a client is run for."""

    argv: tuple[str, ...]
    text: str  # the brief
    worktree: Path
    may_write: bool
    model: str
    schema: Mapping[str, Any]
    canvas: tuple[str, ...] = ()
    session: str = ""  # goes on with it
    counters: Mapping[str, float] = field(default_factory=dict)  # of that session so far


@dataclass(frozen=True, slots=True)
class ClientResult:
    """A run that ended well."""

    transcript: Transcript
    cost: Cost


def run(setup: ClientSetup, call: ClientCall, report: Report) -> ClientResult:
    """Run it to its end. Raises ParkedError or BackendError, with what it cost until then."""
    spec = setup.spec
    try:
        setup.make(call.worktree)
        child = _child(setup, call)
    except OSError as error:
        raise BackendError(f"{spec.name} has no folder of its own: {error}") from None
    transcript = Transcript(spec, report, setup.without_secrets, session=call.session)
    hung = ""
    try:
        with child:
            try:
                for line in child.lines():
                    transcript.feed(line)
                    if transcript.limited:
                        child.stop()
                    if transcript.ending:
                        child.silence_s = min(child.silence_s, LINGER_S)
            except ChildHangs as error:
                hung = str(error)
    except SessionError as error:
        raise BackendError(setup.without_secrets(str(error))) from None
    _read_events_file(setup, call, transcript)
    transcript.end_of_output()
    _settle_by_words(spec, transcript, child)
    cost = transcript.cost(call.counters)
    if transcript.ending or (transcript.refused and not hung):
        return ClientResult(transcript, cost)
    raise _failure(spec, transcript, child, hung, cost)


def _child(setup: ClientSetup, call: ClientCall) -> GuardedChild:
    spec, program = setup.spec, setup.program
    prompt_file, schema_file = setup.folder / "brief.md", setup.folder / "schema.json"
    prompt_file.write_text(call.text, encoding="utf-8")
    schema_file.write_text(json.dumps(call.schema), encoding="utf-8")
    values = setup.places(call.worktree) | {
        "model": call.model,
        "session": call.session,
        "prompt_file": str(prompt_file),
        "schema": json.dumps(call.schema),
        "schema_file": str(schema_file),
    }
    # The brief goes in last and whole: no braces in it are anybody's placeholder.
    own = spec.sandbox.edit if call.may_write else spec.sandbox.plan
    argv = argv_of(spec, call.argv, values, call.canvas, spec.sandbox.limited if can_limit() else own)
    if spec.brief is BriefBy.ARGUMENT:
        if len(call.text.encode()) > LONGEST_ARGUMENT:
            raise BackendError(f"the brief is too long for a command line of {spec.name}")
        argv = [call.text if word == "{prompt}" else word for word in argv]
    command = limited([str(program), *argv], setup.reach(call.worktree, may_write=call.may_write))
    return GuardedChild(
        command,
        cwd=call.worktree,
        env=setup.environment(call.worktree, may_write=call.may_write),
        stdin=prompt_file if spec.brief is BriefBy.STDIN else None,
        marker=marker_of(setup.folder),
        silence_s=spec.silence_s,
        timeout_s=spec.timeout_s,
    )


def _read_events_file(setup: ClientSetup, call: ClientCall, transcript: Transcript) -> None:
    if not setup.spec.events_file:
        return
    path = Path(filled(setup.spec.events_file, setup.places(call.worktree)))
    try:
        with path.open("rb") as file:
            for line in file.read(_EVENTS_READ).decode("utf-8", "replace").splitlines():
                transcript.feed_event(line)
    except OSError:
        return


def _settle_by_words(spec: AgentFile, transcript: Transcript, child: GuardedChild) -> None:
    # Text has no terminal event of its own; its errors are words, for some exit with 0 after one.
    if spec.format is not Format.TEXT:
        return
    lines = [*transcript.final.splitlines(), *child.stderr_tail]
    wrong = next((line for line in lines for pattern in spec.errors if re.search(pattern, line)), "")
    if wrong:
        transcript.ending, transcript.reason = False, wrong
    elif transcript.ending is None and not spec.events.done:
        transcript.ending = child.exit_code == 0


def _failure(
    spec: AgentFile, transcript: Transcript, child: GuardedChild, hung: str, cost: Cost
) -> BackendError:
    printed = transcript.final.splitlines() if spec.format is Format.TEXT else []
    last = next((line for line in reversed((*printed, *child.stderr_tail)) if line.strip()), "")
    reason = transcript.reason or transcript.limited or hung or last
    if not reason or (transcript.ending is None and not hung and not transcript.limited):
        # What came last on stderr is no more than a hint then.
        reason = f"ended with exit code {child.exit_code} and never said how; {reason or 'no word on stderr'}"
    words = one_line(transcript.without_secrets(reason))[:LONGEST_REASON]
    output = "\n".join((reason, transcript.limited, *child.stderr_tail[-5:]))
    if transcript.limited or is_limit(output, spec.limits.patterns):
        until = ends_at(output, time.time(), transcript.resets)
        return ParkedError(f"{spec.name}: {words}", until, cost)
    return BackendError(f"{spec.name}: {words}", cost)


def version_of(setup: ClientSetup) -> str:
    """As the client says it, "" when it does not. Raises BackendError when it is not installed."""
    spec, program = setup.spec, setup.program
    if not spec.version:
        return ""
    try:
        setup.make(setup.folder)
        with GuardedChild(
            [str(program), *spec.version],
            cwd=setup.folder,
            env=setup.environment(setup.folder, may_write=False),
            stdin=None,
            marker=marker_of(setup.folder),
            silence_s=_VERSION_TIMEOUT_S,
            timeout_s=_VERSION_TIMEOUT_S,
        ) as child:
            printed = "\n".join([*child.lines(), *child.stderr_tail])
    except (SessionError, OSError) as error:
        raise BackendError(f"{spec.name} does not say its version: {error}") from None
    number = _NUMBER.search(printed)
    return number[0] if number else ""


def version_line(setup: ClientSetup) -> str:
    """One line for the pane. Raises BackendError."""
    spec, version = setup.spec, version_of(setup)
    if not version or not spec.known_versions:
        return f"{spec.name} {version}".strip()
    if version.startswith(spec.known_versions):
        return f"{spec.name} {version}"
    return f"{spec.name} {version} (proven with {', '.join(f'{each}x' for each in spec.known_versions)})"
