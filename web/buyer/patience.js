import { jitter } from "./clock.js";
import { Lost } from "./api.js";

const askMax = 12; // requests for one press; then the buyer decides
const restMin = 1000; // ms after "busy" without a Retry-After
const restMax = 8000; // ms after a lost answer

// insist repeats a request, which must be safe to repeat, until it is answered
// or askMax is reached. Before each repeat rest(ms, code) is told how long and
// why. A token that the node refuses is replaced once.
export async function insist(ask, rest, identity) {
  const answer = await repeat(ask, rest);
  if (answer.status !== 401) return answer;
  identity.drop();
  return identity.possible ? repeat(ask, rest) : answer;
}

async function repeat(ask, rest) {
  for (let asked = 1; ; asked++) {
    const answer = await settle(ask);
    const again = busy(answer) || lost(answer);
    if (!again) return answer;
    if (asked >= askMax) return { ...answer, body: { code: "gave_up" } };
    await sleep(answer, asked, rest);
  }
}

const busy = ({ status }) => status === 429 || status === 503;

// A gateway that answers in the node's place knows as little as we do.
const lost = ({ status }) => status === 0 || (status >= 500 && status !== 503);

async function settle(ask) {
  try {
    return await ask();
  } catch (cause) {
    if (cause instanceof Lost) return { status: 0, body: { code: "offline" } };
    if (cause.status) return cause; // a guest was refused
    throw cause;
  }
}

function sleep(answer, asked, rest) {
  const least = busy(answer) ? Math.max(restMin, answer.wait) : Math.min(restMax, 500 * 2 ** asked);
  const ms = jitter(least); // Retry-After is in whole seconds, and a crowd is told the same few
  rest(ms, answer.body.code || "unavailable");
  return new Promise((wake) => {
    setTimeout(wake, ms);
    if (!answer.status) addEventListener("online", wake, { once: true });
  });
}
