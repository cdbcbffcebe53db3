"""`plan`: the hypotheses, and the person's word on them."""

from __future__ import annotations

import click

from supervisor.client.lab_client import LabClient
from supervisor.errors import LabError
from supervisor.model.snapshot import Hypothesis
from supervisor.model.states import UNTESTED
from tui.commands.command_line import Group
from tui.commands.options import client_of, json_option, lab_flags, lab_options
from tui.views.as_json import hypotheses_view
from tui.views.experiment import hypothesis_facts
from tui.views.figures import change
from tui.views.printing import Column, print_json, print_table, say, say_fact

COLUMNS = (
    Column("id"),
    Column("state"),
    Column("expected", right=True),
    Column("kind", spare=1),
    Column("by", spare=2),
    Column("experiment", spare=3),
    Column("hypothesis", wide=True),
)


@click.group(
    cls=Group,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND]",
    examples=(
        "autoresearch-tui plan                         what waits, in the order in which it is taken",
        "autoresearch-tui plan add 'RoPE base 50000'   a hypothesis of yours, at the head of the plan",
        "autoresearch-tui plan reject h-07             take one out",
    ),
)
@click.option("--all", "with_done", is_flag=True, help="Tested and withdrawn ones too.")
@json_option
@lab_flags
@click.pass_context
def plan(
    ctx: click.Context, with_done: bool, as_json: bool, lab_dir: str | None, state_dir: str | None
) -> None:
    """The chief's hypotheses, in the order in which juniors take them."""
    if ctx.invoked_subcommand is not None:
        return
    everything = client_of(lab_dir, state_dir).launched().hypotheses
    if as_json:
        print_json(hypotheses_view(everything))
        return
    hypotheses = [one for one in everything if with_done or one.state in UNTESTED]
    print_table(
        COLUMNS,
        (_row(one) for one in hypotheses),
        "Nothing waits: the chief writes hypotheses when juniors run low.",
    )


@plan.command(
    "add",
    examples=(
        "autoresearch-tui plan add 'RoPE base 50000'",
        "autoresearch-tui plan add 'Depth 3' --why 'a third layer pays at this width' --on e0012",
    ),
)
@click.argument("title")
@click.option(
    "--change", "change_", default="", metavar="TEXT", help="What to change, when TITLE does not say it."
)
@click.option("--why", "rationale", default="", metavar="TEXT", help="Why it should help.")
@click.option(
    "--on", "parent_id", metavar="ID", help="The experiment to build on; default: the taker's incumbent."
)
@json_option
@lab_options
def add(
    client: LabClient, title: str, change_: str, rationale: str, parent_id: str | None, as_json: bool
) -> None:
    """Put a hypothesis of yours at the head of the plan."""
    if not title.strip():
        raise click.UsageError("the title is empty")
    hypothesis_id = client.add_hypothesis(title, change_, rationale, parent_id)
    if as_json:
        print_json({"id": hypothesis_id})
    else:
        say(f"{hypothesis_id} is at the head of the plan")


@plan.command("show", examples=("autoresearch-tui plan show h-07",))
@click.argument("hypothesis_id", metavar="ID")
@json_option
@lab_options
def show(client: LabClient, hypothesis_id: str, as_json: bool) -> None:
    """One hypothesis in full."""
    matches = tuple(one for one in client.launched().hypotheses if one.id == hypothesis_id)
    if not matches:
        raise LabError(f"there is no {hypothesis_id}; `autoresearch-tui plan --all` lists them")
    if as_json:
        print_json(hypotheses_view(matches))
        return
    (one,) = matches
    say_fact(one.id, one.title)
    facts = (("State", one.state.value), ("Change", one.change), *hypothesis_facts(one))
    for name, text in facts:
        if text:
            say_fact(name.lower(), text)


@plan.command("approve", examples=("autoresearch-tui plan approve h-07 h-08",))
@click.argument("hypothesis_ids", metavar="ID...", nargs=-1, required=True)
@lab_options
def approve(client: LabClient, hypothesis_ids: tuple[str, ...]) -> None:
    """Open proposed hypotheses for the juniors."""
    for hypothesis_id in hypothesis_ids:
        client.approve(hypothesis_id)
        say(f"{hypothesis_id} is open")


@plan.command("reject", examples=("autoresearch-tui plan reject h-07",))
@click.argument("hypothesis_ids", metavar="ID...", nargs=-1, required=True)
@lab_options
def reject(client: LabClient, hypothesis_ids: tuple[str, ...]) -> None:
    """Take hypotheses out of the plan; they stay listed with --all."""
    for hypothesis_id in hypothesis_ids:
        client.reject(hypothesis_id)
        say(f"{hypothesis_id} is withdrawn")


@plan.command(
    "move",
    examples=(
        "autoresearch-tui plan move h-09                  to the head",
        "autoresearch-tui plan move h-09 --before h-07",
    ),
)
@click.argument("hypothesis_id", metavar="ID")
@click.option("--before", metavar="ID", help="Right before this one; default: to the head.")
@lab_options
def move(client: LabClient, hypothesis_id: str, before: str | None) -> None:
    """Change the order in which hypotheses are taken."""
    client.move_hypothesis(hypothesis_id, before)
    say(f"{hypothesis_id} is {'before ' + before if before else 'at the head of the plan'}")


def _row(one: Hypothesis) -> tuple[str, ...]:
    state = f"{one.state.value} by {one.claimed_by}" if one.claimed_by else one.state.value
    return (
        one.id,
        state,
        change(one.expected_gain),
        one.category,
        one.author,
        one.experiment_id or "",
        one.title,
    )
