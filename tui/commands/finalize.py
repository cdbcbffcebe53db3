"""`finalize`: the keeps of a run as small, independent branches."""

from __future__ import annotations

import click

from supervisor.client.lab_client import LabClient
from supervisor.errors import LabError
from supervisor.model.promotion import PromotionState
from supervisor.promotion.candidates import simplifications
from tui.commands.command_line import Command
from tui.commands.options import json_option, lab_options
from tui.commands.promotion_progress import watch
from tui.views.printing import print_json, say
from tui.views.promotion import finalize_view, say_branches


@click.command(
    cls=Command,
    examples=(
        "autoresearch-tui finalize                a branch for each keep of the champion, measured alone",
        "autoresearch-tui finalize junior-2       the keeps of another branch",
        "autoresearch-tui finalize --no-measure   the branches only",
    ),
)
@click.argument("names", metavar="[BRANCH|AGENT|COMMIT]...", nargs=-1)
@click.option("--no-measure", is_flag=True, help="Make the branches and measure nothing.")
@json_option
@lab_options
def finalize(client: LabClient, names: tuple[str, ...], no_measure: bool, as_json: bool) -> None:
    """Put each keep of the champion on a branch of its own, one change each, and measure it alone."""
    number = client.promotions.finalize(names, measured=not no_measure).number
    snapshot, promotion = watch(client, number, silent=as_json)
    simpler = simplifications(snapshot, promotion)
    if as_json:
        offers = [
            {"experiment": one.experiment.id, "lines_saved": one.lines_saved, "gain": one.experiment.gain}
            for one in simpler
        ]
        print_json(finalize_view(promotion) | {"simpler": offers})
    else:
        say_branches(promotion)
        for one in simpler:
            where = f"{one.experiment.id} {one.experiment.title}"
            line = f"`autoresearch-tui diff {one.experiment.id}` shows it"
            say(f"simpler: {where}: {one.why}, {one.lines_saved} lines fewer; {line}")
    if promotion.state is not PromotionState.DONE:
        raise LabError(f"the branches are not all made: {promotion.reason or promotion.state.value}")
