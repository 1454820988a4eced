"""Writes a training directory's model as `rondo export` would.

    python export.py directory --recipe recipes/built-in.json --out exported
"""

import argparse
from pathlib import Path

import torch

from exported_directory import ouro_config, trained_manifest, write_directory
from model import RecursiveModel
from recipe import read_recipe
from tokenizer import END, read_tokenizer

CARD = """---
license: apache-2.0
---
# {name}

Trained from nothing by `services/uptrain`.
"""


def export(directory: Path, recipe_file: Path, out: Path, exit: tuple[str, float], kv_policy: str) -> None:
    recipe = read_recipe(recipe_file)
    tokenizer = read_tokenizer(directory)
    shape = recipe.shape_for(tokenizer.get_vocab_size())
    model = RecursiveModel(shape)
    model.load_state_dict(torch.load(directory / "state.pt", weights_only=True)["model"])
    config = ouro_config(shape, tokenizer.token_to_id(END))
    manifest = trained_manifest(shape, recipe.name, recipe.seed, exit, kv_policy, recipe.examples)
    write_directory(model, directory, out, config, manifest, CARD.format(name=recipe.name))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--policy", default="confidence", choices=("none", "gate", "confidence"), help="how rows leave the loop")
    parser.add_argument("--threshold", type=float, default=0.999, help="from which on they do")
    parser.add_argument("--kv-policy", default="last-exited", choices=("last-exited", "catch-up"))
    options = parser.parse_args()
    export(options.directory, options.recipe, options.out, (options.policy, options.threshold), options.kv_policy)
