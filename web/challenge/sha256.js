// PBKDF2 with HMAC-SHA-256 (RFC 8018, FIPS 180-4) for pages over plain HTTP,
// where browsers withhold their own.

// The first 32 bits behind the point of the roots of the first primes.
const primes = [];
for (let n = 2; primes.length < 64; n++) if (primes.every((prime) => n % prime)) primes.push(n);
const fractions = (root) => Int32Array.from(primes, (prime) => (root(prime) % 1) * 2 ** 32);
const initial = fractions(Math.sqrt).subarray(0, 8);
const rounds = fractions(Math.cbrt);

const w = new Int32Array(64);

// compress puts the state after one block of 16 words into to.
function compress(state, block, to) {
  w.set(block);
  for (let i = 16; i < 64; i++) {
    const x = w[i - 15];
    const y = w[i - 2];
    const low = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const high = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    w[i] = (w[i - 16] + low + w[i - 7] + high) | 0;
  }
  let a = state[0]; // not by destructuring, which costs more than the rounds
  let b = state[1];
  let c = state[2];
  let d = state[3];
  let e = state[4];
  let f = state[5];
  let g = state[6];
  let h = state[7];
  for (let i = 0; i < 64; i++) {
    const high = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const one = (h + high + ((e & f) ^ (~e & g)) + rounds[i] + w[i]) | 0;
    const low = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const two = (low + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + one) | 0;
    d = c;
    c = b;
    b = a;
    a = (one + two) | 0;
  }
  to[0] = a + state[0];
  to[1] = b + state[1];
  to[2] = c + state[2];
  to[3] = d + state[3];
  to[4] = e + state[4];
  to[5] = f + state[5];
  to[6] = g + state[6];
  to[7] = h + state[7];
}

// words reads blocks of 64 bytes, highest byte first.
function words(bytes) {
  const view = new DataView(Uint8Array.from({ length: 64 }, (_, i) => bytes[i]).buffer);
  return Int32Array.from({ length: 16 }, (_, i) => view.getInt32(4 * i));
}

// ending is the last block of a message of so many bytes, 55 of them here at most.
function ending(bytes, length) {
  const block = words([...bytes, 0x80]);
  block[15] = 8 * length;
  return block;
}

// deriver returns what makes a key of 32 bytes from a password of 64 at most.
export function deriver(salt, cost) {
  const first = ending([...salt, 0, 0, 0, 1], 64 + salt.length + 4);
  const digest = ending(new Uint8Array(32), 64 + 32); // its first eight words are the state
  const [inner, outer, last, key] = [0, 0, 0, 0].map(() => new Int32Array(8));
  const round = (block) => {
    compress(inner, block, last);
    digest.set(last);
    compress(outer, digest, last);
    digest.set(last);
    for (let i = 0; i < 8; i++) key[i] ^= last[i];
  };
  return (password) => {
    const padded = (pad) => words(Array.from({ length: 64 }, (_, i) => password[i] ^ pad));
    compress(initial, padded(0x36), inner);
    compress(initial, padded(0x5c), outer);
    key.fill(0);
    round(first);
    for (let i = 1; i < cost; i++) round(digest);
    const view = new DataView(new ArrayBuffer(32));
    key.forEach((word, i) => view.setInt32(4 * i, word));
    return new Uint8Array(view.buffer);
  };
}
