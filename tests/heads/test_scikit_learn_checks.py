"""Every head passes scikit-learn's own checks of estimators, in full."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from decaf.heads import HEADS

ALL = [
    *(head() for name, head in HEADS.items() if name != "adaptation"),
    HEADS["logreg"](multi_class="ovr"),
    HEADS["adaptation"](16, n_epochs=6, learning_rate=0.1),
]


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(ALL)
def test_check_estimator(estimator, check):
    check(estimator)
