# A spreadsheet of kilobytes whose one cell is a text of 100 MB.
# expect: denied | memory
# limits: memory=64 wall=15
# off: limits memory=1024
import io, zipfile
import openpyxl

book = openpyxl.Workbook()
plain, bomb = io.BytesIO(), io.BytesIO()
book.save(plain)
head = (b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1">'
        b'<c r="A1" t="inlineStr"><is><t>')
tail = b"</t></is></c></row></sheetData></worksheet>"
with zipfile.ZipFile(plain) as old, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new:
    for name in old.namelist():
        if not name.endswith("sheet1.xml"):
            new.writestr(name, old.read(name))
            continue
        with new.open(name, "w") as sheet:
            for part in (head, *[b"x" * (1 << 20)] * 100, tail):
                sheet.write(part)
try:
    openpyxl.load_workbook(bomb)
    verdict = "worked"
except MemoryError:
    verdict = "denied"
reply(verdict)
