# answer: [true, true]
import threading
import time


def counts():
    """Asks the C library for this thread's clock, which it makes of the id that it keeps of the thread."""
    clock = time.pthread_getcpuclockid(threading.get_ident())
    return time.clock_gettime(clock) > 0


found = [counts()]
thread = threading.Thread(target=lambda: found.append(counts()))
thread.start()
thread.join()
reply(found)
