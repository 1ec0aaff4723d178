import { Choice } from "./choice.js";
import { $, put } from "./dom.js";
import { Outcome } from "./outcome.js";
import { Ticker } from "./ticker.js";
import { lang, t } from "./words.js";

// View draws the model. It decides nothing.
export class View {
  _pressed = false; // the buyer pressed, and the answer was not yet shown

  constructor(model, act) {
    this.model = model;
    const press = (action) => () => {
      this._pressed = true;
      action();
    };
    this.choice = new Choice(model, { ...act, buy: press(act.buy) });
    this.outcome = new Outcome(model, { ...act, giveBack: press(act.giveBack) });
    this.ticker = new Ticker(model, () => this.draw());
    document.documentElement.lang = lang;
    for (const node of document.querySelectorAll("[data-t]")) put(node, t(node.dataset.t));
  }

  draw() {
    const { model } = this;
    document.body.dataset.phase = model.looks;
    this.choice.draw();
    this.outcome.draw();
    this.ticker.draw();
    this._focus();
  }

  // The pressed button is disabled or gone: without this, the keyboard would
  // start again at the top of the page.
  _focus() {
    const { model } = this;
    if (!this._pressed || model.step !== "idle" || model.acting) return;
    this._pressed = false;
    (model.order || $("buy").disabled ? $("result") : $("buy")).focus();
  }
}
