"""Muon: momentum whose every step turns all directions of a weight matrix equally far. Used through `course_lib.training`.

torch.optim.Muon takes matrices alone; the networks of the workbook are convolutions for the most part, whose kernels are matrices
[out, in · k · k] once they are flattened, with biases and norms beside them. This is the same rule for all of a network.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

QUINTIC = (3.4445, -4.7750, 2.0315)  # Jordan et al. 2024: steep at zero, and within 0.7 … 1.2 after five rounds
SMALLEST = 8  # with so few rows or columns, turning all directions alike would give noise the same weight as signal


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) for kernels and matrices, Adam (Kingma & Ba 2015, algorithm 1) for all else, without decay.

    lr: of both; a step of Muon has the root mean square of Adam's, 0.2 lr (Liu et al. 2025, eq. 4). betas: of Adam. momentum:
    of Muon, Nesterov's.
    """

    def __init__(
        self, weights: Iterable[Tensor], lr: float, betas: tuple[float, float] = (0.9, 0.999), momentum: float = 0.95
    ) -> None:
        weights = list(weights)
        groups = [{"params": [p for p in weights if _is_matrix(p) == matrix], "matrix": matrix} for matrix in (True, False)]
        super().__init__([g for g in groups if g["params"]], {"lr": lr, "betas": betas, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None):
        """One step; weights without a gradient stay as they are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            rule = self._muon if group["matrix"] else self._adam
            for p in group["params"]:
                if p.grad is not None:
                    rule(p, self.state[p], group)
        return loss

    @staticmethod
    def _muon(p: Tensor, state: dict, group: dict) -> None:
        if not state:
            state["momentum"] = torch.zeros_like(p)
        mean = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
        direction = orthogonalised(p.grad.lerp(mean, group["momentum"]).flatten(1))
        p.add_(direction.view(p.shape), alpha=-0.2 * group["lr"] * max(direction.shape) ** 0.5)

    @staticmethod
    def _adam(p: Tensor, state: dict, group: dict) -> None:
        if not state:
            state |= {"step": 0, "mean": torch.zeros_like(p), "square": torch.zeros_like(p)}
        state["step"] += 1
        b1, b2 = group["betas"]
        mean, square = state["mean"].lerp_(p.grad, 1 - b1), state["square"].lerp_(p.grad.square(), 1 - b2)
        size = (square / (1 - b2 ** state["step"])).sqrt_().add_(1e-8)
        p.addcdiv_(mean, size, value=-group["lr"] / (1 - b1 ** state["step"]))


def orthogonalised(matrix: Tensor, rounds: int = 5) -> Tensor:
    """Nearly U Vᵀ of the matrix's U S Vᵀ, [rows, columns]: the same directions, every singular value brought to about 1.

    By Newton and Schulz's iteration, in matrix products alone (Bernstein & Newhouse 2024; coefficients of Jordan et al. 2024).
    What is far below the largest singular value may stay smaller.
    """
    a, b, c = QUINTIC
    x = matrix.bfloat16() if matrix.is_cuda else matrix.clone()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(rounds):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).to(matrix.dtype)


def _is_matrix(p: Tensor) -> bool:
    return p.ndim >= 2 and min(p.shape[0], p[0].numel()) > SMALLEST
