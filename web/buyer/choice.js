import { $, put } from "./dom.js";
import { duration, money, t } from "./words.js";

const STATES = { low: "item.low", sold_out: "phase.sold_out" };

// Choice is what the buyer wants, and the button.
export class Choice {
  constructor(model, { buy, choose }) {
    this.model = model;
    this.form = $("form");
    this.quantity = this.form.elements.quantity;
    this.inputs = [...this.form.querySelectorAll("[name=sku]")];
    this._fixed();
    this._listen(choose);
    $("buy").onclick = buy;
  }

  draw() {
    const { model } = this;
    $("choose").hidden = Boolean(model.order);
    for (const input of this.inputs) {
      const state = model.stateOf(input.value);
      input.checked = input.value === model.sku;
      input.disabled = model.step !== "idle";
      input.parentNode.dataset.state = state;
      put(input.parentNode.querySelector("small"), STATES[state] ? t(STATES[state]) : "");
    }
    if (this.quantity) {
      this.quantity.value = model.quantity;
      this.quantity.disabled = model.step !== "idle";
    }
    this._button();
  }

  _fixed() {
    const { sale } = this.model;
    const free = sale.items.every((item) => !item.amount);
    put($("fine"), t(free ? "buy.free_fine" : "buy.fine", { hold: duration(sale.hold), limit: sale.limit }));
    for (const input of this.inputs) put(input.parentNode.querySelector(".cost"), price(this.model.find(input.value), 1));
    const only = document.querySelector(".price");
    if (only) put(only, price(sale.items[0], 1));
    $("sign-in").href = sale.sign_in_url || "#";
  }

  // Enter on a size chooses it; only the button buys.
  _listen(choose) {
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("change", () => {
      choose(this.form.elements.sku.value, Number(this.quantity?.value ?? 1));
      this.draw();
    });
  }

  _button() {
    const { model } = this;
    const button = $("buy");
    const stranger = model.stranger && model.phase !== "closed" && model.sale.sign_in_url;
    button.disabled = !model.canBuy;
    button.hidden = Boolean(model.order || stranger);
    $("sign-in").hidden = Boolean(model.order) || !stranger;
    button.dataset.step = model.step;
    put(button.firstElementChild, this._label());
    const { item } = model;
    put(button.lastElementChild, model.canBuy && model.sale.items.some((other) => other.amount) ? price(item, model.quantity) : "");
  }

  _label() {
    const { model } = this;
    if (model.step === "resting") return t("buy.wait", { s: Math.max(1, Math.ceil((model.wakeAt - performance.now()) / 1000)) });
    if (model.step !== "idle") return t("buy." + model.step);
    if (!model.phase) return "…";
    if (model.phase === "scheduled") return t("buy.soon");
    if (model.phase !== "open") return t("phase." + model.phase);
    if (model.stateOf(model.sku) === "sold_out") return t("phase.sold_out");
    const { item, quantity } = model;
    return t("buy.ready", { item: quantity > 1 ? `${quantity} × ${item.title}` : item.title });
  }
}

export const price = (item, quantity) => (item.amount ? money(item.amount * quantity, item.currency, item.digits) : t("order.free"));
