// Small helpers around the document: text goes in as text, never as markup.

export const byId = (id) => document.getElementById(id);

// An element with properties, data-* and children; null children are left out.
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// Set text only when it changes, so that screen readers and selections stay undisturbed.
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
