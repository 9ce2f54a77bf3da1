"""Images that a net sees as asked: the one loop, which goes on after a kill.

Each step draws from a seed of its own number, so that no generator has a state to keep.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic, perf_counter

import numpy as np
import torch
from torch import Tensor

from decaf.descent import copied
from decaf.errors import DataError
from decaf.insight.asked import Preimage
from decaf.insight.methods import Memory, Method, Phase
from decaf.progress import Advance, log, show_progress
from decaf.tensor_file import group, read_tensors, write_tensors
from decaf.types import FloatArray

_SECONDS_BETWEEN_FILES = 10.0


@dataclass(frozen=True, eq=False)
class Wish:
    """What is asked of an image.

    Attributes
    ----------
    name : str
        What it is called, in one run.
    loss : callable
        ``(n, 3, S, S)`` grey levels minus the mean colour, to ``(n,)``: how far images are from it.
    method : Method
        How an image is changed.
    side_px : int
        S.
    jitter_px : int
        In how many places images are put at random, where the method does so.
    """

    name: str
    loss: Callable[[Tensor], Tensor]
    method: Method
    side_px: int
    jitter_px: int = 1


@dataclass(frozen=True, eq=False)
class Preimages:
    """What was found.

    Attributes
    ----------
    x : torch.Tensor
        ``(n_starts, 3, S, S)`` float32 grey levels minus the mean colour, on the CPU.
    losses : numpy.ndarray
        ``(n_starts,)`` of the wish at the end.
    energies : numpy.ndarray
        ``(n_steps, n_starts)``: loss and penalty before each step.
    """

    x: Tensor
    losses: FloatArray
    energies: FloatArray


@dataclass(frozen=True, eq=False)
class _Walk:
    """Where a search stands; a step makes a new one, so that a stop leaves a whole one."""

    x: Tensor
    memory: Memory
    energies: tuple[Tensor, ...] = ()


def seek(
    wishes: Sequence[Wish],
    asked: Preimage,
    device: torch.device,
    folder: Path,
    *,
    quiet: bool = False,
) -> dict[str, Preimages]:
    """Change random images until each wish is fulfilled as far as its method goes.

    How many minutes it will take is said first. The folder keeps where the run stands.

    Parameters
    ----------
    wishes : sequence of Wish
        What is asked.
    asked : Preimage
        How many starts and steps, and the seed.
    device : torch.device
        Where it is computed.
    folder : pathlib.Path
        Named after all that decides the result; files of an earlier run there are gone on from.
    quiet : bool
        Say nothing.

    Returns
    -------
    dict of str to Preimages
        By the wishes' names.

    Raises
    ------
    DataError
        If a file in the folder is damaged, or cannot be written.
    """
    if asked.steps is not None:
        wishes = [replace(one, method=one.method.with_steps(asked.steps)) for one in wishes]
    files = {one.name: folder / f"{one.name}.safetensors" for one in wishes}
    walks = {one.name: _on(_read(files[one.name]) or _begun(one, asked), device) for one in wishes}
    left = {one.name: _n_steps(one) - len(walks[one.name].energies) for one in wishes}
    if not quiet:
        todo = [one for one in wishes if left[one.name]]
        seconds = sum(left[one.name] * _seconds(one, walks[one.name]) for one in todo)
        log(
            f"{sum(left.values())} steps of {asked.starts} images will take about "
            f"{seconds / 60:.1f} minutes"
        )
    found = {}
    with show_progress("changing images", sum(left.values()), "steps", quiet=quiet) as advance:
        for one in wishes:
            walk = _walked(one, walks.pop(one.name), asked.seed, files[one.name], advance)
            inner = _centre(walk.x, one.side_px)
            with torch.no_grad():
                losses = one.loss(inner).cpu().double().numpy()
            energies = torch.stack(walk.energies).cpu().double().numpy()
            found[one.name] = Preimages(inner.cpu(), losses, energies)
    return found


def _begun(wish: Wish, asked: Preimage) -> _Walk:
    jitter = wish.jitter_px if wish.method.phases[0].jitter else 1
    side = wish.side_px + jitter - 1
    draw = torch.Generator().manual_seed(asked.seed)
    noise = torch.rand((asked.starts, 3, side, side), generator=draw)
    return _Walk(wish.method.start(noise), {})


def _walked(wish: Wish, walk: _Walk, seed: int, path: Path, advance: Advance) -> _Walk:
    """Take the steps that are left."""
    written = monotonic()
    try:
        for step in range(len(walk.energies), _n_steps(wish)):
            walk = _stepped(wish, walk, seed, step)
            advance(1)
            if monotonic() - written > _SECONDS_BETWEEN_FILES:
                _write(path, walk)
                written = monotonic()
    finally:
        _write(path, walk)
    return walk


def _stepped(wish: Wish, walk: _Walk, seed: int, step: int) -> _Walk:
    phase, first = _phase(wish.method, step)
    x, memory = walk.x, walk.memory
    if first:  # a phase begins at rest
        memory = {}
        x = x if phase.jitter else _centre(x, wish.side_px)
    gradient, energy = _gradient(wish, x, _place(x, wish.side_px, (seed, step)))
    x, memory = wish.method.update(x, gradient, memory, phase.lr, step)
    return _Walk(x, memory, (*walk.energies, energy))


def _gradient(wish: Wish, x: Tensor, place: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the energy's gradient, and the energy ``(n,)`` of each image."""
    x = x.detach().requires_grad_()
    top, left = place
    side = wish.side_px
    part = x[:, :, top : top + side, left : left + side]
    energy = wish.loss(part) + wish.method.penalty(x)
    (gradient,) = torch.autograd.grad(energy.sum(), x)
    return gradient, energy.detach()


def _place(x: Tensor, side: int, seed: tuple[int, int]) -> tuple[int, int]:
    """Return where in the image the net looks."""
    top, left = np.random.default_rng(seed).integers(x.shape[-1] - side + 1, size=2).tolist()
    return top, left


def _centre(x: Tensor, side: int) -> Tensor:
    first = (x.shape[-1] - side) // 2
    return x[:, :, first : first + side, first : first + side].detach().clone()


def _phase(method: Method, step: int) -> tuple[Phase, bool]:
    """Return the phase of a step, and whether it begins there."""
    for phase in method.phases:
        if step < phase.steps:
            return phase, step == 0
        step -= phase.steps
    raise IndexError(step)


def _n_steps(wish: Wish) -> int:
    return sum(phase.steps for phase in wish.method.phases)


def _seconds(wish: Wish, walk: _Walk) -> float:
    """Return how long a step takes, of the second of two that are tried and forgotten."""
    for _ in range(2):
        began = perf_counter()
        _gradient(wish, walk.x, (0, 0))[1].sum().item()
    return perf_counter() - began


def _on(walk: _Walk, device: torch.device) -> _Walk:
    memory = {name: value.to(device) for name, value in walk.memory.items()}
    return _Walk(walk.x.to(device), memory, tuple(one.to(device) for one in walk.energies))


def _write(path: Path, walk: _Walk) -> None:
    memory = {f"memory.{name}": value for name, value in copied(walk.memory).items()}
    energies = torch.stack(walk.energies) if walk.energies else torch.empty(0, len(walk.x))
    write_tensors(path, {"x": walk.x, "energies": energies, **memory}, {})


def _read(path: Path) -> _Walk | None:
    found = read_tensors(path)
    if found is None:
        return None
    tensors, _ = found
    try:
        return _Walk(tensors["x"], group(tensors, "memory"), tuple(tensors["energies"]))
    except LookupError as error:
        raise DataError(
            f"asked to go on from {path}, which is no file of this version ({error}); delete it "
            "and run again"
        ) from error
