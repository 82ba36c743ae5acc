"""The detector by its command: the goals on the labelled corpus, whole messages, places, documents."""
import importlib.machinery
import json
import os
import pathlib
import subprocess

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


def test_texts_by_hand_do_not_get_worse():
    tool = evaluate()
    for path in sorted(CORPUS.glob("*.txt")):
        rows = tool.load(path)
        verdict, _ = tool.score(rows, tool.judge(SALLYPORT, rows), False)
        assert verdict.recall() >= 0.93 and verdict.precision() >= 0.93, f"{path.name}: {verdict}"


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
