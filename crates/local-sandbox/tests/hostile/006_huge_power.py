# One long operation during which Python hears no signal.
# expect: wall
# limits: wall=0.3
# off: limits wall=60 cpu=60
7 ** (3 * 10**6)
7 ** (3 * 10**6 + 1)
reply("worked")
