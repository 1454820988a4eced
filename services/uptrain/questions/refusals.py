"""What is outside the domain is refused in one sentence; greetings are answered in one."""

from random import Random

from .lists import WORDS
from .question import Question

REFUSAL = "Sorry, I only know small numbers, short lists and dates."
GREETING = "Hello! Ask me about small numbers, short lists or dates."
THANKS = "You are welcome!"
GREETINGS = ("Hello", "Hello!", "Hi", "Hi!", "Hi there", "Hey", "Good morning", "Good evening!", "Hello there!",
             "What can you do?", "Who are you?", "Help", "What do you know?")  # fmt: skip
THANK_YOUS = ("Thanks", "Thanks!", "Thank you", "Thank you!", "Thank you very much", "Thanks a lot!")
TOPICS = (
    "France Rome Paris Berlin London Mars Venus water gold music love life time history physics chemistry art poetry "
    "football chess cooking bread cheese coffee tea wine politics money work school dreams weather rain snow winter summer "
    "whales tigers birds cats dogs horses dinosaurs the-moon the-sun Shakespeare Mozart Einstein Newton Napoleon Caesar "
    "computers robots programming Python JavaScript the-internet movies books Hamlet the-ocean mountains volcanoes trees "
    "gravity light energy atoms the-brain the-heart language English Latin Japan China Brazil Egypt Canada trains planes"
).replace("-", "_").split()
FRAMES = (
    "What is the capital of {t}?", "Who wrote {t}?", "Tell me about {t}.", "Write a poem about {t}.", "What is {t}?",
    "Why is {t} important?", "Explain {t}.", "How does {t} work?", "What do you think about {t}?", "Who invented {t}?",
    "Where is {t}?", "When was {t} born?", "Translate {t} into French.", "Can you help me with {t}?", "Do you like {t}?",
    "Write a story about {t} and {u}.", "What is the difference between {t} and {u}?", "Tell me a joke about {t}.",
    "How do I make {t}?", "Is {t} better than {u}?", "What is the meaning of {t}?", "Who is {t}?", "Describe {t}",
    "Which {t} is the best?", "How old is {t}?", "How many people like {t}?", "What day is good for {t}?", "{t}", "{t} {u}",
    "Give me a recipe for {t}.", "Summarise {t} for me", "What color is {t}?", "Write code for {t}", "Sing about {t}",
    "How much does {t} cost?", "What is the weather in {t}?", "Which movie is about {t}?", "I want to talk about {t}.",
)  # fmt: skip
LETTERS = "etaoinshrdlucmfwypvbgkqjxz"


def topic(random: Random) -> str:
    """A known one, a word of the lists, or a word that nobody has seen."""
    kind = random.random()
    if kind < 0.5:
        return random.choice(TOPICS).replace("_", " ")
    if kind < 0.65:
        return random.choice(WORDS)
    count = random.randint(3, 8)
    return "".join(LETTERS[min(25, int(random.expovariate(0.12)))] for _ in range(count))


def refusal(random: Random) -> Question:
    kind = random.random()
    if kind < 0.08:
        return Question("refusal", random.choice(GREETINGS), GREETING)
    if kind < 0.12:
        return Question("refusal", random.choice(THANK_YOUS), THANKS)
    text = random.choice(FRAMES).format(t=topic(random), u=topic(random))
    if random.random() < 0.3:
        text = text[0].lower() + text[1:]
    if random.random() < 0.15:
        text = f"{text} {topic(random)} {topic(random)}"
    return Question("refusal", text, REFUSAL)
