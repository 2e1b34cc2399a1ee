# Links and folders where files are collected.
# expect: dropped 8
# off: guard collect
# off-expect: stolen
import os

os.symlink(parameters["canary"], "canary")
os.symlink("/proc/self/fd/3", "descriptor")
os.symlink("/data/orders.csv", "dataset")
os.symlink("/", "root")
os.symlink("..", "up")
os.mkdir("folder")
open("folder/inside", "w").close()
open("one", "w").close()
os.link("one", "two")
reply("done")
