"""What does a module score on the chains of a split, and what do those score that learnt nothing?

The model is scored at each validation. The nulls do not change within a run, so they are scored
once per split, on the same chains, in the same pass.
"""

from collections.abc import Callable, Iterable, Mapping

from torch import Tensor

from protcontact.batch import ContactBatch
from protcontact.errors import InputError
from protcontact.metrics.calibration import Reliability
from protcontact.metrics.loss import ChainLosses
from protcontact.metrics.running import ContactScores, RunningLosses

# Makes scores ``(B, L, L)`` for the pairs of a batch.
Scorer = Callable[[ContactBatch], Tensor]


class StageScores:
    """Scores of a model and of nulls on whole chains.

    Attributes:
        model: Of the model, chain by chain.
        reliability: Of the model's probabilities.
        losses: Of the model, by name.
        nulls: Name of a null -> its scores.
    """

    def __init__(self) -> None:
        self.model = ContactScores()
        self.reliability = Reliability()
        self.losses = RunningLosses()
        self.nulls: dict[str, ContactScores] = {}
        self._complete = ""  # the split whose nulls are

    def forget_nulls(self) -> None:
        """Score the nulls again: they are others now."""
        self._complete = ""

    def start(self, split: str, nulls: Iterable[str]) -> None:
        """Forget the chains of the last time.

        Args:
            split: Whose chains come.
            nulls: Names of the nulls; the same on all processes.
        """
        self.model.reset()
        self.reliability.reset()
        self.losses.reset()
        if self._complete != split:
            self._complete = ""
            self.nulls = {name: ContactScores() for name in nulls}

    def update(
        self,
        logits: Tensor,
        batch: ContactBatch,
        nulls: Mapping[str, Scorer],
        losses: Mapping[str, ChainLosses],
    ) -> None:
        """Score a batch of whole chains.

        Args:
            logits: ``(B, L, L)`` of the model.
            batch: The chains.
            nulls: As they were named at the start.
            losses: Of the chains, by name.

        Raises:
            InputError: If logits are not numbers.
        """
        diverged = logits.isnan().flatten(1).any(dim=1)
        if diverged.any():
            raise InputError(
                f"logits of chain {batch.ids[int(diverged.nonzero()[0])]} are NaN: the training "
                "has diverged; train with a lower learning rate, or take an earlier checkpoint"
            )
        self.model.update(logits, batch)
        self.reliability.update(logits, batch)
        self.losses.update(batch, losses)
        if not self._complete:
            for name, scores in self.nulls.items():
                scores.update(nulls[name](batch), batch)

    def finish(self, split: str, sanity: bool = False) -> None:
        """Join the chains of all processes; a collective call.

        Args:
            split: As at the start.
            sanity: Whether this was a rehearsal with a few chains, so that the nulls are not done.
        """
        self.model = self.model.gather()
        self.reliability = self.reliability.gather()
        self.losses = self.losses.gather()
        if not self._complete:
            self.nulls = {name: scores.gather() for name, scores in self.nulls.items()}
            self._complete = "" if sanity else split
