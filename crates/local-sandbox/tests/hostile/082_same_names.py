# Names that are one on a system that does not look at case, or at how an accent is written.
# expect: files 4
# off: guard collect
# off-expect: copied -a.PNG
for name in ("-A.png", "-a.png", "-a.PNG", "-a-2.png"):
    open(name, "w").close()
reply("done")
