import { Clock } from "./clock.js";

const believeFor = 3000; // ms; a state that a cache held may be older than the no we just heard

// Model is all that the page knows. It asks nobody and draws nothing.
export class Model {
  clock = new Clock();
  state = null; // the last state.json
  misses = 0; // polls in a row that brought nothing
  copies = 0; // of the state, that were not the one before
  step = "idle"; // asking: an answer is out; proving: a challenge is being solved; resting: until wakeAt, then asking again
  wakeAt = 0; // performance.now()
  no = null; // the refusal to show: {code, may_return, orders}
  order = null; // the order to show
  acting = ""; // payment or cancel, while its answer is out
  told; // how to pay, where the shop takes the money in its own way: the node's words
  trouble = ""; // why the shown order's last request brought nothing
  stranger = false; // nobody knows who the buyer is
  touched = false; // the buyer chose, rather than we
  items = new Map(); // sku → what the last state.json says of it
  _taken = new Map(); // sku → server time until which a "sold out" is believed

  constructor(sale) {
    this.sale = sale;
    this.sku = sale.items[0]?.sku;
    this.quantity = 1;
  }

  get phase() {
    return this.state?.phase ?? "";
  }

  get item() {
    return this.find(this.sku);
  }

  find(sku) {
    return this.sale.items.find((item) => item.sku === sku) ?? this.sale.items[0];
  }

  heard(state, arrival) {
    this.clock.heard(state.server_time, arrival);
    this.copies += state.server_time !== this.state?.server_time;
    this.state = state;
    this.misses = 0;
    this.items = new Map(state.items.map((item) => [item.sku, item]));
    if (this.phase === "open" && !this.touched && this.stateOf(this.sku) === "sold_out") {
      const free = this.sale.items.find((item) => this.stateOf(item.sku) !== "sold_out");
      if (free) this.sku = free.sku;
    }
    if (this.no && this._outdated()) this.no = null;
  }

  // _outdated: what the no says is no longer so.
  _outdated() {
    switch (this.no.code) {
      case "not_open":
      case "paused":
        return this.phase === "open" && this.clock.now() > this.no.until;
      case "sold_out":
        return this.stateOf(this.sku) !== "sold_out";
    }
    return false;
  }

  choose(sku, quantity) {
    this.touched = true;
    if (sku !== this.sku || quantity !== this.quantity) this.no = null;
    Object.assign(this, { sku, quantity });
  }

  refused(no) {
    const until = this.clock.now() + believeFor;
    this.no = { ...no, until };
    if (no.code === "sold_out") this._taken.set(this.sku, until);
  }

  // available, low or sold_out.
  stateOf(sku) {
    if (this._taken.get(sku) > this.clock.now()) return "sold_out";
    return this.items.get(sku)?.state ?? "available";
  }

  // The phase as a buyer sees it.
  get looks() {
    const gone = this.phase === "open" && this.sale.items.every((item) => this.stateOf(item.sku) === "sold_out");
    return gone ? "sold_out" : this.phase;
  }

  get canBuy() {
    return this.phase === "open" && this.step === "idle" && !this.stranger && this.stateOf(this.sku) !== "sold_out";
  }

  // ms until the sale opens or, once open, closes; null where nothing is due.
  get left() {
    const due = this.phase === "scheduled" ? this.state.opens_at : this.phase !== "closed" && this.state?.closes_at;
    return due ? Date.parse(due) - this.clock.now() : null;
  }

  // ms that the shown order can still be paid.
  get payLeft() {
    return this.order?.pay_by ? Date.parse(this.order.pay_by) - this.clock.now() : null;
  }

  // The status of the order or the code of the no, for #result and its words.
  get status() {
    if (this.order) return this.order.status;
    if (this.no) return this.no.code;
    if (this.step !== "idle") return "";
    if (this.phase === "paused" || this.phase === "closed") return this.phase;
    if (this.phase === "open" && this.stateOf(this.sku) === "sold_out") return "sold_out";
    if (this.stranger && this.state) return "unauthorized";
    return this.misses > 1 ? "offline" : "";
  }
}
