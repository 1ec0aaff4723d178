import { jitter } from "./clock.js";
import { Lost } from "./api.js";

const slowest = 30_000; // ms, until so long before the opening; an operator may open early
const fresh = 1000; // ms that a cache may keep the state
const spread = 200; // ms over which the pages behind one cache ask for the next
const least = 200; // ms, while a cache hands out what is older, or nobody knows how old

// Poll keeps the model's state fresh with the one address that is the same for
// everybody, so that a cache can answer it.
export class Poll {
  _timer = 0;

  constructor(model, api, changed) {
    Object.assign(this, { model, api, changed });
    addEventListener("online", () => this._soon());
    document.addEventListener("visibilitychange", () => document.hidden || this._soon());
  }

  _soon() {
    this._after(spread * Math.random());
  }

  async ask() {
    const { model } = this;
    try {
      const answer = await this.api.get(`/s/${model.sale.id}/state.json`);
      if (!answer.body.server_time) throw new Lost();
      model.heard(answer.body, answer.arrival);
    } catch (cause) {
      if (!(cause instanceof Lost)) throw cause;
      model.misses++;
    } finally {
      this._after(this._pace());
    }
    this.changed();
  }

  _after(ms) {
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this.ask(), ms);
  }

  // A page asks when caches have let go of the copy that it has, and not before
  // the opening. How old the first copy is tells only the next one.
  _pace() {
    const { model } = this;
    if (model.misses) return jitter(Math.min(8000, 500 * 2 ** model.misses));
    if (model.phase === "closed") return jitter(slowest);
    const left = model.phase === "scheduled" && model.left;
    if (!left && model.order) return jitter(4000);
    if (left > slowest) return Math.min(jitter(slowest / 2), left - slowest * Math.random());
    const written = Date.parse(model.state.server_time) - model.clock.now(); // ms, below 0
    return Math.max(least, model.copies > 1 && fresh + written, left < 1200 && left) + spread * Math.random();
  }
}
