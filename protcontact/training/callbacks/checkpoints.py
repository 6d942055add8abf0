"""Which checkpoint is the best of a run that was killed and resumed?

Each start of a run writes into a folder of its own. Lightning forgets the best score when the
folder changes, and would then call the best since the restart the best of all.
"""

import shutil
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.utilities.rank_zero import rank_zero_only


class RunCheckpoint(ModelCheckpoint):
    """A `ModelCheckpoint` that takes its best file along into the folder of a resumed run.

    Takes the arguments of `ModelCheckpoint`.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the scores of the run that is resumed."""
        old = Path(state_dict["best_model_path"] or ".")
        if self.dirpath is not None and old.is_file() and old.parent != Path(self.dirpath):
            new = Path(self.dirpath) / old.name
            _copy(old, new)
            scores = state_dict.get("best_k_models", {})
            moved = {str(new): scores[str(old)]} if str(old) in scores else {}
            state_dict = {
                **state_dict,
                "dirpath": self.dirpath,
                "best_model_path": str(new),
                "best_k_models": moved,
                "kth_best_model_path": str(new) if moved else "",
                "last_model_path": "",
            }
        super().load_state_dict(state_dict)


@rank_zero_only
def _copy(old: Path, new: Path) -> None:
    new.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(old, new)
