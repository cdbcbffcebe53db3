"""The output of the selected experiment's newest run, as it is written."""

from __future__ import annotations

from collections.abc import Sequence

from textual.reactive import reactive

from supervisor.model.experiment import Run
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import RunState
from tui.screen.messages import LogTail, ReadingDone, ReadingWanted
from tui.screen.widgets.lines import Line, LinesView, Tone, line, prose
from tui.views.text import plain_lines


class LogView(LinesView):
    """Follows the end while the end is in sight."""

    follows = True
    snapshot: reactive[LabSnapshot | None] = reactive(None)
    now: reactive[float] = reactive(0.0)
    experiment_id: reactive[str | None] = reactive(None)

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._read: LogTail | None = None
        self._reading = False
        self._text = ""

    def watch_now(self) -> None:
        """While it runs there is more every second."""
        run = self._run
        if self.display and run and run.state is RunState.RUNNING:
            self._want(LogTail(run.id))

    def watch_snapshot(self) -> None:
        """There may be a newer run."""
        self.rebuild()

    def watch_experiment_id(self) -> None:
        """Another experiment."""
        self.rebuild()

    def rebuild(self) -> None:
        """Draw anew, and read when it is another run than the last."""
        run = self._run
        wanted = LogTail(run.id) if run else None
        if self.display and wanted != self._read:
            self._read, self._text = wanted, ""
            if wanted:
                self._reading = False
                self._want(wanted)
        super().rebuild()

    def on_reading_done(self, message: ReadingDone) -> None:
        """The text is there."""
        message.stop()
        self._reading = False
        if message.reading == self._read:
            self._text = message.text or message.problem
            super().rebuild()

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
        return [head, (), *(line(text) for text in plain_lines(self._text))]

    @property
    def _run(self) -> Run | None:
        experiment = self.snapshot.experiment(self.experiment_id) if self.snapshot else None
        started = [run for run in experiment.runs if run.state is not RunState.QUEUED] if experiment else []
        return started[-1] if started else None

    def _want(self, reading: LogTail) -> None:
        if not self._reading:
            self._reading = True
            self.post_message(ReadingWanted(self, reading))
