"""A whole walk of a sampler as one CUDA graph: hundreds of small kernels, launched by a single call."""

from collections.abc import Callable

import torch
from torch import Tensor


@torch.no_grad()
def captured(walk: Callable[[Tensor], Tensor], like: Tensor) -> Callable[[Tensor], Tensor]:
    """``walk`` for tensors of the shape, dtype and device of ``like``, recorded once and replayed at each call.

        draw = captured(lambda x_T: dpmpp_2m(denoise, x_T, levels), noise)
        latents = draw(noise)

    A small network's kernels take less time than Python takes to launch them one by one; a graph launches all of a walk at once
    (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs). What the walk reads beside its argument (weights, labels,
    levels, scale) is fixed by the recording, and it must draw no random numbers: DDIM with eta = 0, DPM-Solver++(2M) and Heun
    qualify. Other devices than CUDA have no graphs: they get ``walk`` itself. Raises ValueError for x of another shape.
    """
    if like.device.type != "cuda":
        return walk
    x = like.clone()
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):  # a recording may not choose kernels or allocate workspaces: done here
        for _ in range(3):
            walk(x)
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        drawn = walk(x)

    def replay(x_T: Tensor) -> Tensor:
        if x_T.shape != x.shape:
            raise ValueError(f"x_T is {tuple(x_T.shape)}, but this walk was captured for {tuple(x.shape)}: capture it anew.")
        x.copy_(x_T)
        graph.replay()
        return drawn.clone()

    return replay
