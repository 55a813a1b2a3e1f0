"""Muon: momentum whose every step turns all directions of a weight matrix equally far. Used through `course_lib.training`.

torch.optim.Muon takes only matrices. The networks of the workbook are mostly convolutions, whose kernels become matrices
[out, in · k · k] when they are flattened, and they also have biases and norms. This optimizer takes all parameters of a network.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from course_lib.arguments import check_integer, check_number, check_numbers, check_tensor

_QUINTIC = (3.4445, -4.7750, 2.0315)  # Jordan et al. 2024: steep at zero, and within 0.7 … 1.2 after five rounds
MAX_ROUNDS = 1000
_MIN_SIDE = 8  # with this few rows or columns, equal singular values would give noise the same weight as signal


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) for kernels and matrices, Adam (Kingma & Ba 2015, algorithm 1) for the rest; no weight decay.

    lr: of both; a step of Muon has the root mean square of Adam's, 0.2 lr (Liu et al. 2025, eq. 4). betas: of Adam. momentum:
    of Muon, Nesterov's.
    """

    def __init__(
        self, weights: Iterable[Tensor], lr: float, betas: tuple[float, float] = (0.9, 0.999), momentum: float = 0.95
    ) -> None:
        weights = list(weights)
        if not weights or not all(isinstance(p, Tensor) and p.is_floating_point() for p in weights):
            raise TypeError("weights must be a list of one or more floating-point tensors, such as net.parameters().")
        if len({id(p) for p in weights}) < len(weights):
            raise ValueError("weights holds the same tensor twice: give each once.")
        check_number("lr", lr, at_least=0)
        check_numbers("betas", betas, 2, at_least=0, below=1)
        check_number("momentum", momentum, at_least=0, below=1)
        groups = [{"params": [p for p in weights if _is_matrix(p) == matrix], "matrix": matrix} for matrix in (True, False)]
        super().__init__([g for g in groups if g["params"]], {"lr": lr, "betas": betas, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step; weights without a gradient stay as they are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            rule = self._muon if group["matrix"] else self._adam
            for p in group["params"]:
                if p.grad is not None:
                    rule(p, p.grad, self.state[p], group)
        return loss

    @staticmethod
    def _muon(p: Tensor, grad: Tensor, state: dict, group: dict) -> None:
        if not state:
            state["momentum"] = torch.zeros_like(p)
        mean = state["momentum"].lerp_(grad, 1 - group["momentum"])
        direction = orthogonalise(grad.lerp(mean, group["momentum"]).flatten(1))
        p.add_(direction.view(p.shape), alpha=-0.2 * group["lr"] * max(direction.shape) ** 0.5)

    @staticmethod
    def _adam(p: Tensor, grad: Tensor, state: dict, group: dict) -> None:
        if not state:
            state |= {"step": 0, "mean": torch.zeros_like(p), "square": torch.zeros_like(p)}
        state["step"] += 1
        b1, b2 = group["betas"]
        mean, square = state["mean"].lerp_(grad, 1 - b1), state["square"].lerp_(grad.square(), 1 - b2)
        size = (square / (1 - b2 ** state["step"])).sqrt_().add_(1e-8)
        p.addcdiv_(mean, size, value=-group["lr"] / (1 - b1 ** state["step"]))


def orthogonalise(matrix: Tensor, rounds: int = 5) -> Tensor:
    """Return nearly U Vᵀ of the matrix U S Vᵀ, [rows, columns]: the same directions, with every singular value near 1.

    By the Newton-Schulz iteration, which needs only matrix products (Bernstein & Newhouse 2024; coefficients of Jordan et al.
    2024). A singular value far below the largest one may stay smaller.
    """
    check_tensor("matrix", matrix, "[rows, columns]", "float")
    rounds = check_integer("rounds", rounds, 0, MAX_ROUNDS)
    a, b, c = _QUINTIC
    x = matrix.bfloat16() if matrix.is_cuda else matrix.clone()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(rounds):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).to(matrix.dtype)


def _is_matrix(p: Tensor) -> bool:
    return p.ndim >= 2 and len(p) > 0 and min(len(p), p[0].numel()) > _MIN_SIDE
