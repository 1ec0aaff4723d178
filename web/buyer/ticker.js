import { parts, two } from "./clock.js";
import { $, make, put } from "./dom.js";
import { moment, t } from "./words.js";

const every = 200; // ms; a second must not seem to last longer than the next

// Ticker draws what changes with time alone.
export class Ticker {
  _shape = "";
  _lastSecond = 0;

  constructor(model, redraw) {
    this.model = model;
    this.redraw = redraw;
    this.countdown = $("countdown");
    setInterval(() => this._tick(), every);
  }

  draw() {
    this._clock();
    this._ring();
  }

  // Once a second everything, so that buttons follow the clock too.
  _tick() {
    const second = Math.floor(performance.now() / 1000);
    if (second !== this._lastSecond) {
      this._lastSecond = second;
      this.redraw();
    } else {
      this.draw();
    }
  }

  _clock() {
    const { state, phase, left, looks, order } = this.model;
    document.body.classList.toggle("has-order", Boolean(order));
    if (!phase) return;
    this._when(state.opens_at);
    const scheduled = phase === "scheduled";
    $("when").hidden = !scheduled;
    put($("until"), scheduled ? t("clock.scheduled") : left > 0 ? t("clock.closes", { phase: t("phase." + looks) }) : t("phase." + looks));
    if (left > 0) this._digits(left);
    else this._words(scheduled ? "opening" : looks);
  }

  _when(opens) {
    if (this._opens === opens) return;
    this._opens = opens;
    put($("when"), t("clock.when", { time: moment(opens) }));
  }

  _words(name) {
    this._shape = "";
    this.countdown.className = "words";
    put(this.countdown, t("clock." + name));
  }

  _digits(left) {
    this.countdown.className = "";
    const value = parts(left);
    const units = value.days ? ["days", "hours", "minutes", "seconds"] : ["hours", "minutes", "seconds"];
    if (this._shape !== units.join()) {
      this._shape = units.join();
      this.countdown.replaceChildren(
        ...units.map((unit) => {
          const cell = make("span", {});
          cell.append(make("b", {}), make("small", {}, t("clock." + unit)));
          return cell;
        }),
      );
    }
    units.forEach((unit, i) => put(this.countdown.children[i].firstChild, two(value[unit])));
  }

  _ring() {
    const { order, payLeft, sale } = this.model;
    if (order?.status !== "awaiting_payment") return;
    const hold = sale.hold * 1000;
    const { days, hours, minutes, seconds } = parts(Math.min(payLeft, hold)); // our clock is a little late
    const whole = days * 24 + hours;
    put($("left"), (whole ? whole + ":" : "") + (whole ? two(minutes) : minutes) + ":" + two(seconds));
    const share = Math.min(1, Math.max(0, payLeft / hold));
    $("ring").setAttribute("stroke-dashoffset", (100 * (1 - share)).toFixed(2));
    $("order").dataset.hurry = String(payLeft < 60_000);
  }
}
