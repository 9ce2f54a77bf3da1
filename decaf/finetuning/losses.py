"""What fine-tuning minimises."""

from torch import Tensor
from torch.nn import functional


def loss(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the mean loss of a batch.

    Parameters
    ----------
    logits : torch.Tensor
        ``(n, n_classes)``.
    labels : torch.Tensor
        ``(n,)`` class numbers: cross-entropy of the softmax. Or ``(n, n_classes)`` of 1, -1 and 0:
        logistic loss of each class by itself; label 0 ("difficult") is left out of the mean.
    smoothing : float
        Label smoothing; for class numbers only.

    Returns
    -------
    torch.Tensor
        A number; 0 where every label is left out.
    """
    if labels.ndim == 1:
        return functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    known = labels != 0
    losses = functional.softplus(-labels * logits)
    return losses.where(known, losses.new_zeros(())).sum() / known.sum().clamp(min=1)
