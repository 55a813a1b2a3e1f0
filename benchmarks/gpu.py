"""What only a GPU can show: the fraction of its bf16 peak, sampling as CUDA graphs, and the Teddies' full training."""

import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.steps import Plan, objective, training_step
from benchmarks.timing import interleaved
from course_lib import device as devices
from course_lib import recipes, teddies, text_to_image
from course_lib.device import Machine
from course_lib.dit import DiT
from course_lib.experiments import prompt_adherence
from course_lib.experiments.flops import flops
from course_lib.guidance import classifier_free_guide
from course_lib.samplers import as_cuda_graph, dpmpp_2m

BASE = {"in_channels": 4, "size": 32, "patch": 2, "dim": 768, "depth": 12, "heads": 12}  # DiT-B/2 (Peebles & Xie 2023, table 1)


def dit(machine: Machine, batch: int | None = None, config: dict = BASE) -> dict[str, dict]:
    """The training step of a GPU-size DiT on latents of 256×256 images, eager and compiled: images/s, fraction of matmul.

    batch: by default 256, or 32 on a GPU of less than 40 GiB.
    """
    if batch is None:
        batch = 256 if torch.cuda.mem_get_info(machine.device)[1] >= 40 * 2**30 else 32
    shape = (config["in_channels"], config["size"], config["size"])

    def step(images: int, way: str = "eager"):
        net = DiT(**config)
        called = torch.compile(net) if way == "compiled" else net
        return training_step(net, objective(called, Plan(shape, images, {}), machine), machine)

    peak, work = devices.matmul_rate(machine), flops(step(2)) / 2 * batch
    took = interleaved({way: step(batch, way) for way in ("eager", "compiled")}, machine)
    return {way: {"images_per_second": batch / t.seconds, "share_of_matmul": work / t.seconds / peak} for way, t in took.items()}


def graphs(machine: Machine, counts: tuple[int, ...] = (1, 16, 256), steps: int = 20) -> dict[str, dict]:
    """Seconds of guided sampling with the Teddies' denoiser for n images, launched kernel by kernel and as one CUDA graph."""
    model = text_to_image.load(machine)
    autocast = None if machine.dtype == torch.float32 else machine.dtype
    levels, null = model.schedule.grid(steps), tuple(teddies.NUM_VALUES)
    found = {}
    for n in counts:
        y = model.encode_prompt("two brown teddy bears").to(machine.device).expand(n, -1)
        noise = torch.randn(n, *model.shape, device=machine.device)
        guided = classifier_free_guide(model.net, recipes.PREDICTION_TYPE, y, null, 3.0, autocast=autocast)

        def walk(x_T: torch.Tensor, guided=guided) -> torch.Tensor:
            return dpmpp_2m(guided, x_T, levels)

        runs = {"launched one by one": partial(walk, noise), "CUDA graph": partial(as_cuda_graph(walk, noise), noise)}
        found[f"{n} images"] = {way: t.seconds for way, t in interleaved(runs, machine).items()}
    return found


def many_teddies(machine: Machine, n: int = 10_000, steps: int = 20, batch: int = 500) -> float:
    """Seconds for n guided Teddies at 64×64, decoded."""
    model = text_to_image.load(machine)
    condition = model.encode_prompt("two brown teddy bears")
    model.sample(condition.expand(min(n, batch), -1), 3.0, 2, batch=batch)  # warm-up
    machine.synchronize()
    began = time.perf_counter()
    model.sample(condition.expand(n, -1), 3.0, steps, batch=batch)
    machine.synchronize()
    return time.perf_counter() - began


def flagship(machine: Machine, n: int = 500, options: recipes.RunOptions | None = None) -> dict[str, float]:
    """Train the Teddies' denoiser again by its recipe: the seconds, and its prompt adherence over n prompts, with that of the
    shipped weights."""
    judge, prompts = recipes.load_or_train("teddies-reader", machine), prompt_adherence.sample_prompts(n, 0).to(machine.device)
    model = text_to_image.load(machine)

    def adherence() -> float:
        return prompt_adherence.adherence(judge, model.sample(prompts, steps=20), prompts)["all"]

    shipped = adherence()
    with TemporaryDirectory() as folder:
        began = time.perf_counter()
        result = recipes.teddies_ldm(Path(folder, "again.safetensors"), machine, options)
        spent = time.perf_counter() - began
    model.net.load_state_dict(result.ema.state_dict())
    return {"seconds": spent, "prompt adherence": adherence(), "prompt adherence, shipped": shipped}


def measure(machine: Machine) -> dict:
    """Measure all of it, minutes on an H100. Raises ValueError where there is no CUDA device."""
    if machine.device.type != "cuda":
        raise ValueError(f"the part gpu needs a CUDA device, but this is {machine}: run `course bench gpu` on one with a GPU")
    return {
        "matmul_tflops": devices.matmul_rate(machine) / 1e12,
        "dit": dit(machine),
        "graphs": graphs(machine),
        "10,000 Teddies": many_teddies(machine),
        "flagship": flagship(machine),
    }
