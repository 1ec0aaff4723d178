// Solves ALTCHA challenges (version 2, PBKDF2/SHA-256) in a worker: it looks for
// the counter whose key begins with the prefix.
import { deriver } from "./sha256.js";

const triesMax = 1 << 20; // a challenge asks for some thousands; this one is broken
const together = 16; // keys under way at once: the browser derives them in threads of its own

// solve comes to null where no counter fits.
export async function solve(parameters) {
  const began = performance.now();
  const derive = crypto.subtle ? native(parameters) : deriver(unhex(parameters.salt), parameters.cost);
  const nonce = unhex(parameters.nonce);
  for (let first = 0; first < triesMax; first += together) {
    const keys = await Promise.all(Array.from({ length: together }, (_, i) => derive(password(nonce, first + i))));
    const found = keys.map(hex).findIndex((key) => key.startsWith(parameters.keyPrefix));
    if (found >= 0) return { counter: first + found, derivedKey: hex(keys[found]), time: Math.round(performance.now() - began) };
  }
  return null;
}

function native({ salt, cost, keyLength }) {
  const how = { name: "PBKDF2", hash: "SHA-256", salt: unhex(salt), iterations: cost };
  return async (text) => {
    const key = await crypto.subtle.importKey("raw", text, "PBKDF2", false, ["deriveBits"]);
    return new Uint8Array(await crypto.subtle.deriveBits(how, key, 8 * keyLength));
  };
}

// The nonce, then the counter in four bytes, highest first.
function password(nonce, counter) {
  const text = new Uint8Array(nonce.length + 4);
  text.set(nonce);
  new DataView(text.buffer).setUint32(nonce.length, counter);
  return text;
}

const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
const unhex = (text) => Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));
