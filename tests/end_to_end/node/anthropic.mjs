// The official @anthropic-ai/sdk: `node anthropic.mjs ROOT`.

import Anthropic from "@anthropic-ai/sdk";
import { STATUSES, run, thrown, wish } from "./run.mjs";

const baseURL = process.argv[2];
const client = new Anthropic({ baseURL, apiKey: "sk-ant-test", maxRetries: 0 });
const model = "claude-test";
const max_tokens = 100;
const ask = (content) => [{ role: "user", content }];
const tools = [
  {
    name: "get_weather",
    description: "The weather in a city",
    input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
];
const all = async (stream) => {
  const found = [];
  for await (const each of stream) found.push(each);
  return found;
};

await run({
  plain: () => client.messages.create({ model, max_tokens, messages: ask("Tell me about weirs."), system: "Be brief." }),
  stream: async () => all(await client.messages.create({ model, max_tokens, messages: ask("Tell me."), stream: true })),
  parallel_tools: () => client.messages.create({ model, max_tokens, tools, messages: ask(wish("tools=2") + "call the tool for Paris and Rome") }),
  streamed_tools: () =>
    client.messages.stream({ model, max_tokens, tools, messages: ask(wish("tools=2") + "call the tool for Paris and Rome") }).finalMessage(),
  tool_result: async () => {
    const messages = ask("call the tool for Paris");
    const first = await client.messages.create({ model, max_tokens, tools, messages });
    const results = first.content
      .filter((block) => block.type === "tool_use")
      .map((block) => ({ type: "tool_result", tool_use_id: block.id, content: "21 degrees" }));
    messages.push({ role: "assistant", content: first.content }, { role: "user", content: results });
    return client.messages.create({ model, max_tokens, tools, messages });
  },
  thinking: () =>
    client.messages
      .stream({ model, max_tokens: 2000, messages: ask("Tell me."), thinking: { type: "enabled", budget_tokens: 1024 } })
      .finalMessage(),
  vision: () =>
    client.messages.create({
      model,
      max_tokens,
      messages: ask([
        { type: "image", source: { type: "base64", media_type: "image/png", data: "iVBORw0KGgo=" } },
        { type: "text", text: "What is it?" },
      ]),
    }),
  count_tokens: () => client.messages.countTokens({ model, messages: ask("Tell me.") }),
  models: async () => (await all(await client.models.list())).map((each) => each.id),
  raw: async () => {
    const { data, response } = await client.messages
      .create({ model, max_tokens, messages: ask("Tell me.") })
      .withResponse();
    const kept = ["anthropic-ratelimit-requests-remaining", "anthropic-organization-id", "content-type"];
    return [data, kept.map((name) => response.headers.get(name)), response.status];
  },
  errors: async () => {
    const found = {};
    for (const status of [...STATUSES, 529]) {
      const messages = ask(wish(`status=${status} retry_after=2`));
      for (const stream of [false, true]) {
        found[`${status} ${stream}`] = await thrown(() => client.messages.create({ model, max_tokens, messages, stream }));
      }
    }
    return found;
  },
  error_in_stream: () =>
    thrown(async () => all(await client.messages.create({ model, max_tokens, messages: ask(wish("error=5")), stream: true }))),
  retried: async () => {
    const patient = new Anthropic({ baseURL, apiKey: "sk-ant-test", maxRetries: 1 });
    const messages = ask(wish("status=529 times=1 retry_after=0.01"));
    return (await patient.messages.create({ model, max_tokens, messages })).content;
  },
  aborted: async () => {
    const messages = ask(wish("chunks=1000 size=10000 interval=0.01"));
    const stream = await client.messages.create({ model, max_tokens: 9000, messages, stream: true });
    let seen = 0;
    for await (const _ of stream) {
      seen += 1;
      if (seen === 5) stream.controller.abort();
    }
    return seen;
  },
});
