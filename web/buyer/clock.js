// The server's clock. The buyer's own is never asked: performance.now() only
// runs forward, and nobody can set it.
export class Clock {
  _offset = -Infinity; // server time − performance.now(), ms

  get known() {
    return this._offset > -Infinity;
  }

  // Caches make server_time older, never newer: the largest difference seen is
  // the nearest to the truth.
  heard(serverTime, arrival) {
    const offset = Date.parse(serverTime) - arrival;
    if (offset > this._offset) this._offset = offset;
  }

  now() {
    return performance.now() + this._offset;
  }
}

// Milliseconds as the parts of a countdown; a part that began counts whole.
export function parts(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return {
    days: Math.floor(seconds / 86400),
    hours: Math.floor(seconds / 3600) % 24,
    minutes: Math.floor(seconds / 60) % 60,
    seconds: seconds % 60,
  };
}

export const two = (n) => String(n).padStart(2, "0");

// A crowd that waits for the same moment must not come back in the same one.
export const jitter = (ms) => ms * (1 + Math.random());

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));
