"""JPEG files to pixels on a GPU, many in one call.

nvJPEG's pixels differ slightly from the CPU's, so that features do too: a choice of the user's,
named in the provenance. Only regular JPEG files in grey or RGB go there; for all others, and for
what nvJPEG refuses, the CPU decides, by the pixel policy.
"""

from collections.abc import Sequence

import torch
from torchcodec.decoders import decode_jpeg  # type: ignore[attr-defined]  # no __all__ there

from decaf.images.decode import regular_jpeg, upright


def decode_on_gpu(files: Sequence[bytes], device: torch.device) -> list[torch.Tensor | None]:
    """Decode those of some image files that a GPU is good for.

    Returns
    -------
    list of torch.Tensor or None
        For each file ``(3, H, W)`` uint8, RGB, upright, on the device; None where the CPU has to
        decode it, or to say why it cannot.
    """
    images: list[torch.Tensor | None] = [None] * len(files)
    regular = {i: jpeg for i, data in enumerate(files) if (jpeg := regular_jpeg(data)) is not None}
    decoded = _decoded([jpeg.data for jpeg in regular.values()], device)
    for (i, jpeg), image in zip(regular.items(), decoded, strict=True):
        images[i] = None if image is None else upright(image, jpeg.orientation)
    return images


def _decoded(files: list[torch.Tensor], device: torch.device) -> list[torch.Tensor | None]:
    """Decode in one call; one that fails, or that the memory is too small for, in halves."""
    if not files:
        return []
    try:
        return list(decode_jpeg(files, mode="RGB", device=device))
    except RuntimeError:
        if len(files) == 1:
            return [None]
    half = len(files) // 2
    return _decoded(files[:half], device) + _decoded(files[half:], device)
