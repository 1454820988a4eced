"""Writes the logits of tiny looped checkpoints whose generated rows exit early, under each kvPolicy.

Run after make_tiny.py, from anywhere: `python make_kv_policies.py`. Output, beside the checkpoints it reads:
../fixtures/tiny/<name>/{kv-policies.json, kv-policies.safetensors}. Everything is seeded: a second run writes the same
bytes. The safetensors file holds `ids` [prompt + generated rows], `exits` [generated rows] (passes of each, 1..R) and, per
policy, `logits_<policy>` [1 + generated rows, vocab]: the last prompt row, then every generated row.

The logits come from kv_policy_reference.py. Before anything is written it is held against
- make_tiny.py's fixtures and looped `transformers` models: with every exit at R the policies are the plain loop;
- a second reading in the opposite order, all rows at once and depth by depth, through the layers of `transformers` (Ouro:
  of ouro_reference.py). There a row that has exited stays in the batch, and only its attention input is put right.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers.masking_utils import create_causal_mask

from kv_policy_reference import POLICIES, KvPolicyReference, Loop
from make_tiny import MODELS, ROOT, looped_logits
from ouro_reference import OuroReference

PROMPT_ROWS = 21
GENERATED_ROWS = 24
# Both relative to the largest logit. What reads the fixtures allows 1e-4; policies must lie far outside of that.
TOLERANCE = 1e-5
APART = 50 * 1e-4

# name: (convert options, full-depth fixture of the same loop)
CASES = {
    "llama-gqa": ({"loopLayers": "1-2", "loops": 3, "damping": 1 / 3}, "loop-1-2-x3-damped"),
    "qwen2-bias": ({"loopLayers": "1-2", "loops": 3, "damping": 0.5}, None),
    "qwen3-head-norms": ({"loopLayers": "1-2", "loops": 3, "damping": 1 / 3}, "loop-1-2-x3-damped"),
    "gemma": ({"loopLayers": "1-2", "loops": 3, "damping": 1 / 3}, "loop-1-2-x3-damped"),
    "ouro": ({}, "native"),
}


def loop_of(config: dict, convert: dict) -> Loop:
    if config["model_type"] == "ouro":
        return Loop(0, config["num_hidden_layers"] - 1, config["total_ut_steps"], 1.0)
    first, last = map(int, convert["loopLayers"].split("-"))
    return Loop(first, last, convert["loops"], convert["damping"])


def exit_trace(passes: int, generator: torch.Generator) -> list[int]:
    trace = torch.randint(1, passes + 1, (GENERATED_ROWS,), generator=generator).tolist()
    assert {1, 2, passes} <= set(trace), f"trace {trace} lacks an exit at 1, 2 or {passes}"
    return trace


def assert_close(what: str, actual: torch.Tensor, expected: torch.Tensor) -> None:
    off = ((actual - expected).abs().max() / expected.abs().max()).item()
    assert off <= TOLERANCE, f"{what}: off by {off:.1e} of the largest logit"
    print(f"  {what}: {off:.1e}")


class AttentionInput:
    """Puts right what the attention of a block layer sees of rows that have exited, in a batch of all rows [1, n, hidden].

    K and V are projections of the attention input, and rope turns a key alike at every depth. So a row has the K and V of
    its exit depth if its attention input is the one of that depth, and those of `propagate` if it is the norm of its
    state. What such a row then puts out is dropped.
    """

    def __init__(self, policy: str):
        self.policy = policy
        self.exited = torch.zeros(0, dtype=torch.bool)
        self.state = torch.zeros(0)
        self.before: dict[str, torch.Tensor] = {}

    def next_pass(self, exited: torch.Tensor, state: torch.Tensor) -> None:
        self.exited, self.state = exited, state

    def put_right(self, layer: str, normed: torch.Tensor, norm: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        if self.policy != "catch-up" and self.exited.any():
            right = self.before[layer] if self.policy == "last-exited" else norm(self.state)
            normed = torch.where(self.exited[None, :, None], right, normed)
        self.before[layer] = normed
        return normed


def depth_by_depth(state: torch.Tensor, exits: torch.Tensor, passes: int, attention_input: AttentionInput,
                   one_pass: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """States [1, n, hidden] at each row's exit, from those before the block."""
    at_exit = state
    for depth in range(passes):
        attention_input.next_pass(exits <= depth, at_exit)
        state = one_pass(state)
        at_exit = torch.where((exits > depth)[None, :, None], state, at_exit)
    return at_exit


def transformers_logits(model, loop: Loop, policy: str, ids: torch.Tensor, exits: torch.Tensor) -> torch.Tensor:
    inner, attention_input = model.model, AttentionInput(policy)
    positions = torch.arange(ids.shape[1])[None]
    embedded = inner.embed_tokens(ids)
    mask = create_causal_mask(config=model.config, inputs_embeds=embedded, attention_mask=None, past_key_values=None,
                              position_ids=positions)
    if model.config.model_type == "gemma" and not hasattr(inner.embed_tokens, "embed_scale"):
        embedded = embedded * model.config.hidden_size**0.5
    rope = inner.rotary_emb(embedded, positions)

    def run(state, layers):
        for layer in layers:
            out = layer(state, attention_mask=mask, position_ids=positions, position_embeddings=rope)
            state = out[0] if isinstance(out, tuple) else out
        return state

    state = run(embedded, inner.layers[: loop.first])
    block = inner.layers[loop.first : loop.last + 1]
    hooks = [
        layer.input_layernorm.register_forward_hook(
            lambda norm, _, normed, at=str(at): attention_input.put_right(at, normed, norm.forward))
        for at, layer in enumerate(block)
    ]
    state = depth_by_depth(state, exits, loop.passes, attention_input,
                           lambda h: h + loop.damping * (run(h, block) - h))
    for hook in hooks:
        hook.remove()
    return model.lm_head(inner.norm(run(state, inner.layers[loop.last + 1 :])))[0]


class ExitingOuro(OuroReference):
    def __init__(self, config: dict, tensors: dict[str, torch.Tensor], policy: str):
        super().__init__(config, tensors)
        self.attention_input = AttentionInput(policy)

    def attention(self, at: str, x: torch.Tensor) -> torch.Tensor:
        def norm(state: torch.Tensor) -> torch.Tensor:
            return self.norm(f"{at}input_layernorm.weight", state)

        return super().attention(at, self.attention_input.put_right(at, x, norm))

    def one_pass(self, x: torch.Tensor) -> torch.Tensor:
        for index in range(self.config["num_hidden_layers"]):
            x = self.layer(f"model.layers.{index}.", x)
        return self.norm("model.norm.weight", x)

    def logits(self, ids: torch.Tensor, exits: torch.Tensor) -> torch.Tensor:
        state = self.tensors["model.embed_tokens.weight"][ids]
        passes = self.config["total_ut_steps"]
        state = depth_by_depth(state, exits, passes, self.attention_input, self.one_pass)
        return (state @ self.tensors["lm_head.weight"].T)[0]


def second_reading(name: str, loop: Loop, policy: str, ids: list[int], exits: list[int]) -> torch.Tensor:
    # A prompt row exits at R.
    row_exits = torch.tensor([loop.passes] * (len(ids) - len(exits)) + exits)
    if name == "ouro":
        checkpoint = ROOT / name / "checkpoint"
        config = json.loads((checkpoint / "config.json").read_text())
        ouro = ExitingOuro(config, load_file(checkpoint / "model.safetensors"), policy)
        logits = ouro.logits(torch.tensor([ids]), row_exits)
    else:
        logits = transformers_logits(transformers_model(name), loop, policy, torch.tensor([ids]), row_exits)
    return logits[len(ids) - len(exits) - 1 :]


@cache
def transformers_model(name: str):
    checkpoint = ROOT / name / "checkpoint"
    return MODELS[name][0].from_pretrained(checkpoint, dtype=torch.float32, attn_implementation="eager").eval()


def check_full_depth(name: str, loop: Loop, fixture: str | None, vocab: int) -> None:
    if fixture is not None:
        stored = load_file(ROOT / name / f"{fixture}.safetensors")
        full = {length: (stored[f"prompt_{length}"], stored[f"logits_{length}"]) for length in (17, 300)}
    else:
        ids = torch.randint(0, vocab, (1, 40), generator=torch.Generator().manual_seed(7))
        logits = looped_logits(transformers_model(name), ids, loop.first, loop.last, loop.passes, loop.damping)
        full = {40: (ids[0], logits[0])}
    for length, (ids, logits) in full.items():
        for policy in POLICIES:
            exits = [loop.passes] * (length - 1)
            actual = KvPolicyReference(ROOT / name / "checkpoint", loop, policy).run(ids.tolist(), 1, exits)
            assert_close(f"full depth, {length} rows, {policy}", actual, logits)


@torch.no_grad()
def make_kv_policies(name: str, seed: int) -> None:
    directory = ROOT / name
    convert, fixture = CASES[name]
    config = json.loads((directory / "checkpoint" / "config.json").read_text())
    loop = loop_of(config, convert)
    check_full_depth(name, loop, fixture, config["vocab_size"])

    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, config["vocab_size"], (PROMPT_ROWS + GENERATED_ROWS,), generator=generator).tolist()
    exits = exit_trace(loop.passes, generator)
    logits = {}
    for policy in POLICIES:
        logits[policy] = KvPolicyReference(directory / "checkpoint", loop, policy).run(ids, PROMPT_ROWS, exits)
        assert_close(f"depth by depth, {policy}", logits[policy], second_reading(name, loop, policy, ids, exits))
    scale = max(values.abs().max().item() for values in logits.values())
    for one, other in (POLICIES[:2], POLICIES[1:], POLICIES[::2]):
        apart = (logits[one] - logits[other]).abs().max().item() / scale
        assert apart > APART, f"{name}: {one} and {other} differ by {apart:.1e}, too little to tell them apart"
        print(f"  {one} from {other}: {apart:.1e}")

    tensors = {"ids": torch.tensor(ids, dtype=torch.int32), "exits": torch.tensor(exits, dtype=torch.int32)}
    tensors |= {f"logits_{policy}": values.contiguous() for policy, values in logits.items()}
    save_file(tensors, directory / "kv-policies.safetensors")
    listed = {
        "name": name,
        "architecture": config["model_type"],
        "convert": convert,
        "promptRows": PROMPT_ROWS,
        "policies": POLICIES,
        "expected": "kv-policies.safetensors",
    }
    (directory / "kv-policies.json").write_text(json.dumps(listed, indent=2) + "\n")


if __name__ == "__main__":
    for index, name in enumerate(CASES):
        print(name)
        make_kv_policies(name, 2000 + index)
