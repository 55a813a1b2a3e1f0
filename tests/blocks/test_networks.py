"""The denoising networks and their blocks, against the layers of torch and diffusers, and the effect of their conditioning."""

import pytest
import torch
from networks import perturbed
from oracles import normal
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch.testing import assert_close

from course_lib.dit import DiT
from course_lib.layers import (
    FEW_TOKENS,
    Conditioning,
    CrossAttention,
    GroupNorm,
    ResBlock,
    SelfAttention,
    attend,
    naive_attention,
)
from course_lib.text import TextDenoiser, tokenise
from course_lib.unet import UNet


def small_dit(**changes):
    return DiT(**({"in_channels": 3, "size": 8, "patch": 2, "dim": 32, "depth": 2, "heads": 2, "num_classes": 5} | changes))


def small_unet(**changes):
    return UNet(**({"in_channels": 3, "width": 16, "heads": 2, "blocks": 1, "num_classes": 5} | changes))


NETS = {"dit": small_dit, "unet": small_unet}
each_net = pytest.mark.parametrize("make", NETS.values(), ids=NETS)


def batch(n=4, channels=3, side=8):
    x = normal(n, channels, side, side, dtype=torch.float32)
    return x, torch.linspace(1, 1000, n).long(), torch.arange(n) % 5


@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (DiT(), (2, 4, 4, 4)),
        (small_dit(patch=1, size=4, in_channels=1), (2, 1, 4, 4)),
        (small_dit(patch=4, size=16, mlp_ratio=2.0), (3, 3, 16, 16)),
        (UNet(), (2, 4, 4, 4)),
        (small_unet(), (2, 3, 6, 10)),
        (small_unet(multipliers=(1, 2, 3), attention=(0, 2), blocks=2), (2, 3, 8, 12)),
        (small_unet(multipliers=(2,), attention=()), (2, 3, 5, 7)),
    ],
)
def test_output_has_the_shape_of_the_input(net, shape):
    x, t, y = torch.zeros(shape), torch.full((shape[0],), 7), torch.zeros(shape[0], dtype=torch.long)
    assert net(x, t, y).shape == net(x, t).shape == shape


@each_net
def test_a_new_network_outputs_zero(make):
    assert torch.equal(make()(*batch()), torch.zeros(4, 3, 8, 8))


def test_a_new_dit_block_is_the_identity():
    block = small_dit().blocks[0]
    x, c = normal(2, 16, 32, dtype=torch.float32), normal(2, 32, seed=1, dtype=torch.float32)
    assert torch.equal(block(x, c), x)


@each_net
def test_time_and_label_both_matter(make):
    net = perturbed(make())
    x, t, y = batch()
    out = net(x, t, y)
    assert (net(x, t + 100, y) - out).abs().flatten(1).max(1).values.min() > 1e-3
    assert (net(x, t, (y + 1) % 5) - out).abs().flatten(1).max(1).values.min() > 1e-3


@each_net
def test_no_label_is_the_null_label(make):
    net = perturbed(make())
    x, t, _ = batch()
    assert net.null_label == 5
    assert torch.equal(net(x, t), net(x, t, torch.full((4,), 5)))


@each_net
def test_each_combination_of_several_labels_gives_a_different_output(make):
    net = perturbed(make(num_classes=(2, 3)))
    x, t, _ = batch()
    assert net.null_label == (2, 3)
    assert torch.equal(net(x, t), net(x, t, torch.tensor([[2, 3]]).expand(4, 2)))
    every = [net(x, t, torch.tensor([[a, b]]).expand(4, 2)) for a in range(3) for b in range(4)]
    assert torch.pdist(torch.stack(every).flatten(1)).min() > 1e-3
    for wrong in (torch.zeros(4, 1, dtype=torch.int64), torch.zeros(3, 2, dtype=torch.int64), torch.zeros(4, dtype=torch.int64)):
        with pytest.raises(ValueError, match="takes 2 for each"):
            net(x, t, wrong)


@each_net
def test_an_unconditional_network_has_no_label(make):
    net = perturbed(make(num_classes=None))
    x, t, y = batch()
    assert net.null_label is None
    assert torch.equal(net(x, t), net(x, t, y))


@each_net
def test_each_image_is_denoised_independently(make):
    net = perturbed(make())
    x, t, y = batch()
    assert_close(net(x[2:3], t[2:3], y[2:3]), net(x, t, y)[2:3], rtol=1e-4, atol=1e-4)


@each_net
def test_every_weight_gets_a_gradient(make):
    net = perturbed(make())
    x, t, _ = batch(6)
    net(x, t, torch.arange(6)).square().mean().backward()  # labels 0 to 4 and the null label
    without = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not without


def test_every_output_pixel_depends_on_every_input_pixel():
    for net in (perturbed(small_dit()), perturbed(small_unet())):
        x, t, y = batch(1)
        x.requires_grad_()
        (gradient,) = torch.autograd.grad(net(x, t, y)[0, 0, 0, 0], x)
        assert gradient.abs().min() > 0


def test_patches_return_to_their_positions():
    net = perturbed(small_dit(depth=0))  # without blocks, a patch of the output depends on that patch of the input alone
    x, t, y = batch(1)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(net(x, t, y)[0, :, 2, 5].sum(), x)  # row 2, column 5: second patch down, third across
    own = torch.zeros(8, 8, dtype=torch.bool)
    own[2:4, 4:6] = True
    assert (gradient[0, :, own].abs() > 0).all()
    assert (gradient[0, :, ~own] == 0).all()


@each_net
def test_channels_last_gives_the_same_output(make):
    net = perturbed(make())
    x, t, y = batch()
    wanted = net(x, t, y)
    found = net.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last), t, y)
    assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@each_net
def test_bfloat16_is_close(make):
    net = perturbed(make())
    x, t, y = batch()
    wanted = net(x, t, y)
    with torch.autocast("cpu", torch.bfloat16):
        found = net(x, t, y).float()
    error = (found - wanted).square().mean().sqrt() / wanted.std()
    assert 1e-5 < error < 0.03  # 8 bits of mantissa: 0.4 % at each rounding


@each_net
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside torch's tracer
def test_the_compiled_network_is_the_same(make):
    """Traced as one graph, gradients included; the backend that generates machine code is tested on a GPU."""
    net = perturbed(make())
    x, t, y = batch()
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    wanted, found = net(x, t, y), compiled(x, t, y)
    assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    gradients = [torch.autograd.grad(out.square().mean(), list(net.parameters())) for out in (wanted, found)]
    for a, b in zip(*gradients, strict=True):
        assert_close(a, b, rtol=1e-4, atol=1e-5)


@each_net
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside torch's tracer
def test_the_compiled_network_takes_batches_of_any_size(make):
    """It is traced for one size, then for all of them; a check that reads the size as a number would trace each of them."""
    torch.compiler.reset()
    graphs = CompileCounter()
    compiled = torch.compile(perturbed(make()), backend=graphs, fullgraph=True)
    x, t, y = batch(6)
    for size in (2, 3, 4, 5, 6):
        compiled(x[:size], t[:size], y[:size])
    assert graphs.frame_count <= 2


def test_self_attention_agrees_with_torch():
    ours = SelfAttention(12, 3)
    theirs = nn.MultiheadAttention(12, 3, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv.weight)
        theirs.in_proj_bias.copy_(ours.qkv.bias)
        theirs.out_proj.weight.copy_(ours.out.weight)
        theirs.out_proj.bias.copy_(ours.out.bias)
    x = normal(2, 7, 12, dtype=torch.float32)
    assert_close(ours(x), theirs(x, x, x, need_weights=False)[0], rtol=1e-4, atol=1e-5)


def test_the_time_embedding_agrees_with_diffusers():
    from diffusers.models.embeddings import get_timestep_embedding

    block, seen = Conditioning(16, None), []
    block.time[0].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    t = torch.tensor([1, 2, 500, 1000])
    block(t, None)
    assert_close(seen[0], get_timestep_embedding(t, 128, flip_sin_to_cos=True, downscale_freq_shift=0), rtol=0, atol=1e-4)


def test_modulation_scales_and_shifts_before_the_second_convolution():
    block = perturbed(ResBlock(8, 16, embed=4))
    x, c = normal(2, 8, 6, 6, dtype=torch.float32), normal(2, 4, seed=1, dtype=torch.float32)
    scale, shift = (torch.nn.functional.silu(c) @ block.modulation.weight.T + block.modulation.bias).split(16, 1)
    h = block.norm2(block.conv1(torch.nn.functional.silu(block.norm1(x))))
    h = torch.stack([h[i] * (1 + scale[i, :, None, None]) + shift[i, :, None, None] for i in range(2)])
    wanted = block.conv2(torch.nn.functional.silu(h)) + block.shortcut(x)
    assert_close(block(x, c), wanted)


def test_groups_divide_the_channels():
    for channels in range(1, 300):
        assert channels % GroupNorm(channels).num_groups == 0
        assert GroupNorm(channels).num_groups <= 32
    assert [GroupNorm(c).num_groups for c in (4, 16, 32, 64, 256, 512)] == [1, 2, 4, 8, 32, 32]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_half_precision_is_normalised_in_float32(dtype):
    """Near a mean of 100, bf16 has a resolution of 0.5: sums in bf16 would be far off."""
    x = (100 + 10 * normal(3, 16, 5, 4)).to(dtype)
    rows = x.double().view(3, 2, -1)
    wanted = (rows - rows.mean(2, keepdim=True)) / (rows.var(2, correction=0, keepdim=True) + 1e-5).sqrt()
    inside = torch.float64 if dtype == torch.float64 else torch.float32
    found = GroupNorm(16).to(inside)(x)
    assert found.dtype == dtype
    bound = 4 * torch.finfo(dtype).eps + 10 * 2 * torch.finfo(inside).eps  # the mean is 10 standard deviations
    assert_close(found.double().view(3, 2, -1), wanted, rtol=0, atol=bound)


@pytest.mark.parametrize("tokens", [1, 7, FEW_TOKENS, FEW_TOKENS + 1])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_both_implementations_of_attention_agree_with_the_definition(tokens, masked, dtype):
    """In float64, by the definition; gradients too, since each implementation has its own."""
    given = [normal(2, 3, n, 8, seed=n + i).to(dtype).double().requires_grad_() for i, n in enumerate((5, tokens, tokens))]
    mask = (torch.arange(tokens) % 3 == 0).expand(2, 1, 1, -1) if masked else None
    weights = (torch.einsum("bhnd,bhld->bhnl", *given[:2]) / 8**0.5).exp() * (1.0 if mask is None else mask)
    wanted = torch.einsum("bhnl,bhld->bhnd", weights / weights.sum(-1, keepdim=True), given[2])
    gradients = torch.autograd.grad(wanted.sin().sum(), given)
    bound = 3e-2 if dtype == torch.bfloat16 else 1e-5
    for attention in (attend, naive_attention):
        ours = [x.detach().to(dtype).requires_grad_() for x in given]
        found = attention(*ours, mask)
        assert found.dtype == dtype
        assert_close(found.double(), wanted, rtol=bound, atol=bound)
        for a, b in zip(torch.autograd.grad(found.sin().sum(), ours), gradients, strict=True):
            assert_close(a.double(), b, rtol=bound, atol=bound)


def test_attention_uses_the_faster_implementation_for_bf16_on_a_cpu(monkeypatch):
    used = []
    monkeypatch.setattr("course_lib.layers._softmax_attention", lambda q, k, v, mask: used.append(q.dtype) or q)
    monkeypatch.setattr("torch.nn.functional.scaled_dot_product_attention", lambda q, k, v, attn_mask: used.append("fused") or q)
    for tokens, dtype in ((FEW_TOKENS, torch.bfloat16), (FEW_TOKENS + 1, torch.bfloat16), (4, torch.float32)):
        attend(*[torch.zeros(1, 1, tokens, 2, dtype=dtype)] * 3)
    assert used == [torch.bfloat16, "fused", "fused"]


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (2, 3, 8, 16), (2, 4, 8, 8), (3, 8, 8)])
def test_dit_raises_for_another_size(shape):
    with pytest.raises(ValueError, match=r"made for \[B, 3, 8, 8\]"):
        small_dit()(torch.zeros(shape), torch.ones(2), None)


def test_unet_raises_for_sides_that_it_cannot_halve():
    with pytest.raises(ValueError, match="multiples of 4"):
        small_unet(multipliers=(1, 1, 2))(torch.zeros(2, 3, 8, 6), torch.ones(2, dtype=torch.long))


def test_invalid_network_arguments_raise():
    with pytest.raises(ValueError, match="size is 9 and patch 2"):
        small_dit(size=9)
    with pytest.raises(ValueError, match="dim is 32 and heads 3"):
        small_dit(heads=3)


# --- text ---------------------------------------------------------------------------------------------------------

MASK = torch.tensor([[True, True, True, False, False], [True, True, True, True, True]])


def by_hand(layer, x, context, mask):
    """Cross-attention in plain loops: for each head and token, a softmax over the unmasked keys; the output and the weights."""
    q = x @ layer.q.weight.T + layer.q.bias
    k, v = (context @ layer.kv.weight.T + layer.kv.bias).chunk(2, dim=-1)
    d = q.shape[-1] // layer.heads
    out, attention = torch.zeros_like(q), torch.zeros(*x.shape[:2], context.shape[1])
    for b in range(len(x)):
        for h in range(layer.heads):
            part = slice(h * d, (h + 1) * d)
            for n in range(x.shape[1]):
                scores = [float(q[b, n, part] @ k[b, m, part]) / d**0.5 for m in range(context.shape[1])]
                weights = [torch.tensor(s).exp() * bool(mask[b, m]) for m, s in enumerate(scores)]
                total = sum(weights)
                for m, weight in enumerate(weights):
                    out[b, n, part] += weight / total * v[b, m, part]
                    attention[b, n, m] += weight / total / layer.heads
    return out @ layer.out.weight.T + layer.out.bias, attention


@torch.no_grad()
def test_cross_attention_agrees_with_plain_loops():
    layer = CrossAttention(12, 6, 3)
    x, context = normal(2, 4, 12, dtype=torch.float32), normal(2, 5, 6, seed=1, dtype=torch.float32)
    wanted, weights = by_hand(layer, x, context, MASK)
    assert_close(layer(x, context, MASK), wanted, rtol=1e-4, atol=1e-5)
    assert_close(layer.attention_weights(x, context, MASK), weights, rtol=1e-4, atol=1e-5)
    assert_close(layer(x, context), by_hand(layer, x, context, torch.ones_like(MASK))[0], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_masked_tokens_have_no_influence():
    cross, itself = CrossAttention(12, 6, 3), SelfAttention(12, 3)
    x, context, tokens = (normal(2, n, d, seed=n, dtype=torch.float32) for n, d in ((4, 12), (5, 6), (5, 12)))
    other = [torch.where(MASK[..., None], y, y + 100) for y in (context, tokens)]
    assert torch.equal(cross(x, other[0], MASK), cross(x, context, MASK))
    assert torch.equal(itself(other[1], MASK)[MASK], itself(tokens, MASK)[MASK])
    assert_close(itself(tokens[:1], MASK[:1])[:, :3], itself(tokens[:1, :3]), rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="dim is 12 and heads 5"):
        CrossAttention(12, 6, 5)


def small_text_denoiser(**changes):
    return TextDenoiser(32, 1, **({"in_channels": 3, "width": 16, "heads": 2, "blocks": 1} | changes))


def test_a_new_text_denoiser_outputs_zero_and_a_perturbed_one_depends_on_the_caption():
    x, t, _ = batch(2)
    assert torch.equal(small_text_denoiser()(x, t, tokenise(["one pink teddy bear", ""])), torch.zeros_like(x))
    net = perturbed(small_text_denoiser())
    one, other = (net(x, t, tokenise([caption] * 2)) for caption in ("one pink teddy bear", "one blue teddy bear"))
    assert (one - other).abs().flatten(1).max(1).values.min() > 1e-3


def test_padding_of_a_caption_has_no_influence():
    net = perturbed(small_text_denoiser())
    x, t, _ = batch(1)
    tokens = tokenise("two pink teddy bears")
    wanted = net(x, t, tokens)
    assert_close(net(x, t, tokens[:, :6]), wanted, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        net.text.word.weight[0] += 100
    assert torch.equal(net(x, t, tokens), wanted)


def test_no_caption_is_the_empty_caption():
    net = perturbed(small_text_denoiser())
    x, t, _ = batch(2)
    assert torch.equal(net(x, t), net(x, t, tokenise(["", ""])))
    assert torch.equal(net(x, t), net(x, t, torch.tensor(net.null_label).expand(2, -1)))


def test_every_weight_of_a_text_denoiser_gets_a_gradient():
    net = perturbed(small_text_denoiser())
    x, t, _ = batch(2)
    longest = "two golden teddy bears with a yellow scarf holding a balloon in the snow"
    net(x, t, tokenise([longest, ""])).square().mean().backward()
    without = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not without
    assert (net.text.word.weight.grad[0] == 0).all()  # padding is not learned


def test_text_adds_weights_to_a_unet_and_changes_none():
    """Names and initial weights of a UNet without text must not change; with text it has the same ones and some more."""
    torch.manual_seed(0)
    plain = small_unet()
    assert not [name for name in plain.state_dict() if "reading" in name]
    torch.manual_seed(0)
    reading = small_unet(context=32)
    new = set(reading.state_dict()) - set(plain.state_dict())
    assert new
    assert all(".reading." in name for name in new)
    assert set(plain.state_dict()) <= set(reading.state_dict())
    with pytest.raises(ValueError, match="reads captions"):
        reading(*batch())
    reading.load_state_dict(plain.state_dict(), strict=False)
    text = normal(4, 5, 32, dtype=torch.float32), torch.ones(4, 5, dtype=torch.bool)
    assert torch.equal(reading(*batch(), text=text), plain(*batch()))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside torch's tracer
def test_a_compiled_text_denoiser_is_the_same():
    net = perturbed(small_text_denoiser())
    x, t, _ = batch(2)
    tokens = tokenise(["two pink teddy bears", ""])
    assert_close(torch.compile(net, backend="aot_eager", fullgraph=True)(x, t, tokens), net(x, t, tokens), rtol=1e-5, atol=1e-5)
