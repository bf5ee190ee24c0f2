"""Held-out examples during the training of a reward model: what it is worth now and then, and when to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from typing import Any

from torch import Tensor

from rstar_math.config import PPMSettings
from rstar_math.training.reports import Evaluation
from rstar_math.training.trackers import Log


class HeldOut:
    """Evaluates after some of the steps, keeps the best weights, and ends the training when patience does.

    Attributes:
      evaluations: made so far.
      best: the one whose weights are kept; the last one without early stopping.
      best_weights: None without early stopping.
    """

    def __init__(
        self,
        settings: PPMSettings,
        num_problems: int,
        num_steps: int,
        measure: Callable[[], tuple[float, float | None]] | None,
        weights: Callable[[], dict[str, Tensor]],
        log: Log | None,
    ) -> None:
        """Takes what it looks at.

        Args:
          settings: when to evaluate, and when to stop.
          num_problems: trained on.
          num_steps: planned; the last one is followed by an evaluation.
          measure: loss and share ranked right of the weights as they are, the same in all processes; None: never.
          weights: copies of the weights.
          log: hears of every evaluation.
        """
        steps_per_epoch = -(-num_problems // settings.batch_size)
        self._every = -(-steps_per_epoch // settings.evals_per_epoch)
        self._settings, self._num_steps = settings, num_steps
        self._measure, self._weights, self._log = measure, weights, log
        self.evaluations: list[Evaluation] = []
        self.best: Evaluation | None = None
        self.best_weights: dict[str, Tensor] | None = None

    def after_step(self, step: int) -> bool:
        """Evaluates where that is due; True where patience has ended."""
        if self._measure is None or (step % self._every and step != self._num_steps):
            return False
        loss, accuracy = self._measure()
        now = Evaluation(step, loss, accuracy)
        self.evaluations.append(now)
        if self._log is not None:
            self._log(step, {"held_out_loss": loss} | ({} if accuracy is None else {"pair_accuracy": accuracy}))
        if not self._settings.early_stopping or self.best is None or now.loss < self.best.loss:
            self.best = now
            if self._settings.early_stopping:
                self.best_weights = self._weights()
            return False
        best = self.best.step
        return sum(later.step > best for later in self.evaluations) >= self._settings.patience

    def state(self) -> dict[str, Any]:
        """What it needs to go on from a checkpoint."""
        best = astuple(self.best) if self.best else None
        return {"evaluations": list(map(astuple, self.evaluations)), "best": best, "weights": self.best_weights}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up what `state` gave."""
        self.evaluations = [Evaluation(*values) for values in state["evaluations"]]
        self.best = Evaluation(*state["best"]) if state["best"] else None
        self.best_weights = state["weights"]
