"""A question in plain words with the one answer that counts as right."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    task: str
    text: str
    answer: str
