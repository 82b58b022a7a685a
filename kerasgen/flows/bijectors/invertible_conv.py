"""Invertible 1x1 convolution (Kingma and Dhariwal 2018, "Glow", section 3.2)."""

import functools

import numpy as np
from keras import ops

from kerasgen.flows.bijectors.base import Array, ChannelMap, Shape, Tensor, positions


@functools.lru_cache(maxsize=8)
def rotation_lu(size: int, seed: int | tuple[int, ...]) -> tuple[Array, Array, Array]:
    """A random rotation as permutation, L, U: see `lu`."""
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))
    return lu(q * np.sign(np.diag(r)))  # uniform over the orthogonal group (Mezzadri 2007)


def lu(matrix: Array) -> tuple[Array, Array, Array]:
    """A matrix `[C, C]` as permutation, L, U: row `permutation[i]` of it is row i of `L @ U`.

    Gaussian elimination with partial pivoting, in float64; L has a unit diagonal.
    """
    u, size = matrix.astype(np.float64), len(matrix)
    lower, permutation = np.eye(size), np.arange(size)
    for k in range(size - 1):
        pivot = k + int(np.argmax(np.abs(u[k:, k])))
        for rows in (u, permutation):
            rows[[k, pivot]] = rows[[pivot, k]]
        lower[[k, pivot], :k] = lower[[pivot, k], :k]
        lower[k + 1 :, k] = u[k + 1 :, k] / u[k, k]
        u[k + 1 :] -= lower[k + 1 :, k, None] * u[k]
    return permutation, lower, u


class InvertibleConv1x1(ChannelMap):
    """z = W x at every position, W = P L (U + diag(sign exp(log_diagonal))) (Glow, eq. 10).

    L is lower triangular with a unit diagonal, U strictly upper triangular; the permutation P and the signs are fixed.
    log |det dz/dx| = height x width x sum(log_diagonal) (Glow, eq. 11). W starts as a random rotation. For vectors it
    is the linear map of the features.
    """

    def __init__(self, shape: Shape, seed: int | tuple[int, ...] = 0, name: str = "invertible_conv"):
        super().__init__(shape, name=name)
        size = self.shape[-1]

        def weight(value, name, shape, dtype="float32", trainable=True):
            def initializer(shape, dtype):
                return ops.cast(value(*rotation_lu(size, seed)), dtype)

            return self.add_weight(shape=shape, initializer=initializer, dtype=dtype, trainable=trainable, name=name)

        self.lower = weight(lambda p, lower, upper: np.tril(lower, -1), "lower", (size, size))
        self.upper = weight(lambda p, lower, upper: np.triu(upper, 1), "upper", (size, size))
        self.log_diagonal = weight(lambda p, lower, upper: np.log(np.abs(np.diag(upper))), "log_diagonal", (size,))
        self.sign = weight(lambda p, lower, upper: np.sign(np.diag(upper)), "sign", (size,), trainable=False)
        self.permutation = weight(lambda p, lower, upper: p, "permutation", (size,), "int32", trainable=False)

    def factors(self) -> tuple[Tensor, Tensor, Tensor]:
        """P transposed, L and U + diag(...), each `[C, C]`."""
        size = self.shape[-1]
        # Row i of P^T is the unit vector of permutation[i].
        transposed = ops.one_hot(ops.convert_to_tensor(self.permutation), size, dtype="float32")
        lower = ops.tril(ops.convert_to_tensor(self.lower), -1) + ops.eye(size, dtype="float32")
        upper = ops.triu(ops.convert_to_tensor(self.upper), 1) + ops.diag(self.sign * ops.exp(self.log_diagonal))
        return transposed, lower, upper

    def weight(self) -> Tensor:
        """W, `[C, C]`."""
        transposed, lower, upper = self.factors()
        return ops.matmul(ops.transpose(transposed), ops.matmul(lower, upper))

    def inverse_weight(self) -> Tensor:
        """W^-1 = (U + diag(...))^-1 L^-1 P^T, by two triangular solves."""
        transposed, lower, upper = self.factors()
        return ops.solve_triangular(upper, ops.solve_triangular(lower, transposed, lower=True))

    def affine(self) -> tuple[Tensor, Tensor]:
        return self.weight(), ops.zeros(self.shape[-1:], "float32")

    def inverse_affine(self) -> tuple[Tensor, Tensor]:
        return self.inverse_weight(), ops.zeros(self.shape[-1:], "float32")

    def log_det(self) -> Tensor:
        return positions(self.shape) * ops.sum(self.log_diagonal)
