"""Images as tensors: the pixel policy and the views that nets see."""
