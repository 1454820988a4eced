"""Reads and writes the directory of `rondo export`: config.json, model.safetensors, adapters/depth_d and rondo.json.

`transformers` and `peft` load its parts; `rondo convert` makes a bundle of it.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from model import RecursiveModel
from shape import LINEARS, Shape

MODULES = {
    "q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj",
}  # fmt: skip
NORMS = {
    "attention": "input_layernorm", "ffn": "post_attention_layernorm",
    "attention_out": "input_layernorm_2", "ffn_out": "post_attention_layernorm_2",
}  # fmt: skip


def layers_of(model: RecursiveModel):
    return [*model.prelude, *model.block, *model.coda]


def lora_names(index: int, linear: str) -> tuple[str, str]:
    module = f"base_model.model.model.layers.{index}.{MODULES[linear]}"
    return f"{module}.lora_A.weight", f"{module}.lora_B.weight"


def model_tensors(model: RecursiveModel) -> dict[str, Tensor]:
    """Every weight that depths share; where they differ, that of the first depth."""
    tensors = {"model.embed_tokens.weight": model.embedding, "model.norm.weight": model.final_norm}
    if model.head is not None:
        tensors["lm_head.weight"] = model.head
    if model.gate_weight is not None:
        tensors["model.early_exit_gate.weight"] = model.gate_weight[None]
        tensors["model.early_exit_gate.bias"] = model.gate_bias
    for index, layer in enumerate(layers_of(model)):
        at = f"model.layers.{index}"
        tensors |= {f"{at}.{MODULES[name]}.weight": weight for name, weight in layer.weights.items()}
        tensors |= {f"{at}.{NORMS[name]}.weight": weight[0] for name, weight in layer.norms.items()}
    return {name: tensor.detach().float().contiguous().clone() for name, tensor in tensors.items()}


def depth_tensors(model: RecursiveModel, depth: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Factors and vectors of one depth."""
    factors, vectors = {}, {}
    for slot, layer in enumerate(model.block):
        index = model.shape.prelude + slot
        for name in layer.a:
            a, b = lora_names(index, name)
            factors[a], factors[b] = layer.a[name][depth], layer.b[name][depth]
        for name, weight in layer.norms.items():
            vectors[f"model.layers.{index}.{NORMS[name]}.weight"] = weight[depth if len(weight) > 1 else 0]
    copied = [{name: tensor.detach().float().contiguous().clone() for name, tensor in part.items()} for part in (factors, vectors)]
    return copied[0], copied[1]


def write_directory(model: RecursiveModel, tokenizer: Path, out: Path, config: dict, manifest: dict, card: str) -> None:
    """`config` and `manifest` are what config.json and rondo.json say; `tokenizer` is where the tokenizer's files are.

    config.json goes first and comes last: nobody reads a directory without it, so none that was broken off, half an older model.
    """
    out.mkdir(parents=True, exist_ok=True)
    shape = model.shape
    for name in ("config.json", "rondo.json"):
        (out / name).unlink(missing_ok=True)
    save_file(model_tensors(model), out / "model.safetensors", metadata={"format": "pt"})
    for depth in range(shape.depths):
        directory = out / "adapters" / f"depth_{depth}"
        directory.mkdir(parents=True, exist_ok=True)
        factors, vectors = depth_tensors(model, depth)
        if factors:
            save_file(factors, directory / "adapter_model.safetensors", metadata={"format": "pt"})
            write_json(directory / "adapter_config.json", adapter_config(model))
        if shape.per_depth_norms:
            save_file(vectors, directory / "vectors.safetensors", metadata={"format": "pt"})
    (out / "README.md").write_text(card)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        if (tokenizer / name).exists():
            (out / name).write_bytes((tokenizer / name).read_bytes())
    write_json(out / "rondo.json", manifest)
    write_json(out / "config.json", config)


def write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def adapter_config(model: RecursiveModel) -> dict:
    """For `peft`, which multiplies B·A by alpha / r: each module's alpha is its own rank, so that B·A counts once.

    A matrix's rank is below the others' where its sides are.
    """
    first = model.shape.prelude
    ranks = {
        f"model.layers.{first + slot}.{MODULES[name]}": factor.shape[1]
        for slot, layer in enumerate(model.block)
        for name, factor in layer.a.items()
    }
    highest = max(ranks.values())
    others = {module: rank for module, rank in ranks.items() if rank != highest}
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "../..",
        "inference_mode": True,
        "r": highest,
        "lora_alpha": highest,
        "rank_pattern": others,
        "alpha_pattern": others,
        "lora_dropout": 0,
        "bias": "none",
        "fan_in_fan_out": False,
        "layers_to_transform": list(range(first, first + model.shape.block)),
        "target_modules": [MODULES[name].split(".")[-1] for name in model.block[0].a],
    }


def ouro_config(shape: Shape, eos: int) -> dict:
    """config.json of a model that was trained here from nothing."""
    return {
        "architectures": ["OuroForCausalLM"],
        "dtype": "float32",
        "early_exit_threshold": 1.0,
        "eos_token_id": eos,
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "hidden_size": shape.hidden,
        "intermediate_size": shape.ffn,
        "max_position_embeddings": shape.context,
        "model_type": "ouro",
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads,
        "rms_norm_eps": shape.norm_epsilon,
        "rope_theta": shape.rope_theta,
        "tie_word_embeddings": shape.tied_head,
        "total_ut_steps": shape.depths,
        "vocab_size": shape.vocab,
    }


def trained_manifest(
    shape: Shape, name: str, seed: int, exit: tuple[str, float], kv_policy: str, examples: tuple[str, ...] = ()
) -> dict:
    """rondo.json of a model that was trained here from nothing; `exit` is a policy and its threshold."""
    return {
        "name": name,
        "source": {"checkpoint": name, "architecture": "ouro", "licence": "apache-2.0"},
        **({"examples": list(examples)} if examples else {}),
        "layers": {"prelude": shape.prelude, "block": shape.block, "coda": shape.coda},
        "maxDepth": shape.depths,
        "loop": {"first": shape.prelude, "last": shape.prelude + shape.block - 1, "damping": shape.damping},
        "tied": {"init": "random", "initSeed": seed, "norms": "per-depth" if shape.per_depth_norms else "shared"},
        "exit": {
            "policy": exit[0],
            "threshold": exit[1],
            "minDepth": 1,
            "signals": ["gate", "latent-diff"],
        },
        "kvPolicy": kv_policy,
        "precision": "f32",
        **({"adapters": {"rank": shape.rank, "targets": list(shape.targets), "method": "grouped"}} if shape.rank else {}),
        "pagePositions": 16,
        "version": 1,
    }


def rope_blocks(config: dict) -> dict[str, dict]:
    """What config.json says of rotations, by the name it has in the new or the old style."""
    return {style: config[style] for style in ("rope_parameters", "rope_scaling") if config.get(style)}


def require_computed(file: Path, config: dict) -> None:
    """Raises ValueError for what the converter follows and the trainer does not: it would train another model than the one served."""

    def refuse(field: str, found, expected: str):
        raise ValueError(f"{file}: {field} {found}: the trainer computes {expected}; train another checkpoint")

    if config["model_type"] not in ("ouro", "llama"):
        refuse("model_type", config["model_type"], "ouro and llama")
    for style, block in rope_blocks(config).items():
        key = "rope_type" if "rope_type" in block else "type"
        if block.get(key, "default") != "default":
            refuse(f"{style}.{key}", block[key], "default alone")
    for field in ("attention_bias", "mlp_bias"):
        if config.get(field):
            refuse(field, config[field], "linears without biases")
    activation = config.get("hidden_act", "silu")
    if activation not in ("silu", "swish"):
        refuse("hidden_act", activation, "silu")


def read_directory(path: Path) -> tuple[RecursiveModel, dict, dict]:
    """→ the model, config.json and rondo.json.

    Raises ValueError for a family, rotations, biases and activations that this trainer does not compute.
    """
    config = json.loads((path / "config.json").read_text())
    manifest = json.loads((path / "rondo.json").read_text())
    require_computed(path / "config.json", config)
    heads = config["num_attention_heads"]
    layers, adapters = manifest["layers"], manifest.get("adapters", {})
    rope = next((part for part in (*rope_blocks(config).values(), config) if "rope_theta" in part), {})
    shape = Shape(
        vocab=config["vocab_size"], hidden=config["hidden_size"], heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or config["hidden_size"] // heads,
        ffn=config["intermediate_size"], context=config["max_position_embeddings"],
        prelude=layers["prelude"], block=layers["block"], coda=layers["coda"], depths=manifest["maxDepth"],
        rank=adapters.get("rank", 0), targets=tuple(adapters.get("targets", LINEARS)),
        per_depth_norms=manifest.get("tied", {}).get("norms") == "per-depth",
        ouro=config["model_type"] == "ouro", tied_head=config.get("tie_word_embeddings", False),
        rope_theta=rope.get("rope_theta", 10_000.0), norm_epsilon=config.get("rms_norm_eps", 1e-6),
        damping=manifest["loop"]["damping"],
    )  # fmt: skip
    model = RecursiveModel(shape)
    fill(model, path)
    return model, config, manifest


@torch.no_grad()
def fill(model: RecursiveModel, path: Path) -> None:
    """Copies a directory's tensors into the model."""
    shards = sorted(path.glob("model*.safetensors"))
    tensors = {name: tensor for shard in shards for name, tensor in load_file(shard).items()}
    model.embedding.copy_(tensors["model.embed_tokens.weight"])
    model.final_norm.copy_(tensors["model.norm.weight"])
    if model.head is not None:
        model.head.copy_(tensors["lm_head.weight"])
    if model.gate_weight is not None:
        model.gate_weight.copy_(tensors["model.early_exit_gate.weight"][0])
        model.gate_bias.copy_(tensors["model.early_exit_gate.bias"])
    for index, layer in enumerate(layers_of(model)):
        for name, weight in layer.weights.items():
            weight.copy_(tensors[f"model.layers.{index}.{MODULES[name]}.weight"])
        for name, weight in layer.norms.items():
            weight.copy_(tensors[f"model.layers.{index}.{NORMS[name]}.weight"].expand_as(weight))
    for depth in range(model.shape.depths):
        directory = path / "adapters" / f"depth_{depth}"
        factors = load_file(directory / "adapter_model.safetensors") if model.shape.rank else {}
        vectors = load_file(directory / "vectors.safetensors") if model.shape.per_depth_norms else {}
        for slot, layer in enumerate(model.block):
            index = model.shape.prelude + slot
            for name in layer.a:
                a, b = (factors[stored] for stored in lora_names(index, name))
                # Of a lower rank than others where --lora-energy chose it: the rest adds nothing, and stays so.
                layer.a[name][depth].zero_()
                layer.b[name][depth].zero_()
                layer.a[name][depth, : len(a)] = a
                layer.b[name][depth, :, : b.shape[1]] = b
            if vectors:
                for name, weight in layer.norms.items():
                    weight[depth] = vectors[f"model.layers.{index}.{NORMS[name]}.weight"]
