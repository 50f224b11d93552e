"""A small labelled world: texts whose share of teaching words makes their grade."""

import random

from classifiers.labels import Labels, gather

TEACHING = ["because", "therefore", "energy", "cell", "theorem", "means", "example", "define", "reason", "equation"]
SELLING = ["buy", "cheap", "now", "click", "sale", "offer", "order", "deal", "login", "cart", "subscribe", "win"]
COMMON = ["the", "a", "of", "and", "to", "in", "is", "it", "that", "with", "for", "on", "as", "this", "at", "by"]
VOCABULARY = [*TEACHING, *SELLING, *COMMON]


def text_of_grade(grade: int, seed: int, words: int = 40) -> str:
    chance = random.Random(f"{grade} {seed}")
    other = [SELLING, COMMON]
    return " ".join(
        chance.choice(TEACHING if chance.random() < grade / 5 else chance.choice(other)) for _ in range(words)
    )


def grading(number: int, **more: object) -> dict[str, object]:
    grade = number % 6
    return {"id": f"d{number}", "text": text_of_grade(grade, number), "score": grade, "kind": f"k{grade % 3}", **more}


def small_labels(count: int = 120) -> Labels:
    return gather(grading(number) for number in range(count))
