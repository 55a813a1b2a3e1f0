"""course_lib.device: which device, precision and threads are chosen on which machine, and what they do."""

from collections import namedtuple
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from course_lib import device, recipes
from course_lib.codec import PixelCodec
from course_lib.experiments import generate
from course_lib.text_to_image import TextToImage
from course_lib.training import TrainConfig, train
from course_lib.unet import UNet

VARIABLES = ("COURSE_DEVICE", "COURSE_PRECISION", "COURSE_THREADS")


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def pretend(monkeypatch, *, gpus=0, gpu_bf16=False, mps=False, cpu_bf16=False, bf16_pays=False):
    """Make torch answer as on another machine."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    # If emulation counted, every GPU would have bf16: `find` must exclude it.
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or gpu_bf16)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    answers = SimpleNamespace(_is_avx512_bf16_supported=lambda: cpu_bf16)  # a build with one of the two checks
    monkeypatch.setattr(torch, "cpu", answers)
    monkeypatch.setattr(device, "_cpu_bf16_pays", lambda: bf16_pays)


@pytest.mark.parametrize(
    ("machine", "chosen", "precision"),
    [
        ({}, "cpu", "32-true"),
        ({"cpu_bf16": True, "bf16_pays": True}, "cpu", "bf16-mixed"),
        ({"cpu_bf16": True, "bf16_pays": False}, "cpu", "32-true"),
        ({"cpu_bf16": False, "bf16_pays": True}, "cpu", "32-true"),  # emulated: not even measured
        ({"mps": True, "cpu_bf16": True, "bf16_pays": True}, "mps", "32-true"),
        ({"gpus": 1, "gpu_bf16": True}, "cuda:0", "bf16-mixed"),
        ({"gpus": 1, "gpu_bf16": False}, "cuda:0", "16-mixed"),  # Colab's T4
        ({"gpus": 1, "gpu_bf16": True, "mps": True}, "cuda:0", "bf16-mixed"),
    ],
)
def test_find_chooses_the_fastest_native_precision(monkeypatch, machine, chosen, precision):
    pretend(monkeypatch, **machine)
    found = device.find()
    assert (str(found.device), found.precision) == (chosen, precision)


def test_arguments_override_variables_and_variables_override_the_default(monkeypatch):
    pretend(monkeypatch, gpus=2, gpu_bf16=True)
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    monkeypatch.setenv("COURSE_PRECISION", "bf16")
    monkeypatch.setenv("COURSE_THREADS", "1")
    found = device.find()
    assert (str(found.device), found.precision, found.threads) == ("cpu", "bf16-mixed", 1)
    found = device.find("cuda:1", "fp32", 2)
    assert (str(found.device), found.precision, found.threads) == ("cuda:1", "32-true", 2)


def test_threads_default_to_the_setting_of_torch():
    torch.set_num_threads(2)
    assert device.find("cpu").threads == 2
    assert torch.get_num_threads() == 2
    assert device.find("cpu", threads=1).threads == 1
    assert torch.get_num_threads() == 1


@pytest.fixture
def cores(monkeypatch):
    """Four cores and a clock: call it with how many cores this process and others keep busy, and for how many seconds.

    Other programs keep two more cores busy, which this process may not use.
    """
    state = SimpleNamespace(now=0.0, own=0.0, others=0.0, rate=0.0, process=7)
    Core = namedtuple("Core", "user idle iowait guest")

    def spend(seconds: float, own: float, others: float) -> int:
        """Time passes, and then a step begins: the number of its threads."""
        pass_by(seconds, own, others)
        device.leave_busy_cores()
        return torch.get_num_threads()

    def pass_by(seconds: float, own: float, others: float) -> None:
        state.now, state.own, state.others = state.now + seconds, state.own + own * seconds, state.others + others * seconds
        state.rate = others

    def cpu_times(percpu: bool):
        shared = (state.own + state.others) / 4
        return [Core(shared + 3.0, 70.0, 20.0, 3.0)] * 4 + [Core(state.now, 0.0, 0.0, 0.0)] * 2

    monkeypatch.setattr(device.time, "monotonic", lambda: state.now)
    monkeypatch.setattr(device.time, "sleep", lambda seconds: pass_by(seconds, 0, state.rate))
    monkeypatch.setattr(device, "_own_cores", lambda: [0, 1, 2, 3])
    monkeypatch.setattr(device.os, "getpid", lambda: state.process)
    monkeypatch.setattr(device.psutil, "cpu_times", cpu_times)
    monkeypatch.setattr(device.psutil, "Process", lambda: SimpleNamespace(cpu_times=lambda: (state.own, 0.0, 99.0, 99.0)))
    monkeypatch.setattr(device, "_threads", device._Threads())
    torch.set_num_threads(4)
    spend.state = state
    return spend


def test_threads_are_as_many_as_other_programs_leave(cores):
    machine = device.find("cpu")
    assert machine.threads == 4
    assert cores(0.5, own=4, others=1) == 3  # the first step looks, for a moment
    assert cores(2.5, own=4, others=0) == 4
    assert cores(2.5, own=3.4, others=0.4) == 4
    assert cores(1.0, own=2, others=2) == 4  # it looked a second ago
    assert cores(1.5, own=2, others=2) == 2
    assert cores(2.5, own=0.5, others=9) == 1  # never none
    assert cores(2.5, own=1, others=0) == 4
    assert device.find("cpu").threads == 4
    cores.state.rate = 0
    assert cores(60, own=0, others=0) == 4
    assert cores(60, own=0, others=1) == 3  # the start of a run: what was a minute ago does not count
    cores.state.process, cores.state.own = 8, 0.0  # a process that this one has started
    assert cores(3, own=1, others=0) == 4


def test_a_number_of_threads_that_was_asked_for_stays(cores):
    device.find("cpu", threads=3)
    assert cores(2.5, own=3, others=4) == 3
    device.find("cpu")
    torch.set_num_threads(2)  # somebody else's choice
    assert cores(2.5, own=2, others=4) == 2
    assert device.find("cpu").threads == 2
    assert cores(2.5, own=2, others=2) == 1
    assert cores(2.5, own=1, others=0) == 2


def test_what_was_left_to_others_is_given_back(cores, monkeypatch):
    monkeypatch.setattr(device.os, "cpu_count", lambda: 4)
    device.find("cpu")
    assert cores(2.5, own=1, others=4) == 1
    device.share_threads(2)
    assert torch.get_num_threads() == 2
    assert cores(2.5, own=1, others=4) == 2
    torch.set_num_threads(4)
    device.find("cpu")
    assert cores(2.5, own=1, others=4) == 1
    device.find("cpu", threads=3)
    device.find("cpu")
    assert torch.get_num_threads() == 3


def test_a_system_that_does_not_tell_leaves_the_threads_alone(cores, monkeypatch):
    device.find("cpu")
    monkeypatch.setattr(device.psutil, "cpu_times", raising(PermissionError("/proc/stat")))
    assert cores(2.5, own=1, others=4) == 4


def raising(error: Exception):
    def fail(*_, **__):
        raise error

    return fail


def test_training_and_sampling_leave_busy_cores(monkeypatch):
    looked = []
    monkeypatch.setattr(device, "leave_busy_cores", lambda: looked.append("training or a text's images"))
    monkeypatch.setattr(generate, "leave_busy_cores", lambda: looked.append("samples"))
    machine = device.find("cpu", "fp32", 1)
    net = torch.nn.Linear(2, 1)
    train(net, lambda net, batch, _: net(batch[0]).mean(), torch.ones(8, 2), TrainConfig(steps=3, batch_size=4, progress=False))
    assert len(looked) == 3
    unet = UNet(1, 8, (1,), 1, (), num_classes=5)
    model = TextToImage(unet, PixelCodec(), recipes.make_schedule(), machine, (1, 8, 8), lambda caption: torch.tensor([[5]]))
    model.sample(torch.zeros(4, 1, dtype=torch.int64), steps=1, batch=2)
    assert len(looked) == 5
    labels = torch.zeros(6, dtype=torch.int64)
    generate.generate(lambda y: lambda x, level: x, labels, PixelCodec(), (1, 8, 8), machine, batch=2)
    assert looked[5:] == ["samples"] * 3


def test_an_empty_variable_counts_as_unset(monkeypatch):
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
    assert device.find().threads == torch.get_num_threads()


@pytest.mark.parametrize(
    ("given", "facts"),
    [
        ({"device": "cuda:3"}, ["'cuda:3'", "cuda:0, cpu", "COURSE_DEVICE"]),
        ({"device": "toaster"}, ["'toaster'", "cuda:0, cpu"]),
        ({"precision": "int8"}, ["'int8'", "bf16-mixed, 16-mixed, 32-true", "COURSE_PRECISION"]),
        ({"device": "cpu", "precision": "fp16"}, ["16-mixed", "CUDA", "not cpu", "bf16-mixed or 32-true"]),
        ({"threads": 0}, ["threads 0", "from 1 to 1024", "COURSE_THREADS"]),
        ({"threads": 1_000_000}, ["threads 1000000", "from 1 to 1024"]),
        ({"threads": "9" * 20}, ["from 1 to 1024"]),
        ({"threads": "many"}, ["threads 'many'", "from 1 to 1024"]),
    ],
)
def test_errors_name_the_given_and_the_expected_value(monkeypatch, given, facts):
    pretend(monkeypatch, gpus=1)
    with pytest.raises(ValueError, match=r".+") as error:
        device.find(**given)
    assert all(fact in str(error.value) for fact in facts), str(error.value)


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_autocast_computes_in_the_precision(precision, dtype):
    machine = device.find("cpu", precision)
    with machine.autocast():
        assert torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype == machine.dtype == dtype
    assert torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype == torch.float32


def test_a_machine_prints_as_one_line():
    machine = device.Machine(torch.device("cpu"), "bf16-mixed", 2, "Intel Xeon")
    assert str(machine) == "cpu (Intel Xeon), bf16-mixed, 2 threads"
    assert len(str(device.find()).splitlines()) == 1


def test_measuring_the_rate_leaves_the_random_state_unchanged():
    device._cpu_bf16_pays.cache_clear()  # so that `find` measures too, where the CPU has bf16
    before = torch.get_rng_state()
    device.matmul_rate(device.find(), n=64, seconds=0.001)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_measured_rate_is_flops_over_time(monkeypatch):
    ticks = iter(range(10_000))
    monkeypatch.setattr(device.time, "perf_counter", lambda: next(ticks) * 1e-3)  # each reading is 1 ms after the last
    rate = device.matmul_rate(device.find("cpu", "fp32"), n=32, seconds=0.02)
    assert rate == pytest.approx(2 * 32**3 / 1e-3)
