"""Trains a model by a recipe, and goes on where it was stopped.

    python train.py recipes/built-in.json --out directory

`directory` gets the tokenizer, state.pt (model, optimizer, step; every two minutes) and log.jsonl. export.py makes of it what `rondo
export` would write.
"""

import argparse
import json
import os
import time
from pathlib import Path

import torch
import torch._inductor.config

from batches import IGNORED, Batch, Encoder, training_batch
from exact_match import exact_match, held_out_questions
from idle_processors import IdleProcessors
from model import Exits, RecursiveModel
from objectives import early_exits, exit_gate, next_token
from recipe import Phase, Recipe, read_recipe
from schedule import learning_rate
from tokenizer import make_tokenizer, read_tokenizer

SAVE_SECONDS = 120
LOG_STEPS = 20
# Held-out questions that a run is evaluated on.
EVALUATED = 600
CLIP = 1.0
BETAS = (0.9, 0.98)


def optimizer_for(model: RecursiveModel, weight_decay: float) -> torch.optim.AdamW:
    """AdamW; norms, biases and embeddings do not decay."""
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        decays = parameter.dim() > 1 and "norm" not in name and name != "embedding"
        (matrices if decays else others).append(parameter)
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, betas=BETAS, fused=True)


class Trainer:
    def __init__(self, recipe: Recipe, directory: Path, threads: int = 1, compiled: bool = True):
        self.recipe = recipe
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.model = self.build()
        self.model.checkpointing = recipe.checkpointing
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(not name.startswith(recipe.frozen))
        self.optimizer = optimizer_for(self.model, recipe.weight_decay)
        torch._inductor.config.cpp.dynamic_threads = True
        self.forward = torch.compile(self.model) if compiled else self.model
        self.idle = IdleProcessors() if threads == 0 else None
        torch.set_num_threads(threads or 1)
        self.step = 0
        # Step that state.pt holds.
        self.saved: int | None = None
        if self.state_file.exists():
            self.load()

    def build(self) -> RecursiveModel:
        """A model of random weights for the questions' own tokenizer.

        Raises ValueError for layers behind the loop.
        """
        # Losses and gate read what leaves the loop: the layers would stay as random as they began, and answers go through them.
        coda = self.recipe.shape.get("coda", 0)
        if coda > 0:
            raise ValueError(f"recipe {self.recipe.name}: shape.coda {coda}: no loss reaches layers behind the loop; set it to 0")
        if not (self.directory / "tokenizer.json").exists():
            make_tokenizer(self.directory, self.recipe.seed)
        self.encoder = Encoder(read_tokenizer(self.directory))
        self.held_out = held_out_questions(f"{self.recipe.seed}/evaluation", EVALUATED)
        model = RecursiveModel(self.recipe.shape_for(self.encoder.tokenizer.get_vocab_size()))
        model.initialise(self.recipe.seed)
        return model

    @property
    def state_file(self) -> Path:
        return self.directory / "state.pt"

    def load(self) -> None:
        state = torch.load(self.state_file, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = self.saved = state["step"]

    def save(self) -> None:
        """Whole or not at all, whenever it is killed."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step}
        written = self.state_file.with_suffix(".part")
        torch.save(state, written)
        os.replace(written, self.state_file)
        self.saved = self.step

    def train_step(self) -> dict:
        """→ what the log is to tell. Raises FloatingPointError, before any weight has changed, where the gradient is not finite."""
        recipe = self.recipe
        phase, _ = recipe.at(self.step)
        self.model.round(phase.rounded)
        rate = learning_rate(recipe, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss, told = self.loss(phase)
        loss.backward()
        if phase.objective == "gate":
            for name, parameter in self.model.named_parameters():
                if not name.startswith("gate"):
                    parameter.grad = None
        # One NaN would be in every gradient once they are scaled by their norm, in every weight, and in the only state.pt.
        if not torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP).isfinite():
            raise FloatingPointError(self.not_finite(phase, loss.item()))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return {"step": self.step, "phase": phase.name, "loss": loss.item(), "learning_rate": rate, **told}

    def not_finite(self, phase: Phase, loss: float) -> str:
        where = f"step {self.step + 1} ({phase.name}): the gradient is not finite, the loss is {loss}"
        if self.saved is None:
            return f"{where}; {self.state_file} was not written yet: begin again with a lower learning rate in the recipe"
        return f"{where}; {self.state_file} holds step {self.saved} and stays: go on from there with a lower learning rate in the recipe"

    def loss(self, phase: Phase):
        """Of this step, with what the log is to tell of it."""
        batch = training_batch(self.encoder, self.recipe.seed, self.step, self.recipe.rows, self.recipe.length)
        return self.gate_loss(batch) if phase.objective == "gate" else self.answer_loss(batch, phase)

    def evaluates(self, every: int) -> bool:
        """Whether the run is evaluated after this step."""
        return self.step % every == 0

    def evaluate(self) -> list[dict]:
        """Held-out questions answered exactly after every number of passes."""
        return [
            {"depth": depth, "exact": {task: round(score, 4) for task, score in scores.items()}}
            for depth, scores in enumerate(exact_match(self.model, self.encoder, self.held_out), 1)
        ]

    def states(self, forward, batch: Batch, exits: Exits | None = None):
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bf16):
            states, passes = forward(batch.ids, batch.mask, exits)
        return [state.float() for state in states], passes

    def answer_loss(self, batch: Batch, phase: Phase):
        states, passes = self.states(self.forward, batch, self.sampled_exits(batch, phase.exits) if phase.exits else None)
        keep = batch.targets != IGNORED
        targets = batch.targets[keep]
        logits = [self.model.logits(state[keep]) for state in states]
        loss = early_exits(logits, targets, phase.distil, passes[keep])
        each = [round(next_token(logit.detach(), targets).item(), 5) for logit in logits]
        return loss, {"passes": each, "mean_passes": round(passes[batch.generated].float().mean().item(), 3)}

    def sampled_exits(self, batch: Batch, share: float) -> Exits:
        """Thresholds from hasty to never, another for each row of the batch."""
        random = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + self.step)
        rows = (len(batch.ids), 1)
        hasty = 1 - 10 ** -(0.3 + 3 * torch.rand(rows, generator=random))
        never = torch.rand(rows, generator=random) >= share
        return Exits("confidence", torch.where(never, 2.0, hasty), batch.generated)

    def gate_loss(self, batch: Batch):
        with torch.no_grad():
            # Not compiled: forward passes alone are too few to be worth it.
            states, _ = self.states(self.model, batch)
        keep = batch.targets != IGNORED
        targets = batch.targets[keep]
        rows = [state[keep] for state in states]
        with torch.no_grad():
            losses = [torch.nn.functional.cross_entropy(self.model.logits(row), targets, reduction="none") for row in rows]
        return exit_gate([self.model.gate(row) for row in rows[:-1]], losses), {}

    def run(self, evaluate_every: int, save_seconds: float) -> None:
        saved = logged = time.monotonic()
        first = self.step
        tokens = self.recipe.rows * self.recipe.length
        while self.step < self.recipe.steps:
            if self.idle:
                torch.set_num_threads(self.idle.count())
            record = self.train_step()
            now = time.monotonic()
            if self.step % LOG_STEPS == 0 or self.step == 1:
                seconds = (now - logged) / min(LOG_STEPS, self.step - first)
                logged = now
                record["tokens_per_second"] = round(tokens / seconds)
                record["seconds_left"] = round((self.recipe.steps - self.step) * seconds)
                self.log(record)
            last_of_phase = self.step == self.recipe.steps or self.recipe.at(self.step)[0] != self.recipe.at(self.step - 1)[0]
            if self.evaluates(evaluate_every) or last_of_phase:
                for told in self.evaluate():
                    self.log({"step": self.step, **told})
                logged = time.monotonic()
                first = self.step
            if now - saved > save_seconds or last_of_phase:
                self.save()
                saved = now

    def log(self, record: dict) -> None:
        print(json.dumps(record), flush=True)
        with (self.directory / "log.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=0, help="0 is as many as others leave idle")
    parser.add_argument("--evaluate-every", type=int, default=250)
    parser.add_argument("--save-seconds", type=float, default=SAVE_SECONDS, help="between two checkpoints")
    parser.add_argument("--eager", action="store_true", help="do not compile: slower, but starts at once")
    options = parser.parse_args()
    Trainer(read_recipe(options.recipe), options.out, options.threads, not options.eager).run(options.evaluate_every, options.save_seconds)
