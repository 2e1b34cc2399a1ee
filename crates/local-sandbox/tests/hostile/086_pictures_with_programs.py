# Files that a browser would run: a drawing with a script, a page, a document, and a picture that is a page too.
# expect: files 5
# off: none, what hands files on makes them harmless, and has its own tests
files = {
    "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script><foreignObject><iframe src="http://127.0.0.1"/></foreignObject></svg>',
    "page.html": b"<script>alert(1)</script>",
    "document.pdf": b"%PDF-1.7\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj",
    "both.png": b"\x89PNG\r\n\x1a\n<html><script>alert(1)</script></html>",
    "table.csv": b"=cmd|' /C calc'!A0,@SUM(1)\n",
}
for name, content in files.items():
    with open(name, "wb") as file:
        file.write(content)
reply("done")
