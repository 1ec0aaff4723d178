import en from "../i18n/en.json";
import zh from "../i18n/zh-Hans.json";

// The first of the buyer's languages that the page speaks. Traditional readers
// are better served by English than by the wrong script.
function choose(languages) {
  for (const tag of languages) {
    const locale = tag.toLowerCase();
    if (/^zh(?!.*(hant|tw|hk|mo))/.test(locale)) return ["zh-Hans", zh, tag];
    if (/^en/.test(locale)) return ["en", en, tag];
  }
  return ["en", en, "en"];
}

const [lang, words, locale] = choose(navigator.languages || [navigator.language || "en"]);
export { lang, words };

// t("buy.ready", {item}) is the buyer's words for it.
export function t(path, values = {}) {
  const [group, name] = path.split(".");
  return fill(words[group][name], values);
}

// said returns a headline and a sentence for an order's status or a refusal's
// code; a code that the page does not know is a fault.
export const said = (name, values = {}) => (words.say[name] || words.say.fault).map((text) => fill(text, values));

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

// The sale says how many digits a currency's minor unit has (ISO 4217);
// browsers differ on some.
export function money(amount, currency, digits) {
  return new Intl.NumberFormat(locale, {
    style: "currency",
    currency,
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  }).format(amount / 10 ** digits);
}

// A moment in the buyer's own zone, with the zone's name.
export const moment = (time) =>
  new Intl.DateTimeFormat(locale, {
    weekday: "long",
    day: "numeric",
    month: "long",
    hour: "numeric",
    minute: "2-digit",
    timeZoneName: "short",
  }).format(Date.parse(time));

export function duration(seconds) {
  const whole = seconds % 60 === 0;
  return new Intl.NumberFormat(locale, {
    style: "unit",
    unit: whole ? "minute" : "second",
    unitDisplay: "long",
  }).format(whole ? seconds / 60 : seconds);
}
