"""Boxes of images: their geometry, what proposes them, and what is learned of their features.

Read boxes, then context_warp and roi_pooling (a box's pixels and features), proposals,
hard_negatives and box_regression (what a detector learns), matching (what a detection counts for).
"""
