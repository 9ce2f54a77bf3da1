"""What holds for the splits of every protocol."""

import numpy as np


def check_is_split(split, usable):
    """Train and test are sorted, apart and usable; inner pairs part the training rows."""
    for rows in (split.train, split.test):
        assert rows.dtype == np.int64
        assert np.all(np.diff(rows) > 0)
        assert np.all(np.isin(rows, usable))
    assert not np.intersect1d(split.train, split.test).size
    for fit, validation in split.inner:
        assert validation.size
        assert not np.intersect1d(fit, validation).size
        assert np.all(np.isin(np.concatenate([fit, validation]), split.train))
