import { pause } from "./clock.js";
import { insist } from "./patience.js";

const pendingEvery = 800; // ms
const holdEvery = 5000; // ms, while there is time to pay
const hurryEvery = 1500; // ms, when a payment is on its way or the time is up
const hurryMax = 20; // such looks after a return from paying

// Orders shows one order and follows it until nothing more can happen to it.
export class Orders {
  _following = {};

  constructor(model, { api, identity, changed }) {
    Object.assign(this, { model, api, identity, changed });
  }

  show(order) {
    const { model } = this;
    model.no = null;
    model.order = order;
    if (order.status === "refused") {
      model.order = null;
      model.refused({ code: order.reason });
      this.refused();
    }
    this.changed();
  }

  stop() {
    this._following = {};
  }

  async follow(id, hurry = false) {
    if (this._following.id === id) return;
    const mine = (this._following = { id });
    for (let looks = hurry ? hurryMax : 0; ; looks--) {
      const answer = await this._ask("get", `/api/v1/orders/${id}`);
      if (this._following !== mine) return;
      if (answer.body.id) this.show(answer.body);
      else if (answer.status === 404 || !this.model.order) return this._lost(answer.body.code);
      const wait = this._nextLook(looks > 0);
      if (!wait) return this.stop();
      await pause(wait + 300 * Math.random());
      if (this._following !== mine) return;
    }
  }

  async pay() {
    const { body } = await this._act("payment");
    if (!body.url) return;
    const url = new URL(body.url, this.api.origin || location.href);
    if (/^https?:$/.test(url.protocol)) location.assign(url);
  }

  giveBack() {
    return this._act("cancel");
  }

  async _act(verb) {
    const { model } = this;
    if (model.acting) return { body: {} };
    model.acting = verb;
    model.trouble = "";
    const { id } = model.order;
    const answer = await this._ask("post", `/api/v1/orders/${id}/${verb}`);
    model.acting = "";
    if (verb === "payment" && answer.status === 404) model.told = answer.body.detail;
    else if (answer.status >= 400 && answer.body.code !== "wrong_status") model.trouble = answer.body.code || "fault";
    if (answer.body.id) this.show(answer.body);
    this.changed();
    this.stop();
    this.follow(id);
    return answer;
  }

  async _ask(method, path) {
    const { model } = this;
    let waited = false;
    this.changed();
    const answer = await insist(
      async () => this.api[method](path, { token: await this.identity.token() }),
      (_, code) => {
        waited = true;
        model.trouble = code;
        this.changed();
      },
      this.identity,
    );
    if (waited) model.trouble = "";
    return answer;
  }

  _lost(code) {
    const { order } = this.model;
    const pending = order?.status === "pending" && order.id === this._following.id;
    this.stop();
    if (pending && this.vanished(order)) return;
    this.model.order = null;
    this.model.refused({ code: code || "not_found" });
    this.changed();
  }

  // ms until the order is worth another look; 0: never.
  _nextLook(hurry) {
    const { order, payLeft } = this.model;
    if (order?.status === "pending") return pendingEvery;
    if (order?.status !== "awaiting_payment") return 0;
    if (hurry || payLeft < 0) return hurryEvery;
    return Math.min(holdEvery, payLeft + 300);
  }
}
