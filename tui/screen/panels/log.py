"""The output of the selected experiment's newest run, as it is written."""

from __future__ import annotations

from collections.abc import Sequence

from textual.reactive import reactive

from supervisor.model.experiment import Run
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import RunState
from tui.screen.actions.requests import AskedText, TextRead
from tui.screen.widgets.lines import Line, Tone, line, prose
from tui.views.text import plain_lines


class LogView(AskedText):
    """Follows the end while the end is in sight."""

    follows = True
    snapshot: reactive[LabSnapshot | None] = reactive(None)
    now: reactive[float] = reactive(0.0)
    experiment_id: reactive[str | None] = reactive(None)

    _is_asking = False

    def watch_now(self) -> None:
        """While it runs there is more every second."""
        run = self._run
        if self.display and run and run.state is RunState.RUNNING:
            self._ask(run.id)

    def watch_snapshot(self) -> None:
        """There may be a newer run."""
        self.rebuild()

    def watch_experiment_id(self) -> None:
        """Another experiment."""
        self.rebuild()

    def rebuild(self) -> None:
        """Draw anew, and read when it is another run than the last."""
        run_id = self._run.id if self._run else None
        self.want(run_id, lambda lab: lab.log_tail(str(run_id)))
        super().rebuild()

    def on_text_read(self, message: TextRead) -> None:
        """The text is there; more of it may be asked for."""
        self._is_asking = False
        super().on_text_read(message)

    def build(self, width: int) -> Sequence[Line]:
        """The lines."""
        run = self._run
        if run is None:
            return [
                *prose("What a training run prints, while it prints it.", width),
                (),
                *prose("l shows it for the selected experiment or agent.", width, Tone.MUTED),
            ]
        head = ((f"{run.id}", Tone.STRONG), (f"  {run.kind}  {run.device or ''}", Tone.MUTED))
        return [head, (), *(line(text) for text in plain_lines(self.text))]

    @property
    def _run(self) -> Run | None:
        experiment = self.snapshot.experiment(self.experiment_id) if self.snapshot else None
        started = [run for run in experiment.runs if run.state is not RunState.QUEUED] if experiment else []
        return started[-1] if started else None

    def _ask(self, run_id: str) -> None:
        if not self._is_asking:
            self._is_asking = True
            self.ask_again(lambda lab: lab.log_tail(run_id))
