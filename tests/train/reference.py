"""Phi and AdamW once more, in float64 numpy, from the papers: what the trainer's steps are held against.

A layer is x + attention(n(x)) + mlp(n(x)) with one LayerNorm n (parallel blocks, Wang and Komatsuzaki 2021); rotary
positions turn the first half of every head (Su et al. 2021); GELU in its tanh form (Hendrycks and Gimpel 2016); AdamW
is algorithm 2 of Loshchilov and Hutter 2019. Gradients are derived by hand. No torch, no code of ours.
"""

import numpy as np

LAYER_NORM_EPSILON = 1e-5
ROTARY_BASE = 10_000.0
GELU_SCALE, GELU_CUBE = np.sqrt(2 / np.pi), 0.044715


def loss_and_gradients(weights, tokens, heads):
    """Mean cross-entropy of ``tokens[:, 1:]`` given what stands before, and its gradient by name of the weight."""
    names = [name.removesuffix("fc1.weight") for name in weights if name.endswith("fc1.weight")]
    layers = [name.removesuffix("mlp.") for name in names]
    gradients = {}
    inputs, targets = tokens[:, :-1], tokens[:, 1:]

    x = weights["model.embed_tokens.weight"][inputs]
    kept = []
    for layer in layers:
        x, cache = _layer(weights, layer, x, heads)
        kept.append(cache)
    h, last = _norm(x, weights["model.final_layernorm.weight"], weights["model.final_layernorm.bias"])
    logits = h @ weights["lm_head.weight"].T + weights["lm_head.bias"]
    logits -= logits.max(-1, keepdims=True)
    probability = np.exp(logits)
    probability /= probability.sum(-1, keepdims=True)
    loss = -np.log(np.take_along_axis(probability, targets[..., None], -1)).mean()

    d = probability
    np.put_along_axis(d, targets[..., None], np.take_along_axis(d, targets[..., None], -1) - 1, -1)
    d /= targets.size
    d = _linear_back(gradients, "lm_head", weights, h, d)
    d = _norm_back(gradients, "model.final_layernorm", weights, last, d)
    for layer, cache in zip(reversed(layers), reversed(kept), strict=True):
        d = _layer_back(gradients, weights, layer, cache, d)
    gradients["model.embed_tokens.weight"] = np.zeros_like(weights["model.embed_tokens.weight"])
    np.add.at(gradients["model.embed_tokens.weight"], inputs, d)
    return loss, gradients


def adamw(weights, moments, gradients, step, rate, betas, epsilon, decay):
    """Update ``weights`` and ``moments`` (first and second, by name) in place; ``step`` counts from 1."""
    for name, gradient in gradients.items():
        for moment, beta, power in zip(moments, betas, (1, 2), strict=True):
            moment[name] = beta * moment.get(name, 0.0) + (1 - beta) * gradient**power
        mean, square = (moment[name] / (1 - beta**step) for moment, beta in zip(moments, betas, strict=True))
        weights[name] = weights[name] * (1 - rate * decay) - rate * mean / (np.sqrt(square) + epsilon)


def _layer(weights, layer, x, heads):
    n, norm = _norm(x, weights[f"{layer}input_layernorm.weight"], weights[f"{layer}input_layernorm.bias"])
    q, k, v = (
        _split(_linear(weights, f"{layer}self_attn.{name}_proj", n), heads) for name in "qkv"
    )  # batch, head, time, width of a head
    q, k = _turn(q), _turn(k)
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    scores[..., np.triu(np.ones(scores.shape[-2:], dtype=bool), 1)] = -np.inf
    attention = np.exp(scores - scores.max(-1, keepdims=True))
    attention /= attention.sum(-1, keepdims=True)
    mixed = _join(attention @ v)
    up = _linear(weights, f"{layer}mlp.fc1", n)
    tanh = np.tanh(GELU_SCALE * (up + GELU_CUBE * up**3))
    active = 0.5 * up * (1 + tanh)
    out = x + _linear(weights, f"{layer}self_attn.dense", mixed) + _linear(weights, f"{layer}mlp.fc2", active)
    return out, (n, norm, q, k, v, attention, mixed, up, tanh, active)


def _layer_back(gradients, weights, layer, cache, d):
    n, norm, q, k, v, attention, mixed, up, tanh, active = cache
    d_active = _linear_back(gradients, f"{layer}mlp.fc2", weights, active, d)
    slope = GELU_SCALE * (1 + 3 * GELU_CUBE * up**2)
    d_up = d_active * 0.5 * (1 + tanh + up * (1 - tanh**2) * slope)
    d_n = _linear_back(gradients, f"{layer}mlp.fc1", weights, n, d_up)
    d_mixed = _split(_linear_back(gradients, f"{layer}self_attn.dense", weights, mixed, d), q.shape[1])
    d_attention = d_mixed @ v.swapaxes(-1, -2)
    d_scores = attention * (d_attention - (d_attention * attention).sum(-1, keepdims=True)) / np.sqrt(q.shape[-1])
    parts = {
        "q": _turn(d_scores @ k, back=True),
        "k": _turn(d_scores.swapaxes(-1, -2) @ q, back=True),
        "v": attention.swapaxes(-1, -2) @ d_mixed,
    }
    for name, part in parts.items():
        d_n = d_n + _linear_back(gradients, f"{layer}self_attn.{name}_proj", weights, n, _join(part))
    return d + _norm_back(gradients, f"{layer}input_layernorm", weights, norm, d_n)


def _linear(weights, name, x):
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _linear_back(gradients, name, weights, x, d):
    gradients[f"{name}.weight"] = np.einsum("bto,bti->oi", d, x, optimize=True)
    gradients[f"{name}.bias"] = d.sum((0, 1))
    return d @ weights[f"{name}.weight"]


def _norm(x, weight, bias):
    centred = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + LAYER_NORM_EPSILON)
    return centred / deviation * weight + bias, (centred / deviation, deviation)


def _norm_back(gradients, name, weights, cache, d):
    plain, deviation = cache
    gradients[f"{name}.weight"], gradients[f"{name}.bias"] = (d * plain).sum((0, 1)), d.sum((0, 1))
    d = d * weights[f"{name}.weight"]
    return (d - d.mean(-1, keepdims=True) - plain * (d * plain).mean(-1, keepdims=True)) / deviation


def _turn(x, back=False):
    """Rotary positions on the first half of a head: of its r numbers, (i, i + r/2) are turned by t · base^(-2i/r)."""
    turned = x.shape[-1] // 2
    pairs = turned // 2
    angle = np.arange(x.shape[-2])[:, None] * ROTARY_BASE ** (-2 * np.arange(pairs) / turned)
    cosine, sine = np.cos(angle), np.sin(angle) * (-1 if back else 1)
    a, b, rest = x[..., :pairs], x[..., pairs:turned], x[..., turned:]
    return np.concatenate([a * cosine - b * sine, b * cosine + a * sine, rest], -1)


def _split(x, heads):
    return x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)


def _join(x):
    x = x.swapaxes(1, 2)
    return x.reshape(*x.shape[:2], -1)
