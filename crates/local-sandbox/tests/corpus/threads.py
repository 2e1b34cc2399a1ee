# answer: [[0, 1, 4, 9, 16, 25, 36, 49], 8, "done"]
import queue
import threading
from concurrent.futures import ThreadPoolExecutor

with ThreadPoolExecutor(4) as pool:
    squares = list(pool.map(lambda n: n * n, range(8)))
lines, lock = queue.Queue(), threading.Lock()

def work(n):
    with lock:
        lines.put(n)

workers = [threading.Thread(target=work, args=(n,)) for n in range(8)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join(timeout=10)
event = threading.Event()
threading.Timer(0.01, event.set).start()
reply([squares, lines.qsize(), "done" if event.wait(10) else "late"])
