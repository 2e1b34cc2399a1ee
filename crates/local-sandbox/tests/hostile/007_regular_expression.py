# A regular expression that tries every way to divide a text.
# expect: wall
# limits: wall=0.3
# off: limits wall=60 cpu=60
import re

re.match(r"(a+)+$", "a" * 27 + "b")
reply("worked")
