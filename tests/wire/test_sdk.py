"""Programs written for the openai Python SDK run unchanged but for the base URL: async, tools, errors,
timeouts, models, embeddings."""

import asyncio
import base64
import math
import struct

import openai
import pytest

import harness

TOOL = {"type": "function", "function": {"name": "look_up_0", "description": "Looks things up.",
        "parameters": {"type": "object", "properties": {"question": {"type": "string"}}}}}
QUESTION = [{"role": "user", "content": "What does the SDK see?"}]


def test_async_client(server, standin, key):
    async def program():
        async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0) as client:
            first = await client.chat.completions.create(model="stand-in-1", messages=QUESTION)
            text = ""
            async for chunk in await client.chat.completions.create(
                    model="stand-in-1", messages=QUESTION, stream=True):
                text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            many = await asyncio.gather(*[client.chat.completions.create(
                model="stand-in-1", messages=[{"role": "user", "content": f"Count to {n}, friend."}])
                for n in range(20)])
            return first.choices[0].message.content, text, [m.choices[0].message.content for m in many]

    first, text, many = asyncio.run(program())
    assert first == text
    assert all(f"Count to {n}, friend." in answer for n, answer in enumerate(many))
    assert standin.calls() == 21


def test_tools_round_trip(client, standin):
    standin.rule("weather in Oslo", tools=2)
    ask = [{"role": "user", "content": "What is the weather in Oslo and Bergen?"}]
    standin.rule("Oslo and Bergen", tools=2)
    for _ in range(2):
        answer = client.chat.completions.create(model="stand-in-1", messages=ask, tools=[TOOL])
        calls = answer.choices[0].message.tool_calls
        assert answer.choices[0].finish_reason == "tool_calls"
        assert [call.function.name for call in calls] == ["look_up_0", "look_up_1"]
    assert standin.calls() == 1
    results = [{"role": "tool", "tool_call_id": call.id, "content": "12 degrees"} for call in calls]
    history = [*ask, answer.choices[0].message.model_dump(exclude_none=True), *results]
    raw = client.chat.completions.with_raw_response.create(model="stand-in-1", messages=history, tools=[TOOL])
    assert raw.headers["x-cache"] == "MISS"
    raw = client.chat.completions.with_raw_response.create(model="stand-in-1", messages=history, tools=[TOOL])
    assert (raw.headers["x-cache"], raw.headers["x-cache-layer"]) == ("HIT", "exact")


ERRORS = {400: openai.BadRequestError, 401: openai.AuthenticationError, 403: openai.PermissionDeniedError,
          404: openai.NotFoundError, 422: openai.UnprocessableEntityError, 429: openai.RateLimitError,
          500: openai.InternalServerError, 503: openai.InternalServerError}


@pytest.mark.parametrize("status", ERRORS)
def test_provider_errors_reach_the_caller(client, standin, status):
    standin.rule("Please fail", status=status, message="as the provider said it", retry_after=60)
    with pytest.raises(ERRORS[status]) as caught:
        client.chat.completions.create(
            model="stand-in-1", messages=[{"role": "user", "content": "Please fail"}])
    assert "as the provider said it" in str(caught.value)
    assert caught.value.response.headers["x-request-id"].startswith("req-")
    with pytest.raises(ERRORS[status]):
        list(client.chat.completions.create(model="stand-in-1", stream=True,
                                            messages=[{"role": "user", "content": "Please fail"}]))


def test_retry_after_is_kept(client, standin):
    standin.rule("Slow down", status=429, retry_after=60)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(
            model="stand-in-1", messages=[{"role": "user", "content": "Slow down"}])
    assert caught.value.response.headers["retry-after"] == "60"
    assert caught.value.response.headers["x-ratelimit-limit-requests"] == "500"


def test_sdk_timeout_cancels_upstream(client, standin):
    standin.rule("Think for long", gate="never")
    impatient = client.with_options(timeout=0.3 * harness.SLOWNESS)
    with pytest.raises(openai.APITimeoutError):
        impatient.chat.completions.create(model="stand-in-1",
                                          messages=[{"role": "user", "content": "Think for long"}])
    harness.wait_until(lambda: standin.requests()[-1]["state"] == "cancelled", 10, "upstream cancellation")


def test_sdk_retries_work(server, standin, key):
    standin.rule("Try again", status=500, times=1)
    with openai.OpenAI(base_url=server.url + "/v1", api_key=key, max_retries=2) as client:
        answer = client.chat.completions.create(model="stand-in-1",
                                                messages=[{"role": "user", "content": "Try again"}])
    assert "Try again" in answer.choices[0].message.content


def test_models(client):
    assert "stand-in-1" in [model.id for model in client.models.list()]
    assert client.models.retrieve("stand-in-1").id == "stand-in-1"


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"])
def test_local_embeddings(client, standin, name):
    answer = client.embeddings.create(model=name, input=["A cat sits.", "A feline is sitting.", "Tax law"],
                                      encoding_format="float")
    vectors = [row.embedding for row in answer.data]
    assert [row.index for row in answer.data] == [0, 1, 2] and len(vectors[0]) == 384
    dot = lambda a, b: sum(x * y for x, y in zip(a, b))
    assert math.isclose(dot(vectors[0], vectors[0]), 1, abs_tol=1e-3)
    assert dot(vectors[0], vectors[1]) > 0.6 > 0.3 > dot(vectors[0], vectors[2])
    assert answer.usage.total_tokens > 0
    assert standin.calls() == 0


def test_local_embeddings_base64(server, key):
    body = {"model": "all-MiniLM-L6-v2", "input": "A cat sits."}
    plain = server.post("/v1/embeddings", body, key).json()["data"][0]["embedding"]
    packed = server.post("/v1/embeddings", {**body, "encoding_format": "base64"}, key).json()
    raw = base64.b64decode(packed["data"][0]["embedding"])
    assert [round(x, 5) for x in struct.unpack("<384f", raw)] == [round(x, 5) for x in plain]


def test_other_embeddings_are_cached(client, standin):
    first = client.embeddings.create(model="text-embedding-3-small", input="hello", encoding_format="float")
    second = client.embeddings.create(model="text-embedding-3-small", input="hello", encoding_format="float")
    assert first.data[0].embedding == second.data[0].embedding
    assert standin.calls() == 1


def test_azure_paths_pass_through(server, standin, key):
    path = "/openai/deployments/gpt/chat/completions?api-version=2024-06-01"
    body = {"messages": [{"role": "user", "content": "Hello from Azure"}]}
    response = server.post(path, body, headers={"api-key": key})
    assert response.status_code == 200, response.text
    assert "Hello from Azure" in response.json()["choices"][0]["message"]["content"]
    seen = standin.requests()[-1]
    assert seen["target"].endswith("/deployments/gpt/chat/completions?api-version=2024-06-01")
