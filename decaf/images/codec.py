"""The decoder of JPEG files that torchcodec has, where it is here."""

from collections.abc import Callable
from typing import Any

try:
    from torchcodec.decoders import decode_jpeg as _found  # type: ignore[attr-defined] # no __all__
except (ImportError, OSError, RuntimeError):
    _found = None  # type: ignore[assignment] # as decode_jpeg says

decode_jpeg: Callable[..., Any] | None = _found
"""None where torchcodec is not installed, or is made for another torch."""
