// Leave empty filters out of the URL.
for (const form of document.querySelectorAll("[data-filters]")) {
  form.addEventListener("htmx:configRequest", (event) => {
    const { parameters } = event.detail;
    for (const name of Object.keys(parameters)) {
      if (parameters[name] === "") delete parameters[name];
    }
  });
}
