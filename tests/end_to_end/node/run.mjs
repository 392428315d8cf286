// Runs cases by name and prints what each of them got, one JSON object: {name: result}.

export async function run(cases) {
  const got = {};
  for (const [name, work] of Object.entries(cases)) {
    try {
      got[name] = (await work()) ?? null;
    } catch (error) {
      got[name] = { threw: failure(error) };
    }
  }
  process.stdout.write(JSON.stringify(got));
}

// What a program sees of an error: its class, and what it may act on.
export function failure(error) {
  const headers = error?.headers ?? error?.responseHeaders;
  const header = (name) => (headers?.get ? headers.get(name) : headers?.[name]) ?? null;
  return {
    class: error?.constructor?.name,
    status: error?.status ?? error?.statusCode ?? null,
    code: error?.code ?? null,
    type: error?.type ?? null,
    message: error?.message,
    retryable: error?.isRetryable ?? null,
    retryAfter: header("retry-after"),
  };
}

export async function thrown(work) {
  try {
    await work();
  } catch (error) {
    return failure(error);
  }
  return "nothing was thrown";
}

export const STATUSES = [400, 401, 404, 429, 500];
export const wish = (words) => `[[sim ${words}]]`;
