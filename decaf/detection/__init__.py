"""Detection of objects: features of regions, learned as R-CNN learns them.

Read boxed_images (what is learned from), region_rows (which regions, as rows of a store),
detector_training, detector, detections and detecting (what is found), error_types.
"""

from decaf.detection.bird_parts import extract_bird_parts
from decaf.detection.boxed_images import BoxedImages, load_boxed
from decaf.detection.detecting import DetectionResult, detect, evaluate_detector
from decaf.detection.detections import Detections, find_in_store, matched_classes
from decaf.detection.detector import Detector
from decaf.detection.detector_training import fit_detector, region_plan, train_detector
from decaf.detection.error_types import error_counts
from decaf.detection.localisation import Localisation, localise
from decaf.detection.region_rows import StoredRegions, region_table

__all__ = [
    "BoxedImages",
    "DetectionResult",
    "Detections",
    "Detector",
    "Localisation",
    "StoredRegions",
    "detect",
    "error_counts",
    "evaluate_detector",
    "extract_bird_parts",
    "find_in_store",
    "fit_detector",
    "load_boxed",
    "localise",
    "matched_classes",
    "region_plan",
    "region_table",
    "train_detector",
]
