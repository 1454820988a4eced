"""Arithmetic as it is written by hand, so that every token follows from a few earlier ones at fixed distances.

Numbers are restated with as many digits as the longer one, then worked column by column, least significant first. Each
column names its place, which says where its digits are; a sum's first digit is what the next column carries.
"""

PLACES = ("ones", "tens", "hundreds", "thousands", "ten-thousands", "hundred-thousands")


def width_of(*numbers: int) -> int:
    return max(len(str(number)) for number in numbers)


def digits_of(number: int, width: int) -> list[int]:
    """Least significant first."""
    return [int(digit) for digit in reversed(f"{number:0{width}d}")]


def add(left: int, right: int) -> str:
    """`47+05: ones 7+5+0=12, tens 4+0+1=05.`"""
    width = width_of(left, right)
    carry = 0
    columns = []
    for place, a, b in zip(PLACES, digits_of(left, width), digits_of(right, width)):
        total = a + b + carry
        columns.append(f"{place} {a}+{b}+{carry}={total:02d}")
        carry = total // 10
    return f"{left:0{width}d}+{right:0{width}d}: {', '.join(columns)}."


def compared_digits(left: int, right: int) -> list[str]:
    """`4=4`, `7>5`: from the most significant digits to the first that differ."""
    compared = []
    width = width_of(left, right)
    for a, b in zip(f"{left:0{width}d}", f"{right:0{width}d}"):
        compared.append(f"{a}{'>' if a > b else '<' if a < b else '='}{b}")
        if a != b:
            break
    return compared


def compare(left: int, right: int) -> str:
    """`47, 45: 4=4, 7>5.`"""
    width = width_of(left, right)
    return f"{left:0{width}d}, {right:0{width}d}: {', '.join(compared_digits(left, right))}."


def subtract(left: int, right: int) -> str:
    """`42-05: 4>0, ones 12-5-0=7, tens 04-0-1=3.` A column that borrows begins with 1. The smaller is taken from the larger."""
    width = width_of(left, right)
    borrow = 0
    columns = compared_digits(left, right)
    pairs = zip(PLACES, digits_of(max(left, right), width), digits_of(min(left, right), width))
    for place, a, b in pairs:
        borrows = int(a - b - borrow < 0)
        columns.append(f"{place} {borrows}{a}-{b}-{borrow}={10 * borrows + a - b - borrow}")
        borrow = borrows
    return f"{left:0{width}d}-{right:0{width}d}: {', '.join(columns)}."


def multiply(number: int, digit: int) -> str:
    """`47*5: ones 7*5+0=35, tens 4*5+3=23.`"""
    carry = 0
    columns = []
    for place, a in zip(PLACES, digits_of(number, width_of(number))):
        total = a * digit + carry
        columns.append(f"{place} {a}*{digit}+{carry}={total:02d}")
        carry = total // 10
    return f"{number}*{digit}: {', '.join(columns)}."
