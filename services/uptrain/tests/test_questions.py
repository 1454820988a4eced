"""Questions come from their seed, their answers are right, and held-out ones are never trained on."""

import json
import re
import unittest
from itertools import islice

from places import HOME

from held_out import LONGEST, by_digits, digits_of, mixed_lists, usual
from questions import TASKS, held_out, questions
from token_kinds import token_kinds

ARITHMETIC = re.compile(r"(?:What is |Calculate )?(\d+)\s*([-+*])\s*(\d+)[?.=]?")
RESULT = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}


class Questions(unittest.TestCase):
    def setUp(self):
        self.some = list(islice(questions("test"), 4000))

    def test_they_follow_from_the_seed(self):
        self.assertEqual(self.some, list(islice(questions("test"), 4000)))
        self.assertNotEqual(self.some, list(islice(questions("another"), 4000)))

    def test_every_task_is_asked(self):
        self.assertEqual(len({question.task for question in self.some}), len(TASKS))

    def test_training_and_evaluation_share_none(self):
        evaluation = list(islice(questions("test", evaluation=True), 1000))
        self.assertTrue(all(held_out(question) for question in evaluation))
        self.assertFalse({question.text for question in self.some} & {question.text for question in evaluation})

    def test_results_and_every_column_of_their_work_are_right(self):
        checked = 0
        for question in self.some:
            for left, right in re.findall(r"([\d+*-]{3,})=(\d+)", question.answer):
                self.assertEqual(eval(re.sub(r"\b0+(?=\d)", "", left)), int(right), question)
            asked = ARITHMETIC.fullmatch(question.text)
            if asked:
                a, sign, b = asked.groups()
                result = question.answer.rpartition("Answer: ")[2]
                self.assertEqual(RESULT[sign](int(a), int(b)), int(result), question)
                checked += 1
        self.assertGreater(checked, 100)

    def test_tokens_of_worked_answers_are_told_apart(self):
        answer = "42-05: 4>0, ones 12-5-0=7, tens 04-0-1=3. Answer: 37"
        tokens = re.findall(r" ?\d| ?[a-zA-Z]+| ?[^\sa-zA-Z\d]+", answer)
        column = ["word", "carry", "copied digit", "sign", "copied digit", "sign", "copied carry", "sign", "result digit", "sign"]
        restated = ["restated digit", "restated digit"]
        compared = ["copied digit", "comparison", "copied digit", "sign"]
        expected = [*restated, "sign", *restated, "sign", *compared, *column, *column, "word", "sign", "answer", "answer", "end"]
        self.assertEqual(token_kinds(answer, tokens), expected)

    def test_the_gate_of_the_built_in_model_asks_what_the_script_writes(self):
        written = [json.loads(line) for line in (HOME.parents[1] / "models" / "built-in.jsonl").read_text().splitlines()]
        self.assertEqual([(line["question"], line["answer"]) for line in written], [(q.text, q.answer) for q in usual("held-out", 600)])

    def test_questions_by_digits_are_held_out_and_as_long_as_their_task_says(self):
        some = list(by_digits("test", 3))
        self.assertEqual(len({question.text for question in some}), 4 * LONGEST * 3)
        for question in some:
            self.assertTrue(held_out(question))
            self.assertEqual(digits_of(question), int(question.task.rpartition(" ")[2]))

    def test_mixed_lists_have_numbers_of_one_digit_and_of_two(self):
        for question in mixed_lists("test", 50):
            lengths = {len(number) for number in re.findall(r"\d+", question.text)}
            self.assertEqual(lengths, {1, 2}, question)


if __name__ == "__main__":
    unittest.main()
