"""Writes tiny random checkpoints and the logits PyTorch `transformers` computes from them.

Run from anywhere: `python make_tiny.py`. Output: ../fixtures/tiny/<name>/{checkpoint/, cases.json, <case>.safetensors}.
Everything is seeded: a second run writes the same checkpoints and prompts, and logits that differ by rounding (2e-6 of the
largest between two machines).

Looped cases repeat decoder layers of the `transformers` model itself: layers before a once, layers a..b R times with
h <- h + alpha * (block(h) - h), layers after b once, then the model's own norm and head. Ouro has its own reference in
ouro_reference.py, written from the description of the architecture.
"""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.masking_utils import create_causal_mask

from ouro_reference import OuroReference, ouro_config, ouro_tensors
from tiny_tokenizer import write_tokenizer

ROOT = Path(__file__).parent.parent / "fixtures" / "tiny"
LENGTHS = (1, 17, 300)

LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
LINEAR_ROPE = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}
YARN_ROPE = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 128,
}
SHAPE = dict(max_position_embeddings=512, attention_bias=False, bos_token_id=None, eos_token_id=1, pad_token_id=None)

LOOPS = [
    {"case": "loop-1-2-x3-damped", "convert": {"loopLayers": "1-2", "loops": 3, "damping": 1 / 3}},
    {"case": "loop-2-2-x2", "convert": {"loopLayers": "2-2", "loops": 2, "damping": 1.0}},
]

# name: (model class, config, dtype of the stored weights, shards, looped cases)
MODELS = {
    "llama-gqa": (
        LlamaForCausalLM,
        LlamaConfig(vocab_size=320, hidden_size=48, intermediate_size=77, num_hidden_layers=4, num_attention_heads=6,
                    num_key_value_heads=2, tie_word_embeddings=False, **SHAPE),
        torch.float32, 1, LOOPS,
    ),
    "llama-tied": (
        LlamaForCausalLM,
        LlamaConfig(vocab_size=101, hidden_size=32, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=4, tie_word_embeddings=True, rms_norm_eps=1e-5, **SHAPE),
        torch.bfloat16, 1, [],
    ),
    "llama-rope-llama3": (
        LlamaForCausalLM,
        LlamaConfig(vocab_size=97, hidden_size=64, intermediate_size=90, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=2, rope_parameters=LLAMA3_ROPE, tie_word_embeddings=False, **SHAPE),
        torch.float32, 2, [],
    ),
    "llama-rope-linear": (
        LlamaForCausalLM,
        LlamaConfig(vocab_size=97, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2,
                    num_key_value_heads=1, rope_parameters=LINEAR_ROPE, tie_word_embeddings=True, **SHAPE),
        torch.float32, 1, [],
    ),
    "llama-rope-yarn": (
        LlamaForCausalLM,
        LlamaConfig(vocab_size=97, hidden_size=64, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2,
                    num_key_value_heads=2, rope_parameters=YARN_ROPE, tie_word_embeddings=True, **SHAPE),
        torch.float32, 1, [],
    ),
    "qwen2-bias": (
        Qwen2ForCausalLM,
        Qwen2Config(vocab_size=151, hidden_size=40, intermediate_size=66, num_hidden_layers=3, num_attention_heads=5,
                    num_key_value_heads=1, tie_word_embeddings=True, **{k: v for k, v in SHAPE.items() if k != "attention_bias"}),
        torch.float16, 1, [],
    ),
    "qwen3-head-norms": (
        Qwen3ForCausalLM,
        Qwen3Config(vocab_size=113, hidden_size=36, intermediate_size=50, num_hidden_layers=4, num_attention_heads=4,
                    num_key_value_heads=2, head_dim=16, tie_word_embeddings=False, **SHAPE),
        torch.float32, 1, LOOPS,
    ),
    "gemma": (
        GemmaForCausalLM,
        GemmaConfig(vocab_size=127, hidden_size=48, intermediate_size=83, num_hidden_layers=4, num_attention_heads=3,
                    num_key_value_heads=1, head_dim=16, hidden_activation="gelu_pytorch_tanh", **SHAPE),
        torch.float32, 1, LOOPS,
    ),
}


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Weights large enough for logits to vary; norms away from 1 and biases away from 0, so that mistakes show."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.dim() == 1:
            centre = 0.0 if name.endswith("bias") or isinstance(model, GemmaForCausalLM) else 1.0
            parameter.data = centre + 0.2 * noise
        elif "embed_tokens" in name:
            parameter.data = 0.5 * noise
        else:
            parameter.data = noise * 1.2 / parameter.shape[-1] ** 0.5


def looped_logits(model, ids: torch.Tensor, first: int, last: int, loops: int, damping: float) -> torch.Tensor:
    inner = model.model
    hidden = inner.embed_tokens(ids)
    positions = torch.arange(ids.shape[1])[None]
    mask = create_causal_mask(config=model.config, inputs_embeds=hidden, attention_mask=None, past_key_values=None,
                              position_ids=positions)
    if isinstance(model, GemmaForCausalLM) and not hasattr(inner.embed_tokens, "embed_scale"):
        hidden = hidden * torch.tensor(model.config.hidden_size**0.5, dtype=hidden.dtype)
    rope = inner.rotary_emb(hidden, positions)

    def run(state, layers):
        for layer in layers:
            out = layer(state, attention_mask=mask, position_ids=positions, position_embeddings=rope)
            state = out[0] if isinstance(out, tuple) else out
        return state

    hidden = run(hidden, inner.layers[:first])
    for _ in range(loops):
        hidden = hidden + damping * (run(hidden, inner.layers[first : last + 1]) - hidden)
    hidden = run(hidden, inner.layers[last + 1 :])
    return model.lm_head(inner.norm(hidden))


def prompts(vocab: int, seed: int) -> dict[int, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {length: torch.randint(0, vocab, (1, length), generator=generator) for length in LENGTHS}


def write_case(directory: Path, case: str, ids: dict[int, torch.Tensor], logits) -> None:
    tensors = {}
    for length, prompt in ids.items():
        tensors[f"prompt_{length}"] = prompt[0].to(torch.int32)
        tensors[f"logits_{length}"] = logits(prompt)[0].to(torch.float32).contiguous()
    save_file(tensors, directory / f"{case}.safetensors")


def write_cases(directory: Path, name: str, architecture: str, cases: list[dict]) -> None:
    listed = [{**case, "expected": f"{case['case']}.safetensors"} for case in cases]
    text = json.dumps({"name": name, "architecture": architecture, "cases": listed}, indent=2)
    (directory / "cases.json").write_text(text + "\n")


@torch.no_grad()
def make_transformers_model(name: str, seed: int) -> None:
    model_class, config, dtype, shards, loops = MODELS[name]
    config._attn_implementation = "eager"
    directory = ROOT / name
    model = model_class(config).eval()
    randomise(model, seed)
    model.to(dtype)
    checkpoint = directory / "checkpoint"
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    model.save_pretrained(checkpoint, max_shard_size=f"{size // 1000 // shards + 1}KB" if shards > 1 else "1GB")
    # Loaded anew: casting back and forth would leave rotary frequencies rounded.
    model = model_class.from_pretrained(checkpoint, dtype=torch.float32, attn_implementation="eager").eval()
    ids = prompts(config.vocab_size, seed + 1000)
    write_case(directory, "plain", ids, lambda prompt: model(prompt).logits)
    same = looped_logits(model, ids[17], 0, config.num_hidden_layers - 1, 1, 1.0)
    assert torch.allclose(same, model(ids[17]).logits, atol=1e-5), f"{name}: the loop is not the model"
    for case in loops:
        options = case["convert"]
        first, last = map(int, options["loopLayers"].split("-"))
        write_case(directory, case["case"], ids,
                   lambda prompt: looped_logits(model, prompt, first, last, options["loops"], options["damping"]))
    write_cases(directory, name, config.model_type, [{"case": "plain", "convert": {"loops": 1}}, *loops])
    if name == "llama-gqa":
        write_tokenizer(checkpoint)


@torch.no_grad()
def make_ouro(seed: int) -> None:
    directory = ROOT / "ouro"
    checkpoint = directory / "checkpoint"
    checkpoint.mkdir(parents=True)
    config = ouro_config()
    tensors = ouro_tensors(config, seed)
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    (checkpoint / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    reference = OuroReference(config, tensors)
    ids = prompts(config["vocab_size"], seed + 1000)
    write_case(directory, "native", ids, lambda prompt: reference.forward(prompt)[0])
    gates = {
        "prompt_17": ids[17][0].to(torch.int32),
        "gate_17": reference.forward(ids[17])[1][0].contiguous(),
    }
    save_file(gates, directory / "gates.safetensors")
    write_cases(directory, "ouro", "ouro", [{"case": "native", "convert": {}}])


if __name__ == "__main__":
    shutil.rmtree(ROOT, ignore_errors=True)
    for index, name in enumerate(MODELS):
        make_transformers_model(name, index)
        print(name)
    make_ouro(50)
    print("ouro")
