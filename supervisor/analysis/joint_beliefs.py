"""Several unknown numbers, what is believed of them together, and what each measurement changes. Pure."""

from __future__ import annotations

from collections.abc import Sequence

Loading = tuple[str, float]  # an unknown and how much of it a sum contains


class JointBeliefs:
    """A joint normal of named unknowns: their means and covariances."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.means: list[float] = []
        self.covariances: list[list[float]] = []
        self._places: dict[str, int] = {}

    def __contains__(self, name: str | None) -> bool:
        return name in self._places

    def add(
        self, name: str, mean: float, variance: float, covariances: Sequence[float] | None = None
    ) -> None:
        """One more unknown; without `covariances` (in the order of `names`) it hangs on no other."""
        row = list(covariances) if covariances is not None else [0.0] * len(self.names)
        for other, value in zip(self.covariances, row, strict=True):
            other.append(value)
        self._places[name] = len(self.names)
        self.names.append(name)
        self.means.append(mean)
        self.covariances.append([*row, variance])

    def drop(self, name: str) -> None:
        """Forget an unknown; what it taught about the others stays."""
        place = self._places[name]
        for held in (self.names, self.means, self.covariances, *self.covariances):
            del held[place]  # type: ignore[attr-defined]
        self._places = {other: at for at, other in enumerate(self.names)}

    def mean(self, loadings: Sequence[Loading]) -> float:
        """The expected value of a sum."""
        return sum(weight * self.means[self._places[name]] for name, weight in loadings)

    def covariance(self, loadings: Sequence[Loading]) -> list[float]:
        """Of a sum with every unknown."""
        rows = [(weight, self.covariances[self._places[name]]) for name, weight in loadings]
        return [sum([weight * row[at] for weight, row in rows]) for at in range(len(self.names))]

    def variance(self, loadings: Sequence[Loading]) -> float:
        """Of a sum."""
        row = self.covariance(loadings)
        return max(sum([weight * row[self._places[name]] for name, weight in loadings]), 0.0)

    def weigh(self, loadings: Sequence[Loading], precision: float, pull: float) -> None:
        """A sum was measured: `precision` is one over the variance, `pull` the value times it.

        The difference of two weighings may be given, to replace one by the other.
        """
        row = self.covariance(loadings)
        variance = max(sum([weight * row[self._places[name]] for name, weight in loadings]), 0.0)
        room = 1 + precision * variance
        if room <= 0:
            return
        step, factor = (pull - precision * self.mean(loadings)) / room, precision / room
        for at, own in enumerate(row):
            if own:
                self.means[at] += step * own
                scaled = factor * own
                self.covariances[at] = [
                    entry - scaled * value for entry, value in zip(self.covariances[at], row, strict=True)
                ]

    def widen(self, name: str, variance: float) -> None:
        """An unknown is known less well than it was, by so much more variance."""
        place = self._places[name]
        self.covariances[place][place] += variance
