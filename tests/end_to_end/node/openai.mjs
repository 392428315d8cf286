// The official openai package: `node openai.mjs ROOT`.

import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { STATUSES, run, thrown, wish } from "./run.mjs";

const baseURL = `${process.argv[2]}/v1`;
const client = new OpenAI({ baseURL, apiKey: "sk-test", maxRetries: 0 });
const model = "gpt-4o-mini";
const ask = (content) => [{ role: "user", content }];
const weather = {
  name: "get_weather",
  description: "The weather in a city",
  strict: true,
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false },
};
const tools = [{ type: "function", function: weather }];
const all = async (stream) => {
  const found = [];
  for await (const each of stream) found.push(each);
  return found;
};

await run({
  plain: () => client.chat.completions.create({ model, messages: ask("Tell me about weirs.") }),
  stream: async () => all(await client.chat.completions.create({ model, messages: ask("Tell me."), stream: true })),
  stream_with_usage: async () =>
    all(
      await client.chat.completions.create({
        model, messages: ask("Tell me."), stream: true, stream_options: { include_usage: true },
      }),
    ),
  several_choices: async () =>
    all(await client.chat.completions.create({ model, messages: ask("Tell me."), stream: true, n: 2 })),
  parallel_tools: () => client.chat.completions.create({ model, messages: ask(wish("tools=2") + "call the tool for Paris and Rome"), tools }),
  streamed_tools: () =>
    client.chat.completions.stream({ model, messages: ask(wish("tools=2") + "call the tool for Paris and Rome"), tools }).finalChatCompletion(),
  tool_loop: async () => {
    const runner = client.chat.completions.runTools({
      model,
      messages: ask("call the tool for Paris"),
      tools: [{ type: "function", function: { ...weather, parse: JSON.parse, function: ({ city }) => `${city}: 21 degrees` } }],
    });
    return [await runner.finalContent(), runner.messages];
  },
  structured: async () => {
    const Weather = z.object({ city: z.string(), degrees: z.number() });
    const got = await client.chat.completions.parse({
      model, messages: ask("Tell me."), response_format: zodResponseFormat(Weather, "weather"),
    });
    return got.choices[0].message.parsed;
  },
  vision: () =>
    client.chat.completions.create({
      model,
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "What is it?" },
            { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } },
          ],
        },
      ],
    }),
  embeddings: () => client.embeddings.create({ model: "text-embedding-3-small", input: ["one", "two"] }),
  embeddings_as_floats: () =>
    client.embeddings.create({ model: "text-embedding-3-small", input: "one", encoding_format: "float" }),
  response: () => client.responses.create({ model, input: "Tell me about weirs." }),
  response_streamed: async () => all(await client.responses.create({ model, input: "Tell me.", stream: true })),
  response_with_tools: () =>
    client.responses.stream({ model, input: "call the tool for Paris", tools: [{ type: "function", ...weather }] }).finalResponse(),
  completion: () => client.completions.create({ model: "gpt-3.5-turbo-instruct", prompt: "Once" }),
  models: async () => (await all(await client.models.list())).map((each) => each.id),
  raw: async () => {
    const { data, response, request_id } = await client.chat.completions
      .create({ model, messages: ask("Tell me.") })
      .withResponse();
    const kept = ["x-ratelimit-remaining-requests", "openai-processing-ms", "openai-version", "content-type"];
    return [data, kept.map((name) => response.headers.get(name)), response.status, typeof request_id];
  },
  speech: async () => {
    const got = await client.audio.speech.create({ model: "tts-1", voice: "alloy", input: "hello" });
    const bytes = new Uint8Array(await got.arrayBuffer());
    return [bytes.length, bytes.reduce((sum, each) => (sum * 31 + each) % 1000003, 7)];
  },
  file: async () => {
    const file = new File(["x".repeat(100_000)], "a.txt");
    const made = await client.files.create({ file, purpose: "user_data" });
    return [made.bytes, (await (await client.files.content(made.id)).text()).length];
  },
  errors: async () => {
    const found = {};
    for (const status of STATUSES) {
      const messages = ask(wish(`status=${status} retry_after=2`));
      for (const stream of [false, true]) {
        found[`${status} ${stream}`] = await thrown(() => client.chat.completions.create({ model, messages, stream }));
      }
    }
    return found;
  },
  error_in_stream: () =>
    thrown(async () => all(await client.chat.completions.create({ model, messages: ask(wish("error=4")), stream: true }))),
  retried: async () => {
    const patient = new OpenAI({ baseURL, apiKey: "sk-test", maxRetries: 1 });
    const messages = ask(wish("status=429 times=1 retry_after=0.01"));
    return (await patient.chat.completions.create({ model, messages })).choices[0].message.content;
  },
  aborted: async () => {
    const messages = ask(wish("chunks=1000 size=10000 interval=0.01"));
    const stream = await client.chat.completions.create({ model, messages, stream: true });
    let seen = 0;
    for await (const _ of stream) {
      seen += 1;
      if (seen === 5) stream.controller.abort();
    }
    return seen;
  },
});
