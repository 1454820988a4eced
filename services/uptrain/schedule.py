"""Learning rate: a linear warm-up at the start of the run, and a cosine over each phase down to a twentieth of its rate."""

import math

from recipe import Recipe

FLOOR = 0.05


def learning_rate(recipe: Recipe, step: int) -> float:
    phase, within = recipe.at(step)
    cosine = FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * within / phase.steps))
    return phase.learning_rate * cosine * min(1.0, (step + 1) / recipe.warmup)
