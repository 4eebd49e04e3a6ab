// Tables whose rows are reused and only changes written, so that a selection, the focus or a screen reader's position survives
// a refresh. All text is set by textContent, so no name of a node or worker is ever interpreted as markup.
//
// Where the page is narrow a row becomes a card (narrow.css), which folds the columns that matter less; a button opens it. The
// roles are explicit, for a table that is laid out as something else is none for a screen reader.
"use strict";

export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setState(element, state) {
  if (element.dataset.state !== state) element.dataset.state = state;
}

function make(name, properties, attributes = {}) {
  const element = Object.assign(document.createElement(name), properties);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// Each column: name; className; text(item); and as needed state(item), which makes the text a badge; done(item), 0 to 1, which
// adds a bar (null: hidden); folds: true, if a narrow page does not show it at first; clips: true, if a long text is shown whole
// only in an open row. key(item) tells items apart.
export class Table {
  constructor(table, columns, key) {
    this.columns = columns;
    this.key = key;
    this.open = new Set();
    const head = table.createTHead();
    head.setAttribute("role", "rowgroup");
    const row = head.insertRow();
    row.setAttribute("role", "row");
    for (const { name, className } of columns) {
      row.append(make("th", { scope: "col", className: className || "", textContent: name }, { role: "columnheader" }));
    }
    this.body = table.createTBody();
    this.body.setAttribute("role", "rowgroup");
    this.body.addEventListener("click", (event) => {
      const button = event.target.closest("button.more");
      if (button) this.toggle(button.closest("tr"));
    });
  }

  toggle(row) {
    const { key } = row.dataset;
    if (!this.open.delete(key)) this.open.add(key);
    this.showOpen(row);
  }

  showOpen(row) {
    const open = this.open.has(row.dataset.key);
    const button = row.querySelector("button.more");
    row.classList.toggle("open", open);
    if (button.getAttribute("aria-expanded") !== String(open)) button.setAttribute("aria-expanded", String(open));
    const label = `${open ? "Less" : "More"} about ${row.cells[0].firstChild.textContent}`;
    if (button.getAttribute("aria-label") !== label) button.setAttribute("aria-label", label);
  }

  addRow() {
    const row = this.body.insertRow();
    row.setAttribute("role", "row");
    this.columns.forEach((column, i) => {
      const cell = i === 0 ? make("th", { scope: "row" }, { role: "rowheader" }) : make("td", {}, { role: "cell" });
      cell.className = `${column.className || ""}${column.folds ? " folds" : ""}${column.clips ? " clips" : ""}`;
      cell.dataset.label = column.name;
      cell.append(make("span", { className: column.state ? "badge" : "value" }));
      if (column.done) cell.append(make("progress", { hidden: true }, { "aria-label": column.name }));
      if (i === 0) cell.append(make("button", { type: "button", className: "more" }, { "aria-expanded": "false" }));
      row.append(cell);
    });
  }

  fill(items) {
    while (this.body.rows.length > items.length) this.body.deleteRow(-1);
    while (this.body.rows.length < items.length) this.addRow();
    items.forEach((item, at) => {
      const row = this.body.rows[at];
      row.dataset.key = this.key(item);
      this.columns.forEach((column, i) => {
        const cell = row.cells[i];
        const text = column.text(item);
        write(cell.firstChild, text);
        if (column.state) setState(cell.firstChild, column.state(item));
        if (column.done) {
          const done = column.done(item);
          cell.lastChild.hidden = done === null;
          if (done !== null) cell.lastChild.value = done;
        }
        if (column.clips) row.classList.toggle("long", text.length > 60);
      });
      this.showOpen(row);
    });
  }
}
