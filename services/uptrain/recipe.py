"""What is trained, how long and towards what: a JSON file."""

import json
from dataclasses import dataclass
from pathlib import Path

from shape import Shape


@dataclass(frozen=True)
class Phase:
    name: str
    # `answers`: every pass learns to answer; `gate`: the exit gate alone.
    objective: str
    steps: int
    learning_rate: float
    # Inner passes learn from the last one's output too.
    distil: bool = False
    # Share of rows [of a batch] whose answers leave the loop as soon as they are sure, as when they are served.
    exits: float = 0.0
    # Products are rounded as in int8, so that the bundle is what was trained.
    rounded: bool = False


@dataclass(frozen=True)
class Recipe:
    name: str
    seed: int
    # Of one step: rows of `length` tokens.
    rows: int
    length: int
    warmup: int
    weight_decay: float
    # Products in bfloat16, weights and optimizer in float32.
    bf16: bool
    # Layers are computed again on the way back instead of being remembered: less memory, a third more time.
    checkpointing: bool
    shape: dict
    phases: tuple[Phase, ...]
    # Up to three questions that whoever serves the model is told to try.
    examples: tuple[str, ...] = ()
    # Beginnings of the names of parameters that are not trained.
    frozen: tuple[str, ...] = ()

    def shape_for(self, vocab: int) -> Shape:
        return Shape.of({**self.shape, "vocab": vocab})

    @property
    def steps(self) -> int:
        return sum(phase.steps for phase in self.phases)

    def at(self, step: int) -> tuple[Phase, int]:
        """The phase that a step, from 0, belongs to, and how far in it is."""
        for phase in self.phases:
            if step < phase.steps:
                return phase, step
            step -= phase.steps
        raise IndexError(f"step {step} is behind the last phase of {self.name}")


def read_recipe(path: Path) -> Recipe:
    values = json.loads(path.read_text())
    phases = tuple(Phase(**phase) for phase in values["phases"])
    return Recipe(**{**values, "phases": phases, "frozen": tuple(values.get("frozen", ()))})
