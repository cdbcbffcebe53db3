"""Running the command line: lazy commands, exit codes, one line per error.

Exit codes: 0 done, 1 it failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import difflib
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from tui.commands.options import client_of, lab_flags
from tui.commands.table import BY_NAME, COMMANDS, CommandSection

PROGRAM = "autoresearch-tui"
COMPLETION_VARIABLE = "_AUTORESEARCH_TUI_COMPLETE"  # set by the shell, see click's shell completion
FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130


class _WithExamples(click.Command):
    """Its help ends with examples, one line each: `arguments   what they do`."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        write_examples(formatter, self.examples)


class Command(_WithExamples):
    """A command with examples."""


class Group(_WithExamples, click.Group):
    """A command with sub-commands and examples; without a sub-command it does something itself."""

    command_class = Command


class CommandLine(click.Group):
    """The top: its commands are imported only when they run, so that `--help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the table's order."""
        return [entry.name for entry in COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        entry = BY_NAME.get(cmd_name)
        if entry is None:
            return None
        module = importlib.import_module(f"tui.commands.{entry.module}")
        command: click.Command = getattr(module, entry.attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, but an unknown name is told the nearest one."""
        if args[0] not in BY_NAME and not args[0].startswith("-"):
            listed = [entry.name for entry in COMMANDS if entry.section is not CommandSection.INNER]
            nearest = difflib.get_close_matches(args[0], listed, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"{PROGRAM} --help lists them"
            raise click.UsageError(f"no command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table by sections, without importing any command."""
        for section in CommandSection:
            rows = [(entry.name, entry.summary) for entry in COMMANDS if entry.section is section]
            if section is not CommandSection.INNER:
                with formatter.section(section.value):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        write_examples(
            formatter,
            (
                "autoresearch-tui                    open the lab of the current folder",
                "autoresearch-tui init mylab         make a lab that trains on this machine",
                "autoresearch-tui launch --juniors 4 start, join or resume the research",
            ),
        )


def write_examples(formatter: click.HelpFormatter, examples: Sequence[str]) -> None:
    """One indented line each, as they stand."""
    if examples:
        with formatter.section("Examples"):
            for line in examples:
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


@click.command(
    cls=CommandLine,
    name=PROGRAM,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND]",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@lab_flags
@click.option("--version", is_flag=True, help="Print the version and exit.")
@click.pass_context
def command_line(ctx: click.Context, lab_dir: str | None, state_dir: str | None, version: bool) -> None:
    """A terminal from which one person runs a research lab that never sleeps.

    With no command it opens the lab of the current folder.
    """
    if version:
        from importlib.metadata import version as installed_version

        click.echo(f"{PROGRAM} {installed_version(PROGRAM)}")
    elif ctx.invoked_subcommand is None:
        from tui.screen.open import open_screen

        open_screen(client_of(lab_dir, state_dir))


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command; every failure becomes one line on stderr and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that can't show a character is no reason to die
    try:
        if COMPLETION_VARIABLE in os.environ:
            command_line.main(list(arguments), prog_name=PROGRAM)
        # Not click's main: it would make an exit code of a reader that leaves, and print on Ctrl-C.
        with command_line.make_context(PROGRAM, list(arguments)) as context:
            command_line.invoke(context)
        sys.stdout.flush()
    except (click.Abort, KeyboardInterrupt):
        print(file=sys.stderr)  # after the terminal's ^C
        return INTERRUPTED
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else PROGRAM
        return _fail(f"{error.format_message().rstrip('.')}; see `{where} --help`", WRONG_USAGE)
    except click.ClickException as error:
        return _fail(error.format_message(), FAILED)
    except BrokenPipeError:
        # The reader has seen enough (`… | head`). Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        from supervisor.errors import line_for_person

        return _fail(line_for_person(error), FAILED)
    return 0


def _fail(text: str, code: int) -> int:
    from tui.views.text import plain

    print(f"{PROGRAM}: {plain(text)}", file=sys.stderr)
    return code
