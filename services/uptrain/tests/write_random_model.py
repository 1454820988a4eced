"""Writes an exported directory of random weights and, as expected.json, ids and the logits that the trainer computes of them.

    python write_random_model.py directory '{"coda": 1}'

The second argument is what of the shape is other than in recipes/smoke.json.
"""

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from places import RECIPES

from exported_directory import ouro_config, read_directory, trained_manifest, write_directory
from model import RecursiveModel
from recipe import read_recipe
from tokenizer import END, make_tokenizer, read_tokenizer

POSITIONS = 40


def main(out: Path, sizes: dict) -> None:
    recipe = read_recipe(RECIPES / "smoke.json")
    with tempfile.TemporaryDirectory() as made:
        make_tokenizer(Path(made), recipe.seed, sample=500)
        tokenizer = read_tokenizer(Path(made))
        shape = replace(recipe.shape_for(tokenizer.get_vocab_size()), **sizes)
        model = RecursiveModel(shape)
        model.initialise(3)
        random = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if ".b." in name or name.startswith("gate"):
                    parameter.normal_(std=0.1, generator=random)
                elif "norm" in name:
                    parameter.add_(0.2 * torch.randn(parameter.shape, generator=random))
        config = ouro_config(shape, tokenizer.token_to_id(END))
        manifest = trained_manifest(shape, "random", recipe.seed, ("none", 1.0), "last-exited")
        write_directory(model, Path(made), out, config, manifest, "---\nlicense: apache-2.0\n---\n")
    again, _, _ = read_directory(out)
    for (name, one), other in zip(model.named_parameters(), again.parameters()):
        assert torch.equal(one, other), f"{name} was not read as it was written"
    write_expected(again, out)


@torch.no_grad()
def write_expected(model: RecursiveModel, out: Path) -> None:
    ids = [(at * 37 + 5) % model.shape.vocab for at in range(POSITIONS)]
    states, _ = model(torch.tensor([ids]))
    logits = model.finish(states[-1])[0]
    (out / "expected.json").write_text(json.dumps({"ids": ids, "logits": logits.flatten().tolist()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
