# Watches and changes every line that runs after it.
# expect: reply mine | broken-reply | silent 0 | silent 1 | error ValueError | error RuntimeError
# off: none, the program only hurts itself
import sys, threading

def trace(frame, event, argument):
    frame.f_trace_opcodes = True
    return trace

sys.settrace(trace)
sys.setprofile(trace)
threading.settrace(trace)
sys._getframe().f_trace = trace
reply("mine")
