"""Where a run stands, in one safetensors file that is written whole or not at all.

The file holds what is learned (``learned.NAME``), the optimizer's momentum (``momentum.NAME``), the
moving average (``average.NAME``), what was best in validation (``best.NAME``), and in its metadata
the history: one entry for the start and one for each epoch done. Generators have no state to keep:
each epoch's are seeded anew, by the run's seed and the epoch's number.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from torch import Tensor

from decaf.errors import DataError
from decaf.tensor_file import group, read_tensors, write_tensors


@dataclass(frozen=True)
class Epoch:
    """What validation said after an epoch.

    Attributes
    ----------
    value : float
        The protocol's metric; more is better. nan without validation.
    loss : float
        Mean loss of the validation rows.
    train_loss : float
        Mean loss of the training rows during the epoch; nan for the start.
    """

    value: float
    loss: float
    train_loss: float


@dataclass
class Checkpoint:
    """Where a run stands.

    Attributes
    ----------
    history : list of Epoch
        The start, and each epoch done.
    tensors : dict of str to torch.Tensor
        As the module says.
    """

    history: list[Epoch]
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def group(self, name: str) -> dict[str, Tensor]:
        """Return the tensors of one group by their own names."""
        return group(self.tensors, name)

    def add(self, name: str, tensors: dict[str, Tensor]) -> None:
        """Add tensors as a group."""
        self.tensors |= {f"{name}.{key}": value for key, value in tensors.items()}

    def save(self, path: Path) -> None:
        """Write the file.

        Raises
        ------
        DataError
            If it cannot be written.
        """
        history = json.dumps([asdict(one) for one in self.history])
        write_tensors(path, self.tensors, {"history": history})

    @classmethod
    def load(cls, path: Path) -> "Checkpoint | None":
        """Read a file that `save` wrote; None where there is none.

        Raises
        ------
        DataError
            If it is damaged.
        """
        found = read_tensors(path)
        if found is None:
            return None
        tensors, about = found
        try:
            return cls([Epoch(**one) for one in json.loads(about["history"])], tensors)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"asked to go on from {path}, which is no checkpoint of this version ({error}); "
                "delete it and run again"
            ) from error
