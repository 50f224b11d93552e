"""Eval items of our own, a few a task, in the fields of the original files."""

import json
from pathlib import Path
from typing import Any


def _arc(question: str, texts: list[str], key: str) -> dict[str, Any]:
    return {"question": question, "choices": {"text": texts, "label": list("ABCD")[: len(texts)]}, "answerKey": key}


def _mmlu(question: str, choices: list[str], answer: int, subject: str = "marine_biology") -> dict[str, Any]:
    return {"question": question, "subject": subject, "choices": choices, "answer": answer}


ARC = [
    _arc("What do plants need to grow?", ["light", "a radio", "plastic", "noise"], "A"),
    _arc("Which of these is a liquid at room temperature?", ["iron", "water", "oxygen", "wood"], "B"),
    _arc("Which one melts?", ["ice", "fire", "wind"], "A"),
]
ITEMS: dict[str, list[dict[str, Any]]] = {
    "winogrande": [
        {
            "sentence": "The cup did not fit in the box: _ was too big.",
            "option1": "cup",
            "option2": "box",
            "answer": "1",
        },
        {"sentence": "Ann thanked Eve because _ had helped.", "option1": "Ann", "option2": "Eve", "answer": "2"},
    ],
    "arc_easy": ARC,
    "arc_challenge": ARC[::-1],
    "boolq": [
        {"question": "is the sea salty", "passage": "Sea water holds about 35 grams of salt a litre.", "answer": True},
        {"question": "is glass a metal", "passage": "Glass is made by melting sand.", "answer": False},
        {"question": "can bats fly", "passage": "Bats are mammals that fly.", "answer": True},
    ],
    "siqa": [
        {
            "context": "Kim baked bread for the neighbours.",
            "question": "How would the neighbours feel?",
            "answerA": "thankful",
            "answerB": "robbed",
            "answerC": "asleep",
            "label": "1",
        }
    ],
    "piqa": [
        {"goal": "keep soup warm", "sol1": "Put a lid on the pot.", "sol2": "Put the pot in the freezer.", "label": 0},
        {"goal": "cut paper", "sol1": "Use a spoon.", "sol2": "Use scissors.", "label": 1},
    ],
    "hellaswag": [
        {
            "activity_label": "Sailing",
            "ctx_a": "A woman ties a rope to the mast.",
            "ctx_b": "she",
            "endings": ["hoists the sail.", "eats the [step] mast.", "becomes a rope.", "reads the sea a book."],
            "label": "0",
        }
    ],
    "openbookqa": [
        {
            "question_stem": "A magnet attracts",
            "choices": {"text": ["nails", "paper", "milk", "sand"], "label": list("ABCD")},
            "answerKey": "A",
        }
    ],
    "squad": [
        {
            "title": "Lakes",
            "context": "Lake Baikal is the deepest lake, with 1,642 metres.",
            "question": "Which lake is the deepest?",
            "answers": {"text": ["Lake Baikal", "Baikal"], "answer_start": [0, 5]},
        }
    ],
    "mmlu": [
        _mmlu("What do whales breathe?", ["water", "air", "sand", "light"], 1),
        _mmlu("Is {{this}} a template?", ["no", "yes", "{% if %}", "\\n"], 0),
    ],
    "mmlu_dev": [
        _mmlu("What is krill?", ["a plant", "a small crustacean", "a rock", "a wind"], 1),
        _mmlu("Which fish is flat?", ["plaice", "eel", "tuna", "pike"], 0),
        _mmlu("Which is not seen?", ["a", "b", "c", "d"], 3),
    ],
    "gsm8k": [
        {
            "question": "A box holds 6 eggs. How many do 3 boxes hold?",
            "answer": "They hold 3*6=<<3*6=18>>18.\n#### 18",
        }
    ],
    "humaneval": [
        {
            "task_id": "Own/0",
            "prompt": 'def double(x):\n    """Twice x."""\n',
            "canonical_solution": "    return 2 * x\n",
            "test": "def check(candidate):\n    assert candidate(2) == 4\n",
            "entry_point": "double",
        }
    ],
    "mbpp": [
        {
            "task_id": 1,
            "text": "Write a function that adds two numbers.",
            "code": "def add(a, b):\r\n    return a + b",
            "test_list": ["assert add(1, 2) == 3", "assert add(0, 0) == 0", "assert add(-1, 1) == 0"],
            "test_setup_code": "",
        }
    ],
    "toxigen": [
        {"text": "bakers get up early", "label": "neutral", "target_groups": ["bakers"]},
        {"text": "bakers are all thieves", "label": "hate", "target_groups": ["bakers"]},
    ],
}


def write_items(folder: Path) -> Path:
    """A folder with an eval file for every task."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in ITEMS.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder
