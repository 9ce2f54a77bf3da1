"""The feature store: one HDF5 file that survives a crash and says what made it."""

from decaf.store.failures import failures_path, read_failures
from decaf.store.find import find_store, store_name
from decaf.store.join import join
from decaf.store.layer import StoredLayer
from decaf.store.provenance import Provenance
from decaf.store.reader import FeatureStore
from decaf.store.verify import store_info, verify
from decaf.store.writer import FeatureWriter

__all__ = [
    "FeatureStore",
    "FeatureWriter",
    "Provenance",
    "StoredLayer",
    "failures_path",
    "find_store",
    "join",
    "read_failures",
    "store_info",
    "store_name",
    "verify",
]
