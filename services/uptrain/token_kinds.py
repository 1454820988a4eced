"""What a token of a worked answer is there for."""

import re

# The columns of questions/columns.py, such as `7+5+0=12`, `12-5-0=7`, `7*5+0=35`, by the kind of each of their digits.
COLUMNS = (
    (re.compile(r"(\d)\+(\d)\+(\d)=(\d)(\d)"), ("copied digit", "copied digit", "copied carry", "carry", "result digit")),
    (re.compile(r"(\d)(\d)-(\d)-(\d)=(\d)"), ("carry", "copied digit", "copied digit", "copied carry", "result digit")),
    (re.compile(r"(\d)\*(\d)\+(\d)=(\d)(\d)"), ("copied digit", "copied digit", "copied carry", "carry", "result digit")),
)
KINDS = ("copied digit", "copied carry", "carry", "result digit", "restated digit", "comparison", "answer", "word", "sign", "end")


def token_kinds(answer: str, tokens: list[str]) -> list[str]:
    """The kind of each token, the one that ends the answer included."""
    by_place: dict[int, str] = {}
    for pattern, kinds in COLUMNS:
        for found in pattern.finditer(answer):
            by_place |= {found.start(group): kind for group, kind in enumerate(kinds, 1)}
    for found in re.finditer(r"\b(\d)([<>=])(\d)\b", answer):
        if answer[found.start() - 1 : found.start()] in ("+", "-", "*"):
            continue
        by_place |= {found.start(1): "copied digit", found.start(2): "comparison", found.start(3): "copied digit"}
    said = answer.find("Answer: ") + len("Answer: ") if "Answer: " in answer else len(answer)
    kinds, place = [], 0
    for token in tokens:
        bare = place + len(token) - len(token.lstrip(" "))
        text = token.strip()
        if bare in by_place:
            kinds.append(by_place[bare])
        elif bare >= said and text not in (",", "."):
            kinds.append("answer")
        elif text.isdigit():
            kinds.append("restated digit")
        elif text.replace("-", "").isalpha():
            kinds.append("word")
        else:
            kinds.append("sign")
        place += len(token)
    return [*kinds, "end"]
