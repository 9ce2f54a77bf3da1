"""Stochastic gradient descent, epoch by epoch, that goes on after a kill as if there had been none.

The one loop: adaptation layers (:mod:`decaf.heads.adaptation`) and fine-tuning
(:mod:`decaf.finetuning.loop`) say what a batch's loss is, how the rate goes, and when to end. An
epoch draws its order, masks and crops from a seed of its own number, so that no generator has a
state to keep.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from decaf.errors import DataError
from decaf.tensor_file import group, read_tensors, write_tensors

Tensors = Mapping[str, Tensor]
State = TypeVar("State")


def copied(tensors: Tensors) -> dict[str, Tensor]:
    """Return copies of tensors, by name."""
    return {key: value.detach().clone() for key, value in tensors.items()}


def assign(to: Tensors, values: Tensors) -> None:
    """Copy values into tensors of the same names."""
    with torch.no_grad():
        for key, tensor in to.items():
            tensor.copy_(values[key])


def mean_loss(
    logits: Tensor, labels: Tensor, smoothing: float = 0.0, *, per_row: bool = False
) -> Tensor:
    """Return the mean loss of a batch.

    Parameters
    ----------
    logits : torch.Tensor
        ``(n, n_classes)``.
    labels : torch.Tensor
        ``(n,)`` class numbers: cross-entropy of the softmax. Or ``(n, n_classes)`` of 1, -1 and 0:
        logistic loss of each class by itself; label 0 ("difficult") is left out.
    smoothing : float
        Label smoothing; for class numbers only.
    per_row : bool
        Whether the losses of a row's classes are added, not averaged.

    Returns
    -------
    torch.Tensor
        A number; 0 where every label is left out.
    """
    if labels.ndim == 1:
        return functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    known = labels != 0
    losses = functional.softplus(-labels * logits)
    rows = losses.where(known, losses.new_zeros(())).sum(1)
    return rows.mean() if per_row else rows.sum() / known.sum().clamp(min=1)


class Descent:
    """Steps of a net, and the one safetensors file in which a run stands.

    The file, which is written whole or not at all, holds what is learned (``learned.NAME``), the
    momentum of each parameter (``momentum.NUMBER``) and what was best (``best.NAME``), and in its
    metadata the progress as JSON.

    Parameters
    ----------
    net : torch.nn.Module
        What is trained, in place.
    learned : mapping of str to torch.Tensor
        All that training changes; the tensors themselves.
    groups : list of dict
        The optimizer's groups, each with its highest rate as ``peak``.
    momentum : float
        Of the descent.
    nesterov : bool
        Whether it is Nesterov's.
    seed : int
        Of what epochs draw.
    path : pathlib.Path or None
        The checkpoint; None for none.
    """

    def __init__(
        self,
        net: nn.Module,
        learned: Tensors,
        groups: list[dict[str, Any]],
        *,
        momentum: float,
        nesterov: bool = False,
        seed: int = 0,
        path: Path | None = None,
    ) -> None:
        self.net, self.learned, self.best = net, learned, copied(learned)
        self._sgd = torch.optim.SGD(groups, 0.0, momentum, nesterov=nesterov)
        self._parameters = [p for one in self._sgd.param_groups for p in one["params"]]
        self._seed, self._path = seed, path

    def epoch(self, number: int, losses: Iterable[Tensor], rate: Callable[[int], float]) -> None:
        """Take one step for each loss.

        Parameters
        ----------
        number : int
            Of the epoch; the generators are seeded by it.
        losses : iterable of torch.Tensor
            The loss of each batch, computed when it is asked for.
        rate : callable
            Share of the peak rates at each step of the epoch, from 0.
        """
        seed = np.random.SeedSequence((self._seed, number)).generate_state(1)[0]
        cuda = {p.device for p in self._parameters if p.is_cuda}
        self.net.train()
        with torch.random.fork_rng(devices=cuda):
            torch.manual_seed(int(seed))
            for step, loss in enumerate(losses):
                for one in self._sgd.param_groups:
                    one["lr"] = one["peak"] * rate(step)
                self._sgd.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call] # torch leaves it without types
                self._sgd.step()

    def go_to(self, values: Tensors) -> None:
        """Put other values in the place of what is learned, at rest."""
        assign(self.learned, values)
        self._sgd.state.clear()

    def save(self, progress: Any, *, ended: bool = False, **more: Tensors) -> None:
        """Write the checkpoint; one of a run that has ended holds its best only.

        Raises
        ------
        DataError
            If it cannot be written.
        """
        if self._path is None:
            return
        groups: dict[str, Tensors] = {"best": self.best}
        if not ended:
            buffers = [self._sgd.state[p].get("momentum_buffer") for p in self._parameters]
            momentum = {str(k): one for k, one in enumerate(buffers) if one is not None}
            groups |= {"learned": self.learned, "momentum": momentum, **more}
        tensors = {f"{name}.{key}": v for name, one in groups.items() for key, v in one.items()}
        write_tensors(self._path, tensors, {"progress": json.dumps(progress)})

    def restore(self, read: Callable[[Any], State], **more: Tensors) -> State | None:
        """Go on where the checkpoint stands; None where there is none.

        Parameters
        ----------
        read : callable
            Makes what the caller keeps of the progress that was saved.
        **more : mapping of str to torch.Tensor
            Other groups that were saved, which are set.

        Raises
        ------
        DataError
            If it is damaged.
        """
        found = None if self._path is None else read_tensors(self._path)
        if found is None:
            return None
        tensors, about = found
        try:
            progress = read(json.loads(about["progress"]))
            assign(self.best, group(tensors, "best"))
            if group(tensors, "learned"):
                for name, one in {"learned": self.learned, **more}.items():
                    assign(one, group(tensors, name))
            for number, value in group(tensors, "momentum").items():
                parameter = self._parameters[int(number)]
                buffer = torch.empty_like(parameter).copy_(value)
                self._sgd.state[parameter]["momentum_buffer"] = buffer
        except (LookupError, TypeError, ValueError, RuntimeError) as error:
            raise DataError(
                f"asked to go on from {self._path}, which is no checkpoint of this version "
                f"({error}); delete it and run again"
            ) from error
        return progress
