# A mapped file in the folder for temporary files, larger than the folder.
# expect: signal 7
# landlock: worked
# limits: scratch=8
# off: limits scratch=64
import mmap

with open("/tmp/memory", "w+b") as file:
    file.truncate(24 << 20)
    memory = mmap.mmap(file.fileno(), 24 << 20)
for place in range(0, 24 << 20, 4096):
    memory[place] = 1
reply("worked")
