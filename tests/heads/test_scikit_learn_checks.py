"""Every head passes scikit-learn's own checks of estimators, in full."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from decaf.heads import HEADS

OTHERS = [head() for name, head in HEADS.items() if name != "adaptation"]


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([*OTHERS, HEADS["logreg"](multi_class="ovr")])
def test_check_estimator(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([HEADS["adaptation"](16, n_epochs=6, learning_rate=0.1)])
def test_check_adaptation(estimator, check):
    check(estimator)
