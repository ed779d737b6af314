"""wordcount.py with count_words(text): how often each word occurs."""

from demo.grader.suite import Case, Suite, Test


def suite(payload: dict, student: dict) -> Suite:
    return Suite(
        "count_words",
        (
            Test(
                "Counts words",
                (Case(("the cat the dog",), {"the": 2, "cat": 1, "dog": 1}), Case(("",), {})),
            ),
            Test(
                "Ignores capitals and punctuation",
                (
                    Case(("Hello, hello. HELLO!",), {"hello": 3}),
                    Case(("It's one, two; two",), {"it's": 1, "one": 1, "two": 2}, hidden=True),
                ),
            ),
        ),
        file=payload.get("file", "wordcount.py"),
    )
