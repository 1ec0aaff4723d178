import { API } from "./api.js";
import { Desk } from "./desk.js";
import { Identity } from "./identity.js";
import { Model } from "./model.js";
import { Orders } from "./orders.js";
import { Poll } from "./poll.js";
import { Store } from "./store.js";
import { View } from "./view.js";

const early = 5 * 60_000; // ms before the opening at which a guest gets a token
const spread = 5000; // ms over which those who wait do so

const sale = JSON.parse(document.getElementById("sale").textContent);
const model = new Model(sale);
const api = new API(sale.api);
const store = new Store(`doorbuster:${sale.id}:`);
const identity = new Identity(sale, api, store);

const chosen = store.get("choice");
if (sale.items.some((item) => item.sku === chosen?.sku)) model.choose(chosen.sku, Math.min(chosen.quantity, sale.limit));

const parts = { api, identity, store, changed };
const orders = new Orders(model, parts);
const desk = new Desk(model, { ...parts, orders });
const poll = new Poll(model, api, changed);
const view = new View(model, {
  choose(sku, quantity) {
    model.choose(sku, quantity);
    store.set("choice", { sku, quantity });
  },
  buy: () => desk.buy(),
  pay: () => orders.pay(),
  giveBack: () => orders.giveBack(),
  again() {
    history.replaceState(history.state, "", location.pathname + location.search);
    desk.again();
  },
});
let arriving = false;

function changed() {
  model.stranger = !identity.possible;
  view.draw();
  arrive();
}

// The first state starts the clock; from then on what was left behind can be
// picked up, and a guest can be made before the crowd is.
function arrive() {
  if (arriving || !model.clock.known) return;
  const known = store.get("token") || window.doorbuster?.token;
  if (!known && (model.phase === "closed" || (model.phase === "scheduled" && model.left > early))) return;
  arriving = true;
  setTimeout(begin, known ? 0 : Math.random() * spread * (model.phase === "scheduled"));
}

async function begin() {
  try {
    if (!returned() && model.step === "idle") await desk.resume();
  } catch {
    // No token yet; the press asks for one again.
  }
}

// returned shows the order that the address names.
function returned() {
  const id = new URLSearchParams(location.hash.slice(1)).get("order");
  if (id) orders.follow(id, true);
  return Boolean(id);
}

addEventListener("hashchange", () => {
  identity.takeHash();
  returned();
});

// Another tab of the buyer's pressed, or heard.
addEventListener("storage", (event) => {
  if (event.key?.startsWith(store.prefix + "attempt:") && event.newValue && model.step === "idle" && !model.order) begin();
});

identity.takeHash();
changed();
poll.ask();
