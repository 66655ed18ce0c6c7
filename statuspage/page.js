// Without this, the page is complete and stands still. With it, the page
// fetches itself anew and takes over what has changed.
(() => {
	const every = 5000, patience = 15000;
	const byId = (id) => document.getElementById(id);
	const pause = byId("pause"), said = byId("said"), fresh = byId("fresh");
	let paused = false, timer = 0, fails = 0, busy = false;

	const exact = new Intl.DateTimeFormat(undefined, {dateStyle: "medium", timeStyle: "short"});
	// Times that are written out are shown in the time zone of the reader.
	const localize = (root) => {
		for (const time of root.querySelectorAll("time")) {
			const local = exact.format(new Date(time.dateTime));
			if (time.classList.contains("exact")) {
				time.textContent = local;
			} else {
				time.title = local;
			}
		}
	};

	// take replaces each section that differs, and leaves the others alone, so
	// that a selection, the focus and what is folded open stay.
	const take = (html) => {
		const next = new DOMParser().parseFromString(html, "text/html");
		const main = byId("main"), wanted = next.getElementById("main");
		if (!wanted) throw new Error("no status page");
		localize(next);
		const before = byId("headline").textContent;
		const known = new Map([...main.children].map((section) => [section.id, section]));
		let place = null;
		for (const section of [...wanted.children]) {
			const old = known.get(section.id);
			known.delete(section.id);
			if (old) {
				for (const details of old.querySelectorAll("details[open]")) {
					const same = section.querySelector("#" + CSS.escape(details.id));
					if (same) same.open = true;
				}
			}
			const current = old && old.isEqualNode(section) ? old : section;
			if (current !== old) {
				const focused = old && old.contains(document.activeElement) ? trail(old, document.activeElement) : null;
				if (old) old.replaceWith(section);
				else if (place) place.after(section);
				else main.prepend(section);
				const again = focused && section.querySelector(focused);
				if (again) again.focus({preventScroll: true});
			}
			place = current;
		}
		for (const gone of known.values()) gone.remove();
		document.title = next.title;
		document.documentElement.dataset.mood = next.documentElement.dataset.mood;
		document.querySelector("link[rel=icon]").href = next.querySelector("link[rel=icon]").getAttribute("href");
		fresh.className = "";
		fresh.replaceChildren(...next.getElementById("fresh").childNodes);
		const headline = byId("headline").textContent;
		if (headline !== before) said.textContent = headline;
	};

	// trail finds the same element in another section.
	const trail = (section, element) => {
		if (element.localName === "summary" && element.parentElement.id) return "#" + CSS.escape(element.parentElement.id) + " > summary";
		if (element.localName === "button") return "#" + CSS.escape(element.closest("[id]").id) + " button, button#" + CSS.escape(element.id || "none");
		return null;
	};

	const load = async (options) => {
		const response = await fetch("?", {
			...options, headers: {Accept: "text/html"}, cache: "no-store", credentials: "same-origin",
			signal: AbortSignal.timeout(patience),
		});
		const type = response.headers.get("Content-Type") || "";
		if (!type.startsWith("text/html")) throw new Error("status " + response.status);
		take(await response.text());
	};

	const refresh = async () => {
		clearTimeout(timer);
		if (paused || busy || document.hidden) return;
		busy = true;
		try {
			await load({});
			fails = 0;
		} catch {
			fails++;
			fresh.className = "stale";
			fresh.textContent = "The server does not answer; what is shown may be old. Trying again.";
			if (fails === 2) said.textContent = "The server does not answer.";
		}
		busy = false;
		plan();
	};
	const plan = () => {
		clearTimeout(timer);
		if (!paused) timer = setTimeout(refresh, every * Math.min(1 + fails, 6));
	};

	document.addEventListener("submit", async (event) => {
		event.preventDefault();
		const button = event.target.querySelector("button");
		if (button.getAttribute("aria-disabled") === "true") return;
		button.setAttribute("aria-disabled", "true");
		button.textContent = "Checking…";
		busy = true;
		try {
			await load({method: "POST"});
			said.textContent = "Checked. " + byId("headline").textContent;
		} catch {
			said.textContent = "The check could not be asked for.";
		}
		busy = false;
		const now = document.querySelector("#check button");
		if (now) {
			now.textContent = "Check now";
			now.removeAttribute("aria-disabled");
		}
		plan();
	});
	pause.addEventListener("click", () => {
		paused = !paused;
		pause.setAttribute("aria-pressed", String(paused));
		if (paused) clearTimeout(timer);
		else refresh();
	});
	document.addEventListener("visibilitychange", refresh);
	byId("live").hidden = false;
	localize(document);
	plan();
})();
