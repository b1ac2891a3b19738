"""Gaussian process on encoded architectures, in plain NumPy: which options resemble each other is learned.

Every option of a group of columns has a place in a small space, learned with the weights, so what one column shows of
an option serves the others. Covariance: s1 exp(-r) + s2 l + s3 l^2 + nugget, where r^2 adds the weighted squared
distances of the options of all columns and of the numeric features, and l is the additive part: each column's own
effect plus one that the columns of a part have in common. -1 (inactive, without influence) is an option of its own, so
conditional spaces need no imputation. The nugget is variance of the objective itself and belongs to a prediction.
Maximum a posteriori (Rasmussen and Williams 2006, chapter 5), from the prior each time, so a fit has no history.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from nas_service.methods.strategies.encoding import Columns, Encoded

Floats = NDArray[np.float64]
_JITTER = 1e-6
_TINY = 1e-10
_MANY_ROWS = 60  # from then on the data may say more against the prior, and the search for it goes on longer
_ITERATIONS, _ITERATIONS_OF_MANY, _WIDER_OF_MANY = 15, 30, 1.4
_MOST_PLACED_OPTIONS = 8  # beyond, options keep their first places: too many to learn from few trials
_TOTAL_WEIGHT = 3.0
_PRIOR_STD_OF_PLACES = 0.5
_LUCK = 0.3
_AMPLITUDES = (0.5, 0.5, 0.2, 0.03)  # exponential, additive, its square, nugget


class GaussianProcess:
    """One objective. ``fit`` chooses the kernel, ``condition`` takes the data, ``predict`` answers."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._places = [_first_places(m, o) for m, o in zip(columns.sizes, columns.ordered, strict=True)]
        self._learned = [
            p.size if m <= _MOST_PLACED_OPTIONS else 0 for p, m in zip(self._places, columns.sizes, strict=True)
        ]
        widths = [self._places[group].shape[1] for group in columns.groups]
        widths += [self._places[columns.groups[part[0]]].shape[1] for part in columns.parts]
        self._offsets = np.cumsum([0, *widths])
        c, p, f = len(columns.groups), len(columns.parts), columns.num_features
        sizes = {"column": c, "feature": f, "effect": c + p, "amplitude": 4, "place": sum(self._learned)}
        ends = np.cumsum(list(sizes.values()))
        self._at = {name: slice(end - sizes[name], end) for name, end in zip(sizes, ends, strict=True)}
        self._prior_mean = np.zeros(ends[-1])
        self._prior_std = np.ones(ends[-1])
        self._prior_mean[self._at["column"]] = np.log(_TOTAL_WEIGHT / max(c, 1))
        self._prior_mean[self._at["feature"]] = -np.log(max(f, 1))
        if p:
            self._prior_mean[self._at["effect"]][c:] = np.log(max(c, 1) / p)
        self._prior_mean[self._at["amplitude"]] = np.log(_AMPLITUDES)
        self._prior_std[self._at["amplitude"]] = 1.0, 1.0, 1.0, 1.5
        self._prior_std[self._at["place"]] = _PRIOR_STD_OF_PLACES
        self._width = 1.0
        self.theta: Floats = self._prior_mean.copy()

    def fit(self, x: Encoded, values: Floats) -> None:
        """Choose the kernel for rows x (n) and standardised values (n,)."""
        many = len(values) >= _MANY_ROWS
        self._width = _WIDER_OF_MANY if many else 1.0
        bounds = [(-9.0, 5.0)] * len(self._prior_mean)
        bounds[self._at["place"]] = [(-3.0, 3.0)] * sum(self._learned)
        found = minimize(
            lambda theta: self.loss(theta, x, values),
            self._prior_mean,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": _ITERATIONS_OF_MANY if many else _ITERATIONS},
        )
        self.theta = found.x

    def condition(self, x: Encoded, values: Floats, extra: Encoded) -> None:
        """Take the data (n rows, n values); ``extra`` rows are pending: taken at their mean."""
        self._rows = self._embed(self.theta, x.joined(extra) if len(extra) else x)
        told = self._told = len(x)
        covariance = self._kernel(self._rows, self._rows)
        covariance[np.diag_indices_from(covariance)] += self._amplitudes()[3] + _JITTER
        factor = cholesky(covariance[:told, :told], lower=True)
        half = solve_triangular(factor, values, lower=True)
        self._alpha = solve_triangular(factor, half, lower=True, trans=1)
        self._factor = cholesky(covariance, lower=True) if len(extra) else factor

    def mean(self, x: Encoded) -> Floats:
        """Posterior mean (n,)."""
        z, y = self._rows
        return self._kernel(self._embed(self.theta, x), (z[: self._told], y[: self._told])) @ self._alpha

    def predict(self, x: Encoded) -> tuple[Floats, Floats]:
        """Mean and standard deviation (n,) of the value itself, with the part of the nugget that is worth a try.

        Counting all of it would send a search after lucky draws among architectures that are otherwise known.
        """
        rows = self._embed(self.theta, x)
        cross = self._kernel(self._rows, rows)
        mean = self._alpha @ cross[: self._told]
        half = solve_triangular(self._factor, cross, lower=True, check_finite=False)
        s1, s2, s3, nugget = self._amplitudes()
        linear = np.einsum("ij,ij->i", rows[1], rows[1])
        variance = s1 + s2 * linear + s3 * linear**2 - np.einsum("ij,ij->j", half, half)
        return mean, np.sqrt(np.maximum(variance, 1e-9) + _LUCK * nugget)

    def loss(self, theta: Floats, x: Encoded, values: Floats) -> tuple[float, Floats]:
        """Minus the logarithm of the posterior density of ``theta`` up to a constant, and its gradient."""
        at, n = self._at, len(values)
        z, y = self._embed(theta, x)
        s1, s2, s3, nugget = np.exp(theta[at["amplitude"]])
        distance = np.sqrt(_squared_distances(z, z) + _TINY)
        near, linear = s1 * np.exp(-distance), y @ y.T
        identity = np.eye(n)
        try:
            factor = cho_factor(near + s2 * linear + s3 * linear**2 + (nugget + _JITTER) * identity, lower=True)
        except LinAlgError:
            return 1e10, np.zeros_like(theta)
        alpha = cho_solve(factor, values)
        pull = 0.5 * (cho_solve(factor, identity) - np.outer(alpha, alpha))
        gradient = np.zeros_like(theta)
        pulled = pull * near
        gradient[at["amplitude"]] = (
            pulled.sum(),
            s2 * (pull * linear).sum(),
            s3 * (pull * linear**2).sum(),
            nugget * np.trace(pull),
        )
        by_square = -pulled / (2.0 * distance)
        np.fill_diagonal(by_square, 0.0)  # a distance to itself is 0 whatever theta
        to_z = 4.0 * (by_square.sum(axis=1)[:, None] * z - by_square @ z)
        to_y = 2.0 * (pull * (s2 + 2.0 * s3 * linear)) @ y
        self._chain(gradient, theta, x, (z, y), (to_z, to_y))
        prior_std = self._prior_std * self._width
        off = (theta - self._prior_mean) / prior_std
        fit = 0.5 * values @ alpha + np.log(np.diag(factor[0])).sum()
        return float(fit + 0.5 * off @ off), gradient + off / prior_std

    def _chain(
        self, gradient: Floats, theta: Floats, x: Encoded, rows: tuple[Floats, Floats], to: tuple[Floats, Floats]
    ) -> None:
        """From gradients by the embedded rows to gradients by weights, effects and places."""
        (z, y), (to_z, to_y), at, c = rows, to, self._at, len(self._columns.groups)
        z_scale, effects = np.exp(0.5 * theta[at["column"]]), _softmax(theta[at["effect"]])
        y_scale = np.sqrt(2.0 * effects)
        spans = [slice(a, b) for a, b in zip(self._offsets[:-1], self._offsets[1:], strict=True)]
        places = [np.zeros_like(place) for place in self._places]
        by_effect = np.array([0.5 * (to_y[:, s] * y[:, s]).sum() for s in spans])
        for k, group in enumerate(self._columns.groups):
            s = spans[k]
            gradient[at["column"].start + k] = 0.5 * (to_z[:, s] * z[:, s]).sum()
            if self._learned[group]:
                np.add.at(places[group], x.codes[:, k], to_z[:, s] * z_scale[k] + to_y[:, s] * y_scale[k])
        for k, part in enumerate(self._columns.parts):
            group = self._columns.groups[part[0]]
            if self._learned[group]:
                share = to_y[:, spans[c + k]] * (y_scale[c + k] / np.sqrt(len(part)))
                for column in part:
                    np.add.at(places[group], x.codes[:, column], share)
        gradient[at["effect"]] = by_effect - effects * by_effect.sum()
        start = self._offsets[c]
        gradient[at["feature"]] = 0.5 * (to_z[:, start:] * z[:, start:]).sum(axis=0)
        kept = [place.ravel() for place, size in zip(places, self._learned, strict=True) if size]
        if kept:
            gradient[at["place"]] = np.concatenate(kept)

    def _embed(self, theta: Floats, x: Encoded) -> tuple[Floats, Floats]:
        """Rows for distances (n, D) and rows for the additive part (n, E)."""
        at, used = self._at, self._at["place"].start
        places = []
        for place, size in zip(self._places, self._learned, strict=True):
            places.append(place + theta[used : used + size].reshape(place.shape) if size else place)
            used += size
        chosen = [places[group][x.codes[:, k]] for k, group in enumerate(self._columns.groups)]
        z_scale = np.exp(0.5 * theta[at["column"]])
        y_scale = np.sqrt(2.0 * _softmax(theta[at["effect"]]))
        common = [np.sum([chosen[k] for k in part], axis=0) / np.sqrt(len(part)) for part in self._columns.parts]
        z = [rows * scale for rows, scale in zip(chosen, z_scale, strict=True)]
        y = [rows * scale for rows, scale in zip(chosen + common, y_scale, strict=True)]
        features = x.features * np.exp(0.5 * theta[at["feature"]])
        return np.concatenate((*z, features), axis=1), np.concatenate(y, axis=1)

    def _amplitudes(self) -> Floats:
        return np.exp(self.theta[self._at["amplitude"]])

    def _kernel(self, a: tuple[Floats, Floats], b: tuple[Floats, Floats]) -> Floats:
        s1, s2, s3, _ = self._amplitudes()
        near = _squared_distances(a[0], b[0])
        near += _TINY
        np.sqrt(near, out=near)
        np.negative(near, out=near)
        np.exp(near, out=near)
        near *= s1
        linear = a[1] @ b[1].T
        near += linear * (s2 + s3 * linear)
        return near


def _first_places(size: int, ordered: bool) -> Floats:
    """Where the options (size + 1, D) begin, the last row for -1: all equally far apart, or along a line as well."""
    corners = np.eye(size + 1) / np.sqrt(2.0)
    if not ordered:
        return corners
    line = np.append(np.linspace(0.0, 1.0, size) if size > 1 else np.zeros(size), -0.3)
    return np.column_stack((0.5 * corners, line))


def _squared_distances(a: Floats, b: Floats) -> Floats:
    squares = (-2.0 * a) @ b.T
    squares += np.einsum("ij,ij->i", a, a)[:, None]
    squares += np.einsum("ij,ij->i", b, b)
    return np.maximum(squares, 0.0, out=squares)


def _softmax(values: Floats) -> Floats:
    powers = np.exp(values - values.max())
    return powers / powers.sum()
