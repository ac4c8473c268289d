"""Identical misses share one upstream call, streams included."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import harness
import sse
from streams import Stream, run

QUESTION = "Please explain the rules of chess to everybody at once."


async def in_thread(function, *arguments, **options):
    return await asyncio.get_running_loop().run_in_executor(None, lambda: function(*arguments, **options))


def test_hundred_streams_first_caller_leaves(server, standin, key):
    """1 upstream call, 99 complete answers, although the caller who began it left half-way."""
    standin.rule(QUESTION, gate="half", gate_events=4)

    async def program():
        first = await Stream.open(server, QUESTION, key)
        await first.first_event()
        others = [await Stream.open(server, QUESTION, key) for _ in range(99)]
        await asyncio.gather(*[stream.first_event() for stream in others])
        assert not any(stream.complete for stream in others)
        first.leave()
        await asyncio.sleep(0.2)  # let the server see it leave before the answer goes on
        await in_thread(standin.open, "half")
        return others, await asyncio.gather(*[stream.rest() for stream in others])

    others, answers = run(program())
    assert all(stream.status == 200 for stream in others)
    whole = [sse.without_identity(sse.reassemble(events)) for events in answers]
    assert len(whole) == 99
    assert all(events[-1] == "[DONE]" for events in answers)
    assert all(answer == whole[0] for answer in whole)
    assert whole[0]["choices"][0]["message"]["content"] == f"answer #1 to: {QUESTION}"
    assert whole[0]["choices"][0]["finish_reason"] == "stop"
    assert standin.calls() == 1
    after = server.chat(QUESTION, key=key)
    assert after.headers["x-cache"] == "HIT"
    assert standin.calls() == 1


def test_hundred_json_callers(server, standin, key):
    standin.rule("all at once in JSON", gate="json")
    with ThreadPoolExecutor(100) as pool:
        answers = [pool.submit(harness.requests.post, server.url + "/v1/chat/completions", timeout=30, json={
            "model": "stand-in-1", "messages": [{"role": "user", "content": "Tell it all at once in JSON"}]},
            headers={"Authorization": f"Bearer {key}"}) for _ in range(100)]
        harness.wait_until(lambda: standin.calls() == 1, 10, "the upstream call")
        harness.wait_until(lambda: sum(answer.running() for answer in answers) == 100, 10, "100 callers")
        standin.open("json")
        answers = [answer.result() for answer in answers]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["choices"][0]["message"]["content"] for answer in answers}) == 1
    assert standin.calls() == 1


def test_streams_and_json_at_once_are_both_whole(server, standin, key):
    standin.rule("both forms", gate="both", gate_events=3)

    async def program():
        stream = await Stream.open(server, "Tell me in both forms", key)
        await stream.first_event()
        whole = asyncio.create_task(in_thread(server.chat, "Tell me in both forms", key=key))
        await asyncio.sleep(0.3)
        await in_thread(standin.open, "both")
        return await stream.rest(), await whole

    events, whole = run(program())
    assert whole.status_code == 200
    assert "Tell me in both forms" in sse.reassemble(events)["choices"][0]["message"]["content"]
    assert "Tell me in both forms" in whole.json()["choices"][0]["message"]["content"]
    assert standin.calls() <= 2  # a flight has one form: a stream's pieces are of no use to a JSON caller


def test_last_waiter_leaving_cancels(server, standin, key):
    standin.rule("nobody waits for", gate="nobody", gate_events=2)

    async def program():
        streams = [await Stream.open(server, "An answer nobody waits for", key) for _ in range(3)]
        for stream in streams:
            await stream.first_event()
        for stream in streams[:2]:
            stream.leave()
        await asyncio.sleep(0.3)
        assert standin.requests()[-1]["state"] == "answering"
        streams[2].leave()

    run(program())
    harness.wait_until(lambda: standin.requests()[-1]["state"] == "cancelled", 10, "upstream cancellation")
    assert standin.calls() == 1
    standin.open("nobody")
    assert server.chat("An answer nobody waits for", key=key).headers["x-cache"] == "MISS"


def test_finish_for_learning_when_set(start_server, standin, key):
    server = start_server({"EGPTC_CACHE__SINGLE_FLIGHT_FINISH": "true"})
    standin.rule("learned all the same", gate="learn", gate_events=2)

    async def program():
        stream = await Stream.open(server, "An answer learned all the same", key)
        await stream.first_event()
        stream.leave()

    run(program())
    standin.open("learn")
    harness.wait_until(lambda: standin.requests()[-1]["state"] == "complete", 10, "the finished call")
    harness.wait_until(lambda: server.chat("An answer learned all the same", key=key,
                                           headers={"X-Cache-Control": "only-if-cached"}).status_code == 200,
                       5, "the learned entry")
    assert standin.calls() == 1


def test_followers_retry_once_when_the_leader_fails(server, standin, key):
    standin.rule("goes wrong first", status=500, delay=1, times=1)
    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(harness.requests.post, server.url + "/v1/chat/completions", timeout=30, json={
            "model": "stand-in-1", "messages": [{"role": "user", "content": "What goes wrong first?"}]},
            headers={"Authorization": f"Bearer {key}"}) for _ in range(6)]
        statuses = sorted(answer.result().status_code for answer in answers)
    assert statuses == [200] * 5 + [500]
    assert standin.calls() == 2


def test_different_tenants_do_not_share_a_flight(server, standin):
    standin.rule("one each", gate="tenants", gate_events=2)

    async def program():
        streams = [await Stream.open(server, "One each, please", harness.fresh_key()) for _ in range(3)]
        await asyncio.gather(*[stream.first_event() for stream in streams])
        await in_thread(standin.open, "tenants")
        return await asyncio.gather(*[stream.rest() for stream in streams])

    answers = run(program())
    assert len({sse.reassemble(a)["choices"][0]["message"]["content"] for a in answers}) == 3
    assert standin.calls() == 3
