// Rows of a spreadsheet pasted into a field of one client are previewed like those of many.
for (const form of document.querySelectorAll("[data-paste-to]")) {
  form.addEventListener("paste", (event) => {
    if (event.target.localName !== "input") return;
    // One cell ends with a line break if it was copied from a spreadsheet.
    const text = event.clipboardData.getData("text/plain").replace(/[\r\n]+$/, "");
    if (!/[\t\n]/.test(text)) return;
    event.preventDefault();
    const preview = document.getElementById(form.dataset.pasteTo);
    preview.elements.rows.value = text;
    preview.requestSubmit();
  });
}
