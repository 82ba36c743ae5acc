"""The detector by its command: the goals on the labelled corpus, whole messages, places, documents."""
import functools
import importlib.machinery
import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CORPUS = ROOT / "test/corpus/phi"
SALLYPORT = str(ROOT / "build" / os.environ["SALLYPORT_PRESET"] / "bin/sallyport")


def run(*args, text=None):
    return subprocess.run([SALLYPORT, "detect", *map(str, args)], input=text, capture_output=True, text=True, check=False)


def evaluate():
    return importlib.machinery.SourceFileLoader("evaluate", str(CORPUS / "evaluate")).load_module()


def test_the_corpus_is_judged_within_the_goals():
    tool = evaluate()
    for name in ("snippets-dev.jsonl", "snippets-heldout.jsonl"):
        rows = tool.load(CORPUS / name)
        verdict, types = tool.score(rows, tool.judge(SALLYPORT, rows), False)
        assert verdict.recall() >= 0.98 and verdict.precision() >= 0.95, f"{name}: {verdict}"
        for kind in tool.CHECKED & types.keys():
            assert types[kind].recall() >= 0.99 and types[kind].precision() >= 0.99, f"{name}: {kind}: {types[kind]}"


# These sets hold beside each text that is PHI another's words turned into something that is none. Until the model could no
# longer take back what the rules had found, it hid these false alarms, and PHI behind a line about lunch with them.
TWINS = {"heldout14": 0.88, "heldout15": 0.90, "heldout19": 0.88, "heldout22": 0.92, "heldout26": 0.90}
# Whole mails in pairs that differ in a sentence or two: all other words are those of both.
TWINS |= {"heldout30": 0.66, "heldout31": 0.66}
# Nearly all in pairs that differ in a word or two.
TWINS |= {"heldout34": 0.90, "heldout35": 0.90, "heldout36": 0.85, "heldout37": 0.85, "heldout38": 0.91, "heldout39": 0.85}

# What stands behind PHI in mail, or before it, and has nothing to do with it.
TAILS = {
    "meeting": "The staff meeting on Thursday is moved to 3 pm in the large conference room.",
    "potluck": "PS: The potluck is on Friday, please bring a dish and sign up on the sheet in the break room.\n"
               "Parking in lot B is closed for paving and new badges can be picked up at the security desk.",
    "chat": "How was your weekend? We finally went to the lake and the kids loved it.\n"
            "The printer on the second floor is jammed again, I called facilities about it.\n"
            "Are you coming to lunch tomorrow? The new taco place is supposed to be great.\n"
            "Also, the budget spreadsheet is on the shared drive, have a look when you get a chance.",
    "signature": "Best regards,\n\nKaren Mills\nOffice Manager\nPhone: (555) 010-2200",
    "newsletter": "You receive this newsletter because you subscribe to our mailing list. Unsubscribe at any time.\n"
                  "Our next webinar: register now and learn more about the symposium.",
    "disclaimer": "CONFIDENTIALITY NOTICE: This e-mail and any attachments are for the sole use of the intended recipient "
                  "and may contain confidential and privileged information. "
                  "Any unauthorized review, use, disclosure or distribution is "
                  "prohibited. If you are not the intended recipient, please contact the sender by reply e-mail and destroy all "
                  "copies of the original message.",
}


def test_texts_by_hand_do_not_get_worse():
    tool = evaluate()
    for path in sorted(CORPUS.glob("*.txt")):
        rows = tool.load(path)
        verdict, _ = tool.score(rows, tool.judge(SALLYPORT, rows), False)
        precise = TWINS.get(path.stem, 0.93)
        assert verdict.recall() >= 0.93 and verdict.precision() >= precise, f"{path.name}: {verdict}"


@functools.cache
def found_by_hand():
    """The texts by hand that are PHI and are found to be."""
    tool = evaluate()
    rows = [row for path in sorted(CORPUS.glob("*.txt")) for row in tool.load(path) if row["phi"]]
    return [row for row, answer in zip(rows, tool.judge(SALLYPORT, rows)) if answer["phi"]]


PLACES = {
    "behind": lambda text, tail: f"{text}\n\n{tail}",
    "before": lambda text, tail: f"{tail}\n\n{text}",
    "next line": lambda text, tail: f"{text}{'' if text[-1] in '.!?' else '.'}\n{tail}",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("tail", TAILS)
def test_phi_stays_phi_whatever_stands_beside_it(tail, place):
    tool = evaluate()
    found = found_by_hand()
    rows = [{"id": row["id"], "text": PLACES[place](row["text"].strip(), TAILS[tail])} for row in found]
    lost = [row["id"] for row, answer in zip(rows, tool.judge(SALLYPORT, rows)) if not answer["phi"]]
    assert len(lost) <= 0.03 * len(rows), f"{len(lost)} of {len(rows)}: {lost}"


@pytest.mark.parametrize("script", ["train-detector", "train-phrases"])
def test_the_weights_were_learnt_from_these_texts(script):
    done = subprocess.run([ROOT / "scripts" / script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_whole_messages_are_judged_within_the_goals():
    rows = [json.loads(line) for line in (CORPUS / "messages.jsonl").read_text().splitlines()]
    files = [CORPUS / "messages" / row["file"] for row in rows]
    answers = [json.loads(line) for line in run("--json", *files).stdout.splitlines()]
    assert [a["file"] for a in answers] == [str(f) for f in files]
    right = sum(a["phi"] and r["phi"] for a, r in zip(answers, rows))
    assert right >= 0.98 * sum(r["phi"] for r in rows)
    assert right >= 0.95 * sum(a["phi"] for a in answers)


def test_lines_are_answered_in_order_with_places_in_code_points():
    texts = ["\u00fc SSN 219-45-6781, lupus", "nothing", "name\u0000s"]
    lines = [json.dumps({"id": i if i else "first", "text": t}) for i, t in enumerate(texts)] + ["no json"]
    done = run("--lines", text="\n".join(lines) + "\n")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [a["id"] for a in answers] == ["first", 1, 2, None]
    ssn = [f for f in answers[0]["findings"] if f["type"] == "US_SSN"][0]
    assert texts[0][ssn["start"]:ssn["end"]] == "219-45-6781"
    assert answers[0]["phi"] and not answers[1]["phi"] and answers[1]["class"] == "none"
    assert answers[3]["phi"] and "error" in answers[3]


def test_redacted_text_shows_types_and_no_identifier(tmp_path):
    file = tmp_path / "note.txt"
    file.write_text("Patient: Maria Gonzalez, MRN 4482910, lupus\n")
    done = run("--redact", file)
    assert done.stdout == "Patient: [PERSON], MRN [MRN], lupus\n"
    assert done.returncode == 1
    # dates, an age over 89 and what is left of an SSN go as well; --text shows what places refer to
    file.write_text("Maria Gonzalez, a 93-year-old with lupus, seen 03/04/2024, SSN xxx-xx-6781.\n")
    assert run("--redact", file).stdout == "[PERSON], a [DATE]-year-old with lupus, seen [SERVICE_DATE], SSN xxx-xx-[US_SSN].\n"
    assert run("--text", file).stdout == file.read_text()


def test_what_is_wrong_with_the_command_line_is_named(tmp_path):
    done = run("--redcat", tmp_path / "note.txt")
    assert done.returncode == 64
    assert done.stderr.startswith("sallyport detect: --redcat: no option of this command; did you mean --redact?\n")
    done = run(tmp_path / "note.txt")
    assert done.returncode == 66 and done.stderr.endswith("note.txt: No such file or directory\n")
    done = run(tmp_path)
    assert done.returncode == 66 and "directory" in done.stderr


@pytest.mark.parametrize("charset", ("cp1252", "utf-16", "utf-8-sig"))
def test_nothing_is_left_of_a_name_in_another_charset(tmp_path, charset):
    text = "Patient: Ren\u00e9e Mu\u00f1oz, SSN 219\u201345\u20136781, MRN 4482910, lupus\n"
    file = tmp_path / "note.txt"
    file.write_bytes(text.encode(charset))
    done = run("--redact", file)
    assert done.stdout.lstrip("\ufeff") == "Patient: [PERSON], SSN [US_SSN], MRN [MRN], lupus\n"
    assert done.returncode == 1
    assert run("--text", file).stdout.lstrip("\ufeff") == text
    found = json.loads(run("--json", file).stdout)["findings"]
    decoded = run("--text", file).stdout
    assert [decoded[f["start"]:f["end"]] for f in found if f["type"] == "MRN"] == ["4482910"]
