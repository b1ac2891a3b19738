"""Gaussian process on gene vectors: agreement (Hamming-exponential) plus additive kernel, in plain NumPy.

Covariance of architectures a, b: s1 exp(-sum_g w_g [a_g != b_g]) + s2 (agreements / G) + nugget. An inactive gene (-1)
is a category of its own, so conditional spaces need no imputation. The nugget is variance of the objective itself,
which the smooth terms do not explain: it belongs to the prediction of a new architecture. Weights by maximum a
posteriori (Rasmussen and Williams 2006, chapter 5, with log-normal priors).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from nas_service.methods.strategies.base import Genes

Floats = NDArray[np.float64]
_JITTER = 1e-6
_ITERATIONS = 25


class GaussianProcess:
    """One objective. ``fit`` chooses the kernel, ``condition`` takes the data, ``predict`` answers."""

    def __init__(self, num_genes: int) -> None:
        self._prior_mean = np.log(np.r_[np.full(num_genes, 3.0 / num_genes), 0.5, 0.5, 0.03])
        self._prior_std = np.r_[np.full(num_genes, 1.0), 1.0, 1.0, 1.5]
        self.theta: Floats = self._prior_mean.copy()
        self._num_genes = num_genes

    def fit(self, genes: Genes, values: Floats) -> None:
        """Choose the weights for genes (n, G) and standardised values (n,); starts from the prior, so no history."""
        n, num_genes = genes.shape
        differs = np.stack([genes[:, None, g] != genes[None, :, g] for g in range(num_genes)]).astype(np.float64)
        flat = differs.reshape(num_genes, n * n)
        agreement = 1.0 - differs.mean(axis=0)
        identity = np.eye(n)

        def loss(theta: Floats) -> tuple[float, Floats]:
            weights, s1, s2, nugget = self._unpack(theta)
            near = s1 * np.exp(-(weights @ flat)).reshape(n, n)
            try:
                factor = cho_factor(near + s2 * agreement + (nugget + _JITTER) * identity, lower=True)
            except LinAlgError:
                return 1e10, np.zeros_like(theta)
            alpha = cho_solve(factor, values)
            inverse = cho_solve(factor, identity)
            pull = 0.5 * (inverse - np.outer(alpha, alpha))
            gradient = np.empty_like(theta)
            gradient[:num_genes] = -weights * (flat @ (pull * near).reshape(-1))
            gradient[num_genes:] = (pull * near).sum(), s2 * (pull * agreement).sum(), nugget * np.trace(pull)
            distance = (theta - self._prior_mean) / self._prior_std
            fit = 0.5 * values @ alpha + np.log(np.diag(factor[0])).sum()
            return float(fit + 0.5 * distance @ distance), gradient + distance / self._prior_std

        bounds = [(-7.0, 3.0)] * num_genes + [(-6.0, 4.0), (-6.0, 4.0), (-9.0, 1.0)]
        found = minimize(
            loss, self._prior_mean, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _ITERATIONS}
        )
        self.theta = found.x

    def condition(self, genes: Genes, values: Floats, extra: Genes) -> None:
        """Take the data (n, G), (n,); ``extra`` (p, G) are pending: taken at their mean."""
        self._genes = np.concatenate((genes, extra)) if len(extra) else genes
        _, _, _, nugget = self._unpack(self.theta)
        told = len(genes)
        covariance = self._kernel(self._genes, self._genes)
        covariance[np.diag_indices_from(covariance)] += nugget + _JITTER
        factor = cholesky(covariance[:told, :told], lower=True)
        half = solve_triangular(factor, values, lower=True)
        self._alpha = solve_triangular(factor, half, lower=True, trans=1)
        self._told = told
        self._factor = cholesky(covariance, lower=True) if len(extra) else factor

    def mean(self, genes: Genes) -> Floats:
        """Posterior mean (n,) of genes (n, G)."""
        return self._kernel(genes, self._genes[: self._told]) @ self._alpha

    def predict(self, genes: Genes) -> tuple[Floats, Floats]:
        """Mean and standard deviation (n,) of the value itself, nugget included."""
        cross = self._kernel(self._genes, genes)
        mean = self._alpha @ cross[: self._told]
        half = solve_triangular(self._factor, cross, lower=True, check_finite=False)
        _, s1, s2, nugget = self._unpack(self.theta)
        variance = s1 + s2 - np.einsum("ij,ij->j", half, half)
        return mean, np.sqrt(np.maximum(variance, 1e-9) + nugget)

    def _unpack(self, theta: Floats) -> tuple[Floats, float, float, float]:
        values = np.exp(theta)
        g = self._num_genes
        return values[:g], float(values[g]), float(values[g + 1]), float(values[g + 2])

    def _kernel(self, a: Genes, b: Genes) -> Floats:
        weights, s1, s2, _ = self._unpack(self.theta)
        codes = int(max(a.max(), b.max())) + 2
        present = np.zeros((self._num_genes, codes), dtype=bool)
        present[np.arange(self._num_genes), b + 1] = True
        # One column for each option that b has; what only a has agrees with nothing and lands in a last, cut column.
        columns = np.where(present, np.cumsum(present).reshape(present.shape) - 1, present.sum())

        def one_hot(rows: Genes) -> Floats:
            hot = np.zeros((len(rows), int(present.sum()) + 1))
            hot[np.arange(len(rows))[:, None], columns[np.arange(self._num_genes), rows + 1]] = 1.0
            return hot[:, :-1]

        hot_a, hot_b = one_hot(a), one_hot(b)
        agreed = (hot_a * weights[np.nonzero(present)[0]]) @ hot_b.T
        return s1 * np.exp(agreed - weights.sum()) + (s2 / self._num_genes) * (hot_a @ hot_b.T)
