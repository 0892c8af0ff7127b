"""An attentive neural process: from a set of points to a distribution over fields."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

LEAST = 1e-3
"""Of a standard deviation."""


class Attention(nn.Module):
    """Queries `(..., query, width)` attend to keys; what they find is joined to them, mapped, added, normalised."""

    def __init__(self, width: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.joined, self.norm = nn.Linear(2 * width, width), nn.LayerNorm(width)
        self.heads, self.rate = heads, dropout

    def forward(self, query: Tensor, key: Tensor, value: Tensor, *, drop: bool) -> Tensor:
        rate = self.rate if drop else 0.0
        parts = (self._split(self.query(query)), self._split(self.key(key)), self._split(self.value(value)))
        found = functional.scaled_dot_product_attention(*parts, dropout_p=rate).transpose(-3, -2).flatten(-2)
        update = functional.dropout(self.joined(torch.cat([query, found], -1)), rate, training=drop)
        normal: Tensor = self.norm(query + update)
        return normal

    def _split(self, points: Tensor) -> Tensor:
        heads: Tensor = points.reshape(*points.shape[:-1], self.heads, -1)
        return heads.transpose(-3, -2)


class Encoder(nn.Module):
    """Points `(sample, point, dim + 1)` as vectors that have attended to each other twice."""

    def __init__(self, dims: int, width: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        self.lift = nn.Linear(dims + 1, width)
        self.layers = nn.ModuleList(Attention(width, heads=heads, dropout=dropout) for _ in range(2))

    def forward(self, points: Tensor, *, drop: bool) -> Tensor:
        hidden: Tensor = self.lift(points)
        for layer in self.layers:
            hidden = layer(hidden, hidden, hidden, drop=drop)
        return hidden


class Latent(nn.Module):
    """One vector for a set of points, as a distribution: the mean of their encodings, mapped."""

    def __init__(self, dims: int, width: int, size: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        self.encoder = Encoder(dims, width, heads=heads, dropout=dropout)
        self.hidden = nn.Linear(width, width)
        self.mean, self.log_variance = nn.Linear(width, size), nn.Linear(width, size)

    def forward(self, points: Tensor, *, drop: bool) -> Normal:
        hidden = functional.relu(self.hidden(self.encoder(points, drop=drop).mean(-2)))
        return Normal(self.mean(hidden), (0.5 * self.log_variance(hidden)).exp())


class Deterministic(nn.Module):
    """A vector for each of some sets of targets `(sample, target, dim)`, attending twice to the encoded context."""

    def __init__(self, dims: int, width: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        self.encoder = Encoder(dims, width, heads=heads, dropout=dropout)
        self.key, self.query = nn.Linear(dims, width), nn.Linear(dims, width)
        self.layers = nn.ModuleList(Attention(width, heads=heads, dropout=dropout) for _ in range(2))

    def forward(self, context: Tensor, targets: tuple[Tensor, ...], *, drop: bool) -> tuple[Tensor, ...]:
        values, keys = self.encoder(context, drop=drop), self.key(context[..., :-1])
        return tuple(self._attended(each, keys, values, drop=drop) for each in targets)

    def _attended(self, targets: Tensor, keys: Tensor, values: Tensor, *, drop: bool) -> Tensor:
        query: Tensor = self.query(targets)
        for layer in self.layers:
            query = layer(query, keys, values, drop=drop)
        return query


class Decoder(nn.Module):
    """Mean and standard deviation at targets, from their vectors, the latent one and their places, all joined.

    What the first layer makes of a target is the same for each latent vector: `prepared` has it.
    """

    def __init__(self, dims: int, width: int, size: int) -> None:
        super().__init__()
        self.lift = nn.Linear(dims, width)
        self.parts = [width, size, width]
        whole = sum(self.parts)
        self.first, self.out = nn.Linear(whole, whole), nn.Linear(whole, 2)
        self.layers = nn.ModuleList(nn.Linear(whole, whole) for _ in range(2))

    def prepared(self, vectors: Tensor, targets: Tensor) -> Tensor:
        of_vectors, _, of_places = self.first.weight.split(self.parts, -1)
        joined = functional.linear(vectors, of_vectors, self.first.bias)
        return joined + functional.linear(self.lift(targets), of_places)

    def forward(self, prepared: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        _, of_latent, _ = self.first.weight.split(self.parts, -1)
        hidden = functional.relu(prepared + functional.linear(latent, of_latent).unsqueeze(-2))
        for layer in self.layers:
            hidden = functional.relu(layer(hidden))
        mean, scale = self.out(hidden).unbind(-1)
        return mean, LEAST + functional.softplus(scale)


class AttentiveNeuralProcess(nn.Module):
    r"""$p(y | x, C) = \int p(y | x, r(x, C), z) \, q(z | C) \, dz$ for a context C of points and their values.

    With `drops`, dropout is left on when it is solved with, as published, and each draw of z has its own.
    """

    def __init__(
        self, dims: int, *, width: int, latent: int, heads: int, dropout: float, draws: int, drops: bool = False
    ) -> None:
        super().__init__()
        self.latent = Latent(dims, width, latent, heads=heads, dropout=dropout)
        self.deterministic = Deterministic(dims, width, heads=heads, dropout=dropout)
        self.decoder = Decoder(dims, width, latent)
        self.draws, self.drops, self._size = draws, drops, latent

    def evidence(
        self, context: Tensor, targets: tuple[Tensor, ...], values: Tensor
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        r"""The mean at sets of targets for one z of the posterior, and the negative evidence bound of each sample.

        $-\sum_i \log N(y_i | \mu_i, \sigma_i) + KL(q(z | T) \| q(z | C))$, T all targets with their values; targets
        whose value is NaN are unknown. A set can be differentiated by itself, at its own cost.
        """
        drop = self.training
        known = ~values.isnan()
        # The bound is differentiated twice by laws in the loss, which fused attention cannot.
        with sdpa_kernel(SDPBackend.MATH):
            places = torch.cat(targets, -2).detach()
            filled = torch.cat([places, torch.where(known, values, 0.0).unsqueeze(-1)], -1)
            posterior, prior = self.latent(filled, drop=drop), self.latent(context, drop=drop)
            vectors, latent = self.deterministic(context, targets, drop=drop), posterior.rsample()
            pairs = zip(vectors, targets, strict=True)
            found = [self.decoder(self.decoder.prepared(each, at), latent) for each, at in pairs]
        means = tuple(mean for mean, _ in found)
        mean, scale = torch.cat(means, -1), torch.cat([each for _, each in found], -1)
        density = Normal(mean, scale).log_prob(torch.where(known, values, mean.detach()))
        return means, kl_divergence(posterior, prior).sum(-1) - torch.where(known, density, 0.0).sum(-1)

    def forward(self, context: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance at targets, by the law of total variance over draws of z; the same draws each time."""
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(self.draws, self._size, generator=generator, device="cpu").to(context.device)
        with torch.random.fork_rng(enabled=self.drops):
            if self.drops:
                torch.manual_seed(0)
            return self._mixture(context, targets, noise)

    def _mixture(self, context: Tensor, targets: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        prior, prepared = self.latent(context, drop=self.drops), None
        origin, total, squares, within = (torch.zeros((), device=context.device) for _ in range(4))
        for number, each in enumerate(noise):
            if prepared is None or self.drops:
                (vectors,) = self.deterministic(context, (targets,), drop=self.drops)
                prepared = self.decoder.prepared(vectors, targets)
            mean, scale = self.decoder(prepared, prior.mean + prior.stddev * each)
            # Sums about the first draw lose no digits.
            origin = mean if number == 0 else origin
            gap = mean - origin
            total, squares, within = total + gap, squares + gap.square(), within + scale.square()
        count = len(noise)
        between = (squares - total.square() / count) / max(1, count - 1)
        return origin + total / count, within / count + between.clamp(min=0.0)
