"""A directory is read as the model that is served, or not at all."""

import json
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path
from unittest import mock

import torch
from places import RECIPES
from safetensors.torch import load_file, save_file

import exported_directory
from exported_directory import MODULES, lora_names, ouro_config, read_directory, trained_manifest, write_directory
from model import RecursiveModel
from recipe import read_recipe

SHAPE = replace(read_recipe(RECIPES / "smoke.json").shape_for(300), rank=4)
ROPE = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "rope_theta": 5e5}


class ExportedDirectory(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.model = RecursiveModel(SHAPE)
        self.model.initialise(1)
        manifest = trained_manifest(SHAPE, "random", 1, ("none", 1.0), "last-exited")
        write_directory(self.model, self.directory, self.directory, ouro_config(SHAPE, 0), manifest, "")

    def say(self, **fields) -> None:
        """Has config.json say `fields`, too."""
        path = self.directory / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    def test_what_the_trainer_does_not_compute_is_refused_by_file_field_and_value(self):
        for fields, told in [
            ({"rope_scaling": ROPE}, "rope_scaling.rope_type llama3"),
            ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling.type linear"),
            ({"rope_parameters": ROPE}, "rope_parameters.rope_type llama3"),
            ({"attention_bias": True}, "attention_bias True"),
            ({"hidden_act": "gelu_pytorch_tanh"}, "hidden_act gelu_pytorch_tanh"),
            ({"model_type": "gemma"}, "model_type gemma"),
        ]:
            with self.subTest(told):
                plain = (self.directory / "config.json").read_text()
                self.say(**fields)
                with self.assertRaisesRegex(ValueError, f"config.json: {told}: "):
                    read_directory(self.directory)
                (self.directory / "config.json").write_text(plain)

    def test_rotations_of_type_default_are_read_with_the_base_that_either_style_states(self):
        for fields in (
            {"rope_scaling": None, "rope_theta": 3e5},
            {"rope_parameters": {"rope_type": "default", "rope_theta": 3e5}},
            {"rope_parameters": {"rope_type": "default"}, "rope_theta": 3e5},
        ):
            with self.subTest(fields):
                self.say(**fields, attention_bias=False)
                self.assertEqual(read_directory(self.directory)[0].shape.rope_theta, 3e5)

    def test_each_modules_alpha_is_the_rank_of_its_own_factors_so_that_they_count_once(self):
        # 64 is more than k and v have rows, and those of q and o.
        shape = replace(SHAPE, kv_heads=1, rank=64)
        model = RecursiveModel(shape)
        model.initialise(1)
        manifest = trained_manifest(shape, "random", 1, ("none", 1.0), "last-exited")
        write_directory(model, self.directory, self.directory, ouro_config(shape, 0), manifest, "")
        adapter = self.directory / "adapters" / "depth_2"
        config = json.loads((adapter / "adapter_config.json").read_text())
        factors = load_file(adapter / "adapter_model.safetensors")
        ranks = set()
        for name in MODULES:
            a, _ = lora_names(shape.prelude, name)
            module = a.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            rank = len(factors[a])
            ranks.add(rank)
            self.assertEqual(config["rank_pattern"].get(module, config["r"]), rank, module)
            self.assertEqual(config["alpha_pattern"].get(module, config["lora_alpha"]), rank, module)
        self.assertEqual(ranks, {16, 32})

    def test_factors_of_some_linears_alone_are_read_and_written_as_those(self):
        shape = replace(SHAPE, targets=("q", "v"))
        model = RecursiveModel(shape)
        model.initialise(1)
        manifest = trained_manifest(shape, "random", 1, ("none", 1.0), "last-exited")
        write_directory(model, self.directory, self.directory, ouro_config(shape, 0), manifest, "")
        read, _, manifest = read_directory(self.directory)
        self.assertEqual(manifest["adapters"]["targets"], ["q", "v"])
        self.assertEqual(read.shape, shape)
        self.assertEqual(set(read.block[0].a), {"q", "v"})
        for one, other in zip(model.parameters(), read.parameters(), strict=True):
            self.assertTrue(torch.equal(one, other))
        config = json.loads((self.directory / "adapters" / "depth_0" / "adapter_config.json").read_text())
        self.assertEqual(config["target_modules"], ["q_proj", "v_proj"])

    def test_a_directory_whose_rewriting_broke_off_is_no_model_until_it_is_written_whole(self):
        config, manifest = (json.loads((self.directory / name).read_text()) for name in ("config.json", "rondo.json"))
        broken = OSError("no space left on device")

        def write() -> None:
            write_directory(self.model, self.directory, self.directory, config, manifest, "")

        for method in ("save_file", "write_json"):
            # The second call: one file or more of the new model lie beside those of the older one.
            with mock.patch.object(exported_directory, method, side_effect=[None, broken]), self.assertRaises(OSError):
                write()
            self.assertFalse((self.directory / "config.json").exists(), method)
            with self.assertRaises(FileNotFoundError):
                read_directory(self.directory)
        write()
        read_directory(self.directory)

    def test_a_factor_of_a_lower_rank_than_others_adds_what_it_holds_and_nothing_else(self):
        # Memory that nobody wrote reads as NaN.
        self.addCleanup(torch.use_deterministic_algorithms, torch.are_deterministic_algorithms_enabled())
        torch.use_deterministic_algorithms(True)
        file = self.directory / "adapters" / "depth_1" / "adapter_model.safetensors"
        factors = load_file(file)
        a, b = lora_names(SHAPE.prelude, "q")
        factors[a], factors[b] = factors[a][:2].clone(), torch.ones(factors[b].shape[0], 2)
        save_file(factors, file)
        layer = read_directory(self.directory)[0].block[0]
        self.assertTrue(torch.equal(layer.a["q"][1, :2], factors[a]))
        self.assertEqual(layer.a["q"][1, 2:].abs().max(), 0)
        self.assertTrue(torch.equal(layer.b["q"][1] @ layer.a["q"][1], factors[b] @ factors[a]))


if __name__ == "__main__":
    unittest.main()
