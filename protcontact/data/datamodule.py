"""How do prepared chains reach the model, on any number of devices?

`ContactDataModule` opens a data set that was prepared and split, and serves `ContactBatch`es:
crops for training, full chains for validation and test.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import GradientAccumulationScheduler
from pytorch_lightning.trainer.states import TrainerFn
from torch.utils.data import DataLoader

from protcontact.batch import ContactBatch
from protcontact.data import splitfile
from protcontact.data.dataset import ContactDataset, WholeChains
from protcontact.data.sampling import PairBudgetSampler, PlannedBatch, bucket
from protcontact.data.splits import refuse_stale, split_fingerprint
from protcontact.data.store import ChainStore
from protcontact.data.templates import open_templates
from protcontact.errors import InputError

# Settings that decide what a training step sees, and in which order.
SEEN = ("pair_budget", "crop_size", "far_crops", "seed", "templates_per_chain")


class ResumableLoader(DataLoader):
    """A loader that knows how many batches of the epoch it has handed out.

    Lightning stores ``state_dict()`` in its checkpoints, so a run killed in the middle of an epoch
    goes on with the next batch instead of the first. Batches that workers fetched ahead do not
    count.

    Args:
        limit: Batches of an epoch at most, or their share of all: Lightning stops there.
    """

    def __init__(self, *args: Any, limit: int | float = 1.0, **kwargs: Any) -> None:
        self.limit = limit
        self._given = 0
        self._done: tuple[int | None, int] = None, 0  # epoch, and batches of it done before
        super().__init__(*args, **kwargs)

    @property
    def epoch_length(self) -> int:
        """Batches of an epoch, within the limit."""
        most = len(self)
        return min(most, self.limit) if isinstance(self.limit, int) else int(most * self.limit)

    def __iter__(self) -> Iterator[ContactBatch]:  # type: ignore[override]
        """Hand out the rest of the epoch.

        Yields:
            One batch per step.

        Raises:
            InputError: If Lightning was told to put another sampler in its place, or wants more
                batches of an epoch that was done.
        """
        if not isinstance(self.sampler, PairBudgetSampler):
            raise InputError(
                f"batches come from a {type(self.sampler).__name__}, which cannot serve them; "
                "leave out --trainer.overfit_batches, and set --data.pair_budget or "
                "--trainer.limit_train_batches instead"
            )
        (epoch, done), self._done = self._done, (None, 0)
        skip = done if epoch in (None, self.sampler.epoch) else 0
        if skip and skip >= self.epoch_length:
            raise InputError(
                "this checkpoint was saved by a validation at the end of an epoch, where a run can "
                "go on only if it validates there again; restore --trainer.val_check_interval, "
                "check_val_every_n_epoch and limit_val_batches, or take another checkpoint"
            )
        self._given = self.sampler.start = skip
        for batch in super().__iter__():
            self._given += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Batches of the running epoch that were handed out, all of them, and who shares them."""
        state = {"given": self._given, "length": self.epoch_length, **self._shared()}
        if isinstance(self.sampler, PairBudgetSampler):
            state["epoch"] = self.sampler.epoch
        return state

    def _shared(self) -> dict[str, int]:
        """Processes and their batches per step: what the order of the batches follows from."""
        if not isinstance(self.sampler, PairBudgetSampler):
            return {}
        return {"processes": self.sampler.world, "accumulated": self.sampler.accumulate}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Leave out the batches of that epoch which were handed out.

        Raises:
            InputError: If an epoch has other batches now.
        """
        own = self._shared()
        if any(state.get(name, value) != value for name, value in own.items()):
            raise InputError(
                f"the run was on {state['processes']} processes with {state['accumulated']} "
                f"batches per step each, and is to go on with {own['processes']} and "
                f"{own['accumulated']}, which would see other batches; restore --trainer.devices, "
                "--trainer.num_nodes and --trainer.accumulate_grad_batches"
            )
        length, given = self.epoch_length, state["given"]
        if state["length"] != length:
            raise InputError(
                f"an epoch had {state['length']} batches and now has {length}, so the run cannot "
                "go on in its middle; use the same data, pair_budget, crop_size, devices and "
                "limit_train_batches"
            )
        epoch = state.get("epoch")  # older checkpoints do not say which
        self._given = given
        self._done = (None, given % length) if epoch is None else (epoch, given)


class ContactDataModule(pl.LightningDataModule):
    """Serves a prepared and split data set.

    Args:
        path: Folder written by ``protcontact prepare`` and ``protcontact split``.
        pair_budget: Most padded residue pairs (B L^2) of a training batch; memory follows it.
        eval_pair_budget: The same for validation and test, where no gradients are kept.
        crop_size: Most residues of a chain that a training step sees.
        far_crops: Probability that the crop of a longer chain is two windows far apart.
        workers: Processes that load batches beside the training process.
        seed: Of order and crops.
        length_multiple: Batches are padded to multiples of it, for compiled models and tensor
            cores. Padded pairs of an epoch on natural lengths with the defaults: 1.9 % with 1,
            4.2 % with 8, 6.7 % with 16. Budgets count the pairs before that.
        templates_per_chain: Structures of the train split that resemble a chain, to be shown with
            it; ``protcontact templates`` finds them.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        path: str = "data",
        pair_budget: int = 131_072,
        eval_pair_budget: int = 131_072,
        crop_size: int = 192,
        far_crops: float = 0.2,
        workers: int = 0,
        seed: int = 0,
        length_multiple: int = 1,
        templates_per_chain: int = 0,
    ) -> None:
        super().__init__()
        if min(pair_budget, eval_pair_budget, crop_size, length_multiple) < 1:
            raise ValueError(
                "pair_budget, eval_pair_budget, crop_size and length_multiple must be >= 1, "
                f"not {pair_budget}, {eval_pair_budget}, {crop_size} and {length_multiple}"
            )
        if min(workers, templates_per_chain) < 0:
            raise ValueError(
                "workers and templates_per_chain must be >= 0, "
                f"not {workers} and {templates_per_chain}"
            )
        if not 0.0 <= far_crops <= 1.0:
            raise ValueError(f"far_crops must lie in [0, 1], not {far_crops}")
        self.path = Path(path)
        self.pair_budget = pair_budget
        self.eval_pair_budget = eval_pair_budget
        self.crop_size = crop_size
        self.far_crops = far_crops
        self.length_multiple = length_multiple
        self.templates_per_chain = templates_per_chain
        self.workers = workers
        self.seed = seed
        self._rows: dict[str, list[int]] = {}

    def setup(self, stage: str) -> None:
        """Open the data set and look up which row belongs to which split.

        Raises:
            InputError: If a chain is in no split, the split was made for other chains, or
                more templates are to be shown than there are.
        """
        self.store = ChainStore(self.path)
        refuse_stale(self.store)
        splits = splitfile.read_splits(self.path)
        self._rows = {}
        for row, name in enumerate(self.store.ids):
            if name not in splits:
                raise InputError(
                    f"chain {name!r} of {self.path} is in no split; the data set has changed since "
                    f"it was divided: run `protcontact split {self.path}` again"
                )
            self._rows.setdefault(splits[name], []).append(row)
        self.templates = open_templates(self.store)
        if self.templates is None and self.templates_per_chain > 0:
            raise InputError(
                f"{self.path} has no templates; find them with `protcontact templates {self.path}`"
                ", or set --data.templates_per_chain 0"
            )
        if self.templates is not None:
            self._refuse_more(self.templates.facts["per_chain"])

    def _refuse_more(self, found: int) -> None:
        """Refuse to show more templates than were kept of a chain.

        Raises:
            InputError: If the file has fewer.
        """
        if self.templates_per_chain > found:
            count = self.templates_per_chain
            raise InputError(
                f"{self.path} has at most {found} templates of a chain, and {count} are to be "
                f"shown; find more with `protcontact templates {self.path} --per-chain {count}`, "
                f"or set --data.templates_per_chain {found}"
            )

    @property
    def fingerprint(self) -> str:
        """Identity of the data: changes whenever a chain, a label or the split does."""
        return split_fingerprint(self.store)

    def state_dict(self) -> dict[str, Any]:
        """What a training saw, for its checkpoints: the settings named in `SEEN`."""
        return {name: getattr(self, name) for name in SEEN}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse to go on with a training on other settings; a score may have others.

        Raises:
            InputError: If one of them differs.
        """
        if self.trainer is None or self.trainer.state.fn != TrainerFn.FITTING:
            return
        for name, value in self.state_dict().items():
            started = state_dict.get(name, value)
            if started != value:
                option = "--seed_everything" if name == "seed" else f"--data.{name}"
                raise InputError(
                    f"this run was started with {option} {started} and is to go on with {value}; "
                    "restore it, or start anew without --ckpt_path"
                )

    def sequence_hashes(self, split: str) -> torch.Tensor:
        """Sorted ``(N,)`` int64, one per distinct sequence of a split: what was trained on."""
        sequences = self.store.column("sequence")
        return sequence_hashes(sequences[row] for row in self.rows(split))

    def rows(self, split: str) -> list[int]:
        """Rows of one split in the store.

        Raises:
            InputError: If the split has no chains.
        """
        rows = self._rows.get(split, [])
        if not rows:
            raise InputError(
                f"the {split} split of {self.path} has no chains; prepare more structures or "
                "change the fractions of `protcontact split`"
            )
        return rows

    def loader(self, split: str, training: bool = False) -> ResumableLoader:
        """Batches of one split: shuffled crops if `training`, else full chains in fixed order."""
        sampler = PairBudgetSampler(
            self.store.lengths,
            self.rows(split),
            budget=self.pair_budget if training else self.eval_pair_budget,
            crop_size=self.crop_size if training else None,
            shuffle=training,
            seed=self.seed,
            rank=self.trainer.global_rank if self.trainer else 0,
            world=self.trainer.world_size if self.trainer else 1,
            accumulate=_accumulated(self.trainer) if self.trainer and training else 1,
        )
        loader = ResumableLoader(
            self._dataset(),
            sampler=sampler,
            batch_size=None,
            num_workers=self.workers,
            pin_memory=torch.cuda.is_available(),
            limit=self.trainer.limit_train_batches if self.trainer and training else 1.0,
            persistent_workers=self.workers > 0,
        )
        if self.trainer and training:
            _refuse_within_steps(self.trainer, loader.epoch_length)
        return loader

    def whole_chains(self, split: str) -> WholeChains:
        """Plan full chains of one split for this process alone, whatever the number of ranks."""
        batches = bucket(self.store.lengths.tolist(), self.rows(split), self.eval_pair_budget)
        return WholeChains(self._dataset(), [PlannedBatch(rows, None) for rows in batches])

    def whole_chain(self, row: int) -> ContactBatch:
        """One full chain as a batch of one."""
        return self._dataset(1)[PlannedBatch((row,), None)]

    def _dataset(self, multiple: int | None = None) -> ContactDataset:
        count = self.templates_per_chain
        shown = (self.templates, count) if self.templates is not None and count else None
        multiple = multiple or self.length_multiple
        return ContactDataset(self.store, self.crop_size, self.far_crops, multiple, shown)

    def train_dataloader(self) -> ResumableLoader:
        """Crops of the train split."""
        return self.loader("train", training=True)

    def val_dataloader(self) -> ResumableLoader:
        """Full chains of the val split."""
        return self.loader("val")

    def test_dataloader(self) -> ResumableLoader:
        """Full chains of the test split."""
        return self.loader("test")


def sequence_hashes(sequences: Iterable[str]) -> torch.Tensor:
    """Sorted ``(N,)`` int64, one per distinct sequence."""
    digests = {hashlib.blake2b(each.encode(), digest_size=8).digest() for each in sequences}
    found = sorted(int.from_bytes(digest, "little", signed=True) for digest in digests)
    return torch.tensor(found, dtype=torch.int64)


def _accumulated(trainer: pl.Trainer) -> int:
    """Batches of each process in an optimizer step.

    Raises:
        InputError: If their number changes in training.
    """
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    if any(isinstance(each, GradientAccumulationScheduler) for each in callbacks):
        raise InputError(
            "GradientAccumulationScheduler changes how many batches make a step, and the batches "
            "are planned in steps; use --trainer.accumulate_grad_batches instead"
        )
    return trainer.accumulate_grad_batches


def _refuse_within_steps(trainer: pl.Trainer, length: int) -> None:
    """Refuse to end an epoch or to validate, and save, between the batches of an optimizer step.

    Args:
        trainer: With its settings.
        length: Batches of an epoch.

    Raises:
        InputError: If it would.
    """
    count, interval = trainer.accumulate_grad_batches, trainer.val_check_interval
    counted = {"limit_train_batches": length}
    if trainer.limit_val_batches != 0:
        shared = interval * length if isinstance(interval, float) else interval
        counted["val_check_interval"] = max(1, int(shared))
    for name, batches in counted.items():
        if batches % count:
            raise InputError(
                f"--trainer.{name} {getattr(trainer, name)} comes after {batches} batches, no "
                f"multiple of the {count} of --trainer.accumulate_grad_batches, so what is saved "
                f"then could not be resumed; use {batches + count - batches % count}"
            )


def templates_shown(checkpoint: Mapping[str, Any]) -> int | None:
    """Templates of a chain in the training that a checkpoint is of; None if it does not say."""
    seen = checkpoint.get(ContactDataModule.__qualname__)
    shown = seen.get("templates_per_chain") if isinstance(seen, dict) else None
    return shown if isinstance(shown, int) and shown >= 0 else None
