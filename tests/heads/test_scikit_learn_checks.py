"""Every head passes scikit-learn's own checks of estimators, in full."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from decaf.heads.adaptation import AdaptationHead
from decaf.heads.cv import LinearSVMCV, LogisticRegressionCV
from decaf.heads.dropout import DropoutLogisticRegression, DropoutSVM
from decaf.heads.knn import KNN
from decaf.heads.logistic import LogisticRegression
from decaf.heads.svm import LinearSVM

HEADS = [
    LinearSVM(),
    LinearSVM(loss="hinge", tol=1e-10),
    LogisticRegression(),
    LogisticRegression(multi_class="ovr"),
    LinearSVMCV(Cs=3, cv=2),
    LogisticRegressionCV(Cs=3, cv=2),
    DropoutSVM(),
    DropoutLogisticRegression(),
    KNN(),
    AdaptationHead(32, n_epochs=20),
]


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(HEADS)
def test_check_estimator(estimator, check):
    check(estimator)
