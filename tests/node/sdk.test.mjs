// The real openai Node SDK, changed in nothing but the base URL. launch.py starts what it talks to.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";

import OpenAI from "openai";

const server = process.env.EGPTC_URL;
const standin = process.env.STANDIN_URL;
const model = "stand-in-1";

// A credential nobody else has is a tenant of its own.
function freshClient(options = {}) {
  return new OpenAI({ baseURL: `${server}/v1`, apiKey: `sk-${randomUUID()}`, maxRetries: 0, ...options });
}

async function calls() {
  return (await (await fetch(`${standin}/calls`)).json()).calls;
}

async function rule(match, settings) {
  const body = JSON.stringify({ match, ...settings });
  const response = await fetch(`${standin}/control/rules`, { method: "POST", body });
  assert.equal(response.status, 200);
}

async function ask(client, content, more = {}) {
  const request = { model, messages: [{ role: "user", content }], ...more };
  const { data, response } = await client.chat.completions.create(request).withResponse();
  return { data, headers: response.headers };
}

async function streamText(client, content) {
  let text = "";
  const request = { model, messages: [{ role: "user", content }], stream: true };
  for await (const chunk of await client.chat.completions.create(request)) {
    text += chunk.choices[0]?.delta?.content ?? "";
  }
  return text;
}

test("miss, exact hit, semantic hit, refused near miss", async () => {
  const client = freshClient();
  const before = await calls();
  const first = await ask(client, "Why is the sky blue?");
  assert.equal(first.headers.get("x-cache"), "MISS");
  const again = await ask(client, "Why is the sky blue?");
  assert.equal(again.headers.get("x-cache"), "HIT");
  assert.equal(again.headers.get("x-cache-layer"), "exact");
  assert.deepEqual(again.data.choices, first.data.choices);
  const other = await ask(client, "Why does the sky look blue?");
  assert.equal(other.headers.get("x-cache"), "HIT");
  assert.equal(other.headers.get("x-cache-layer"), "semantic");
  const near = await ask(client, "Why is the sky red?");
  assert.equal(near.headers.get("x-cache"), "MISS");
  assert.equal(await calls(), before + 2);
});

test("a stream is learned and served as JSON and as a stream", async () => {
  const client = freshClient();
  const text = await streamText(client, "How does a piano work?");
  assert.match(text, /piano/);
  const whole = await ask(client, "How does a piano work?");
  assert.equal(whole.headers.get("x-cache"), "HIT");
  assert.equal(whole.data.choices[0].message.content, text);
  assert.equal(await streamText(client, "How does a piano work?"), text);
});

test("the SDK's stream helper reassembles a replay", async () => {
  const client = freshClient();
  const question = { model, messages: [{ role: "user", content: "How does a compass work?" }] };
  const whole = await client.chat.completions.create(question);
  const runner = client.chat.completions.stream(question);
  const replayed = await runner.finalChatCompletion();
  assert.equal(replayed.choices[0].message.content, whole.choices[0].message.content);
  assert.equal(replayed.choices[0].finish_reason, "stop");
});

test("parallel tool calls", async () => {
  const client = freshClient();
  await rule("trains to Graz", { tools: 2 });
  const tools = [{ type: "function", function: { name: "look_up_0", parameters: { type: "object" } } }];
  const first = await ask(client, "Which trains to Graz are late?", { tools });
  const again = await ask(client, "Which trains to Graz are late?", { tools });
  assert.equal(again.headers.get("x-cache"), "HIT");
  assert.equal(again.data.choices[0].finish_reason, "tool_calls");
  assert.deepEqual(again.data.choices[0].message.tool_calls, first.data.choices[0].message.tool_calls);
  const runner = client.chat.completions.stream({
    model, tools, messages: [{ role: "user", content: "Which trains to Graz are late?" }],
  });
  const replayed = await runner.finalChatCompletion();
  assert.equal(replayed.choices[0].message.tool_calls.length, 2);
  assert.equal(
    replayed.choices[0].message.tool_calls[1].function.arguments,
    first.data.choices[0].message.tool_calls[1].function.arguments,
  );
});

test("provider errors keep their class", async () => {
  const client = freshClient();
  await rule("slow down, Node", { status: 429, retry_after: 60 });
  await rule("break, Node", { status: 500 });
  await assert.rejects(ask(client, "slow down, Node"), OpenAI.RateLimitError);
  await assert.rejects(ask(client, "break, Node"), OpenAI.InternalServerError);
});

test("our own errors are in the provider's form", async () => {
  const client = freshClient();
  await assert.rejects(ask(client, "x", { temperature: "hot" }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.match(error.message, /temperature/);
    return true;
  });
});

test("an aborted call is an abort", async () => {
  const client = freshClient();
  await rule("wait for ever", { gate: "node" });
  const controller = new AbortController();
  const request = { model, messages: [{ role: "user", content: "wait for ever" }] };
  const pending = client.chat.completions.create(request, { signal: controller.signal });
  setTimeout(() => controller.abort(), 100);
  await assert.rejects(pending, OpenAI.APIUserAbortError);
});

test("models and local embeddings", async () => {
  const client = freshClient();
  const names = [];
  for await (const one of client.models.list()) names.push(one.id);
  assert.ok(names.includes(model));
  const answer = await client.embeddings.create({ model: "all-MiniLM-L6-v2", input: ["one", "two"] });
  assert.equal(answer.data.length, 2);
  assert.equal(answer.data[0].embedding.length, 384);
});

test("completions", async () => {
  const client = freshClient();
  const request = { model, prompt: "Once upon a time in Node" };
  const first = await client.completions.create(request);
  const { data, response } = await client.completions.create(request).withResponse();
  assert.equal(response.headers.get("x-cache"), "HIT");
  assert.equal(data.choices[0].text, first.choices[0].text);
});
