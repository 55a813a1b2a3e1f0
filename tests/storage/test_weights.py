"""Weights files: loaded bit for bit as saved, every damage named, and a killed process leaves the old one or the new one."""

import hashlib
import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.storage import weights
from course_lib.storage.weights import WeightsError

ROOT = Path(__file__).parents[2]
METADATA = {"recipe": "test", "command": "course train test", "seed": 3, "metrics": {"psnr": 25.75}, "config": {"width": 8}}


def small_net(seed=0, width=8):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.Conv2d(width, 2, 1, bias=False))
    net[1].running_mean.fill_(0.3)
    return net


def same_bits(a, b):
    assert a.keys() == b.keys()
    for name, tensor in a.items():
        assert tensor.dtype == b[name].dtype, name
        assert tensor.shape == b[name].shape, name
        assert tensor.cpu().numpy().tobytes() == b[name].cpu().numpy().tobytes(), name


def test_a_network_is_restored_bit_for_bit_with_its_metadata(tmp_path):
    net, other = small_net(0), small_net(1)
    file = weights.save(tmp_path / "new" / "net", net, METADATA)
    assert file == tmp_path / "new" / "net.safetensors"
    metadata = weights.restore(other, file)
    same_bits(net.state_dict(), other.state_dict())
    assert METADATA.items() <= metadata.items()
    assert metadata["torch"] == torch.__version__
    assert metadata["parameters"] == 8 * 9 + 8 + 4 * 8 + 1 + 16  # conv, its bias, four norm vectors, counter, 1x1 conv


def test_every_bit_pattern_and_dtype_survives(tmp_path):
    tensors = {
        "f32": torch.tensor([0.0, -0.0, float("nan"), float("inf"), 1e-45]),
        "bf16": torch.arange(7).to(torch.bfloat16).view(torch.int16),
        "i64": torch.tensor(2**60 + 1),
        "bool": torch.tensor([[True, False]]),
        "empty": torch.empty(0, 3),
        "strided": torch.arange(24.0).view(2, 3, 2, 2).contiguous(memory_format=torch.channels_last),
        "turned": torch.arange(6.0).view(2, 3).T,
    }
    tensors["tied"] = tensors["f32"]
    weights.save(tmp_path / "t", tensors, {})
    same_bits(tensors, weights.load(tmp_path / "t")[0])


def test_it_is_plain_safetensors_that_others_can_read(tmp_path):
    from safetensors.numpy import load_file

    net = small_net()
    arrays = load_file(weights.save(tmp_path / "net", net, METADATA))
    np.testing.assert_array_equal(arrays["0.weight"], net[0].weight.detach().numpy())


def test_the_readable_metadata_hold_the_checksum_of_the_file(tmp_path):
    file = weights.save(tmp_path / "net.v1", small_net(), METADATA)
    written = (tmp_path / "net.v1.json").read_text()
    metadata = json.loads(written)
    assert metadata["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert metadata["file"] == "net.v1.safetensors"
    assert METADATA.items() <= metadata.items()
    assert weights.write_metadata(file).read_text() == written


def test_half_precision_halves_the_file_and_rounds_to_nearest(tmp_path):
    net, other = nn.Linear(100, 100), nn.Linear(100, 100)
    full = weights.save(tmp_path / "full", net, {})
    half = weights.save(tmp_path / "half", net, {}, dtype=torch.bfloat16)
    assert half.stat().st_size < 0.55 * full.stat().st_size
    metadata = weights.restore(other, half)
    assert metadata["dtype"] == ["bfloat16"]
    assert other.weight.dtype == torch.float32
    # bfloat16 keeps 8 significant bits: the rounding error is at most 2^-8 of the number
    assert ((other.weight - net.weight).abs() <= net.weight.abs() * 2**-8).all()
    assert not torch.equal(other.weight, net.weight)


def test_integers_keep_their_dtype_and_an_overflow_is_refused(tmp_path):
    weights.save(tmp_path / "n", small_net(), {}, dtype=torch.float16)
    stored = weights.load(tmp_path / "n")[0]
    assert stored["1.num_batches_tracked"].dtype == torch.int64
    assert stored["0.weight"].dtype == torch.float16
    with pytest.raises(WeightsError, match=r"^w .*torch\.float16"):
        weights.save(tmp_path / "o", {"w": torch.tensor([1e5])}, {}, dtype=torch.float16)
    assert not (tmp_path / "o.safetensors").exists()


def test_int8_stores_each_channel_in_steps_of_its_own(tmp_path):
    net = small_net()
    net[0].weight.data *= torch.logspace(-3, 2, 8).view(8, 1, 1, 1)  # channels of very different size
    net[2].weight.data[1] = 0  # one that is switched off
    file = weights.save(tmp_path / "small", net, METADATA, torch.int8)
    tensors, metadata = weights.load(file)
    assert tensors.keys() == net.state_dict().keys()
    assert metadata["parameters"] == sum(tensor.numel() for tensor in net.state_dict().values())
    for name in ("0.weight", "2.weight"):
        exact, stored = (x[name].flatten(1).double() for x in (net.state_dict(), tensors))
        largest = exact.abs().amax(1, keepdim=True)
        assert bool(((stored - exact).abs() <= largest * 0.5 / 127 * 1.001).all())
    same_bits({"0.bias": tensors["0.bias"]}, {"0.bias": net[0].bias.detach().half()})
    weights.restore(small_net(1), file)
    wide = nn.Linear(256, 256)
    sizes = [weights.save(tmp_path / str(dtype), wide, {}, dtype).stat().st_size for dtype in (torch.int8, torch.float16)]
    assert sizes[0] < 0.52 * sizes[1]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_int8_does_not_hide_a_training_that_diverged(tmp_path, value):
    net = small_net()
    net[0].weight.data[3, 0, 1, 1] = value
    file = weights.save(tmp_path / "broken", net, METADATA, torch.int8)
    with pytest.raises(WeightsError, match=r"holds NaN in 0\.weight"):
        weights.restore(small_net(1), file)


def test_compiled_nets_are_stored_and_restored_under_plain_names(tmp_path):
    net, other = small_net(0), small_net(1)
    weights.save(tmp_path / "net", torch.compile(net), {})
    assert weights.load(tmp_path / "net")[0].keys() == net.state_dict().keys()
    weights.restore(torch.compile(other), tmp_path / "net")
    same_bits(net.state_dict(), other.state_dict())


def test_the_same_weights_give_the_same_bytes_in_every_process(tmp_path):
    code = "import sys, torch\nfrom course_lib.storage import weights\n"
    code += "weights.save(sys.argv[1], {'b': torch.ones(3), 'a': torch.zeros(2)}, {'z': 1, 'a': [1.5, None]})"
    for name in ("one", "two"):
        environment = {**os.environ, "PYTHONHASHSEED": {"one": "1", "two": "2"}[name]}
        subprocess.run([sys.executable, "-c", code, tmp_path / name], check=True, cwd=ROOT, env=environment, timeout=120)
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()


# ------------------------------------------------------------------------------------------------------- damage


@pytest.fixture
def file(tmp_path):
    return weights.save(tmp_path / "net", small_net(), METADATA)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"no weights file .*none\.safetensors"):
        weights.load(tmp_path / "none")


def test_every_truncation_is_found(file):
    content = file.read_bytes()
    for length in (0, 1, 8, 9, 100, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:length])
        with pytest.raises(WeightsError, match="truncated"):
            weights.load(file)


def test_every_altered_byte_is_found(file):
    content = file.read_bytes()
    start = 8 + struct.unpack("<Q", content[:8])[0]
    metric = content.index(b"25.75")
    for position in [*range(start, len(content), 97), len(content) - 1, metric, *range(0, start, 7)]:
        if content[position : position + 1] == b" ":
            continue  # padding of the header
        broken = bytearray(content)
        broken[position] ^= 1
        file.write_bytes(broken)
        with pytest.raises(WeightsError):
            weights.load(file)
    file.write_bytes(content.replace(b"25.75", b"35.75"))
    with pytest.raises(WeightsError, match="altered"):
        weights.load(file)


def test_swapped_tensors_of_one_shape_are_found(tmp_path):
    file = weights.save(tmp_path / "net", {"a": torch.zeros(4), "b": torch.ones(4)}, {})
    content = file.read_bytes()
    file.write_bytes(content[:-32] + content[-16:] + content[-32:-16])
    with pytest.raises(WeightsError, match="altered"):
        weights.load(file)


def test_other_files_are_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"w": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    torch.save({"w": torch.zeros(2)}, tmp_path / "pickle.safetensors")
    (tmp_path / "text.safetensors").write_text("these are no weights at all")
    messages = {"foreign": "not written by this library", "pickle": "not a safetensors file", "text": "not a safetensors file"}
    for name, message in messages.items():
        with pytest.raises(WeightsError, match=message):
            weights.load(tmp_path / name)


def test_weights_that_do_not_fit_are_refused_and_the_network_stays_as_it_was(tmp_path, file):
    wide = small_net(1, width=16)
    before = {name: tensor.clone() for name, tensor in wide.state_dict().items()}
    with pytest.raises(WeightsError, match="of another shape") as caught:
        weights.restore(wide, file)
    assert "0.bias (8,) where the network has (16,)" in str(caught.value)
    assert "{'width': 8}" in str(caught.value)
    same_bits(before, wide.state_dict())
    with pytest.raises(WeightsError, match=r"1 missing \(first: 3.weight\)"):
        weights.restore(nn.Sequential(*small_net(), nn.Conv2d(2, 2, 1, bias=False)), file)
    with pytest.raises(WeightsError, match=r"1 unknown to the network \(first: 2.weight\)"):
        weights.restore(small_net()[:2], file)


def test_metadata_take_what_json_can_hold(tmp_path):
    metadata = {"metrics": {"psnr": torch.tensor(2.5), "n": np.int64(3)}, "path": Path("a/b"), "name": "größe"}
    weights.save(tmp_path / "net", {}, metadata)
    stored = weights.load(tmp_path / "net")[1]
    assert stored["metrics"] == {"psnr": 2.5, "n": 3}
    assert stored["path"] == "a/b"
    assert stored["name"] == "größe"
    for bad in ({"net": nn.Identity()}, {"loss": float("nan")}):
        with pytest.raises(WeightsError, match="metadata cannot be stored"):
            weights.save(tmp_path / "bad", {}, bad)


def test_the_checksum_depends_on_values_names_shapes_and_dtypes_but_not_on_strides():
    x = torch.arange(6.0).view(2, 3)
    base = weights.tensor_checksum({"x": x})
    others = [
        {"x": x + 1}, {"y": x}, {"x": x.view(3, 2)}, {"x": x.view(torch.int32)}, {"x": x, "y": x},
    ]  # fmt: skip
    assert base not in [weights.tensor_checksum(other) for other in others]
    assert base == weights.tensor_checksum({"x": x.T.contiguous().T})
    assert base == hashlib.sha256(b"\nx torch.float32 (2, 3)\n" + x.numpy().tobytes()).hexdigest()


# ------------------------------------------------------------------------------------------------ killed processes

SAVE_FOREVER = """
import sys, torch
from course_lib.storage import weights
number = 0
while True:
    number += 1
    weights.save(sys.argv[1], {"w": torch.full((500_000,), float(number))}, {"number": number})
    print(number, flush=True)
"""

DIE_BETWEEN = """
import os, signal, sys, torch
from course_lib.storage import weights
weights.save(sys.argv[1], {"w": torch.zeros(3)}, {"number": 1})
weights._write_copy = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
weights.save(sys.argv[1], {"w": torch.ones(3)}, {"number": 2})
"""


@pytest.mark.posix
def test_a_killed_save_leaves_a_complete_file(tmp_path):
    for pause in (0.0, 0.013):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVE_FOREVER, tmp_path / "net"], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3):
            reported = int(process.stdout.readline())
        time.sleep(pause)
        process.kill()
        assert process.wait(timeout=60) == -signal.SIGKILL
        process.stdout.close()
        tensors, metadata = weights.load(tmp_path / "net")
        assert metadata["number"] >= reported
        assert tensors["w"].unique().tolist() == [metadata["number"]]  # weights and metadata belong together


@pytest.mark.posix
def test_readable_metadata_out_of_date_after_a_kill_are_harmless_and_can_be_written_again(tmp_path):
    done = subprocess.run([sys.executable, "-c", DIE_BETWEEN, tmp_path / "net"], check=False, cwd=ROOT, timeout=120)
    assert done.returncode == -signal.SIGKILL
    tensors, metadata = weights.load(tmp_path / "net")
    assert (tensors["w"].tolist(), metadata["number"]) == ([1, 1, 1], 2)
    copy = tmp_path / "net.json"
    assert json.loads(copy.read_text())["number"] == 1  # out of date, and of no consequence
    weights.write_metadata(tmp_path / "net")
    assert json.loads(copy.read_text())["number"] == 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_network_on_the_gpu_is_stored_like_one_on_the_cpu(tmp_path):
    net = small_net()
    here = weights.save(tmp_path / "cpu", net, METADATA).read_bytes()
    assert weights.save(tmp_path / "gpu", net.cuda(), METADATA).read_bytes() == here
    assert all(tensor.is_cuda for tensor in weights.load(tmp_path / "cpu", device="cuda")[0].values())
    weights.restore(net, tmp_path / "cpu")
    assert net[0].weight.is_cuda
