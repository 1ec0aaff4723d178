import translations from "../i18n/challenge.json";
import { solve } from "./solve.js";

// One file for both sides of a challenge: in a worker it solves, in the page it
// brings prove.
if (self.document) self.prove = prove;
else onmessage = async ({ data }) => postMessage(await solve(data).catch(() => null));

let kept = {}; // the last proof, and the key of the order that it is good for

// prove comes to the answer to an order that met a challenge, with the
// challenge solved; or to what stands in the way of that.
async function prove(desk, { path, order, answer, words }) {
  const { buy, say } = translations[document.documentElement.lang];
  Object.assign(words.buy, buy);
  Object.assign(words.say, say);
  const headers = { Authorization: "Bearer " + order.token, "Idempotency-Key": order.key };
  const ask = () =>
    desk.api.ask(path, {
      method: "POST",
      headers: { ...headers, "Content-Type": "application/json", "Doorbuster-Challenge": kept.proof },
      body: JSON.stringify(order.body),
    });
  if (kept.key === order.key) {
    const again = await ask(); // the answer to the first was lost, or "busy"
    if (!again.body.challenge) return again;
  }
  const step = (name) => {
    desk.model.step = name;
    desk.changed();
  };
  step("proving");
  const posed = await desk.api.ask(hinted(answer.body.challenge), { headers });
  if (posed.status !== 200) return posed;
  const proof = await proofOf(posed.body, order.solver).catch(() => "");
  if (!proof) return answer;
  kept = { key: order.key, proof };
  step("asking");
  return ask();
}

// A browser that a program steers says so, unless it was told to lie.
function hinted(path) {
  return navigator.webdriver ? path + (path.includes("?") ? "&" : "?") + "automated" : path;
}

// A shop that checks its buyers by other means than proof of work brings what
// does it: window.doorbuster.solve.
async function proofOf(challenge, solver) {
  const own = window.doorbuster?.solve;
  if (own) return own(challenge);
  const script = document.querySelector("[src*=buyer-]"); // among those of the shop; the solver lies beside it
  const solution = await work(challenge.parameters, new URL(solver, script.src));
  return solution && btoa(JSON.stringify({ challenge, solution }));
}

// The work is done beside the page, which goes on answering the buyer. It comes
// to nothing where the browser gives no worker.
function work(parameters, address) {
  return new Promise((done) => {
    const worker = new Worker(address);
    const end = (solution) => {
      worker.terminate();
      done(solution);
    };
    worker.onmessage = ({ data }) => end(data);
    worker.onerror = () => end();
    worker.postMessage(parameters);
  });
}
