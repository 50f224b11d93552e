"""The scale that scores stand on: an additive 0–5 rubric of educational value, and its identity.

Additive rubrics grade web text more evenly than a bare "rate this from 0 to 5" (FineWeb-Edu, arXiv 2406.17557): the
grader asks one question after another and stops at the first no. Whoever changes a word here makes another scale, so
the sha256 travels with every label and every classifier.
"""

from __future__ import annotations

import hashlib

QUESTIONS = (
    "Does the extract tell the reader something about a subject: academic, scientific, technical, historical, cultural "
    "or practical? Advertising or chat around it does not matter.",
    "Is what it tells something that a learner might study, even though it may be shallow, unordered, unexplained, or "
    "only reported as news or opinion?",
    "Could a teacher hand it out? It sets forth ideas that a curriculum has, connectedly and mostly rightly; it may be "
    "incomplete, rather special, or carry some ballast.",
    "Does it teach well? It keeps to its subject, is in good order, and explains instead of only stating, at a level "
    "that a pupil in secondary school or a student in the first year can follow.",
    "Does it lead the learner by the hand? Terms are defined before they are used, there are worked examples, causes "
    "and consequences or exercises, and nothing that is beside the point: it could stand in a textbook unchanged.",
)

RUBRIC = (
    "Grade how much the extract helps someone teach or learn a general subject: at school, in the first years of "
    "college, or alone. Grade the words that are shown, not the site or the author.\n\n"
    "Start at 0 and ask the questions in order. Add one point for each yes; stop at the first no.\n\n"
    + "\n".join(f"{number}. {question}" for number, question in enumerate(QUESTIONS, start=1))
    + "\n\nNothing to learn at all (advertisement, listing, contact page, spam, small talk, broken text) is 0. Length "
    "and a formal tone earn nothing. Reviews, diaries, fiction and promotion are mostly 0 or 1; news, law and "
    "administration 1 or 2; a paper for specialists 2 or 3; bare steps 2 or 3, steps with reasons 3 or 4; primary "
    "sources and speeches without commentary 1 or 2; code or one particular bug 1 or 2 unless a general idea is "
    "explained.\n"
)

RUBRIC_SHA256 = hashlib.sha256(RUBRIC.encode()).hexdigest()
