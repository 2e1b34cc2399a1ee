"""LiteLLM: a thousand callers for ten dollars, and how long a reservation and its end take in memory.

Two of its budgets are here: `BudgetManager`, which a program checks and updates itself, and the reservation that its
proxy makes before each call, as it is without Redis and without a database, which is the fastest it can be.
"""

import asyncio
import os
import resource
import tempfile
import time

# Prices of its own package, not fetched.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
# `BudgetManager` writes a file beside it.
os.chdir(tempfile.mkdtemp(dir=os.environ["METERBOX_BENCH_FOLDER"]))

import litellm  # noqa: E402
from litellm.proxy import proxy_server  # noqa: E402
from litellm.proxy._types import UserAPIKeyAuth  # noqa: E402
from litellm.proxy.spend_tracking.budget_reservation import (  # noqa: E402
    reconcile_budget_reservation,
    reserve_budget_for_request,
)

CALLERS, WORK, LIMIT, TOKENS, PAIRS = 1000, 0.005, 10.0, 1000, 2000
litellm.register_model(
    {
        "bench": {
            "litellm_provider": "openai",
            "mode": "chat",
            "max_output_tokens": TOKENS,
            "input_cost_per_token": 0.0,
            "output_cost_per_token": 1.0 / TOKENS,
        }
    }
)


async def managed():
    """Check, work, record: as the documentation of `BudgetManager` has it."""
    manager, admitted = litellm.BudgetManager(project_name="bench"), 0
    manager._save_data_thread = lambda: None
    manager.create_budget(total_budget=LIMIT, user="ana")
    answer = litellm.ModelResponse(model="bench", usage={"prompt_tokens": 0, "completion_tokens": TOKENS})

    async def caller():
        nonlocal admitted
        if manager.get_current_cost("ana") + 1.0 > manager.get_total_budget("ana"):
            return
        admitted += 1
        await asyncio.sleep(WORK)
        manager.update_cost("ana", completion_obj=answer)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return admitted, manager.get_current_cost("ana")


async def reserve(key, limit, tokens):
    return await reserve_budget_for_request(
        request_body={"model": "bench", "messages": [{"role": "user", "content": "x"}], "max_tokens": tokens},
        route="/chat/completions",
        llm_router=None,
        valid_token=UserAPIKeyAuth(token=key, max_budget=limit, spend=0.0),
        team_object=None,
        user_object=None,
        prisma_client=None,
        user_api_key_cache=proxy_server.user_api_key_cache,
        proxy_logging_obj=proxy_server.proxy_logging_obj,
    )


async def reserved():
    admitted, spent = 0, 0.0

    async def caller():
        nonlocal admitted, spent
        try:
            held = await reserve("race", LIMIT, TOKENS)
        except litellm.BudgetExceededError:
            return
        admitted += 1
        await asyncio.sleep(WORK)
        spent += 1.0
        await reconcile_budget_reservation(held, actual_cost=1.0)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return admitted, spent


async def nanoseconds(keys, pairs):
    started = time.perf_counter_ns()
    for index in range(pairs):
        held = await reserve(f"key-{keys}-{index * 7919 % keys}", 1e9, 1)
        assert held is not None
        await reconcile_budget_reservation(held, actual_cost=0.001)
    return (time.perf_counter_ns() - started) // pairs


async def main():
    for name, race in [("check then record", managed), ("reserve and settle", reserved)]:
        admitted, spent = await race()
        print(f"  LiteLLM, {name:<19} {admitted:>9} of {CALLERS} admitted, {spent / LIMIT:.0f} times the limit spent")
    for keys in [1, 1_000, 100_000]:
        pair = await nanoseconds(keys, PAIRS)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"  LiteLLM, one caller, {keys:>7} keys {pair:>9} ns a pair, {memory} MB resident")


asyncio.run(main())
