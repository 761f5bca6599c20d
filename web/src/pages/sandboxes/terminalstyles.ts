// xterm.js makes style elements and attributes, which the page's Content-Security-Policy
// forbids. Here its elements become constructed style sheets, and its attributes are set
// through the CSSOM; the policy allows both.

/** Runs what makes a terminal's style elements. */
export function withStyleSheets(open: () => void): void {
  const { createElement } = Document.prototype;
  document.createElement = ((name: string, options?: ElementCreationOptions) =>
    name === "style" ? styleElement() : createElement.call(document, name, options)) as Document["createElement"];
  try {
    open();
  } finally {
    Reflect.deleteProperty(document, "createElement");
  }
}

/** An element that is not shown, whose text is a style sheet until it is removed. */
function styleElement(): HTMLElement {
  const sheet = new CSSStyleSheet();
  const element = Document.prototype.createElement.call(document, "span");
  element.hidden = true;
  document.adoptedStyleSheets.push(sheet);
  Object.defineProperty(element, "textContent", {
    set: (text: string) => sheet.replaceSync(text),
    get: () => "",
  });
  Object.defineProperty(element, "remove", {
    value: () => {
      document.adoptedStyleSheets = document.adoptedStyleSheets.filter((one) => one !== sheet);
      Element.prototype.remove.call(element);
    },
  });
  return element;
}

/** Has style attributes of spans, by which xterm.js colours cells, set by the CSSOM. */
export function allowStyledSpans(): void {
  HTMLSpanElement.prototype.setAttribute = function (name: string, value: string) {
    if (name === "style") this.style.cssText = value;
    else Element.prototype.setAttribute.call(this, name, value);
  };
}
