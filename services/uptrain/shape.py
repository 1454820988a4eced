"""The sizes of a recursive model, and which of the families' parts it has."""

from dataclasses import dataclass, fields

LINEARS = ("q", "k", "v", "o", "gate", "up", "down")


@dataclass(frozen=True)
class Shape:
    vocab: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    context: int
    # Layers before the loop, inside it and behind it, and how often the block is applied.
    prelude: int
    block: int
    coda: int
    depths: int
    # Of the low-rank factors that each depth of the block has; 0 for none.
    rank: int
    # The linears that have such factors.
    targets: tuple[str, ...] = LINEARS
    # Norms and biases of the block's layers for every depth.
    per_depth_norms: bool = True
    # Ouro (arXiv 2510.25741): norms also behind attention and feed-forward, the final norm after every pass, an exit gate.
    ouro: bool = True
    tied_head: bool = False
    rope_theta: float = 10_000.0
    norm_epsilon: float = 1e-6
    damping: float = 1.0

    @classmethod
    def of(cls, values: dict) -> "Shape":
        """Ignores keys that are no sizes."""
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})

    @property
    def layers(self) -> int:
        return self.prelude + self.block + self.coda
