"""What is done to each row of features and of scores: one definition, for numpy and torch alike.

Heads, models, fine-tuning and the exported graph all normalise features and turn scores into
probabilities by these functions.
"""

from typing import Any, TypeVar

import numpy as np

from decaf.choices import Normalize

Rows = TypeVar("Rows", bound=Any)  # numpy.ndarray or torch.Tensor
_TINY = float(np.finfo(np.float32).tiny)


def normalized(X: Rows, how: Normalize) -> Rows:
    """Return rows normalised one by one.

    Parameters
    ----------
    X : numpy.ndarray or torch.Tensor
        ``(n_rows, n_features)``.
    how : str
        ``"l2"``; ``"signed-square"``: each value times its magnitude, then l2; for any other
        the rows are left as they are.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``(n_rows, n_features)``, of the kind that was given; a row of zeros stays one.
    """
    if how not in {"l2", "signed-square"}:
        return X
    if how == "signed-square":
        X = X * abs(X)
    # clipped before the root, whose gradient at 0 is infinite
    unit: Rows = X / (X * X).sum(1)[:, None].clip(_TINY) ** 0.5
    return unit


def probabilities(scores: Rows, *, exclusive: bool) -> Rows:
    """Return the probability of each class.

    Parameters
    ----------
    scores : numpy.ndarray or torch.Tensor
        ``(n_rows, n_classes)`` logits, or ``(n_rows,)`` of the second of two classes.
    exclusive : bool
        Whether a row has one class: a softmax; else a sigmoid a class.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``(n_rows, n_classes)``, of the kind that was given.
    """
    import torch  # noqa: PLC0415 - it takes seconds, which protocols alone do not need

    logits: Any = torch.as_tensor(scores)
    if logits.ndim == 1:
        logits = torch.stack([torch.zeros_like(logits), logits], 1)
    p: Any = logits.softmax(1) if exclusive else logits.sigmoid()
    found: Rows = p.numpy() if isinstance(scores, np.ndarray) else p
    return found
