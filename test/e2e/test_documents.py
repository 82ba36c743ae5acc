"""Documents as programs write that nobody here wrote, and what passes a limit: the detector's command on files and on messages
that carry them."""
import collections
import datetime
import email.message
import gzip
import io
import json
import os
import pathlib
import subprocess
import tarfile
import zipfile

import docx
import odf.opendocument
import odf.table
import odf.text
import openpyxl
import pytest
import xlsxwriter

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SALLYPORT = str(ROOT / "build" / os.environ["SALLYPORT_PRESET"] / "bin/sallyport")
DAYS = [datetime.date(1961, 3, 4), datetime.date(1948, 12, 30), datetime.date(1990, 7, 9)]
ROWS = [["Patient Name", "MRN", "DOB", "Diagnosis"], ["Maria Lindqvist", "MRN0048213", DAYS[0], "type 2 diabetes"],
        ["Owen Tarrant", "MRN0048299", DAYS[1], "COPD"], ["Aiko Brandt", "MRN0050011", DAYS[2], "asthma"]]
WORDS = [[c.strftime("%m/%d/%Y") if isinstance(c, datetime.date) else c for c in row] for row in ROWS]
NOTE = "Patient: Maria Gonzalez, MRN 4482910, lupus\n"
NAMED = {"PERSON": 3, "MRN": 3, "DOB": 3, "DIAGNOSIS": 3}


def detect(folder, name, data):
    """returns: what was found in a file, and in a message that carries it; both must agree on the class"""
    file, message = folder / name, email.message.EmailMessage()
    file.write_bytes(data)
    message["Subject"] = "As agreed"
    message.set_content("See the attachment.\n")
    message.add_attachment(data, maintype="application", subtype="octet-stream", filename="a.bin")
    (folder / "mail.eml").write_bytes(message.as_bytes())
    alone, carried = [json.loads(subprocess.run([SALLYPORT, "detect", "--json", path], capture_output=True, check=False).stdout)
                      for path in (file, folder / "mail.eml")]
    assert alone["class"] == carried["class"]
    assert {g["why"] for g in alone.get("not_scanned", [])} == {g["why"] for g in carried.get("not_scanned", [])}
    return alone, collections.Counter(f["type"] for f in carried["findings"])


def saved(document):
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def by_openpyxl():
    book = openpyxl.Workbook()
    for row in ROWS:
        book.active.append(row)
    return saved(book)


def by_xlsxwriter(**options):
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, **options}) as book:
        sheet, day = book.add_worksheet(), book.add_format({"num_format": "d mmm yyyy"})
        for y, row in enumerate(ROWS):
            for x, cell in enumerate(row):
                write = sheet.write_datetime if isinstance(cell, datetime.date) else sheet.write
                write(y + 4, x + 2, cell, *([day] if isinstance(cell, datetime.date) else []))
    return out.getvalue()


def by_docx():
    document = docx.Document()
    table = document.add_table(rows=len(WORDS), cols=4)
    for y, row in enumerate(WORDS):
        for x, cell in enumerate(row):
            table.cell(y, x).text = cell
    return saved(document)


def by_odf():
    document, table = odf.opendocument.OpenDocumentSpreadsheet(), odf.table.Table(name="list")
    for row in WORDS:
        line = odf.table.TableRow()
        for cell in row:
            box = odf.table.TableCell(valuetype="string")
            box.addElement(odf.text.P(text=cell))
            line.addElement(box)
        table.addElement(line)
    document.spreadsheet.addElement(table)
    return saved(document)


@pytest.mark.parametrize("make", [by_openpyxl, by_xlsxwriter, lambda: by_xlsxwriter(date_1904=True), by_docx, by_odf])
def test_columns_of_a_list_are_known(tmp_path, make):
    answer, found = detect(tmp_path, "list", make())
    assert answer["class"] == "phi" and not [g for g in answer.get("not_scanned", []) if g["why"] != "image"]
    assert {kind: found[kind] for kind in NAMED} == NAMED or {**NAMED, "PERSON": 4} == {kind: found[kind] for kind in NAMED}


def test_outlooks_tables_have_columns(tmp_path):
    table = "".join("<tr>" + "".join(f"<td width=99><p class=MsoNormal>{c}<o:p></o:p></p></td>\r\n  " for c in row) + "</tr>"
                    for row in WORDS)
    _, found = detect(tmp_path, "page.html", f"<html><body><table>{table}</table></body></html>".encode())
    assert {kind: found[kind] for kind in NAMED} == NAMED


def tarred():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        info = tarfile.TarInfo("note.txt")
        info.size = len(NOTE)
        archive.addfile(info, io.BytesIO(NOTE.encode()))
    return out.getvalue()


def odt():
    document = odf.opendocument.OpenDocumentText()
    document.text.addElement(odf.text.P(text=NOTE))
    return saved(document)


def slides():
    text = NOTE.strip().replace("Maria", "</a:t></a:r><a:r><a:t>Maria")
    return zipped({"[Content_Types].xml": "<?xml version='1.0'?><Types/>",
                   "ppt/slides/slide1.xml": f"<?xml version='1.0'?><p:sld><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:sld>"})


@pytest.mark.parametrize("name", ["xl/styles.xml", "xl/workbook.xml", "xl/sharedStrings.xml", "xl/worksheets/a.xml"])
def test_a_file_is_read_whatever_its_name(tmp_path, name):
    answer, _ = detect(tmp_path, "archive", zipped({name: f"<?xml version='1.0'?><any>{NOTE}</any>"}))
    assert answer["class"] == "phi" and not answer.get("not_scanned")


def test_a_text_that_half_a_million_cells_show_is_cut(tmp_path):
    text = "<sst><si><t>" + "nothing " * 40_000 + "</t></si></sst>"
    answer, _ = detect(tmp_path, "book", zipped({"xl/sharedStrings.xml": text, "xl/worksheets/a.xml": "<worksheet>" +
                                                 "<c t='s'><v>0</v></c>" * 300_000 + "</worksheet>"}))
    assert {g["why"] for g in answer["not_scanned"]} == {"limit"}


def pdf(content, extra="", encrypt=""):
    """A PDF of one page for each content stream, in the plainest form that there is."""
    pages = "".join(f"{n + 10} 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 700]/Contents {n + 50} 0 R/Resources"
                    f"<</Font<</F1 5 0 R>>/XObject<</I 6 0 R>>>>>>\nendobj\n{n + 50} 0 obj\n<</Length {len(text)}>>\nstream\n"
                    f"{text}\n"
                    "endstream\nendobj\n" for n, text in enumerate(content))
    kids = " ".join(f"{n + 10} 0 R" for n in range(len(content)))
    return (f"%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Kids[{kids}]"
            f"/Count {len(content)}>>\nendobj\n{pages}5 0 obj\n<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>\nendobj\n"
            "6 0 obj\n<</Type/XObject/Subtype/Image"
            "/Width 1/Height 1/ColorSpace/DeviceGray/BitsPerComponent 8/Length 1>>\nstream\nA\nendstream\nendobj\n"
            f"{extra}trailer\n<</Root 1 0 R{encrypt}>>\n%%EOF\n").encode("latin-1")


LETTER = f"BT /F1 12 Tf 72 600 Td ({NOTE.strip()}) Tj ET"
SCAN = "q 600 0 0 700 0 0 cm /I Do Q"


def letter():
    return pdf([LETTER])


def scan():
    return pdf(["BT /F1 12 Tf 72 600 Td (Cover sheet) Tj ET", SCAN])


def locked():
    key = "<" + "ab" * 32 + ">"
    return pdf([LETTER], f"7 0 obj\n<</Filter/Standard/V 1/R 2/O{key}/U{key}/P -4>>\nendobj\n",
               "/Encrypt 7 0 R/ID[<00112233445566778899aabbccddeeff><00112233445566778899aabbccddeeff>]")


def inside_dicom():
    return bytes(128) + b"DICM" + bytes(200)


@pytest.mark.parametrize("make", [tarred, odt, slides, inside_dicom, letter])
def test_what_a_document_holds_is_found(tmp_path, make):
    assert detect(tmp_path, "document", make())[0]["class"] == "phi"


CASES = {
    "an archive in an archive": (lambda: zipped({"inner.zip": zipped({"a.txt": NOTE})}), {"depth"}),
    "too many files": (lambda: zipped({f"{n}.txt": "x" for n in range(2002)}), {"limit"}),
    "a long PDF": (lambda: b"%PDF-1.4\n" + bytes(9 << 20), {"limit"}),
    "a workbook with a DTD": (lambda: zipped({"xl/worksheets/sheet1.xml": "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]>"
                                              "<worksheet/>"}), {"malformed"}),
    "a workbook that is too large": (lambda: zipped({"xl/worksheets/sheet1.xml": "<worksheet>" + "<row><c><v>1</v></c></row>" *
                                                     800_000 + "</worksheet>"}), {"limit"}),
    "Word with a password": (lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(8200) + "EncryptedPackage".encode("utf-16-le"),
                             {"encrypted"}),
    "old Word": (lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(8200) + "WordDocument".encode("utf-16-le"), {"type"}),
    "a photograph": (lambda: b"\0\0\0\x18ftypheic" + bytes(500), {"image"}),
    "a scanned chart": (scan, {"image"}),
    "a PDF with a password": (locked, {"encrypted"}),
    "a fingerprint": (lambda: b"\xff\xa0\xff\xa4" + bytes(500), {"type"}),
    "fingerprints of a police record": (lambda: b"1.001:0000000201\x1d1.002:0400\x1c" + bytes(500), {"type"}),
    "a fax": (lambda: b"II*\0" + bytes(500), {"type"}),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_not_read_is_told(tmp_path, name):
    make, why = CASES[name]
    answer, _ = detect(tmp_path, "file", make())
    assert {g["why"] for g in answer["not_scanned"]} == why


@pytest.mark.parametrize("words, phi", [("Here is the photo of the patient's wound, MRN 4482910.", True),
                                        ("See the photo of the car park.", False)])
def test_a_photograph_of_a_patient_is_told_by_its_words(tmp_path, words, phi):
    message = email.message.EmailMessage()
    message.set_content(words + "\n")
    message.add_attachment(b"\xff\xd8\xff\xe0" + bytes(300), maintype="image", subtype="jpeg", filename="IMG_0042.jpg")
    (tmp_path / "mail.eml").write_bytes(message.as_bytes())
    done = subprocess.run([SALLYPORT, "detect", "--json", tmp_path / "mail.eml"], capture_output=True, check=False)
    answer = json.loads(done.stdout)
    assert answer["phi"] is phi and "PHOTO" in [f["type"] for f in answer["findings"]]
    assert [g["why"] for g in answer["not_scanned"]] == ["image"]


@pytest.mark.parametrize("make, floor", [(scan, "sealed"), (letter, "tls:encrypted"),
                                         (lambda: b"\x89PNG\r\n" + bytes(90), "sealed")])
def test_a_rule_may_ask_for_pictures(tmp_path, make, floor):
    """What a scanner mails as PDF is a picture to rules, a letter as PDF is none."""
    message = email.message.EmailMessage()
    message["Subject"], message["From"], message["To"] = "As agreed", "scanner@hospital.example", "pat@example.net"
    message.set_content("See the attachment.\n")
    data = make() if make != letter else pdf(["BT /F1 12 Tf 72 600 Td (The car park is closed on Monday.) Tj ET"])
    message.add_attachment(data, maintype="application", subtype="octet-stream", filename="a.bin")
    (tmp_path / "mail.eml").write_bytes(message.as_bytes())
    (tmp_path / "policy.json").write_text(json.dumps({"version": 1, "extends": "hipaa-default", "rules": [
        {"rule": "pictures", "when": {"attachment.type": {"like": "image/*"}}, "then": {"protect": "sealed"}}]}))
    done = subprocess.run([SALLYPORT, "explain", "--policy", tmp_path / "policy.json", "--message", tmp_path / "mail.eml",
                           "--from", "scanner@hospital.example", "--to", "pat@example.net"],
                          capture_output=True, text=True, check=True)
    assert f"  floor {floor}\n" in done.stdout, done.stdout


def test_a_bomb_ends_at_its_ratio(tmp_path):
    """Kilobytes that unpack to many megabytes: in bounded memory no more is read than an honest file has, and that is told."""
    note = f"{NOTE}. " + " " * (24 << 20)
    for name, data, why in (("bomb.zip", zipped({"a.txt": note}), {"limit"}),
                            ("bomb.gz", gzip.compress(note.encode(), 9), {"limit"}),
                            ("dense.zip", zipped({"a.txt": note[:7 << 20]}), set())):
        (tmp_path / name).write_bytes(data)
        assert len(data) < 100_000
        with subprocess.Popen([SALLYPORT, "detect", "--json", tmp_path / name], stdout=subprocess.PIPE) as process:
            answer = json.loads(process.stdout.read())
            _, _, used = os.wait4(process.pid, 0)
        assert used.ru_maxrss < 600 << 10, used  # KiB; most of it the sanitizers'
        assert {g["why"] for g in answer.get("not_scanned", [])} == why and answer["class"] == "phi", name
