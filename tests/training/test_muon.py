"""Muon against torch's own on matrices, against Adam on the rest, and the properties of orthogonalisation."""

import torch
from torch import nn

from course_lib.training.muon import Muon, orthogonalise


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_orthogonalise_preserves_directions_and_makes_singular_values_equal():
    for shape in ((20, 50), (50, 20), (30, 30)):
        u, s, vt = torch.linalg.svd(_random(*shape), full_matrices=False)
        x = orthogonalise(u @ torch.diag(s.clamp(min=0.05 * s[0])) @ vt)
        rotated = u.T @ x @ vt.T  # diagonal if the directions are preserved
        assert (rotated - rotated.diagonal().diag()).abs().max() < 1e-4
        assert 0.65 < rotated.diagonal().min() <= rotated.diagonal().max() < 1.25


def test_matrices_step_as_with_muon_of_torch():
    ours, theirs = (nn.Parameter(_random(40, 24)) for _ in range(2))
    mine = Muon([ours], lr=0.01)
    reference = torch.optim.Muon([theirs], lr=0.01, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    for seed in range(1, 5):
        ours.grad, theirs.grad = _random(40, 24, seed=seed), _random(40, 24, seed=seed)
        mine.step()
        reference.step()
    moved = theirs - _random(40, 24)
    assert (ours - theirs).norm() < 0.02 * moved.norm()  # torch iterates in bfloat16


def test_a_kernel_steps_as_its_flat_matrix_does():
    kernel, matrix = nn.Parameter(_random(16, 12, 3, 3)), nn.Parameter(_random(16, 12, 3, 3).flatten(1))
    grad = _random(16, 12, 3, 3, seed=1)
    kernel.grad, matrix.grad = grad.contiguous(memory_format=torch.channels_last), grad.flatten(1)
    Muon([kernel], lr=0.1).step()
    Muon([matrix], lr=0.1).step()
    torch.testing.assert_close(kernel.flatten(1), matrix)


def test_vectors_and_narrow_matrices_step_as_with_adam():
    start = [_random(7), _random(4, 30)]
    ours, theirs = ([nn.Parameter(x.clone()) for x in start] for _ in range(2))
    mine, reference = Muon(ours, lr=0.01, betas=(0.8, 0.95)), torch.optim.Adam(theirs, lr=0.01, betas=(0.8, 0.95))
    for seed in range(1, 5):
        for p, q in zip(ours, theirs, strict=True):
            p.grad = q.grad = _random(*p.shape, seed=seed)
        mine.step()
        reference.step()
    torch.testing.assert_close(ours, theirs)


def test_a_weight_without_gradient_stays():
    p = nn.Parameter(_random(20, 20))
    Muon([p], lr=1.0).step()
    assert torch.equal(p, _random(20, 20))


def test_a_restored_state_continues_as_the_uninterrupted_one():
    def steps(p, optimizer, seeds):
        for seed in seeds:
            p[0].grad, p[1].grad = _random(20, 30, seed=seed), _random(20, seed=seed)
            optimizer.step()

    uninterrupted, halves = ([nn.Parameter(_random(20, 30)), nn.Parameter(_random(20))] for _ in range(2))
    steps(uninterrupted, Muon(uninterrupted, lr=0.1), range(6))
    first = Muon(halves, lr=0.1)
    steps(halves, first, range(3))
    second = Muon(halves, lr=0.1)
    second.load_state_dict(first.state_dict())
    steps(halves, second, range(3, 6))
    assert all(torch.equal(p, q) for p, q in zip(uninterrupted, halves, strict=True))
