// Fills in what differs from person to person, so that the page itself can be
// the same for everybody: name, form token, search results, order state.
"use strict";

const json = (url, options) => fetch(url, { credentials: "same-origin", ...options }).then((answer) => answer.json());

async function post(url, body) {
  const { token } = await json("/api/csrf");
  return json(url, { method: "POST", body, headers: { "X-CSRFToken": token } });
}

function link(href, text) {
  const made = document.createElement("a");
  made.href = href;
  made.textContent = text;
  return made;
}

async function chrome(place) {
  const me = await json("/api/me");
  if (me.user) place.append(link("/account/", me.user), " ", link("/orders/", "Orders"));
  else place.append(link("/login/", "Log in"));
}

async function search(form) {
  const words = new FormData(form).get("q");
  const { products } = await json(`/api/search?q=${encodeURIComponent(words)}`);
  const list = document.createElement("ul");
  for (const product of products) {
    const line = document.createElement("li");
    line.append(link(`/p/${product.id}/`, product.name), ` ${product.vendor}, ${product.price} €`);
    list.append(line);
  }
  document.querySelector("main").replaceChildren(list);
}

document.querySelectorAll("[data-chrome]").forEach(chrome);
document.querySelectorAll("[data-search]").forEach((form) => {
  form.addEventListener("submit", (event) => { event.preventDefault(); search(form); });
});
document.querySelectorAll("[data-cart]").forEach((form) => {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { cart } = await post(form.action, new FormData(form));
    form.querySelector("button").textContent = `In the cart: ${cart}`;
  });
});
document.querySelectorAll("[data-status]").forEach(async (place) => {
  place.textContent = (await json(place.dataset.status)).status;
});
