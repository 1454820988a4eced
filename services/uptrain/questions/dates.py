"""Days of the week, months and their lengths, dates some days later."""

from random import Random

from . import columns
from .question import Question

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = {
    "January": 31, "February": 28, "March": 31, "April": 30, "May": 31, "June": 30,
    "July": 31, "August": 31, "September": 30, "October": 31, "November": 30, "December": 31,
}  # fmt: skip
NAMES = list(MONTHS)
DAY_AFTER = (
    "What day is it {n} days after {day}?",
    "Today is {day}. What day is it in {n} days?",
    "Which day is {n} days after {day}?",
)
DAY_BEFORE = (
    "What day is it {n} days before {day}?",
    "Today is {day}. What day was it {n} days ago?",
    "Which day was {n} days before {day}?",
)
NEXT = ("Which {kind} comes after {name}?", "What {kind} follows {name}?", "Which {kind} is after {name}?")
PREVIOUS = ("Which {kind} comes before {name}?", "What {kind} is before {name}?")
LENGTH = ("How many days does {month} have?", "How many days are in {month}?", "How long is {month} in days?")
DATE_AFTER = (
    "What date is {n} days after {month} {day}?",
    "Today is {month} {day}. What is the date in {n} days?",
    "Which date is {n} days after {month} {day}?",
)


def following(name: str, names: list[str], step: int) -> str:
    return names[(names.index(name) + step) % len(names)]


def dates(random: Random) -> Question:
    return random.choice((weekday, neighbour, length, date, date))(random)


def weekday(random: Random) -> Question:
    day, n = random.choice(DAYS), random.randint(1, 9)
    step = random.choice((1, -1))
    text = random.choice(DAY_AFTER if step > 0 else DAY_BEFORE).format(day=day, n=n)
    if n == 1:
        text = text.replace("1 days", "1 day")
    passed = [f"{following(day, DAYS, step * k)} {k}" for k in range(1, n + 1)]
    return Question("dates", text, f"{', '.join(passed)}. Answer: {following(day, DAYS, step * n)}")


def neighbour(random: Random) -> Question:
    kind, names = random.choice((("day", DAYS), ("month", NAMES)))
    name = random.choice(names)
    step = random.choice((1, -1))
    text = random.choice(NEXT if step > 0 else PREVIOUS).format(kind=kind, name=name)
    return Question("dates", text, f"Answer: {following(name, names, step)}")


def length(random: Random) -> Question:
    month = random.choice(NAMES)
    days = MONTHS[month]
    text = random.choice(LENGTH)
    if month == "February" and random.random() < 0.5:
        return Question("dates", text.format(month="February of a leap year"), "Answer: 29")
    return Question("dates", text.format(month=month), f"Answer: {days}")


def date(random: Random) -> Question:
    month = random.choice(NAMES)
    days = MONTHS[month]
    day, n = random.randint(1, days), random.randint(2, 27)
    text = random.choice(DATE_AFTER).format(month=month, day=day, n=n)
    total = day + n
    work = f"{columns.add(day, n)} {month} has {days} days. "
    if total <= days:
        return Question("dates", text, f"{work}{columns.compare(total, days)} Answer: {month} {total}")
    later = following(month, NAMES, 1)
    return Question("dates", text, f"{work}{columns.subtract(total, days)} Answer: {later} {total - days}")
