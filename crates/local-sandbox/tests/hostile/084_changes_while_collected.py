# A file that grows, and one that changes places with a link, until the very end.
# expect: files 2 | dropped 2 | files 1 | files 0
# off: none, nothing is collected before the program is dead
import os, threading

def grow():
    with open("growing", "wb", buffering=0) as file:
        for _ in range(200):
            file.write(bytes(4096))

def swap():
    while True:
        try:
            open("new", "w").close()
            os.rename("new", "swapped")
            os.symlink(parameters["canary"], "new")
            os.rename("new", "swapped")
        except OSError:
            pass

for work in (grow, swap):
    threading.Thread(target=work, daemon=True).start()
reply("done")
