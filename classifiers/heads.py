"""Heads: from features to a raw score. scikit-learn fits them; plain arrays keep them.

A fitted head is a handful of arrays and a numpy formula, so that a classifier directory needs no pickle, loads without
scikit-learn, and gives the same bytes every time. One contract: ``fit`` gives the arrays, ``predict`` reads them; what
comes out equals scikit-learn's own prediction (tests/classifiers/test_heads.py holds every head to it). A forest is
arrays as well: there is no skops file whose list of allowed types would have to be trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from classifiers.labels import MAX_SCORE
from classifiers.recipe import HeadName
from common.errors import IntegrityError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Features = NDArray[np.float32]
    Scores = NDArray[np.float64]

NAMES: tuple[HeadName, ...] = get_args(HeadName)
Arrays = Mapping[str, "NDArray[Any]"]
BLOCK_ROWS = 1024
COMPONENTS = 256
"""Principal components that the support vector machine reads."""


def fit(name: HeadName, blocks: Sequence[Features], scores: Scores, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Fit a head.

    Args:
        name: which head.
        blocks: float32[n, d] each; every block is centred and brought to the same mean square length, together one, so
            that blocks weigh alike and a kernel's width fits any encoder.
        scores: float64[n], 0–5.
        seed: for heads that draw (forest, mlp).
    Returns:
        The arrays that :func:`predict` takes, of 16 or 32 bits.
    """
    features = np.hstack(blocks)
    mean = features.mean(axis=0)
    lengths = [max(float(np.sqrt(len(blocks) * block.var(axis=0).sum())), 1e-6) for block in blocks]
    scale = np.repeat(np.array(lengths, np.float32), [block.shape[1] for block in blocks])
    estimator = make(name, seed)
    estimator.fit((features - mean) / scale, scores.astype(np.float64))
    arrays = {"mean": mean, "scale": scale} | _EXPORT[name](estimator)
    return {key: np.ascontiguousarray(value, _narrow(np.asarray(value).dtype)) for key, value in arrays.items()}


def predict(name: HeadName, arrays: Arrays, blocks: Sequence[Features]) -> Scores:
    """Raw scores float64[n]; not yet calibrated, and not confined to 0–5."""
    features = np.hstack(blocks)
    parts = []
    for start in range(0, len(features), BLOCK_ROWS):
        block = (features[start : start + BLOCK_ROWS] - arrays["mean"]) / arrays["scale"]
        parts.append(_FORMULA[name](arrays, block.astype(np.float64)))
    return np.concatenate(parts) if parts else np.empty(0)


def check(name: HeadName, arrays: Arrays) -> None:
    """Score one row of zeros: arrays that are not of this head fail here, not in the middle of a job.

    Raises:
        IntegrityError: if they do.
    """
    try:
        found = predict(name, arrays, [np.zeros((1, arrays["mean"].size), np.float32)])
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise IntegrityError(f"the arrays are not those of the head {name}: {error}") from error
    if found.shape != (1,) or not np.isfinite(found).all():
        raise IntegrityError(f"the arrays are not those of the head {name}: they give no finite score")


def make(name: HeadName, seed: int = 0) -> Any:
    """The scikit-learn estimator behind a head, unfitted."""
    if name == "ridge":
        from sklearn.linear_model import Ridge

        return Ridge(alpha=3.0)
    if name == "svr":
        return _PrincipalSVR()
    if name == "logistic":
        from sklearn.linear_model import LogisticRegression

        return _Cumulative(lambda: LogisticRegression(C=10.0, max_iter=1000))
    if name == "forest":
        from sklearn.ensemble import RandomForestRegressor

        return RandomForestRegressor(n_estimators=100, min_samples_leaf=3, max_features=0.2, random_state=seed)
    from sklearn.neural_network import MLPRegressor

    return MLPRegressor(hidden_layer_sizes=(64,), alpha=1.0, learning_rate_init=3e-3, max_iter=60, random_state=seed)


class _PrincipalSVR:
    """A support vector machine on the principal components of the features.

    With some thousand labels nearly every second text is a support vector. 256 components instead of 1,600 features
    leave the ranking as it is and make the head a quarter the size.
    """

    def __init__(self) -> None:
        from sklearn.decomposition import PCA
        from sklearn.svm import SVR

        self._components = PCA(svd_solver="covariance_eigh")  # exact, so the same every time
        self.machine = SVR(C=2.0, gamma=0.3, epsilon=0.2)
        self.axes: NDArray[np.float16]

    def fit(self, features: Features, scores: Scores) -> _PrincipalSVR:
        self._components.set_params(n_components=min(COMPONENTS, *features.shape))
        self.axes = self._components.fit(features).components_.astype(np.float16)
        self.machine.fit(self._reduced(features), scores)
        return self

    def predict(self, features: Features) -> Scores:
        return _double(self.machine.predict(self._reduced(features)))

    def _reduced(self, features: Features) -> Scores:
        return _double(features.astype(np.float64) @ self.axes.T.astype(np.float64))


class _Cumulative:
    """Ordinal regression by one classifier a threshold (Frank and Hall 2001): the score is the sum of P(score ≥ t).

    A mean of gradings between two grades counts as a share of the higher one.
    """

    def __init__(self, classifier: Callable[[], Any]) -> None:
        self._classifier = classifier
        self.coefficients: list[NDArray[np.float64]] = []
        self.intercepts: list[float] = []

    def fit(self, features: Features, scores: Scores) -> _Cumulative:
        for threshold in range(1, MAX_SCORE + 1):
            share = np.clip(scores - (threshold - 1), 0, 1)
            rows = np.concatenate([features, features])
            weights = np.concatenate([share, 1 - share])
            answers = np.repeat([1, 0], len(features))
            used = weights > 0
            if len(set(answers[used])) < 2:  # nobody reached the threshold, or everybody: its rate is all we know
                self.coefficients.append(np.zeros(features.shape[1]))
                self.intercepts.append(20.0 if share.mean() > 0.5 else -20.0)
                continue
            fitted = self._classifier().fit(rows[used], answers[used], sample_weight=weights[used])
            self.coefficients.append(fitted.coef_[0])
            self.intercepts.append(float(fitted.intercept_[0]))
        return self

    def predict(self, features: Features) -> Scores:
        chances: Scores = _sigmoid(features @ np.array(self.coefficients).T + np.array(self.intercepts))
        return _double(chances.sum(axis=1))


def _narrow(kind: np.dtype[Any]) -> type:
    if np.issubdtype(kind, np.integer):
        return np.int32
    return np.float16 if kind == np.float16 else np.float32


def _export_linear(estimator: Any) -> dict[str, Any]:
    return {"coefficients": estimator.coef_, "intercept": np.array([estimator.intercept_])}


def _linear(arrays: Arrays, rows: Scores) -> Scores:
    return _double(rows @ arrays["coefficients"].astype(np.float64) + arrays["intercept"][0])


def _export_svr(estimator: _PrincipalSVR) -> dict[str, Any]:
    machine = estimator.machine
    return {
        "axes": estimator.axes,
        "vectors": machine.support_vectors_.astype(np.float16),  # most of a classifier's size
        "duals": machine.dual_coef_[0],
        "intercept": machine.intercept_,
        "gamma": np.array([machine.gamma]),
    }


def _svr(arrays: Arrays, rows: Scores) -> Scores:
    rows = rows @ arrays["axes"].T.astype(np.float64)
    vectors = arrays["vectors"].astype(np.float64)
    squares = (rows**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * rows @ vectors.T
    return _double(np.exp(-arrays["gamma"][0] * np.maximum(squares, 0)) @ arrays["duals"] + arrays["intercept"][0])


def _export_cumulative(estimator: Any) -> dict[str, Any]:
    return {"coefficients": np.array(estimator.coefficients), "intercepts": np.array(estimator.intercepts)}


def _cumulative(arrays: Arrays, rows: Scores) -> Scores:
    return _double(_sigmoid(rows @ arrays["coefficients"].T.astype(np.float64) + arrays["intercepts"]).sum(axis=1))


def _export_forest(estimator: Any) -> dict[str, Any]:
    trees = [tree.tree_ for tree in estimator.estimators_]
    starts = np.cumsum([0, *(tree.node_count for tree in trees)])
    # children are given from the start of the whole table; a leaf points to itself
    children = [
        np.where(side < 0, np.arange(len(side)), side) + start
        for tree, start in zip(trees, starts, strict=False)
        for side in (tree.children_left, tree.children_right)
    ]
    return {
        "roots": starts[:-1],
        "left": np.concatenate(children[::2]),
        "right": np.concatenate(children[1::2]),
        "feature": np.maximum(np.concatenate([tree.feature for tree in trees]), 0),
        "limit": _round_down(np.concatenate([tree.threshold for tree in trees])),
        "value": np.concatenate([tree.value[:, 0, 0] for tree in trees]),
        "depth": np.array([max(tree.max_depth for tree in trees)]),
    }


def _round_down(values: Scores) -> NDArray[np.float32]:
    """The greatest float32 not above each value: a float32 feature is then at most the one iff at most the other."""
    rounded = values.astype(np.float32)
    return np.where(rounded > values, np.nextafter(rounded, np.float32(-np.inf)), rounded)


def _forest(arrays: Arrays, rows: Scores) -> Scores:
    node = np.tile(arrays["roots"], (len(rows), 1))  # rows, trees
    values = rows.astype(np.float32)
    for _ in range(min(int(arrays["depth"][0]), len(arrays["value"]))):
        goes_left = np.take_along_axis(values, arrays["feature"][node], axis=1) <= arrays["limit"][node]
        node = np.where(goes_left, arrays["left"][node], arrays["right"][node])
    return _double(arrays["value"][node].mean(axis=1, dtype=np.float64))


def _export_mlp(estimator: Any) -> dict[str, Any]:
    weights = {f"weights_{i}": layer for i, layer in enumerate(estimator.coefs_)}
    return weights | {f"biases_{i}": layer for i, layer in enumerate(estimator.intercepts_)}


def _mlp(arrays: Arrays, rows: Scores) -> Scores:
    hidden = np.maximum(rows @ arrays["weights_0"] + arrays["biases_0"], 0)
    return _double(hidden @ arrays["weights_1"] + arrays["biases_1"])[:, 0]


def _double(values: NDArray[Any]) -> Scores:
    return np.asarray(values, np.float64)


def _sigmoid(values: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(0.5 * (1 + np.tanh(values / 2)))


_EXPORT: dict[HeadName, Callable[[Any], dict[str, Any]]] = {
    "ridge": _export_linear,
    "svr": _export_svr,
    "logistic": _export_cumulative,
    "forest": _export_forest,
    "mlp": _export_mlp,
}
_FORMULA: dict[HeadName, Callable[[Arrays, Scores], Scores]] = {
    "ridge": _linear,
    "svr": _svr,
    "logistic": _cumulative,
    "forest": _forest,
    "mlp": _mlp,
}
