"""Search by features: exact, by codes, and how good it is.

In order of reading: `exact`, `expansion`, `ranking`; then `hashing`, `codes` and `index`.
"""

from decaf.retrieval.index import Index

__all__ = ["Index"]
