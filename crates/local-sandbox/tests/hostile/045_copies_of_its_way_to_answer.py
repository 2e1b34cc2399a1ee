# Copies the descriptor of its answer and keeps the copies open: the end of the process is the end of the answer.
# expect: reply once
# off: none, nobody waits for a pipe to close
import os

copies = [os.dup(3) for _ in range(10)]
reply("once")
