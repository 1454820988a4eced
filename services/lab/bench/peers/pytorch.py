"""Decodes with PyTorch transformers: `python pytorch.py <model.gguf> <threads>`. Speaks the protocol of
peer-process.ts."""

import json
import os
import resource
import sys
import time

import torch
from transformers import AutoModelForCausalLM
from transformers.generation.streamers import BaseStreamer

path, threads = sys.argv[1], int(sys.argv[2])


def say(message):
    print("bench " + json.dumps(message), flush=True)


class StepTimes(BaseStreamer):
    """Is handed the prompt, then every step's tokens."""

    def __init__(self):
        self.times = []

    def put(self, value):
        self.times.append(time.perf_counter())

    def end(self):
        pass


@torch.inference_mode()
def measure(model, prompts, generate):
    """One static batch. The first token belongs to the prefill, so that `generate` steps remain."""
    ids = torch.tensor(prompts)
    streamer = StepTimes()
    start = time.perf_counter()
    output = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=generate + 1,
        min_new_tokens=generate + 1,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
        streamer=streamer,
    )
    count = output.shape[1] - ids.shape[1]
    if count != generate + 1:
        raise RuntimeError(f"{count} of {generate + 1} tokens came")
    first = streamer.times[1]
    return {
        "prefillMs": 1000 * (first - start),
        "decodeMs": 1000 * (streamer.times[-1] - first),
        "residentBytes": resident_bytes(),
    }


def resident_bytes():
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except FileNotFoundError:
        return 0


def main():
    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(
        os.path.dirname(path), gguf_file=os.path.basename(path), dtype=torch.float32
    )
    model.eval()
    model.generation_config.eos_token_id = None
    say({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            say(measure(model, request["prompts"], request["generate"]))
        except Exception as error:
            say({"error": f"{type(error).__name__}: {error}"})


main()
