"""floe-guard: a thousand callers for ten dollars, and how long a hold and its end take in memory and in SQLite."""

import os
import tempfile
import threading
import time

from floe_guard import BudgetExceeded, BudgetGuard, SqliteStore

CALLERS, WORK = 1000, 0.005


def quiet(*_):
    pass


def admitted(call):
    done, start = [], threading.Barrier(CALLERS)

    def caller():
        start.wait()
        try:
            call()
        except BudgetExceeded:
            return
        done.append(1)

    threads = [threading.Thread(target=caller) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(done)


def pair(guard, cost, work=0.0):
    held = guard.reserve_tool(cost)
    if work:
        time.sleep(work)
    guard.settle_tool("call", cost, reserved=held)


def nanoseconds(guard, count):
    started = time.perf_counter_ns()
    for _ in range(count):
        pair(guard, 1e-6)
    return (time.perf_counter_ns() - started) // count


guard = BudgetGuard(limit_usd=10.0, on_block=quiet)


def check_then_record():
    guard.check()
    time.sleep(WORK)
    guard.record_tool("call", 1.0)


print(f"  floe-guard, check then record   {admitted(check_then_record):>5} of {CALLERS} admitted")
guard = BudgetGuard(limit_usd=10.0, on_block=quiet)
print(f"  floe-guard, reserve and settle  {admitted(lambda: pair(guard, 1.0, WORK)):>5} of {CALLERS} admitted")
guard = BudgetGuard(limit_usd=1e6, on_block=quiet, max_log_events=1000)
print(f"  floe-guard, one caller in memory {nanoseconds(guard, 50_000):>9} ns a pair")
with tempfile.TemporaryDirectory(dir=os.environ["METERBOX_BENCH_FOLDER"]) as folder:
    store = SqliteStore(os.path.join(folder, "guard.sqlite3"))
    guard = BudgetGuard(limit_usd=1e6, on_block=quiet, window="utc-day", store=store, max_log_events=1000)
    print(f"  floe-guard, one caller in SQLite {nanoseconds(guard, 500):>9} ns a pair")
