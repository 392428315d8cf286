// The Vercel AI SDK with OpenAI (both of its surfaces) and Anthropic: `node vercel.mjs ROOT`.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { Output, embedMany, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { STATUSES, run, thrown, wish } from "./run.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;
const baseURL = `${process.argv[2]}/v1`;
const openai = createOpenAI({ baseURL, apiKey: "sk-test" });
const anthropic = createAnthropic({ baseURL, apiKey: "sk-ant-test" });
const models = {
  chat: openai.chat("gpt-4o-mini"),
  responses: openai.responses("gpt-4o-mini"),
  messages: anthropic("claude-test"),
};
const weather = tool({
  description: "The weather in a city",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `${city}: 21 degrees`,
});
const told = ({ text, toolCalls, toolResults, finishReason, usage, reasoningText }) => ({
  text,
  reasoningText,
  finishReason,
  usage,
  calls: toolCalls?.map(({ toolName, input }) => [toolName, input]),
  results: toolResults?.map(({ output }) => output),
});
const common = { maxRetries: 0 };
const cases = {};

for (const [surface, model] of Object.entries(models)) {
  cases[`${surface}_plain`] = async () => told(await generateText({ ...common, model, prompt: "Tell me about weirs." }));
  cases[`${surface}_stream`] = async () => {
    const got = streamText({ ...common, model, prompt: "Tell me.", onError() {} });
    const parts = [];
    for await (const part of got.fullStream) parts.push(part.type === "text-delta" ? part.text : part.type);
    return [parts, await got.finishReason, await got.totalUsage];
  };
  cases[`${surface}_tool_loop`] = async () => {
    const got = await generateText({
      ...common, model, tools: { weather }, stopWhen: stepCountIs(3), prompt: wish("tools=2") + "call the tool for Paris and Rome",
    });
    return got.steps.map(told);
  };
  cases[`${surface}_structured`] = async () => {
    const schema = z.object({ city: z.string(), degrees: z.number() });
    return (await generateText({ ...common, model, output: Output.object({ schema }), prompt: "Tell me." })).output;
  };
  cases[`${surface}_errors`] = async () => {
    const found = {};
    for (const status of STATUSES) {
      found[status] = await thrown(() => generateText({ ...common, model, prompt: wish(`status=${status} retry_after=2`) }));
    }
    return found;
  };
  cases[`${surface}_error_in_stream`] = async () => {
    const got = streamText({ ...common, model, prompt: wish("error=6"), onError() {} });
    const parts = [];
    for await (const part of got.fullStream) parts.push(part.type === "text-delta" ? part.text : part.type);
    return parts;
  };
}

await run({
  ...cases,
  embeddings: async () =>
    (await embedMany({ ...common, model: openai.embedding("text-embedding-3-small"), values: ["one", "two"] })).embeddings,
  aborted: async () => {
    const stop = new AbortController();
    const prompt = wish("chunks=1000 size=10000 interval=0.01");
    const got = streamText({ ...common, model: models.chat, prompt, abortSignal: stop.signal, onError() {} });
    const parts = [];
    for await (const part of got.fullStream) {
      parts.push(part.type);
      if (parts.length === 5) stop.abort();
    }
    return parts.at(-1);
  },
});
