# answer: [["a.txt", "b.txt"], "hello", true, 5, false]
import os
import pathlib
import shutil
import tempfile

folder = pathlib.Path(tempfile.mkdtemp())
(folder / "a.txt").write_text("hello")
shutil.copy2(folder / "a.txt", folder / "b.txt")
with tempfile.NamedTemporaryFile("w+", suffix=".txt") as file:
    file.write("hello")
    file.flush()
    size = os.stat(file.name).st_size
os.makedirs("deep/er", exist_ok=True)
shutil.move(folder / "b.txt", "deep/er/b.txt")
shutil.copytree("deep", "copied")
text = pathlib.Path("copied/er/b.txt").read_text()
names = sorted([p.name for p in folder.iterdir()] + [p.name for p in pathlib.Path("copied").rglob("*.txt")])
usage = shutil.disk_usage(".").total > 0
shutil.rmtree("deep")
os.replace("copied/er/b.txt", "c.txt")
reply([names, text, usage, size, os.path.exists("deep")])
