import { jitter } from "./clock.js";
import { Lost } from "./api.js";

const near = 30_000; // ms before the opening at which the page asks every second
const slowest = 30_000; // ms; an operator may open early

// Poll keeps the model's state fresh with the one address that is the same for
// everybody, so that a cache can answer it.
export class Poll {
  _timer = 0;

  constructor(model, api, changed) {
    Object.assign(this, { model, api, changed });
    addEventListener("online", () => this.soon());
    document.addEventListener("visibilitychange", () => document.hidden || this.soon());
  }

  soon() {
    this._after(Math.random() * 300);
  }

  async ask() {
    const { model } = this;
    try {
      const answer = await this.api.get(`/s/${model.sale.id}/state.json`);
      if (!answer.body.server_time) throw new Lost(answer.status);
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

  _pace() {
    const { model } = this;
    if (model.misses) return jitter(Math.min(15_000, 1000 * 2 ** (model.misses - 1)), 0.5);
    if (model.phase === "closed") return jitter(2 * slowest);
    if (model.phase !== "scheduled") return model.order ? jitter(5000) : jitter(800, 0.15); // with a cache's second, under two
    const left = model.left;
    if (left > near) return Math.min(jitter(slowest / 2, 1), left - near * Math.random());
    if (left > 0 && left < 1200) return left + Math.random() * 250;
    return jitter(900);
  }
}
