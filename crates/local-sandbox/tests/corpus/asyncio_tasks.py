# answer: {"gathered": [0, 1, 4, 9], "slow": "gave up", "threads": [2, 3], "queue": 10, "group": 6, "order": ["short", "long"], "again": 7, "cancelled": true, "called": ["from a thread", "later"]}
import asyncio
import threading
import time


async def square(x):
    await asyncio.sleep(0.01)
    return x * x


async def too_slow():
    try:
        return await asyncio.wait_for(asyncio.sleep(30), 0.05)
    except asyncio.TimeoutError:
        return "gave up"


async def through_a_queue():
    queue, total = asyncio.Queue(maxsize=1), 0

    async def produce():
        for number in range(5):
            await queue.put(number)
        await queue.put(None)

    task = asyncio.create_task(produce())
    while (number := await queue.get()) is not None:
        total += number
    await task
    return total


async def group():
    async with asyncio.TaskGroup() as tasks:
        made = [tasks.create_task(square(x)) for x in (1, 1, 2)]
    return sum(task.result() for task in made)


async def in_order():
    async def after(seconds, name):
        await asyncio.sleep(seconds)
        return name

    return [await one for one in asyncio.as_completed([after(0.2, "long"), after(0.01, "short")])]


async def cancelled():
    task = asyncio.create_task(asyncio.sleep(30))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return task.cancelled()


async def called():
    loop, heard, done = asyncio.get_running_loop(), [], asyncio.Event()

    def wake():
        time.sleep(0.05)
        loop.call_soon_threadsafe(heard.append, "from a thread")
        loop.call_soon_threadsafe(loop.call_later, 0.01, lambda: (heard.append("later"), done.set()))

    threading.Thread(target=wake).start()
    async with asyncio.timeout(10):
        await done.wait()
    return heard


async def main():
    return {
        "gathered": list(await asyncio.gather(*map(square, range(4)))),
        "slow": await too_slow(),
        "threads": list(await asyncio.gather(*(asyncio.to_thread(lambda x=x: x + 1) for x in (1, 2)))),
        "queue": await through_a_queue(),
        "group": await group(),
        "order": await in_order(),
        "cancelled": await cancelled(),
        "called": await called(),
    }


found = asyncio.run(main())
# A second loop, and one made by hand.
found["again"] = asyncio.run(square(2))
loop = asyncio.new_event_loop()
found["again"] += loop.run_until_complete(asyncio.sleep(0.01, 3))
loop.close()
reply(found)
