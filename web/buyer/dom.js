export const $ = (id) => document.getElementById(id);

// put writes only what changed: a screen reader would hear it again.
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function make(tag, attributes, text = "") {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.textContent = text;
  return node;
}
