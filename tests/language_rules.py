"""The denied terms, what to write instead, and the exceptions with their reasons."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """A denied term. ``pattern`` is a regular expression of whole words, without upper case;
    what ``unless`` matches is left out of the search.

    Names are split into words before the search: "read_place" is "read place". ``in_names`` and
    ``in_prose`` say where to search. ``denied`` and ``allowed`` are texts for the self-test.
    ``except_in`` are globs of files that may use the term.
    """

    pattern: str
    instead: str
    denied: tuple[str, ...]
    allowed: tuple[str, ...] = ()
    unless: str = ""
    in_names: bool = True
    in_prose: bool = True
    except_in: tuple[str, ...] = ()


#: What knows the queue between LMS and graders, where "delivery" has its one meaning.
OF_THE_QUEUE = (
    "xqueue_bridge/submission_queue/*",
    "xqueue_bridge/grader_api/*",
    "xqueue_bridge/conf.py",
    "xqueue_bridge/options.py",
    "xqueue_bridge/metrics/*",
    "tests/metrics/*",
    "xqueue_bridge/option_groups.py",
    "xqueue_bridge/data.py",
    "xqueue_bridge/grader/*",
    "xqueue_bridge/views/course_team/*",
    "tests/views/test_queues.py",
    "tests/grader/*",
    "xqueue_bridge/admin/*",
    "xqueue_bridge/checks/*",
    "xqueue_bridge/signals.py",
    "xqueue_bridge/tasks.py",
    "tests/submission_queue/*",
    "tests/gateway/*",
    "tests/grader/*",
    "tests/grader_api/*",
    "tests/integration/*",
    "tests/test_*.py",
    "demo/*",
    "benchmarks/*",
    "docs/*",
    "CHANGELOG.rst",
    "CONTRIBUTING.rst",
)

RULES: dict[str, Rule] = {
    "room": Rule("rooms?", "package, space", ("of every room", "room_id")),
    "door": Rule("doors?", "entry point", ("the doors that graders use", "front_door")),
    "ground": Rule("grounds?|stairs?", "shared module", ("no ground",), ("background work",)),
    "house": Rule("house", "project, package", ("test_house",)),
    "knock": Rule("knock(?:s|ed|ing)?", "request, poll", ("where graders knock",)),
    "news": Rule("news", "update, signal", ("send(news)", "class News")),
    "whoever": Rule(
        "whoever|whomever|somebody|someone|nobody|no one|anybody|anyone|everybody",
        "name the actor: the grader, the learner, another process, an unknown user",
        ("whoever asks", "told to nobody", "Somebody_Else"),
    ),
    "helping": Rule("helpings?", "batch", ("a bounded helping",)),
    "leftover": Rule("leftovers?|left over", "cleanup; overdue work", ("leftovers.py",)),
    "forget": Rule(
        "forget(?:s|ting)?|forgot(?:ten)?",
        "retire (a learner), delete (rows), clear (a cache), ignore",
        ("forget_rows", "a learner is forgotten"),
    ),
    "hand-out": Rule(
        "hand(?:s|ed|ing)?(?:-| )?outs?",
        "delivery, delivered",
        ("each hand-out", "handed out twice", "hands out"),
    ),
    "place": Rule(
        "places?",
        "block key, key, location, table",
        ("read_place", "each place", "Place"),
        ("merged in place", "two decimal places", "take place", "replace", "placeholder"),
        unless="(?:in|decimal|takes?|took|taken) places?",
    ),
    "turn": Rule(
        "turns?",
        "block lock (of a learner's block); order",
        ("takes its turn", "def turn", "in turns"),
        ("turn it off", "turns into", "return"),
        unless="turns?(?: [a-z' ]{1,40})? (?:on|off|into)",
    ),
    "deliver": Rule(
        "deliver(?:s|y|ed|ing|er)?",
        "send (block to transport), apply (a reply); delivery is what a grader gets",
        ("deliver_reply", "the delivery"),
        ("deliveries", "MAX_DELIVERIES"),
        except_in=OF_THE_QUEUE,
    ),
    "apply a reply": Rule(
        "deliver(?:s|y|ed|ing)?(?: of)? (?:a |the |one |stored )*repl(?:y|ies)"
        "|repl(?:y|ies)(?: is| are)? delivered",
        "apply",
        ("deliver a reply", "replies delivered", "delivery of the reply"),
    ),
    "undelivered": Rule(
        "undelivered", "pending (a reply that is not applied)", ("undelivered replies",)
    ),
    "given up": Rule(
        "g[ia]ve(?:s|n)?(?:-| )up|giving up",
        "failed, dead; fail, mark dead, stop",
        ("it gives up", "given-up ones", "_give_up"),
    ),
    "gradebook": Rule("grade books?", "gradebook", ("the grade book",), ("gradebook",)),
    "deprecated key": Rule(
        "old kind|keys of the old|old-style keys?", "deprecated key", ("keys of the old kind",)
    ),
    "user id": Rule("learner's numbers?|of that number", "user id", ("the learner's number",)),
    "cast": Rule("cast", "factories", ("tests/x/cast.py",), in_names=False),
    "journey": Rule("journeys?|mortals?", "integration test, process", ("journeys/mortals.py",)),
    "recorder": Rule("recorders?", "reply backend", ("the recorder's work",)),
    "callback URL": Rule("callback address(?:es)?", "callback URL", ("callback_address",)),
    "withdraw": Rule("withdr[ae]w(?:s|n|ing|al)?", "supersede, retire", ("withdraw", "WITHDRAWN")),
    "failure reply": Rule(
        "(?:store|failure) notices?|source notice", "failure reply", ("FAILURE_NOTICE",)
    ),
    "error": Rule(
        "as (?:problem|fault)", "as error: a problem is an exercise", ("except OSError as problem",)
    ),
    "recalculate_pending": Rule(
        "settle[sd]?|settling",
        "recalculate, commit, mark final; say what is done",
        ("settle(user)", "the sweeper settles it"),
    ),
    "hear": Rule(
        "hears?|heard",
        "receive a signal, received",
        ("heard_of_grades", "who hears of it"),
    ),
    "noted": Rule("noted", "marked dirty, enqueued, stored", ("grades are noted", "noted")),
    "response": Rule(
        "answers? (?:json|status code|headers|content)",
        "response: an answer is a learner's",
        ("answer_json", "answer_status_code"),
        ("answer_id", "answer = json.dumps(body)"),
        unless="answers? json (?:dumps|loads)",
    ),
    "said": Rule(
        "said|told|asked",
        "name it for what it holds: output, response, values, arguments",
        ("said = output", "told = []", "asked.append"),
        ("test_operator_is_told",),
        unless="(?:is|are|mark) told",
        in_prose=False,
    ),
    "interesting": Rule(
        "interesting|interest", "should send, grade filter", ("is_interesting", "INTERESTING")
    ),
    "word": Rule(
        "in a word(?: or two)?|a word (?:about|in)|without a word|word for word"
        "|in (?:so many|its own|their own|(?:the )?[a-z]+'s(?: own)?) words",
        "text, code, message; say what it contains",
        ("why, in a word", "in the protocol's own words"),
    ),
    "aphorism": Rule(
        "in vain|for ever|truth|honest(?:ly)?|what became of|once and for all|alas|wakes? nobody"
        "|has a say|have a say|of ours",
        "a plain statement with actor, verb and object",
        ("the rows are the truth", "waits for ever", "a row of ours"),
    ),
}

#: (rule, glob of files, regular expression of the text around it, reason). Each is still needed;
#: a test checks that.
EXCEPTIONS: tuple[tuple[str, str, str, str], ...] = (
    ("deliver", "tests/*", "unable to deliver your submission", "the legacy message for learners"),
    (
        "interesting",
        "*",
        "interesting (?:modes|statuses)|are interesting|if interesting",
        "upstream",
    ),
    *(
        (rule, path, ".", "says what a term was called before, or is not")
        for rule, path in (
            ("apply a reply", "docs/decisions/0038-*"),
            ("callback URL", "docs/decisions/0038-*"),
            ("door", "docs/decisions/0038-*"),
            ("recorder", "docs/decisions/0038-*"),
            ("room", "docs/decisions/0038-*"),
            ("turn", "docs/decisions/0038-*"),
            ("whoever", "CONTRIBUTING.rst"),
            ("callback URL", "docs/references/glossary.rst"),
            ("forget", "docs/references/glossary.rst"),
            ("gradebook", "docs/references/glossary.rst"),
            ("place", "docs/references/glossary.rst"),
            ("recorder", "docs/references/glossary.rst"),
            ("turn", "docs/references/glossary.rst"),
            ("user id", "docs/references/glossary.rst"),
            ("withdraw", "docs/references/glossary.rst"),
        )
    ),
)
