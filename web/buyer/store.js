// What must outlive a reload. Where the browser keeps nothing (private windows,
// blocked storage), it lasts as long as the page.
export class Store {
  _memory = new Map();

  constructor(prefix) {
    this.prefix = prefix;
  }

  get(name) {
    const key = this.prefix + name;
    try {
      const text = localStorage.getItem(key);
      if (text !== null) return JSON.parse(text);
    } catch {
      // As if there were no storage.
    }
    return this._memory.get(key);
  }

  set(name, value) {
    const key = this.prefix + name;
    this._memory.set(key, value);
    try {
      localStorage.setItem(key, JSON.stringify(value));
    } catch {
      // The memory has it.
    }
  }

  drop(name) {
    const key = this.prefix + name;
    this._memory.delete(key);
    try {
      localStorage.removeItem(key);
    } catch {
      // The memory forgot it.
    }
  }
}
