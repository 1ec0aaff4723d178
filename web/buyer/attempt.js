const staleAfter = 10 * 60_000; // ms; an older press is no longer the buyer's wish

// Attempts remembers under which Idempotency-Key the buyer asked for what. The
// key is written down before the first request, so that a reload, a second tab
// or a lost answer asks for the same order and never for another.
export class Attempts {
  constructor(store, buyer) {
    this.store = store;
    this.name = "attempt:" + buyer;
  }

  get last() {
    return this.store.get(this.name);
  }

  // begin returns the attempt for a choice: the same key for the same choice
  // until it has led to an order, a new one otherwise.
  begin({ sku, quantity }, at) {
    const last = this.last;
    const same = last && !last.order && last.sku === sku && last.quantity === quantity;
    return this._write({ key: same ? last.key : newKey(), sku, quantity, out: true, at });
  }

  // unanswered returns an attempt that a reload or a lost answer cut short.
  unanswered(now) {
    const last = this.last;
    return last?.out && !last.order && now - last.at < staleAfter ? last : null;
  }

  // answered notes a no that binds nothing: the key stays good.
  answered() {
    if (this.last) this._write({ ...this.last, out: false });
  }

  // became notes the order that the key is bound to; none: the stock lost it,
  // and the key asks again.
  became(order) {
    if (this.last) this._write({ ...this.last, out: !order, order });
  }

  // free gives up the key: whatever it led to is final.
  free() {
    this.store.drop(this.name);
  }

  _write(attempt) {
    this.store.set(this.name, attempt);
    return attempt;
  }
}

// 128 random bits. getRandomValues is there on plain HTTP too; randomUUID is not.
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
