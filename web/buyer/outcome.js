import { price } from "./choice.js";
import { $, make, put } from "./dom.js";
import { money, said, t } from "./words.js";

const lastMinute = 60_000; // ms

// Outcome is what became of it: words for everybody, the order for its buyer.
export class Outcome {
  _said = "";

  constructor(model, { pay, giveBack, again }) {
    this.model = model;
    this.result = $("result");
    $("pay").onclick = pay;
    $("again").onclick = again;
    $("back").onclick = () => this._sure(true);
    $("no").onclick = () => this._sure(false);
    $("yes").onclick = () => {
      $("sure").hidden = true;
      giveBack();
    };
  }

  draw() {
    this._say();
    this._show();
  }

  _say() {
    const { model, result } = this;
    const { status } = model;
    const name = this._words(status);
    const [title, text] = name ? said(name, { limit: model.sale.limit, amount: this._amount() }) : ["", ""];
    const more = this._more(text);
    const orders = (!model.order && model.no?.orders) || [];
    if (status) result.dataset.status = status;
    else delete result.dataset.status;
    const saying = JSON.stringify([title, more, orders]);
    if (saying === this._said) return;
    this._said = saying;
    result.replaceChildren(
      ...(title ? [make("h2", {}, title), make("p", {}, more)] : []),
      ...orders.map((id) => make("a", { href: "#order=" + id }, t("order.show", { id: id.slice(0, 8) }))),
    );
    document.title = (title ? title + " · " : "") + model.sale.title;
  }

  // Which words go with a status: some need to know more.
  _words(status) {
    const { model } = this;
    switch (status) {
      case "":
        return model.step === "idle" ? "" : model.step;
      case "awaiting_payment":
        return model.payLeft > 0 ? status : "late";
      case "paid":
        return model.order.amount ? status : "free";
      case "overloaded":
      case "unavailable":
        return "too_many_requests";
      case "sold_out":
        return model.no?.may_return === false || model.items.get(model.sku)?.final ? status : "held";
    }
    return status;
  }

  // A sentence that is more urgent than the one that goes with the status.
  _more(text) {
    const { order, trouble, payLeft, told } = this.model;
    if (order && trouble) return said(trouble)[1];
    if (!payLeft || payLeft < 0) return text;
    return payLeft < lastMinute ? t("order.last") : told || text;
  }

  _amount() {
    const { order } = this.model;
    if (!order) return "";
    const item = this.model.find(order.sku);
    return order.amount ? money(order.amount, order.currency, item.digits) : price({ amount: 0 });
  }

  _show() {
    const { model } = this;
    const { order } = model;
    $("order").hidden = !order;
    if (!order) return;
    const item = model.find(order.sku);
    $("order").dataset.status = order.status;
    $("dial").hidden = !/^(awaiting_payment|paid)$/.test(order.status);
    put($("order-id"), order.id);
    put($("order-what"), order.quantity > 1 ? `${order.quantity} × ${item.title}` : item.title);
    put($("order-total"), this._amount());
    this._acts(order);
  }

  _acts(order) {
    const { model } = this;
    const held = order.status === "awaiting_payment";
    const payable = held && model.payLeft > 0;
    const returnable = payable || (order.status === "paid" && !order.amount);
    const over = /^(expired|cancelled|refund)/.test(order.status);
    $("pay").hidden = !payable || model.told;
    $("pay").disabled = $("yes").disabled = Boolean(model.acting);
    put($("pay"), model.acting === "payment" ? t("order.paying") : t("order.pay", { amount: this._amount() }));
    $("back").hidden = !returnable || !$("sure").hidden;
    if (!returnable) $("sure").hidden = true;
    const more = over || order.quantity < model.sale.limit;
    $("again").hidden = model.phase !== "open" || order.status === "pending" || held || !more;
    put($("again"), t(over ? "order.retry" : "order.again"));
  }

  _sure(ask) {
    $("sure").hidden = !ask;
    $("back").hidden = ask;
    $(ask ? "no" : "back").focus();
  }
}
