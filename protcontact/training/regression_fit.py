"""Which attention heads of a language model see contacts, and how much is each to be believed?

The recipe of Rao et al. 2020: a logistic regression on one number per layer and head
(`protcontact.training.attention_features`), with an L1 penalty, which leaves most heads at exactly
0, fitted on a handful of chains by liblinear. As there, the bias is penalised like the weights.
"""

import inspect
import warnings
from dataclasses import dataclass

import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from protcontact.errors import InputError

MAX_ITER = 1000  # Newton steps; a fit takes some ten
# In bytes, measured as the peak of a fit (scikit-learn 1.9): our own number is 4, and liblinear
# keeps each one twice, by rows and by columns, in 16. A row has labels, pointers and sums besides.
PER_NUMBER = 36
PER_ROW = 200


@dataclass(frozen=True, eq=False)
class FittedRegression:
    """A contact regression.

    Attributes:
        weights: ``(layers, K)`` float64.
        bias: Added to the weighted sum.
        converged: Whether the fit came to its end.
        iterations: Newton steps that it took.
    """

    weights: np.ndarray
    bias: float
    converged: bool
    iterations: int

    @property
    def used(self) -> int:
        """Number of heads with a weight that is not 0."""
        return int(np.count_nonzero(self.weights))

    def heaviest(self, count: int) -> list[tuple[int, int, float]]:
        """Layer, head and weight of the heads that count most, by falling size of the weight.

        Args:
            count: Number of heads; fewer if not as many have a weight.
        """
        order = np.argsort(-np.abs(self.weights), axis=None, kind="stable")
        heads = self.weights.shape[1]
        return [
            (int(place) // heads, int(place) % heads, float(self.weights.flat[place]))
            for place in order[: min(count, self.used)]
        ]


def fit_regression(
    features: np.ndarray,
    contact: np.ndarray,
    heads: int,
    C: float = 0.15,
    seed: int = 0,
    max_iter: int = MAX_ITER,
) -> FittedRegression:
    """Fit the regression.

    Args:
        features: ``(P, layers * K)`` float32, finite.
        contact: ``(P,)`` bool.
        heads: K.
        C: Inverse strength of the penalty.
        seed: Of the order in which liblinear goes through the weights.
        max_iter: Most Newton steps.

    Raises:
        InputError: If all pairs are in contact, or none is.
    """
    contacts = int(np.count_nonzero(contact))
    if contacts in (0, len(contact)):
        raise InputError(
            f"of {len(contact)} pairs {contacts} are in contact, so there is nothing to tell "
            "apart; fit on more chains"
        )
    model = LogisticRegression(
        C=C, solver="liblinear", random_state=seed, max_iter=max_iter, **_penalty()
    )
    with warnings.catch_warnings():
        # told by `converged`; whatever else scikit-learn has to say is shown as it comes
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, contact)
    iterations = int(np.max(model.n_iter_))
    return FittedRegression(
        weights=model.coef_.reshape(-1, heads).astype(np.float64),
        bias=float(model.intercept_[0]),
        converged=iterations < max_iter,
        iterations=iterations,
    )


def _penalty() -> dict[str, str | float]:
    """How this version of scikit-learn is told of an L1 penalty; since 1.8 by a ratio."""
    given = inspect.signature(LogisticRegression).parameters.get("penalty")
    return {"penalty": "l1"} if given and given.default == "l2" else {"l1_ratio": 1.0}


def scikit_learn_version() -> str:
    """Of the library that fits."""
    return str(sklearn.__version__)


def needed_bytes(pairs: int, columns: int) -> int:
    """Memory that the features and the fit take at their peak.

    Args:
        pairs: P.
        columns: Number of layers times heads.
    """
    return pairs * (columns * PER_NUMBER + PER_ROW)


def refuse_too_large(pairs: list[int], columns: int, available: int | None) -> None:
    """Check that the fit has a place in the memory.

    Args:
        pairs: Of each chain.
        columns: Number of layers times heads.
        available: Bytes; None: unknown, and nothing is refused.

    Raises:
        InputError: If it has not: how much it needs, and how many chains would fit.
    """
    needed = needed_bytes(sum(pairs), columns)
    if available is None or needed <= available:
        return
    sums = np.cumsum(pairs)
    fitting = int(np.count_nonzero(sums * needed_bytes(1, columns) <= available))
    remedy = f"take the first {fitting} (--chains {fitting})" if fitting else "take shorter chains"
    raise InputError(
        f"the features of {sum(pairs)} pairs in {columns} attention maps need "
        f"{needed / 1e9:.3g} GB, liblinear's two copies included, and {available / 1e9:.3g} GB are "
        f"available; {remedy}, set a smaller --max-length, or use a machine with more memory"
    )
