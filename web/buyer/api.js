// Lost means: no answer came, so nobody knows whether the request did anything.
export class Lost extends Error {}

const answerMax = 20_000; // ms; the node decides or says 202 within 2 s

export class API {
  constructor(origin) {
    this.origin = origin;
  }

  get(path, { token } = {}) {
    return this.ask(path, { headers: bearer(token) });
  }

  post(path, { token, key, body } = {}) {
    const headers = bearer(token);
    if (key) headers["Idempotency-Key"] = key;
    if (body) headers["Content-Type"] = "application/json";
    return this.ask(path, { method: "POST", headers, body: body && JSON.stringify(body) });
  }

  async ask(path, request) {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), answerMax);
    try {
      const answer = await fetch(this.origin + path, { ...request, credentials: "omit", signal: stop.signal });
      const arrival = performance.now();
      const text = await answer.text();
      return { status: answer.status, arrival, body: parse(text), wait: wait(answer.headers) };
    } catch {
      throw new Lost();
    } finally {
      clearTimeout(timer);
    }
  }
}

const bearer = (token) => (token ? { Authorization: "Bearer " + token } : {});

// An answer that is not JSON comes from something between us and the node.
function parse(text) {
  try {
    return JSON.parse(text) || {};
  } catch {
    return {};
  }
}

// Retry-After in ms; 0 where there is none.
const wait = (headers) => Math.max(0, 1000 * Number(headers.get("Retry-After"))) || 0;
