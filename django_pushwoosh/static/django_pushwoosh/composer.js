"use strict";
// The composer without this script works as well: it has spare rows, and every kind of audience is open.

document.documentElement.classList.add("pushwoosh-js");

document.addEventListener("DOMContentLoaded", () => {
    const form = document.getElementById("scheduledmessage_form");
    if (!form) {
        return;
    }

    const empty = (row) => {
        for (const input of row.querySelectorAll("input, textarea")) {
            input.value = "";
        }
        for (const select of row.querySelectorAll("select")) {
            select.selectedIndex = 0;
        }
    };

    // Rows: the spare ones are taken out, a copy of one is the mould of those that are added.
    for (const rows of form.querySelectorAll("[data-pushwoosh-rows]")) {
        let mould = null;
        for (const spare of rows.querySelectorAll(".pushwoosh-spare")) {
            spare.remove();
            mould = spare;
        }
        const add = rows.querySelector("[data-pushwoosh-add]");
        add.addEventListener("click", () => {
            const row = mould.cloneNode(true);
            row.classList.remove("pushwoosh-spare");
            add.before(row);
            row.querySelector("input").focus();
            show();
        });
        rows.addEventListener("click", (event) => {
            const remove = event.target.closest("[data-pushwoosh-remove]");
            if (!remove) {
                return;
            }
            const row = remove.closest("[data-pushwoosh-row]");
            if (row.querySelector("[id]")) {
                // The first row carries the field's label: the next one's content moves up.
                const next = row.nextElementSibling;
                empty(row);
                if (next && next.matches("[data-pushwoosh-row]")) {
                    const from = next.querySelectorAll("input, select, textarea");
                    row.querySelectorAll("input, select, textarea").forEach((input, index) => {
                        input.value = from[index].value;
                    });
                    next.remove();
                }
            } else {
                row.remove();
            }
            add.focus();
            show();
        });
    }

    // What is hidden is not submitted, so that nothing is said that cannot be seen.
    const reveal = (element, isShown) => {
        element.hidden = !isShown;
        for (const input of element.querySelectorAll("input, select, textarea")) {
            input.disabled = !isShown;
        }
    };

    const chosen = (name) => {
        const radio = form.querySelector(`input[name="${name}"]:checked`);
        return radio ? radio.value : "";
    };

    const send = form.querySelector('input[name="_send"]');

    const show = () => {
        for (const panel of form.querySelectorAll("[data-pushwoosh-panel]")) {
            reveal(panel, panel.dataset.pushwooshPanel === chosen("audience"));
        }
        const when = chosen("when");
        for (const part of form.querySelectorAll("[data-pushwoosh-when]")) {
            reveal(part, part.dataset.pushwooshWhen.split(" ").includes(when));
        }
        if (send) {
            send.value = when === "now" ? send.dataset.now : send.dataset.later;
        }
        for (const rows of form.querySelectorAll("[data-without-operand]")) {
            const without = rows.dataset.withoutOperand.split(" ");
            for (const row of rows.querySelectorAll("[data-pushwoosh-row]")) {
                const value = row.querySelector('input[name$="-value"]');
                const isNeeded = !without.includes(row.querySelector("select").value);
                value.style.visibility = isNeeded ? "" : "hidden";
                if (!isNeeded) {
                    value.value = "";
                }
            }
        }
        count();
    };

    const count = () => {
        for (const label of form.querySelectorAll("[data-pushwoosh-used]")) {
            const rows = label.closest("details").querySelectorAll(".form-row");
            const used = Array.from(rows).filter((row) =>
                Array.from(row.querySelectorAll("input, select, textarea")).some((input) =>
                    input.type === "checkbox" ? input.checked : input.value.trim() !== ""
                )
            ).length;
            label.textContent = used ? label.dataset.pushwooshUsed.replace("#", String(used)) : "";
        }
    };

    form.addEventListener("change", show);
    form.addEventListener("input", count);
    show();

    // A link of the summary opens the fieldset that holds its field.
    for (const link of form.querySelectorAll(".pushwoosh-summary a")) {
        link.addEventListener("click", (event) => {
            const target = document.getElementById(link.getAttribute("href").slice(1));
            if (!target) {
                return;
            }
            event.preventDefault();
            const section = target.closest("details");
            if (section) {
                section.open = true;
            }
            target.focus();
            target.scrollIntoView({ block: "center" });
        });
    }
    const summary = document.getElementById("pushwoosh-summary");
    if (summary) {
        summary.focus();
    }

    // The server sends a form once; this only spares it the second click.
    let isSent = false;
    form.addEventListener("submit", (event) => {
        if (isSent) {
            event.preventDefault();
        }
        isSent = true;
        window.setTimeout(() => {
            isSent = false;
        }, 3000);
    });
    window.addEventListener("pageshow", () => {
        isSent = false;
        show();
    });
});
