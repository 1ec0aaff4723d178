// Who the buyer is. In this order: #token=… of the address, the shop's own
// window.doorbuster.token, what the page keeps, a guest, nobody.
export class Identity {
  _asking = null;
  _nobody = false; // the shop was asked and knows of nobody
  _linked = null; // the token of a sign-in link

  constructor(sale, api, store) {
    Object.assign(this, { sale, api, store });
  }

  // takeHash keeps the token of a sign-in link and cleans the address bar, so
  // that it is neither shared nor sent on.
  takeHash() {
    const hash = new URLSearchParams(location.hash.slice(1));
    const token = hash.get("token");
    if (!token) return;
    this._linked = token;
    this.store.set("token", token);
    hash.delete("token");
    const rest = hash.toString();
    history.replaceState(history.state, "", location.pathname + location.search + (rest && "#" + rest));
  }

  get possible() {
    return Boolean(this.sale.guests || this.store.get("token") || (window.doorbuster?.token && !this._nobody));
  }

  // One question at a time: two would make two guests.
  token() {
    this._asking ??= this._find().finally(() => (this._asking = null));
    return this._asking;
  }

  // drop forgets a token that the node refused.
  drop() {
    this._linked = null;
    this.store.drop("token");
  }

  // Resolves to null for nobody; throws Lost, or the answer that refused a guest.
  async _find() {
    if (this._linked) return this._linked;
    const given = await this._shop();
    if (given) return given;
    const kept = this.store.get("token");
    if (kept || !this.sale.guests) return kept || null;
    const answer = await this.api.post("/api/v1/guests", { body: { sale: this.sale.id } });
    if (!answer.body.token) throw answer;
    this.store.set("token", answer.body.token);
    return answer.body.token;
  }

  async _shop() {
    try {
      const token = window.doorbuster?.token;
      const given = typeof token === "function" ? await token() : token;
      this._nobody = !given;
      return given;
    } catch {
      return null; // the shop's own trouble; the next press asks it again
    }
  }
}

// who names the buyer behind a token: the sub of a JWT outlives the token, and
// the buyer's attempt must be found again after a renewal.
export function who(token) {
  try {
    const payload = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    return JSON.parse(atob(payload)).sub || token.slice(-16);
  } catch {
    return token.slice(-16);
  }
}
