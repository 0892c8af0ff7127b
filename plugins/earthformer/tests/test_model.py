"""The whole network: sizes, time, options, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from thalweg.errors import HandshakeError, OptionError
from thalweg_earthformer.architecture import Architecture, Decoder, Encoder, Initialisation
from thalweg_earthformer.model import CuboidTransformer
from thalweg_earthformer.position import PositionEmbedding
from thalweg_earthformer.self_attention import GlobalVectors
from thalweg_earthformer.stack import Dropout, Layers
from thalweg_earthformer.stem import Stem

NO_VECTORS = GlobalVectors()
VECTORS = GlobalVectors(2, among=True, separate=True, feed_forward=True, widening=2)


def architecture(inputs: int = 4, targets: int = 5, *, size=(8, 8), vectors=NO_VECTORS, **options) -> Architecture:
    layers = Layers(
        heads=2, vectors=vectors, dropout=options.pop("dropout", Dropout(0, 0, 0)), **options.pop("layers", {})
    )
    return Architecture((inputs, *size, 1), (targets, *size, 2), units=16, layers=layers, **options)


def made(*arguments, **options) -> CuboidTransformer:
    torch.manual_seed(0)
    return CuboidTransformer(architecture(*arguments, **options)).eval()


def influence(model: CuboidTransformer, steps: int) -> torch.Tensor:
    """(target step, start step): whether what decoding starts with at one step reaches another."""
    seen = torch.zeros(steps, steps, dtype=torch.bool)
    x = torch.randn(1, *model.architecture.input_shape)
    for step in range(steps):
        table = model.dec_pos_embed.T_embed.weight
        table.grad = None
        model(x)[:, step].sum().backward()
        seen[step] = table.grad.abs().sum(1) > 0
    return seen


def test_twelve_and_two_months_are_apart_only_under_compat():
    options = {"size": (4, 4), "encoder": Encoder((1, 1)), "decoder": Decoder((1, 1))}
    split = influence(made(12, 14, compat=True, **options), 14)
    assert split[:12, :12].all() and split[12:, 12:].all()
    assert not split[:12, 12:].any() and not split[12:, :12].any()
    assert influence(made(12, 14, **options), 14).all()


def test_compat_changes_nothing_where_targets_are_not_more_than_inputs():
    one, other = made(5, 4, compat=True), made(5, 4)
    other.load_state_dict(one.state_dict())
    x = torch.randn(1, 5, 8, 8, 1)
    with torch.no_grad():
        assert torch.equal(one(x), other(x))


PATTERNS = ["axial", "full", "divided_st", "video_swin_2x2", "spatial_lg_2", "axial_space_dilate_2"]


@pytest.mark.parametrize("vectors", [GlobalVectors(), GlobalVectors(2), VECTORS], ids=["none", "shared", "separate"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_learns_and_all_that_should_get_gradients_do(pattern, vectors):
    model = made(
        vectors=vectors,
        encoder=Encoder((1, 1), (pattern,) * 2),
        decoder=Decoder((1, 2), (pattern,) * 2, ("cross_2x2_lg", "cross_2x2_heter")),
    ).train()
    model(torch.randn(2, 4, 8, 8, 1)).square().mean().backward()
    silent = [name for name, each in model.named_parameters() if each.requires_grad and each.grad is None]
    assert not silent
    unused = {id(each) for each in model.unused_parameters()}
    assert all((id(each) in unused) == (not each.requires_grad) for each in model.parameters())


@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 6),
    st.integers(2, 11),
    st.integers(2, 11),
    st.integers(1, 7),
    st.sampled_from(["zeros", "ignore", "nearest"]),
    st.sampled_from(PATTERNS),
)
def test_fields_of_any_size_and_length_work(time, height, width, steps, padding, pattern):
    model = made(
        stem=Stem("conv", ((1, 1, 1),)),
        layers={"padding": padding},
        encoder=Encoder((1, 1), (pattern,) * 2),
        decoder=Decoder((1, 1), (pattern,) * 2, ("cross_2x2", "cross_1x1")),
        vectors=GlobalVectors(2, among=True),
    )
    out = model(torch.randn(2, time, height, width, 1), steps)
    assert out.shape == (2, steps, height, width, 2) and torch.isfinite(out).all()


def test_samples_do_not_see_one_another():
    # In double precision: in single, the sums of another batch differ by more than a small output.
    model = made(vectors=VECTORS).double()
    x = torch.randn(3, 4, 8, 8, 1, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(model(x)[1:2], model(x[1:2]), rtol=1e-9, atol=1e-12)


OPTIONS = {
    "gated": {"layers": {"gated": True}},
    "leaky": {"layers": {"activation": "leaky"}},
    "no relative positions": {"layers": {"relative": False}},
    "no final projection": {"layers": {"projected": False}},
    "one feed-forward per stack": {"encoder": Encoder(between=False), "decoder": Decoder(between=False)},
    "first self": {"decoder": Decoder(first_self=True)},
    "last steps": {"decoder": Decoder(last=2)},
    "cross at the top only": {"decoder": Decoder(cross_from=1)},
    "positions on all levels": {"decoder": Decoder(positions=True)},
    "from nearest": {"decoder": Decoder(start="nearest_interp")},
    "from last": {"decoder": Decoder(start="last")},
    "from mean": {"decoder": Decoder(start="mean")},
    "t+hw": {"positions": "t+hw"},
    "vectors in the decoder": {"vectors": VECTORS, "decoder": Decoder((1, 2), self_vectors=True, cross_vectors=True)},
    "still vectors in the decoder": {"vectors": VECTORS, "decoder": Decoder((1, 2), self_vectors=True, updates=False)},
    "shared vectors in the decoder": {
        "vectors": GlobalVectors(2, feed_forward=True),
        "decoder": Decoder((1, 2), self_vectors=True, cross_vectors=True),
    },
    "stacked stem": {"stem": Stem("stack_conv", ((1, 1, 1), (1, 2, 2)), (4, 16), (1, 2))},
    "time merged": {"downsample": (2, 2, 2)},
    "growth": {"growth": 0.0},
    "other initialisation": {"initialisation": Initialisation("1", "1", "1")},
    "one level": {"encoder": Encoder((1,), ("axial",)), "decoder": Decoder((1,), ("axial",), ("cross_1x1",))},
    "three levels": {
        "encoder": Encoder((1, 1, 1), ("axial",) * 3),
        "decoder": Decoder((1, 1, 1), ("axial",) * 3, ("cross_1x1",) * 3),
    },
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_options(options):
    model = made(**options)
    x = torch.randn(2, 4, 8, 8, 1)
    with torch.no_grad():
        still = model(x)
    learning = model(x)
    torch.testing.assert_close(still, learning.detach(), rtol=1e-4, atol=1e-5)
    learning.sum().backward()
    assert still.shape == (2, 5, 8, 8, 2)
    assert all(each.grad is not None for each in model.parameters() if each.requires_grad)


def kept(model: CuboidTransformer) -> tuple[int, list[torch.Tensor]]:
    """Bytes that are kept for the backward pass, and its gradients."""
    sizes: list[int] = []

    def pack(tensor):
        sizes.append(tensor.nbytes)
        return tensor

    torch.manual_seed(0)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = model(torch.ones(1, 4, 8, 8, 1))
    out.square().sum().backward()
    return sum(sizes), [each.grad for each in model.parameters() if each.requires_grad]


def test_recomputing_changes_nothing_but_memory():
    options = {"vectors": VECTORS, "dropout": Dropout(0.2, 0.2, 0.2)}
    one, other = made(**options).train(), made(checkpoint=True, **options).train()
    other.load_state_dict(one.state_dict())
    (much, wanted), (little, found) = kept(one), kept(other)
    assert little < much / 2
    for mine, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("vectors", [GlobalVectors(), VECTORS], ids=["none", "separate"])
def test_half_precision_is_near_full(vectors):
    model = made(vectors=vectors)
    x = torch.randn(1, 4, 8, 8, 1)
    full = model(x)
    with torch.autocast("cpu", torch.bfloat16):
        half = model(x)
    half.float().square().mean().backward()
    assert (half.float() - full).abs().max() < 0.05 * full.abs().max()


def test_a_seed_gives_the_same_weights_and_published_spreads():
    one, other = made(), made()
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    torch.manual_seed(0)
    large = CuboidTransformer(replace(architecture(), units=64))
    assert float(large.z_proj.weight.detach().std()) == pytest.approx(128**-0.5, rel=0.05)
    assert float(large.encoder.blocks[0][0].ffn_l[0].ffn_2.weight.detach().std()) == pytest.approx(256**-0.5, rel=0.05)
    assert float(large.enc_pos_embed.T_embed.weight.detach().std()) == pytest.approx(0.02, rel=0.2)
    assert (large.decoder.upsample_layers[0].conv.bias == 0).all()
    assert (large.initial_encoder.conv_block[0].bias != 0).any()


def test_positions_of_other_shapes_are_interpolated():
    for kind in ("t+h+w", "t+hw"):
        embedding = PositionEmbedding(3, shape=(4, 5, 6), kind=kind)
        own, other = embedding.embedding((4, 5, 6)), embedding.embedding((7, 9, 11))
        torch.testing.assert_close(other[::2, ::2, ::2], own, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(other[1::2, ::2, ::2], (own[1:] + own[:-1]) / 2, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "given"),
    [((4, 8, 8), r"\(4, 8, 8\)"), ((1, 4, 8, 8, 2), "8, 2"), ((1, 4, 8, 3, 1), "8, 3, 1"), ((1, 0, 8, 8, 1), "0, 8")],
)
def test_a_field_that_it_cannot_take_is_refused(shape, given):
    with pytest.raises(
        HandshakeError, match=rf"fields of shape .*{given}(?s:.)*at least \(1, 4, 4\) cells(?s:.)*built for"
    ):
        made()(torch.zeros(shape))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": Encoder((1, 1, 1))}, "levels"),
        ({"stem": Stem("stack_conv", ((1, 2, 2),), (8,), (2,))}, r"ends in \(8,\) channels with 16 units"),
        ({"vectors": GlobalVectors(2, widening=2)}, "wider vectors only with projections of their own"),
        ({"layers": {"activation": "swish"}}, "activation 'swish'"),
        ({"decoder": Decoder(cross_from=2)}, "cross-attention from level 2 of 2"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        architecture(**options)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"encoder": Encoder((1, 1), patterns=("axial",) * 2)},
        {"encoder": Encoder((1, 1), patterns=("video_swin_2x4",) * 2), "layers": {"padding": "ignore"}},
        {"encoder": Encoder((1, 1)), "decoder": Decoder((1, 1), cross_patterns=("cross_1x1_lg",) * 2)},
    ],
)
def test_a_compiler_sees_one_graph(options):
    network = made(4, 3, size=(9, 16), vectors=VECTORS, **options)
    x = torch.randn(1, 4, 9, 16, 1)
    plain = network(x)
    torch._dynamo.reset()
    compiled = torch.compile(network, backend="eager", fullgraph=True)(x)
    torch.testing.assert_close(compiled, plain, atol=1e-5, rtol=1e-4)
    weights = [each for each in network.parameters() if each.requires_grad]
    for one, other in zip(
        *(torch.autograd.grad(each.sum(), weights, allow_unused=True) for each in (compiled, plain)), strict=True
    ):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)
