import { Attempts } from "./attempt.js";
import { who } from "./identity.js";
import { insist } from "./patience.js";
import { words } from "./words.js";

// Desk asks for orders. Whatever happens, one press leads to one order at most:
// every repeat bears the key of the first.
export class Desk {
  constructor(model, { api, identity, store, orders, changed }) {
    Object.assign(this, { model, api, identity, store, orders, changed });
    orders.vanished = (order) => this._vanished(order);
    orders.refused = () => this.attempts?.free();
  }

  // resume picks up what a reload or a second tab left behind.
  async resume() {
    if (!(await this._attempts())) return;
    const { last } = this.attempts;
    if (last?.order) await this.orders.follow(last.order);
    else if (this.attempts.unanswered(this.model.clock.now())) await this.buy();
  }

  async buy() {
    const { model } = this;
    if (model.step !== "idle") return;
    this.orders.stop();
    model.no = model.order = null;
    model.touched = true;
    this._step("asking");
    const answer = await insist(
      () => this._ask(),
      (ms, code) => {
        model.refused({ code });
        model.wakeAt = performance.now() + ms;
        this._step("resting");
      },
      this.identity,
    );
    model.step = "idle";
    this._judge(answer);
    this.changed();
  }

  // again leaves an order that is over and shows the choice once more.
  again() {
    this.orders.stop();
    this.attempts?.free();
    this.model.order = this.model.no = null;
    this.changed();
  }

  // ask makes one request; its key is stored before it leaves. What solves a
  // challenge is loaded when one is asked for: SOLVER is where, as seen from here.
  async _ask() {
    const { model } = this;
    this._step("asking");
    if (!(await this._attempts())) return { status: 401, body: { code: "unauthorized" } };
    const now = model.clock.now();
    const { key, sku, quantity } = this.attempts.unanswered(now) ?? this.attempts.begin(model, now);
    Object.assign(model, { sku, quantity });
    const pass = model.state?.opening_key; // of a strict sale, once it is open
    const path = `/api/v1/sales/${model.sale.id}/orders${pass ? "?opening=" + pass : ""}`;
    const order = { token: await this.identity.token(), key, body: { sku, quantity }, solver: SOLVER };
    const answer = await this.api.post(path, order);
    if (!answer.body.challenge) return answer;
    const prove = () => self.prove(this, { path, order, answer, words });
    return import(order.solver).then(prove, () => answer);
  }

  _judge({ status, body }) {
    const { model, attempts } = this;
    if (status >= 200 && status < 300 && body.id) {
      attempts.became(body.id);
      this.orders.show(body);
      if (model.order) this.orders.follow(body.id);
      return;
    }
    if (body.order || body.code === "key_reused") attempts?.free();
    else if (body.code !== "gave_up") attempts?.answered();
    model.refused({ ...body, code: body.code || "fault" });
  }

  // The stock forgot a pending order: the same key may be asked with again.
  _vanished(order) {
    if (this.attempts?.last?.order !== order.id) return false;
    this.attempts.became();
    this.buy();
    return true;
  }

  async _attempts() {
    const token = await this.identity.token();
    this.attempts = token ? new Attempts(this.store, who(token)) : null;
    return this.attempts;
  }

  _step(step) {
    this.model.step = step;
    this.changed();
  }
}
