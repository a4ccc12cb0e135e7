// What every part of the page needs: its elements, and formatted numbers.

export const $ = (id) => document.getElementById(id);

/** Creates an element with properties and children; text is only ever inserted as text. */
export function element(tag, properties = {}, children = []) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Creates an SVG element with attributes and children. */
export function drawing(tag, attributes = {}, children = []) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const wholeFormat = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const shortFormat = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export const whole = (number) => wholeFormat.format(number);

/** Formats a duration: "12 ms", "1.25 s". */
export function duration(ms) {
  return ms < 1000 ? `${whole(ms)} ms` : `${shortFormat.format(ms / 1000)} s`;
}

const encoder = new TextEncoder();

/** Returns the number of bytes of a text in UTF-8. */
export const bytesOf = (text) => encoder.encode(text).length;
