"""The building blocks on a GPU: as exact as on the CPU, close in bf16, the same when compiled, and without waiting for the GPU.

Metrics, dimensions, data, checkpoints and the classifier have their GPU tests in their own test files.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import pytest
import torch
from oracles import SCHEDULES, normal, seeded, toy
from torch.testing import assert_close

from course_lib import codec, diffusion, schedule, teddies
from course_lib import device as devices
from course_lib.codec import VAECodec
from course_lib.dit import DiT
from course_lib.guidance import classifier_free_guide, classifier_guide, guidance_interval, guide
from course_lib.samplers import as_cuda_graph, ddim, dpmpp_2m, heun
from course_lib.text import TextDenoiser
from course_lib.training import TrainConfig, train
from course_lib.unet import UNet
from course_lib.vae import VAE, elbo_loss, log_likelihood

pytestmark = pytest.mark.gpu  # skipped in conftest, with the reason, where there is no CUDA device
GPU = "cuda"
SAMPLERS = {"ddim": ddim, "dpmpp_2m": dpmpp_2m, "heun": heun}
NETS = {"dit": lambda: DiT(dim=64, depth=2, heads=2), "unet": lambda: UNet(width=32, blocks=1)}
each_net = pytest.mark.parametrize("make", NETS.values(), ids=NETS)
each_sampler = pytest.mark.parametrize("sample", SAMPLERS.values(), ids=SAMPLERS)


@pytest.fixture(autouse=True)
def full_float32(monkeypatch):
    """Convolutions in float32 proper: by default they round to TF32, ten bits, on GPUs since 2020."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@contextmanager
def no_waiting() -> Iterator[None]:
    """Raise RuntimeError inside this context if Python waits for the GPU. Warm up first: kernels are chosen once."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def perturbed(net: torch.nn.Module) -> torch.nn.Module:
    """The network with noise on all weights: in a new network some layers are zero and hide the others."""
    with torch.no_grad():
        for i, p in enumerate(net.parameters()):
            p += 0.05 * normal(*p.shape, seed=i, dtype=p.dtype)
    return net


def latents(n: int = 16) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x_t, t and y for the denoising networks, on the CPU."""
    return normal(n, 4, 4, 4, dtype=torch.float32), torch.linspace(1, 1000, n).long(), torch.arange(n) % 11


def on_gpu(*tensors: torch.Tensor) -> list[torch.Tensor]:
    return [x.to(GPU) for x in tensors]


def relative_error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Root mean square of the difference over that of the expected tensor."""
    found, wanted = found.detach().double().cpu(), wanted.detach().double().cpu()
    return ((found - wanted).square().mean() / wanted.square().mean()).sqrt().item()


def test_the_guard_detects_a_wait():
    x = torch.ones(3, device=GPU)
    x.sum().item()
    with pytest.raises(RuntimeError, match="synchroniz"), no_waiting():
        x.sum().item()
    assert x.sum().item() == 3


@each_net
def test_network_agrees_with_float64(make):
    net = perturbed(make())
    x, t, y = latents()
    wanted = deepcopy(net).double()(x.double(), t, y)
    assert relative_error(net.to(GPU)(*on_gpu(x, t, y)), wanted) < 1e-5


@each_net
def test_gradients_agree_with_float64(make):
    net, (x, t, y) = perturbed(make()), latents()
    exact = deepcopy(net).double()
    exact(x.double(), t, y).square().mean().backward()
    net.to(GPU)(*on_gpu(x, t, y)).square().mean().backward()
    for (name, p), q in zip(net.named_parameters(), exact.parameters(), strict=True):
        assert relative_error(p.grad, q.grad) < 1e-3, name


@each_net
def test_network_in_bf16_and_channels_last_stays_near(make):
    net, batch = perturbed(make()).to(GPU), on_gpu(*latents())
    wanted = net(*batch)
    last = net.to(memory_format=torch.channels_last)
    x = batch[0].to(memory_format=torch.channels_last)
    assert relative_error(last(x, *batch[1:]), wanted) < 1e-5
    with torch.autocast(GPU, torch.bfloat16):
        assert 1e-5 < relative_error(last(x, *batch[1:]), wanted) < 0.03


@each_net
def test_compiled_equals_eager(make):
    net, batch = perturbed(make()).to(GPU), on_gpu(*latents())
    compiled = torch.compile(net, fullgraph=True)
    wanted, found = net(*batch), compiled(*batch)
    assert relative_error(found, wanted) < 1e-5
    gradients = [torch.autograd.grad(out.square().mean(), list(net.parameters())) for out in (wanted, found)]
    for a, b in zip(*gradients, strict=True):
        assert relative_error(b, a) < 1e-3
    with torch.autocast(GPU, torch.bfloat16), torch.no_grad():
        assert relative_error(compiled(*batch), wanted) < 0.03


def test_vae_agrees_with_float64_and_stays_near_in_bf16():
    vae, x = perturbed(VAE(1, width=16)), normal(8, 1, 32, 32, dtype=torch.float32).tanh()
    exact = deepcopy(vae).double()
    wanted = exact.encode(x.double())
    decoded = exact.decode(wanted.mean.double())
    likelihood = log_likelihood(x.double(), decoded, vae.noise_std)
    vae, x = vae.to(GPU), x.to(GPU)
    found = vae.encode(x)
    assert relative_error(found.mean, wanted.mean) < 1e-5
    assert relative_error(found.logvar, wanted.logvar) < 1e-5
    assert relative_error(found.kl(), wanted.kl()) < 1e-5
    assert relative_error(vae(x), decoded) < 1e-5
    assert relative_error(log_likelihood(x, vae(x), vae.noise_std), likelihood) < 1e-5
    with torch.autocast(GPU, torch.bfloat16):
        half = vae.elbo(x, seeded(1, GPU))
    assert half.kl.dtype == half.log_likelihood.dtype == torch.float32
    assert relative_error(half.kl, wanted.kl()) < 0.05
    full = vae.elbo(x, seeded(1, GPU))
    assert relative_error(half.log_likelihood, full.log_likelihood) < 0.05


def test_compiled_vae_equals_eager():
    vae, x = perturbed(VAE(1, width=16)).to(GPU), normal(8, 1, 32, 32, dtype=torch.float32).tanh().to(GPU)
    assert relative_error(torch.compile(vae, fullgraph=True)(x), vae(x)) < 1e-5


def test_codec_agrees_with_the_cpu():
    vae = perturbed(VAE(1, width=8))
    photos = torch.randint(0, 256, (40, 1, 32, 32), generator=seeded(), dtype=torch.uint8)
    here = VAECodec.fit(vae, photos, batch=16)
    wanted = codec.cache(here, photos)
    images = here.decode(wanted)
    there = VAECodec.fit(deepcopy(vae).to(GPU), photos.to(GPU), batch=16)
    found = codec.cache(there, photos.to(GPU), batch=16)
    assert found.device.type == GPU
    assert relative_error(there.latents_std, here.latents_std) < 1e-4
    assert relative_error(found, wanted) < 1e-4
    assert relative_error(codec.decode_all(there, found, batch=16), images) < 1e-4
    moved = VAECodec(
        there.vae, here.latents_mean.flatten(), here.latents_std.flatten()
    )  # statistics read from the metadata of a file
    assert relative_error(moved.encode(photos.to(GPU) / 127.5 - 1), wanted) < 1e-4


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_on_the_gpu_is_that_of_the_cpu(name):
    table, t = SCHEDULES[name](), torch.arange(1001)
    here, there = table.at(t), table.at(t.to(GPU))
    assert there.alpha.device.type == there.sigma.device.type == GPU
    assert torch.equal(there.alpha.cpu(), here.alpha)
    assert torch.equal(there.sigma.cpu(), here.sigma)


def test_loss_draws_on_the_gpu_from_the_generator_alone():
    net = perturbed(DiT(dim=64, depth=1, heads=2)).to(GPU)
    x, _, y = on_gpu(*latents(64))
    state = torch.cuda.get_rng_state()
    a, b, c = (diffusion.loss(net, x, y, schedule.cosine(), "v", generator=seeded(s, GPU), null_label=10) for s in (1, 1, 2))
    assert torch.equal(torch.cuda.get_rng_state(), state)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    t = diffusion.stratified_steps(1000, 1000, x.device, seeded(0, GPU))
    assert t.tolist() == list(range(1, 1001))


@each_sampler
@pytest.mark.parametrize("name", SCHEDULES)
def test_samplers_agree_with_float64_on_the_cpu(name, sample):
    table = SCHEDULES[name]()
    x_T = table.level(1000).sigma * normal(50, 2, 1, 1)
    wanted = sample(toy().denoiser(1), x_T, table.grid(20))
    exact = sample(toy().to(GPU).denoiser(1), x_T.to(GPU), table.grid(20))
    assert_close(exact.cpu(), wanted, rtol=1e-9, atol=1e-9)
    single = sample(toy(torch.float32).to(GPU).denoiser(1), x_T.float().to(GPU), table.grid(20))
    assert_close(single.cpu().double(), wanted, rtol=5e-4, atol=5e-4)


@each_net
def test_a_training_step_does_not_wait(make):
    net, table, generator = perturbed(make()).to(GPU), schedule.cosine(), seeded(0, GPU)
    optimizer = torch.optim.AdamW(net.parameters(), fused=True)
    x, _, y = on_gpu(*latents(64))

    def step() -> torch.Tensor:
        with torch.autocast(GPU, torch.bfloat16):
            value = diffusion.loss(net, x, y % 10, table, "v", generator=generator, null_label=10)
        value.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return value.detach()

    for _ in range(3):
        step()
    with no_waiting():
        values = [step() for _ in range(3)]
    assert torch.stack(values).isfinite().all()


@pytest.mark.parametrize("make", [*NETS.values(), lambda: TextDenoiser(64, 1, width=32, blocks=1)], ids=[*NETS, "captions"])
def test_a_training_step_can_be_recorded_as_a_cuda_graph(make):
    """Nothing in it is copied from the host, and nothing read back: a recording refuses both."""
    net, table = perturbed(make()).to(GPU), schedule.cosine()
    x, t, y = on_gpu(*latents(64))
    y = net.null_tokens.expand(64, -1).contiguous() if isinstance(net, TextDenoiser) else y % 10
    generator = seeded(0, GPU)

    def step() -> torch.Tensor:
        value = diffusion.loss(net, x, y, table, "v", generator=generator, null_label=net.null_label, drop=0.5)
        value.backward()
        return value.detach() + 0 * net(x, t).mean().detach()  # without labels too

    torch.cuda.current_stream().synchronize()
    aside = torch.cuda.Stream()
    with torch.cuda.stream(aside):
        for _ in range(3):
            step()
    net.zero_grad(set_to_none=True)
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)
    with torch.cuda.graph(graph):
        value = step()
    values = []
    for _ in range(2):
        graph.replay()
        values.append(value.clone())
    assert torch.stack(values).isfinite().all()
    assert values[0] != values[1]  # each replay draws its own steps and noise


@pytest.mark.parametrize("model", ["dit", "unet", "vae"])
def test_the_training_loop_does_not_wait(model):
    """From step 4 to step 19, over several epochs; `train` reads the losses only at the end."""
    if model == "vae":
        net, data = VAE(1, width=16), (normal(200, 1, 32, 32, dtype=torch.float32).tanh(),)

        def loss_fn(net, batch, generator):
            return elbo_loss(net, batch[0], generator=generator)
    else:
        x, _, y = latents(200)
        net, data, table = NETS[model](), (x, y % 10), schedule.cosine()

        def loss_fn(net, batch, generator):
            return diffusion.loss(net, *batch, table, "v", generator=generator, null_label=10)

    def watch(step, net, ema):
        if step == 3:
            torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error" if 3 <= step < 19 else "default")

    config = TrainConfig(steps=20, batch_size=64, log_every=1000, channels_last=True, progress=False)
    try:
        result = train(net, loss_fn, data, config, machine=devices.find(GPU, "bf16-mixed"), on_step=watch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert result.losses.isfinite().all()
    assert all(p.device.type == GPU for p in result.ema.parameters())


@each_net
@each_sampler
def test_guided_sampling_does_not_wait(make, sample):
    net, levels = perturbed(make()).to(GPU).eval(), schedule.cosine().grid(8)
    x_T, _, y = on_gpu(*latents())
    cond = diffusion.denoiser(net, "v", y, autocast=torch.bfloat16)
    null = diffusion.denoiser(net, "v", net.null_label, autocast=torch.bfloat16)
    classifier = torch.nn.Linear(64, 10).to(GPU)

    def log_prob(x_t, level):
        return classifier(x_t.flatten(1)).log_softmax(1)[:, 3]

    guided = guide(cond, null, guidance_interval(3.0, 0.2, 5.0), rescale=0.7)
    steered = classifier_guide(guided, log_prob, guidance_interval(1.0, 0.0, 5.0))
    options = {"eta": 1.0, "generator": seeded(0, GPU)} if sample is ddim else {}
    for denoise in (guided, steered):
        wanted = sample(denoise, x_T, levels, **options)
        with no_waiting():
            found = sample(denoise, x_T, levels, **options)
        assert found.dtype == torch.float32
        if not options:  # the generator is in another state now
            assert_close(found, wanted, rtol=1e-2, atol=1e-2)


@each_net
@pytest.mark.parametrize("sample", [ddim, dpmpp_2m, heun])
def test_a_cuda_graph_samples_what_the_sampler_does(make, sample):
    net, levels = perturbed(make()).to(GPU).eval(), schedule.cosine().grid(8)
    y = torch.arange(40, device=GPU) % 10
    guided = classifier_free_guide(net, "v", y, 10, guidance_interval(3.0, 0.2, 5.0), autocast=torch.bfloat16)

    def run(x_T):
        return sample(guided, x_T, levels)

    noises = [normal(40, 4, 4, 4, seed=i, dtype=torch.float32).to(GPU) for i in range(3)]
    replay = as_cuda_graph(run, noises[0])
    for noise in noises:
        with no_waiting():
            found = replay(noise)
        assert relative_error(found, run(noise)) < 1e-2
    with pytest.raises(ValueError, match="recorded for"):
        replay(noises[0][:3])


def test_the_codec_does_not_wait():
    vae, photos = perturbed(VAE(1, width=8)).to(GPU), normal(8, 1, 32, 32, dtype=torch.float32).tanh().to(GPU)
    own = VAECodec.fit(vae, photos)
    own.decode(own.encode(photos))
    with no_waiting():
        images = codec.decode_all(own, codec.cache(own, photos, batch=4), batch=4)
    assert images.abs().max() <= 1


def test_the_exact_mixture_does_not_wait():
    mixture, levels = toy().to(GPU), schedule.linear().grid(5)
    x_T = normal(10, 2, 1, 1).to(GPU)
    d = classifier_guide(mixture.denoiser(), lambda x_t, level: mixture.class_log_prob(x_t, level)[:, 2])
    wanted = ddim(mixture.denoiser(2), x_T, levels)
    ddim(d, x_T, levels)
    with no_waiting():
        found = ddim(d, x_T, levels)
    assert_close(found, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("size", [64, 256])
def test_teddies_look_the_same(size):
    factors = teddies.sample_factors(12, seeded())
    wanted = teddies.render(factors, size)
    found = teddies.render(factors.to(GPU), size)
    assert found.device.type == GPU
    gap = (found.cpu() - wanted).abs()
    assert gap.mean() < 1e-3
    assert gap.flatten().quantile(0.999) < 2 / 127.5  # two of 255 steps of brightness
