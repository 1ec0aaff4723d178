import { $, put } from "./dom.js";
import { duration, money, t } from "./words.js";

// Choice is what the buyer wants, and the button.
export class Choice {
  constructor(model, buy) {
    this.model = model;
    this.form = $("choose");
    this.quantity = $("quantity");
    this.inputs = [...this.form.elements.sku.length ? this.form.elements.sku : [this.form.elements.sku]];
    this._fixed();
    this._listen(buy);
  }

  draw() {
    const { model } = this;
    this.form.hidden = Boolean(model.order);
    for (const input of this.inputs) {
      const state = model.stateOf(input.value);
      input.checked = input.value === model.sku;
      input.disabled = model.step !== "idle";
      input.parentNode.dataset.state = state;
      put(input.parentNode.querySelector("small"), state === "available" ? "" : t("item." + state));
    }
    this._steps();
    this._button();
  }

  _fixed() {
    const { sale } = this.model;
    const free = sale.items.every((item) => !item.amount);
    put(this.form.querySelector(".fine"), t(free ? "buy.free_fine" : "buy.fine", { hold: duration(sale.hold), limit: sale.limit }));
    for (const input of this.inputs) put(input.parentNode.querySelector(".cost"), price(this.model.find(input.value), 1));
    const only = document.querySelector(".price");
    if (only) put(only, price(sale.items[0], 1));
    $("many").hidden = sale.limit < 2;
    $("sign-in").href = sale.sign_in_url || "#";
  }

  _listen(buy) {
    const { model } = this;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (model.canBuy) buy();
    });
    this.form.addEventListener("change", () => {
      const wanted = Math.round(Number(this.quantity.value)) || 1;
      this._want(this.form.elements.sku.value, wanted);
    });
    $("less").onclick = () => this._want(model.sku, model.quantity - 1);
    $("more").onclick = () => this._want(model.sku, model.quantity + 1);
  }

  _want(sku, quantity) {
    const { model } = this;
    model.choose(sku, Math.min(Math.max(quantity, 1), model.sale.limit));
    this.draw();
  }

  _steps() {
    const { model } = this;
    const busy = model.step !== "idle";
    if (document.activeElement !== this.quantity) this.quantity.value = model.quantity;
    this.quantity.disabled = busy;
    $("less").disabled = busy || model.quantity <= 1;
    $("more").disabled = busy || model.quantity >= model.sale.limit;
  }

  _button() {
    const { model } = this;
    const button = $("buy");
    const stranger = model.stranger && model.phase !== "closed" && Boolean(model.sale.sign_in_url);
    button.disabled = !model.canBuy;
    button.hidden = stranger;
    $("sign-in").hidden = !stranger;
    button.dataset.step = model.step;
    put(button.firstElementChild, this._label());
    const { item } = model;
    put(button.lastElementChild, model.canBuy && model.sale.items.some((other) => other.amount) ? price(item, model.quantity) : "");
  }

  _label() {
    const { model } = this;
    if (model.step === "asking") return t("buy.asking");
    if (model.step === "resting") return t("buy.wait", { s: Math.max(1, Math.ceil((model.wakeAt - performance.now()) / 1000)) });
    if (model.phase === "scheduled" || model.phase === "loading") return t("buy.soon");
    if (model.phase !== "open") return t("buy." + model.phase);
    if (model.stateOf(model.sku) === "sold_out") return t("buy.sold_out");
    const { item, quantity } = model;
    return t("buy.ready", { item: quantity > 1 ? `${quantity} × ${item.title}` : item.title });
  }
}

export const price = (item, quantity) => (item.amount ? money(item.amount * quantity, item.currency, item.digits) : t("order.free"));
