"""SmolLM2's tokenizer in the reference library (`tokenizers`, Rust), put together from a GGUF's vocabulary and merges.

`transformers` rebuilds a plain GPT-2 tokenizer from a GGUF and so loses that SmolLM2 splits digits one by one; llama.cpp
knows it (`tokenizer.ggml.pre` = "smollm": digits apart, then GPT-2's pattern), and this follows it.

`python smollm2_tokenizer.py path/to/the.gguf` writes ../fixtures/smollm2/tokenizer.json: 200 varied strings and their ids.
"""

import json
import random
import sys
from pathlib import Path

from gguf import GGUFReader
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

OUT = Path(__file__).parent.parent / "fixtures" / "smollm2"
NORMAL = 1

HAND_WRITTEN = [
    "", " ", "  ", "\n", "\n\n\n", "\t\tx", "a", "Hello, world!", "Hello  world", " leading", "trailing ",
    "I'm you're he'll they've we'd isn't CAN'T", "1234567890", "3.14159", "2024-11-24T10:30:00Z", "0x1F4A9", "1,000,000.00",
    "a1b2c3", "x=1;y=22;z=333", "naïve café résumé", "Straße", "Ελληνικά", "Привет, мир", "שלום עולם", "مرحبا بالعالم",
    "こんにちは世界", "你好，世界！", "안녕하세요", "ภาษาไทย", "हिन्दी", "👋🌍", "👩‍👩‍👧‍👦 family", "🇫🇷🇩🇪", "e\u0301 vs é", "\u00a0nbsp\u2003em",
    "def f(x):\n    return x**2\n", "for (int i = 0; i < 10; ++i) { sum += a[i]; }", "SELECT * FROM t WHERE id = 42;",
    "<html><body>&amp;</body></html>", '{"key": [1, 2, {"a": null}]}', "https://example.com/a?b=c&d=e#f",
    "user@example.org", "C:\\Users\\name", "$100 €50 £20 ¥1000", "50% off!!! #sale @home", "…—–“”‘’", "½ ¼ ²³ x₁", "∑∫√∞≈≠",
    "ALLCAPS lowercase MixedCase camelCase snake_case kebab-case", "don't\n\ndo   that", "line1\r\nline2\rline3",
    "<|im_start|>user\nHi<|im_end|>\n", "<|endoftext|>", "a<|im_end|>b", "<|im_start|>", "<|im_start|", "<|unknown|>",
    "\u200bzero\u200bwidth", "\ufeffbom", "tab\tseparated\tvalues", "     five spaces", "mixed \n \n whitespace \t ",
    "antidisestablishmentarianism", "aaaaaaaaaaaaaaaaaaaaaaaa", "!!!!!!!!!!", "((((((()))))))", "₿ ℵ Ⅷ ① ٣ ३", "ﬁ ligature",
]


def reference_tokenizer(gguf: Path) -> Tokenizer:
    fields = GGUFReader(gguf).fields
    assert fields["tokenizer.ggml.pre"].contents() == "smollm"
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    types = fields["tokenizer.ggml.token_type"].contents()
    tokenizer = Tokenizer(models.BPE(vocab={token: id for id, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    specials = [token for token, kind in zip(tokens, types) if kind != NORMAL]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
    return tokenizer


def strings() -> list[str]:
    """The hand-written ones, then seeded mixtures of their pieces, 200 in all."""
    generator = random.Random(7)
    made = list(HAND_WRITTEN)
    while len(made) < 200:
        parts = generator.sample(HAND_WRITTEN, generator.randint(2, 4))
        cut = [part[: generator.randint(1, max(1, len(part)))] for part in parts]
        made.append(generator.choice(["", " ", "\n", "  "]).join(cut))
    return made


if __name__ == "__main__":
    tokenizer = reference_tokenizer(Path(sys.argv[1]))
    rows = [{"text": text, "ids": tokenizer.encode(text, add_special_tokens=False).ids} for text in strings()]
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "tokenizer.json").write_text(json.dumps(rows, indent=0, ensure_ascii=True) + "\n")
