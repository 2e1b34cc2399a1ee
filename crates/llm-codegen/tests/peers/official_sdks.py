"""The unmodified official SDKs against a server that claims to be Azure, OpenAI and Anthropic: what they make of each
reply must hold. What the server does first is ordered by the test that runs this."""

import os
import sys

import anthropic
import openai
from openai import AzureOpenAI, OpenAI

ADDRESS, KEY = os.environ["MODELS_ADDRESS"], os.environ["MODELS_KEY"]
ASK = [{"role": "user", "content": "Say it."}]
SCHEMA = {
    "type": "object",
    "properties": {"code": {"type": "string"}},
    "required": ["code"],
    "additionalProperties": False,
}


def raises(kind, call):
    try:
        call()
    except kind as error:
        return error
    sys.exit(f"{kind.__name__} was expected")


# Azure, with the deployment in the path. The first two attempts meet 429 and 503, and the SDK tries again.
azure = AzureOpenAI(azure_endpoint=ADDRESS, api_key=KEY, api_version="2024-10-21")
ask_azure = azure.chat.completions.create
done = ask_azure(model="analyst", messages=ASK, max_completion_tokens=50)
choice = done.choices[0]
assert (choice.message.content, choice.finish_reason) == ("third time", "stop"), done
assert done.model == "gpt-4.1-mini-2025-04-14", done
# Then the quota is gone, which is not worth another attempt.
once = azure.with_options(max_retries=0).chat.completions.create
gone = raises(openai.RateLimitError, lambda: once(model="analyst", messages=ASK))
assert gone.code == "insufficient_quota", gone

# From here on it answers by itself: 100 input tokens, 60 of them cached; 20 output tokens, 5 of them reasoning.
used = ask_azure(model="analyst", messages=ASK).usage
assert (used.prompt_tokens, used.completion_tokens, used.total_tokens) == (100, 20, 120), used
assert used.prompt_tokens_details.cached_tokens == 60, used
assert used.completion_tokens_details.reasoning_tokens == 5, used
missing = raises(openai.NotFoundError, lambda: ask_azure(model="nobody", messages=ASK))
assert missing.code == "DeploymentNotFound", missing
stopped = raises(
    openai.BadRequestError,
    lambda: ask_azure(model="analyst", messages=[{"role": "user", "content": "forbidden"}]),
)
assert stopped.code == "content_filter" and stopped.body["innererror"]["code"] == "ResponsibleAIPolicyViolation"
wrong = AzureOpenAI(azure_endpoint=ADDRESS, api_key="wrong", api_version="2024-10-21")
raises(openai.AuthenticationError, lambda: wrong.chat.completions.create(model="analyst", messages=ASK))
entra = AzureOpenAI(azure_endpoint=ADDRESS, azure_ad_token_provider=lambda: "entra-token", api_version="2024-10-21")
assert entra.chat.completions.create(model="analyst", messages=ASK).choices[0].message.content == "said"

# Azure by its v1 paths, and OpenAI: one client, two addresses.
for base in (f"{ADDRESS}/openai/v1", f"{ADDRESS}/v1"):
    client = OpenAI(base_url=base, api_key=KEY)
    ask = client.chat.completions.create
    cut = ask(model="gpt-5-mini", messages=ASK, max_completion_tokens=3).choices[0]
    assert cut.finish_reason == "length", cut
    format = {"type": "json_schema", "json_schema": {"name": "program", "strict": True, "schema": SCHEMA}}
    assert ask(model="gpt-5-mini", messages=ASK, response_format=format).choices[0].message.content == "said"
    loose = {"type": "json_schema", "json_schema": {"name": "program", "strict": True, "schema": {
        **SCHEMA, "additionalProperties": True}}}
    raises(openai.BadRequestError, lambda: ask(model="gpt-5-mini", messages=ASK, response_format=loose))
    refused = raises(openai.BadRequestError, lambda: ask(model="gpt-5-mini", messages=ASK, max_tokens=3))
    assert (refused.code, refused.param) == ("unsupported_parameter", "max_tokens"), refused
    raises(openai.BadRequestError, lambda: ask(model="gpt-5-mini", messages=ASK, temperature=0.2))

    done = client.responses.create(model="gpt-5-mini", input="Say it.", max_output_tokens=50, store=False)
    assert (done.output_text, done.status) == ("said", "completed"), done
    assert [item.type for item in done.output] == ["reasoning", "message"], done
    used = done.usage
    assert (used.input_tokens, used.output_tokens, used.total_tokens) == (100, 20, 120), used
    assert used.input_tokens_details.cached_tokens == 60, used
    assert used.output_tokens_details.reasoning_tokens == 5, used
    cut = client.responses.create(model="gpt-5-mini", input="Say it.", max_output_tokens=3)
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens"), cut
    wrong = OpenAI(base_url=base, api_key="wrong")
    raises(openai.AuthenticationError, lambda: wrong.responses.create(model="gpt-5-mini", input="Say it."))

# Anthropic.
claude = anthropic.Anthropic(base_url=ADDRESS, api_key=KEY)
ask = claude.messages.create
done = ask(model="claude-sonnet-4-5", max_tokens=50, system="Be brief.", messages=ASK)
assert (done.content[0].text, done.stop_reason) == ("said", "end_turn"), done
used = done.usage
assert (used.input_tokens, used.cache_read_input_tokens, used.output_tokens) == (40, 60, 20), used
cut = ask(model="claude-sonnet-4-5", max_tokens=3, messages=ASK)
assert cut.stop_reason == "max_tokens", cut
config = {"format": {"type": "json_schema", "schema": SCHEMA}}
assert ask(model="claude-sonnet-4-5", max_tokens=50, messages=ASK, output_config=config).content[0].text == "said"
raises(anthropic.NotFoundError, lambda: ask(model="nobody", max_tokens=50, messages=ASK))
wrong = anthropic.Anthropic(base_url=ADDRESS, api_key="wrong")
raises(
    anthropic.AuthenticationError,
    lambda: wrong.messages.create(model="claude-sonnet-4-5", max_tokens=50, messages=ASK),
)
# Lists of models.
assert "gpt-5-mini" in [model.id for model in OpenAI(base_url=f"{ADDRESS}/v1", api_key=KEY).models.list()]
assert "claude-sonnet-4-5" in [model.id for model in claude.models.list()]
assert "gpt-5-mini-2025-08-07" in [model.id for model in azure.models.list()]
print("all as expected")
