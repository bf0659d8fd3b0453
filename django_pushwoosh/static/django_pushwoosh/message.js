"use strict";
// Keeps the message page's state fresh while something is on its way.

document.addEventListener("DOMContentLoaded", () => {
    const state = document.getElementById("message-state");
    const words = document.getElementById("message-words");
    const live = document.getElementById("message-live");
    if (!state || !state.dataset.url) {
        return;
    }
    const FIRST_WAIT = 500;
    const LONGEST_WAIT = 5000;
    let wait = FIRST_WAIT;

    const take = (told) => {
        if (state.dataset.status !== told.status) {
            state.dataset.status = told.status;
            state.textContent = told.label;
            wait = FIRST_WAIT;
        }
        state.dataset.tone = told.tone;
        if (words.textContent !== told.words) {
            words.textContent = told.words;
        }
        if (state.dataset.version !== told.version) {
            state.dataset.version = told.version;
            const open = Array.from(live.querySelectorAll("details")).map((each) => each.open);
            live.innerHTML = told.html;
            live.querySelectorAll("details").forEach((each, index) => {
                each.open = Boolean(open[index]);
            });
        }
        state.dataset.moving = told.is_moving ? "1" : "0";
    };

    const ask = async () => {
        try {
            const response = await fetch(state.dataset.url, { headers: { Accept: "application/json" } });
            if (response.redirected || response.status === 403 || response.status === 404) {
                return;
            }
            if (response.ok) {
                take(await response.json());
            }
        } catch (error) {
            // The network comes back, or the page is reloaded.
        }
        later();
    };

    const later = () => {
        if (state.dataset.moving === "1") {
            window.setTimeout(ask, wait);
            wait = Math.min(wait * 1.4, LONGEST_WAIT);
        }
    };

    later();
});
