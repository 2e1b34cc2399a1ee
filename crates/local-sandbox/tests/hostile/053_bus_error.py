# Reads a mapped file past its end.
# expect: signal 7
# off: none, only the program itself is hurt
import mmap

with open("file", "w+b") as file:
    file.truncate(8192)
    memory = mmap.mmap(file.fileno(), 8192)
    file.truncate(0)
print(memory[4096])
reply("worked")
