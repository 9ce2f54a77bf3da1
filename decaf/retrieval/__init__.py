"""Search by features: exact, by codes, and how good it is.

In order of reading: `exact`, `expansion`, `ranking`; then `hashing`, `codes`, `index_files` and
`index`.
"""
