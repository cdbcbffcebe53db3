"""What a TOML file says about a client: how it is run, what it may see, and how its events are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from roles.backends.clients.selectors import parse_path, parse_selector
from supervisor.lab.config import Name, Seconds, TomlTable

PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
# Folders; "office" is how files of before say "agent_folder".
PLACES = {"home", "tmp", "agent_folder", "worktree", "person_home", "office"}
# Elements that become several, or none.
SPREAD = {"resume_arguments", "model_arguments", "canvas_arguments", "sandbox_arguments"}
ARGUMENTS = PLACES | SPREAD | {"model", "session", "prompt_file", "prompt", "schema", "schema_file", "canvas"}
INTERACTIVE_ARGUMENTS = PLACES | {"model_arguments", "first_words", "state_dir", "holdout"}


class Format(StrEnum):
    """What a client prints."""

    JSONL = "jsonl"  # an event a line
    JSON = "json"  # one document at the end
    TEXT = "text"  # words; nothing but its exit code and its events file tell how it ended


class BriefBy(StrEnum):
    """How a client is given its brief."""

    STDIN = "stdin"
    ARGUMENT = "argument"  # as the last argument, which bounds it
    FILE = "file"  # argv names {prompt_file}


class Take(StrEnum):
    """Which counters count when several events have them."""

    LAST = "last"
    SUM = "sum"


def _checked(expect: Callable[[str], object]) -> AfterValidator:
    """The text as it is, once `expect` has raised no ValueError."""

    def check(text: str) -> str:
        expect(text)
        return text

    return AfterValidator(check)


def _expect_pattern(text: str) -> None:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from None


def _placeholders(known: set[str]) -> AfterValidator:
    def expect_known(text: str) -> None:
        unknown = [name for name in PLACEHOLDER.findall(text) if name not in known]
        if unknown:
            raise ValueError(f"knows no {{{unknown[0]}}} here; there are {', '.join(sorted(known))}")

    return _checked(expect_known)


SelectorText = Annotated[str, _checked(parse_selector)]
Selectors = tuple[SelectorText, ...]
PathText = Annotated[str, _checked(parse_path)]
Patterns = tuple[Annotated[str, _checked(_expect_pattern)], ...]
Argv = tuple[Annotated[str, _placeholders(ARGUMENTS)], ...]
InteractiveArgv = tuple[Annotated[str, _placeholders(INTERACTIVE_ARGUMENTS)], ...]
Located = Annotated[str, _placeholders(PLACES)]


class ToolCalls(TomlTable):
    """`[[events.tools]]`: a tool that the model called; `name` and `detail` are paths below what `at` selects."""

    at: SelectorText
    name: PathText
    detail: tuple[PathText, ...] = ()  # the first that is there


class Events(TomlTable):
    """`[events]`: where things stand. The last event that is `done` or `failed` decides."""

    done: Selectors = ()  # it ended well
    failed: Selectors = ()  # it failed, with the reason where there is one
    final: Selectors = ()  # its last words; without any, those of `done`
    structured: Selectors = ()  # an answer as an object
    session: Selectors = ()
    refused: Selectors = ()  # the model will not
    limited: Selectors = ()  # a rate or usage limit: always that, whatever the words
    resets_at: Selectors = ()  # epoch seconds
    waits_ms: Selectors = ()  # it will wait so long for a limit to pass: the agent waits in its place
    say: Selectors = ()  # the model's words, as they come
    pieces: Selectors = ()  # instead of `say` and `final`: pieces of its words, from one tool call to the next
    tools: tuple[ToolCalls, ...] = ()
    denied: tuple[ToolCalls, ...] = ()  # tool calls that the client refused


class Usage(TomlTable):
    """`[usage]`: what it cost."""

    usd: Selectors = ()
    input: Selectors = ()
    output: Selectors = ()
    cache_read: Selectors = ()
    cache_write: Selectors = ()
    model: Selectors = ()
    take: Take = Take.LAST
    cumulative: bool = False  # counts the whole session: what it was before a resume is taken off
    input_has_cache: bool = False  # `input` holds what was read from the cache too


class LimitWords(TomlTable):
    """`[limits]`: regular expressions over the reason of a failure and the last lines of stderr."""

    patterns: Patterns = ()  # beside those that every provider uses


class Sandbox(TomlTable):
    """`[sandbox]`: what {sandbox_arguments} becomes, for a client whose own sandbox does not work inside ours."""

    limited: Argv = ()  # where the system limits its files
    plan: Argv = ()  # where it does not
    edit: Argv = ()


class Interactive(TomlTable):
    """`[interactive]`: its own interface in an agent's pane, with a HOME of its own and the lab as tools and hooks.

    What its files may name beside the folders: {state_dir} and {holdout}; {server} and {server_words}, the lab's MCP
    server as a program and its arguments; {server_env} and {server_env_toml}; {hook}, the command that an event
    follows, and {hook_words}. Words are strings in a list without its brackets.
    """

    argv: InteractiveArgv
    environment: dict[str, Located] = Field(default_factory=dict)  # over `[environment]`
    # Written before each start. The others of `[files]` keep what else they say, if they are JSON.
    files: dict[Located, str] = Field(default_factory=dict)


class Inherit(TomlTable):
    """`[inherit]`: how the client is pointed at the person's own login; no token is copied."""

    environment: dict[str, Located] = Field(default_factory=dict)  # over `[environment]`
    write: tuple[Located, ...] = ()  # what it may change there, to renew a token
    login: tuple[Located, ...] = ()  # a file that is there when the person is logged in


class AgentFile(TomlTable):
    """The whole file."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]
    binary: Name  # found on PATH, or an absolute path
    version: tuple[str, ...] = ("--version",)  # behind the binary
    known_versions: tuple[str, ...] = ()  # beginnings, like "2.1."
    install: str = ""  # a line for the person

    plan: Argv | None = None  # read-only; None: it can't plan
    edit: Argv | None = None
    resume: Argv = ()  # what {resume_arguments} becomes when a session goes on; (): it can't
    model: Argv = ()  # what {model_arguments} becomes when the person chose one
    canvas: Argv = ()  # what {canvas_arguments} becomes, once for each file that may change
    brief: BriefBy = BriefBy.STDIN
    answers: bool = True  # ends with the JSON that it was asked for; false: its last words serve as they are
    keys: tuple[Name, ...] = ()  # variables of its provider: the only ones passed on
    environment: dict[str, Located] = Field(default_factory=dict)
    plan_environment: dict[str, Located] = Field(default_factory=dict)
    edit_environment: dict[str, Located] = Field(default_factory=dict)
    # Written before each run, not when `auth` is inherit.
    files: dict[Located, str] = Field(default_factory=dict)
    readable: tuple[Located, ...] = ()  # beside the worktree and what is the system's
    format: Format = Format.JSONL
    events_file: Located = ""  # more events, a line each, written by the client to a file
    errors: Patterns = ()  # words in a text output that mean failure
    silence_s: Seconds = 600.0
    timeout_s: Seconds = 3600.0

    events: Events = Events()
    usage: Usage = Usage()
    limits: LimitWords = LimitWords()
    sandbox: Sandbox = Sandbox()
    inherit: Inherit | None = None
    interactive: Interactive | None = None


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with its placeholders replaced; what is not among `values` stays as it is."""
    return PLACEHOLDER.sub(lambda name: values.get(name[1], name[0]), text)


def argv_of(
    spec: AgentFile, argv: Argv, values: Mapping[str, str], canvas: tuple[str, ...] = (), sandbox: Argv = ()
) -> list[str]:
    """The command line behind the binary. Every element stays one, whatever a model wrote into it."""
    spread: dict[str, Argv] = {
        "{sandbox_arguments}": sandbox,
        "{resume_arguments}": spec.resume if values.get("session") else (),
        "{model_arguments}": spec.model if values.get("model") else (),
    }
    words: list[str] = []
    for element in argv:
        if element == "{canvas_arguments}":
            words += [filled(each, {**values, "canvas": path}) for path in canvas for each in spec.canvas]
        elif element in spread:
            words += [filled(each, values) for each in spread[element]]
        else:
            words.append(filled(element, values))
    return words
