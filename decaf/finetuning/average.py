"""A moving average of what is learned.

References
----------
Polyak and Juditsky, Acceleration of stochastic approximation by averaging, 1992; torch's
`torch.optim.swa_utils`, whose averaging this uses.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch.optim.swa_utils import get_ema_multi_avg_fn

from decaf.descent import Tensors, assign, copied


class Average:
    """An exponential moving average; counts, which are whole numbers, are taken as they are.

    Parameters
    ----------
    learned : mapping of str to torch.Tensor
        The tensors that training changes.
    decay : float
        Weight of the past, from 0 to below 1; smaller in the first steps: at most
        ``(1 + n) / (10 + n)`` after n of them.
    """

    def __init__(self, learned: Tensors, decay: float) -> None:
        self._learned, self._decay = learned, decay
        self.tensors = copied(learned)

    def update(self, n_steps: int) -> None:
        """Take in what is learned after `n_steps` steps."""
        decay = min(self._decay, (1 + n_steps) / (10 + n_steps))
        floats = [key for key, value in self.tensors.items() if value.is_floating_point()]
        average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call] # torch leaves it without types
        average([self.tensors[k] for k in floats], [self._learned[k] for k in floats], None)
        for key in self.tensors.keys() - set(floats):
            self.tensors[key].copy_(self._learned[key])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average in the place of what is learned, for a while."""
        learned = copied(self._learned)
        assign(self._learned, self.tensors)
        try:
            yield
        finally:
            assign(self._learned, learned)
