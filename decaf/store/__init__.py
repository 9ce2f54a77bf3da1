"""The feature store: one HDF5 file that survives a crash and says what made it."""

from decaf.store.checksums import BLOCK_BYTES, broken_seals, row_crcs, seal_stamps
from decaf.store.exported import export_features
from decaf.store.failures import failed_images, failures_path, read_failures
from decaf.store.find import find_alike, find_store, find_stores, store_name
from decaf.store.imported import UNKNOWN_VIEW, import_features
from decaf.store.join import join
from decaf.store.layer import StoredLayer
from decaf.store.opening import StoreFile, read_header
from decaf.store.part import part_of, renew_stamps, reopen
from decaf.store.provenance import FEATURES_VERSION, Provenance
from decaf.store.reader import FeatureStore
from decaf.store.verify import store_info, verify
from decaf.store.writer import FeatureWriter

__all__ = [
    "BLOCK_BYTES",
    "FEATURES_VERSION",
    "UNKNOWN_VIEW",
    "FeatureStore",
    "FeatureWriter",
    "Provenance",
    "StoreFile",
    "StoredLayer",
    "broken_seals",
    "export_features",
    "failed_images",
    "failures_path",
    "find_alike",
    "find_store",
    "find_stores",
    "import_features",
    "join",
    "part_of",
    "read_failures",
    "read_header",
    "renew_stamps",
    "reopen",
    "row_crcs",
    "seal_stamps",
    "store_info",
    "store_name",
    "verify",
]
