"""Writes what PyTorch `transformers` computes of models whose layers were tied (Relaxed Recursive Transformers, Bae et al. 2024).

Run from anywhere: `python make_relaxed.py`. Output: ../fixtures/relaxed/<name>.json (config, shapes of the tensors, cases) and
<name>.safetensors (prompt and logits). Weights are not stored: `weight` below says what each is, and ../relaxed-cases.ts says
it again.

A tied model is built of the `transformers` model's own layers: a deep copy of one for each shared layer, run B times, the
same copy at every depth. A relaxed one is a layer for each depth: the shared linears plus the truncated SVD of what they
lack, and the original's norms and biases.
"""

import copy
import json
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import GemmaConfig, GemmaForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM
from transformers.masking_utils import create_causal_mask

ROOT = Path(__file__).parent.parent / "fixtures" / "relaxed"
PROMPT = 12
RANK = 4

SHAPE = dict(max_position_embeddings=64, bos_token_id=None, eos_token_id=1, pad_token_id=None)
SIX = dict(vocab_size=61, hidden_size=24, intermediate_size=37, num_hidden_layers=6, **SHAPE)

# name: (model class, config, whether its layers are tied too)
MODELS = {
    "llama": (LlamaForCausalLM, LlamaConfig(num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                                            tie_word_embeddings=False, **SIX), True),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(num_attention_heads=3, num_key_value_heads=1,
                                            tie_word_embeddings=True, **SIX), True),
    "gemma": (GemmaForCausalLM, GemmaConfig(num_attention_heads=3, num_key_value_heads=1, head_dim=8,
                                            hidden_activation="gelu_pytorch_tanh", **SIX), True),
    # TinyLlama 1.1B: its layers, heads and ratios at a sixteenth of its width.
    "tinyllama": (LlamaForCausalLM, LlamaConfig(vocab_size=101, hidden_size=128, intermediate_size=352,
                                                num_hidden_layers=22, num_attention_heads=32, num_key_value_heads=4,
                                                tie_word_embeddings=False, **SHAPE), False),
    # Gemma 2B: its layers and heads, wider than the state, at a sixteenth of their width.
    "gemma-2b": (GemmaForCausalLM, GemmaConfig(vocab_size=101, hidden_size=96, intermediate_size=512,
                                               num_hidden_layers=18, num_attention_heads=8, num_key_value_heads=1,
                                               head_dim=16, hidden_activation="gelu_pytorch_tanh", **SHAPE), False),
}

SIZES = ((2, 0, 0), (3, 0, 0), (2, 1, 1))


def weight(name: str, shape: tuple[int, ...], centre: float) -> torch.Tensor:
    """Uniform values that follow from the tensor's name: a finaliser of MurmurHash3 over a counter from its CRC-32."""
    count = int(np.prod(shape))
    word = (np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B9) + np.uint64(zlib.crc32(name.encode()))) & np.uint64(0xFFFFFFFF)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        word ^= word >> np.uint64(shift)
        word = (word * np.uint64(factor)) & np.uint64(0xFFFFFFFF)
    word ^= word >> np.uint64(16)
    if len(shape) == 1:
        scale = 0.35
    elif "embed_tokens" in name:
        scale = 0.9
    else:
        scale, centre = 2.0 / shape[-1] ** 0.5, 0.0
    values = centre + scale * (word.astype(np.float64) / 2**31 - 1)
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def make(name: str):
    model_class, config, tied = MODELS[name]
    config._attn_implementation = "eager"
    model = model_class(config).eval()
    shapes = {}
    for key, parameter in model.named_parameters():
        centre = 1.0 if "norm" in key and model_class is not GemmaForCausalLM else 0.0
        parameter.data = weight(key, tuple(parameter.shape), centre)
        shapes[key] = list(parameter.shape)
    return model, config, shapes, tied


def forward(model, layers, ids: torch.Tensor) -> torch.Tensor:
    """The model with `layers` in the place of its own, one after another."""
    inner = model.model
    hidden = inner.embed_tokens(ids)
    positions = torch.arange(ids.shape[1])[None]
    mask = create_causal_mask(config=model.config, inputs_embeds=hidden, attention_mask=None, past_key_values=None,
                              position_ids=positions)
    if isinstance(model, GemmaForCausalLM) and not hasattr(inner.embed_tokens, "embed_scale"):
        hidden = hidden * torch.tensor(model.config.hidden_size**0.5, dtype=hidden.dtype)
    rope = inner.rotary_emb(hidden, positions)
    for layer in layers:
        out = layer(hidden, attention_mask=mask, position_ids=positions, position_embeddings=rope)
        hidden = out[0] if isinstance(out, tuple) else out
    return model.lm_head(inner.norm(hidden))[0]


def shared_layers(model, loops: int, first: int, last: int, init: str, norms: str):
    own = list(model.model.layers)
    inner = own[first : len(own) - last]
    size = len(inner) // loops
    if init == "stepwise":
        # numpy's linspace, cut to whole numbers: 18 layers to 9 are 0, 2, 4, ... 14, 17.
        return [inner[at] for at in np.linspace(0, len(inner) - 1, size).astype(int)]
    if init == "lower":
        return inner[:size]
    shared = []
    for k in range(size):
        layer = copy.deepcopy(inner[k])
        states = [inner[depth * size + k].state_dict() for depth in range(loops)]
        mean = {key: torch.stack([state[key] for state in states]).mean(0) for key in states[0]}
        for key in mean:
            if "norm" in key and norms == "choice":
                mean[key] = states[0][key]
            if "norm" in key and norms == "zero":
                # Gemma multiplies by 1 + w: what it is zero for is a factor of 1.
                mean[key] = torch.zeros_like(mean[key]) if isinstance(model, GemmaForCausalLM) else torch.ones_like(mean[key])
        layer.load_state_dict(mean)
        shared.append(layer)
    return shared


def relaxed_layers(inner, shared, loops: int, rank: int):
    layers = []
    for depth in range(loops):
        for k, base in enumerate(shared):
            layer = copy.deepcopy(inner[depth * len(shared) + k])
            for linear, tied in zip(layer.modules(), base.modules()):
                if isinstance(linear, torch.nn.Linear):
                    u, s, v = torch.linalg.svd((linear.weight - tied.weight).double(), full_matrices=False)
                    low = (u[:, :rank] * s[:rank]) @ v[:rank]
                    linear.weight.data = tied.weight + low.float()
            layers.append(layer)
    return layers


@torch.no_grad()
def write(name: str) -> None:
    model, config, shapes, tied = make(name)
    own = list(model.model.layers)
    ids = torch.from_numpy((np.arange(PROMPT) * 37 + 5) % config.vocab_size)[None]
    expected = {"prompt": ids[0].to(torch.int32), "plain": forward(model, own, ids).contiguous()}
    assert torch.allclose(expected["plain"], model(ids).logits[0], atol=1e-5), f"{name}: the layers are not the model"
    cases = []

    def case(label: str, options: dict, layers) -> None:
        cases.append({"case": label, "convert": options})
        expected[label] = forward(model, layers, ids).contiguous()

    for loops, first, last in SIZES if tied else ((2, 0, 0),):
        inner = own[first : len(own) - last]
        keeps = {"loops": loops, **({"keepFirst": first, "keepLast": last} if first + last else {})}
        for init, norms in (("stepwise", ""), ("lower", ""), ("average", "average"), ("average", "choice"), ("average", "zero")):
            shared = shared_layers(model, loops, first, last, init, norms)
            options = {**keeps, "init": init, **({"initNorms": norms} if norms else {})}
            place = f"x{loops}-{first}-{last}"
            around = lambda layers: [*own[:first], *layers, *own[len(own) - last :]]
            case(f"{place}-{init}{norms and '-' + norms}", options, around(shared * loops))
            if norms in ("", "average"):
                case(f"{place}-{init}-rank-{RANK}", {**options, "rank": RANK},
                     around(relaxed_layers(inner, shared, loops, RANK)))
    parts = {"config": {"model_type": config.model_type, **config.to_diff_dict()}, "tensors": shapes, "cases": cases}
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in parts.items())
    (ROOT / f"{name}.json").write_text("{" + lines + "}\n")
    save_file(expected, ROOT / f"{name}.safetensors")


if __name__ == "__main__":
    ROOT.mkdir(parents=True, exist_ok=True)
    for name in MODELS:
        write(name)
        print(name)
