"""Earthformer on a CPU against a straightforward implementation by the recipe of the published one.

    python benchmarks/earthformer.py [--repeats 5] [CASE ...]

Both have the same weights and give the same fields. Straightforward: cells are copied into their cuboids before the
projections and back after them, masks are made and applied even where all is allowed, scores, probabilities and dropped
probabilities are kept, upsampling is done before its convolution. Times are CPU seconds of one thread, the least of the
repeats, taken in turns. `kept` is what autograd keeps for the backward pass, each storage once, without the weights;
`process` is what a process of its own grows by in its second train step, from before it to its highest (Linux).
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from types import MethodType
from typing import Any

import torch
from thalweg_earthformer.activations import ACTIVATIONS
from thalweg_earthformer.convolutions import ConvolutionBlock
from thalweg_earthformer.cross_attention import CuboidCrossAttention
from thalweg_earthformer.feed_forward import FeedForward
from thalweg_earthformer.model import CuboidTransformer
from thalweg_earthformer.patch_merge import PatchMerging
from thalweg_earthformer.plans import plan, plans
from thalweg_earthformer.presets import preset
from thalweg_earthformer.relative_position import relative_index
from thalweg_earthformer.self_attention import CuboidSelfAttention
from thalweg_earthformer.upsample import Upsample
from torch import Tensor, nn
from torch.nn import functional


def cut(x: Tensor, layout: Any) -> Tensor:
    """(batch, cuboid, position, channel), by a copy."""
    x = layout.pad(x)
    if any(layout.cuboid.shift):
        x = x.roll([-s for s in layout.cuboid.shift], (1, 2, 3))
    x = x.reshape(x.shape[0], *layout._split, x.shape[-1])
    order = (0, *layout._counted, *layout._inside, 7)
    return x.permute(order).reshape(x.shape[0], -1, layout.length, x.shape[-1])


def merge(x: Tensor, layout: Any) -> Tensor:
    order = (0, *layout._counted, *layout._inside, 7)
    sizes = (x.shape[0], *layout._split, x.shape[-1])
    x = x.reshape([sizes[i] for i in order]).permute([order.index(i) for i in range(8)])
    x = x.reshape(x.shape[0], *layout.padded, -1)
    if any(layout.cuboid.shift):
        x = x.roll(layout.cuboid.shift, (1, 2, 3))
    return layout.unpad(x)


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    return torch.softmax(scores.masked_fill(mask.logical_not(), -1e18), -1) * mask


def heads(x: Tensor, count: int) -> Tensor:
    """(batch, ..., position, channel) to (batch, head, ..., position, depth)."""
    return x.unflatten(-1, (count, -1)).movedim(-2, 1)


def self_attention(self: CuboidSelfAttention, x: Tensor, g: Tensor | None = None, *, cuboid: Any = None) -> Any:
    layout = plan(tuple(x.shape[1:4]), cuboid or self.cuboid, self.padding)
    assert self.relative_position_bias_table is not None and self.proj is not None
    cells = cut(self.norm(x), layout)
    q, k, v = (heads(each, self.heads) for each in self.qkv(cells).chunk(3, -1))
    scale = q.shape[-1] ** -0.5
    table, drop = self.relative_position_bias_table, self.attention_dropout if self.training else 0.0
    index = torch.from_numpy(relative_index(layout.cuboid.size, layout.cuboid.size, self.cuboid.size))
    scores = (q * scale) @ k.transpose(-1, -2) + table[index].permute(2, 0, 1)[:, None]
    mask = torch.ones(scores.shape[2:], dtype=torch.bool)
    update = None
    if g is not None and self.vectors is not None:
        g = self.global_vec_norm(g)
        if self.vectors.separate:
            lq = heads(self.l2g_q_net(cells), self.heads)
            gk, gv = (heads(each, self.heads) for each in self.l2g_global_kv_net(g).chunk(2, -1))
            gq = heads(self.g2l_global_q_net(g), self.heads)
            lk, lv = heads(self.g2l_k_net(cells), self.heads), heads(self.g2l_v_net(cells), self.heads)
            q2, k2, v2 = (heads(each, self.heads) for each in self.g2g_global_qkv_net(g).chunk(3, -1))
        else:
            q2, k2, v2 = gq, gk, gv = [heads(each, self.heads) for each in self.global_qkv(g).chunk(3, -1)]
            lq, lk, lv = q, k, v
        beyond = (lq * scale) @ gk[:, :, None].transpose(-1, -2)
        mask = functional.pad(mask, (0, beyond.shape[-1]), value=True)
        seen = functional.dropout(masked_softmax(torch.cat([scores, beyond], -1), mask), drop)
        out = seen @ torch.cat([v, gv[:, :, None].expand(-1, -1, v.shape[2], -1, -1)], 3)
        to_cells = (gq * scale) @ lk.flatten(2, 3).transpose(-1, -2)
        among = (q2 * scale) @ k2.transpose(-1, -2)
        both = torch.cat([to_cells, among], -1)
        weights = functional.dropout(masked_softmax(both, torch.ones(both.shape[-1], dtype=torch.bool)), drop)
        update = (weights @ torch.cat([lv.flatten(2, 3), v2], 2)).movedim(1, -2).flatten(-2)
        update = functional.dropout(self.global_proj(update), self.projection_dropout, self.training)
    else:
        out = functional.dropout(masked_softmax(scores, mask), drop) @ v
    out = self.proj(out.movedim(1, -2).flatten(-2))
    return merge(functional.dropout(out, self.projection_dropout, self.training), layout), update


def cross_attention(self: CuboidCrossAttention, x: Tensor, memory: Tensor, g: Tensor | None = None) -> Tensor:
    assert self.relative_position_bias_table is not None and g is None
    first, second = plans(tuple(x.shape[1:4]), tuple(memory.shape[1:4]), column=self.column, padding=self.padding)
    q = heads(self.q_proj(cut(self.norm(x), first)), self.heads)
    k, v = (heads(each, self.heads) for each in self.kv_proj(cut(memory, second)).chunk(2, -1))
    index = torch.from_numpy(relative_index(first.cuboid.size, second.cuboid.size, self.block))
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    scores = scores + self.relative_position_bias_table[index].permute(2, 0, 1)[:, None]
    seen = masked_softmax(scores, torch.ones(scores.shape[2:], dtype=torch.bool))
    out = functional.dropout(seen, self.attention_dropout, self.training) @ v
    out = self.proj(out.movedim(1, -2).flatten(-2))
    return merge(functional.dropout(out, self.projection_dropout, self.training), first)


def feed_forward(self: FeedForward, x: Tensor) -> Tensor:
    active = ACTIVATIONS[self.activation](self.ffn_1(self.layer_norm(x)))
    active = functional.dropout(active, self.dropout, self.training)
    return x + functional.dropout(self.ffn_2(active), self.dropout, self.training)


def upsample(self: Upsample, x: Tensor, size: tuple[int, int]) -> Tensor:
    images = functional.interpolate(x.flatten(0, 1).permute(0, 3, 1, 2), size, mode="nearest")
    return self.conv(images).permute(0, 2, 3, 1).unflatten(0, x.shape[:2])


def convolutions(self: ConvolutionBlock, x: Tensor) -> Tensor:
    images = nn.Sequential.forward(self, x.flatten(0, 1).permute(0, 3, 1, 2))
    return images.permute(0, 2, 3, 1).unflatten(0, x.shape[:2])


def merging(self: PatchMerging, x: Tensor) -> Tensor:
    b, (t, h, w) = self.block, x.shape[1:4]
    x = x.reshape(x.shape[0], t // b[0], b[0], h // b[1], b[1], w // b[2], b[2], x.shape[-1])
    return self.reduction(self.norm(x.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(4)))


PLAIN: dict[type[nn.Module], Callable[..., Any]] = {
    CuboidSelfAttention: self_attention,
    CuboidCrossAttention: cross_attention,
    FeedForward: feed_forward,
    Upsample: upsample,
    ConvolutionBlock: convolutions,
    PatchMerging: merging,
}


def straightforward(model: CuboidTransformer) -> CuboidTransformer:
    """A model with the same weights that computes as the published implementation does."""
    plain = CuboidTransformer(model.architecture)
    plain.load_state_dict(model.state_dict())
    for module in plain.modules():
        if type(module) in PLAIN:
            module.forward = MethodType(PLAIN[type(module)], module)  # type: ignore[method-assign]
    return plain


def seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def kept(model: nn.Module, x: Tensor) -> int:
    """Bytes that autograd keeps of one call in training."""
    own = {each.untyped_storage().data_ptr() for each in model.parameters()}
    found: dict[int, tuple[int, Tensor]] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            # The tensor is held, so that its address is not used again.
            found[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = model(x)
    assert out.requires_grad
    return sum(size for size, _ in found.values())


def grown(name: str, *, plain: bool) -> int:
    """Bytes that the process of one train step grows by."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_grown, name, plain).result()


def _grown(name: str, plain: bool) -> int:
    torch.set_num_threads(1)
    model, x = case(name)
    model = straightforward(model) if plain else model
    model.train()
    # In the first step libraries settle.
    step(model, x)
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    step(model, x)
    return _status("VmHWM") - before


def _status(name: str) -> int:
    (line,) = (each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith(name))
    return int(line.split()[1]) * 1024


def step(model: nn.Module, x: Tensor) -> None:
    """A train step, but for the optimizer's."""
    model(x).square().mean().backward()
    model.zero_grad()


def case(name: str) -> tuple[CuboidTransformer, Tensor]:
    if name.startswith("sevir"):
        side = int(name.removeprefix("sevir-"))
        found = preset("sevir")
        found = replace(found, input_shape=(13, side, side, 1), target_shape=(12, side, side, 1))
        batch = 1
    else:
        found, batch = preset(name, compat=True), 4
    torch.manual_seed(0)
    return CuboidTransformer(found), torch.randn(batch, *found.input_shape)


def compare(name: str, repeats: int) -> str:
    model, x = case(name)
    both = {"ours": model, "straight": straightforward(model)}
    with torch.no_grad():
        fields = [each.eval()(x) for each in both.values()]
    difference = float((fields[0] - fields[1]).abs().max() / fields[1].abs().max())
    if difference > 1e-4:
        raise SystemExit(f"{name}: the two differ by {difference:.1e}")

    def forward(model: nn.Module) -> None:
        with torch.no_grad():
            model.eval()(x)

    def train(model: nn.Module) -> None:
        step(model.train(), x)

    numbers = []
    for work in (forward, train):
        taken: dict[str, list[float]] = {each: [] for each in both}
        for _ in range(repeats):
            for each, module in both.items():
                taken[each].append(seconds(lambda work=work, module=module: work(module)))  # type: ignore[misc]
        ours, straight = (min(each) for each in taken.values())
        numbers.append(f"{ours:.2f} s | {straight:.2f} s | {ours / straight:.2f}")
    ours, straight = (kept(each.train(), x) / 1e6 for each in both.values())
    numbers.append(f"{ours:.0f} MB | {straight:.0f} MB | {ours / straight:.2f}")
    ours, straight = (grown(name, plain=each) / 1e6 for each in (False, True))
    numbers.append(f"{ours:.0f} MB | {straight:.0f} MB | {ours / straight:.2f}")
    return f"| {name}, batch {len(x)} | {' | '.join(numbers)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("cases", nargs="*", default=["enso", "sevir-96"], help="enso, nbody, sevir-lr, sevir-SIDE")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    out = sys.stdout
    out.write(
        "| case | forward | straight | ratio | train step | straight | ratio | kept | straight | ratio "
        "| process | straight | ratio |\n"
    )
    out.write("|---" * 13 + "|\n")
    for name in options.cases:
        out.write(compare(name, options.repeats) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
