// Our page: languages, sizes, colours, and people who do not use a mouse or see.
import assert from "node:assert/strict";
import { test } from "node:test";

import { line, newRoom, open, person, profile, say, server } from "./chromium.mjs";

const phone = { viewport: { width: 390, height: 780 }, isMobile: true, hasTouch: true };

test("Korean and English: the browser's, or what one chooses", async () => {
  const context = await profile({ locale: "ko-KR" });
  const page = await open(context, `${server}/`);
  assert.equal(await page.locator("html").getAttribute("lang"), "ko");
  await page.getByRole("button", { name: "대화 시작" }).waitFor();
  await page.getByRole("textbox", { name: "이름" }).fill("지훈");
  await page.keyboard.press("Enter");
  await page.locator("#state", { hasText: "연결됨" }).waitFor();
  await page.locator("#rooms [data-languages]").selectOption("en");
  await page.locator("#state", { hasText: "Connected" }).waitFor();
  assert.equal(await page.locator("html").getAttribute("lang"), "en");
  await page.reload();
  await page.locator("#state", { hasText: "Connected" }).waitFor();
  assert.equal(await page.locator("#people h2").textContent(), "Who is here");

  const german = await open(await profile({ locale: "de-DE" }), `${server}/`);
  await german.getByRole("button", { name: "Start chatting" }).waitFor();
});

test("a phone: nothing is wider than the screen, and the panels come and go", async () => {
  const room = newRoom();
  const page = await person("Mina", { room, options: phone });
  const long = "a-word-without-an-end-".repeat(30);
  await say(page, long);
  await line(page, long).waitFor();
  const widths = await page.evaluate(() => [document.documentElement.scrollWidth, /** @type {HTMLElement} */ (document.querySelector("#scroll")).scrollWidth]);
  assert.ok(widths.every((width) => width <= 390), String(widths));

  const rooms = page.locator("#rooms");
  assert.equal(await rooms.isVisible(), false);
  await page.getByRole("button", { name: "Rooms" }).tap();
  await page.getByRole("button", { name: "Join or create" }).or(page.locator("#room-form button")).first().waitFor();
  assert.equal(await page.locator("#show-rooms").getAttribute("aria-expanded"), "true");
  await page.locator("#my-rooms button.room-link", { hasText: "lobby" }).tap();
  await page.locator("#room-title", { hasText: "lobby" }).waitFor();
  await rooms.waitFor({ state: "hidden" });

  await page.locator("#show-people").tap();
  await page.locator("#people-list", { hasText: "Mina" }).waitFor();
  await page.keyboard.press("Escape");
  await page.locator("#people").waitFor({ state: "hidden" });
  assert.equal(await page.evaluate(() => document.activeElement?.id), "show-people");
});

test("light and dark: enough contrast in both", async () => {
  for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
    const room = newRoom();
    const page = await person("Mina", { room, options: { colorScheme } });
    const other = await person("지훈", { room });
    await say(page, "mine");
    await say(other, "theirs");
    await line(page, "mine").waitFor();
    await line(page, "theirs").waitFor();
    await page.evaluate(defineBrightness);
    const lightness = await page.evaluate(() => /** @type {any} */ (window).brightness(getComputedStyle(document.body).backgroundColor));
    assert.equal(lightness > 0.5, colorScheme === "light");
    const poor = await page.evaluate(() => {
      const { brightness } = /** @type {any} */ (window);
      const found = [];
      for (const element of document.querySelectorAll("#chat *")) {
        const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent?.trim());
        if (!own || !(/** @type {HTMLElement} */ (element).checkVisibility({ opacityProperty: true }))) continue;
        if (element.closest("option, .hidden-label, noscript")) continue;
        let behind = /** @type {Element | null} */ (element);
        while (behind && getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
        const [a, b] = [brightness(getComputedStyle(element).color), brightness(getComputedStyle(behind ?? document.body).backgroundColor)];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        // WCAG 2.2, 1.4.3: at least 4.5 to 1.
        if (contrast < 4.5) found.push(`${element.tagName}.${element.className} "${element.textContent?.slice(0, 20)}" ${contrast.toFixed(2)}`);
      }
      return found;
    });
    assert.deepEqual(poor, [], colorScheme);
  }
});

/** Puts brightness(colour), the relative luminance of WCAG, into the page. */
function defineBrightness() {
  /** @type {any} */ (window).brightness = (/** @type {string} */ colour) => {
    const [r, g, b] = (colour.match(/[\d.]+/g) ?? []).map((n) => {
      const c = Number(n) / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
}

test("with the keyboard alone", async () => {
  const page = await open(await profile(), `${server}/`);
  await page.keyboard.type("Mina"); // the name has the focus
  await page.keyboard.press("Enter");
  await page.waitForSelector("#state[data-state=connected]");
  await page.waitForFunction(() => document.activeElement?.id === "text");
  const room = newRoom();
  for (let i = 0; i < 30 && (await page.evaluate(() => document.activeElement?.id)) !== "room-name"; i++) await page.keyboard.press("Shift+Tab");
  await page.keyboard.type(room);
  await page.keyboard.press("Enter");
  await page.locator("#room-title", { hasText: room }).waitFor();
  await page.waitForFunction(() => document.activeElement?.id === "text");
  await page.keyboard.type("typed");
  await page.keyboard.press("Enter");
  await line(page, "typed").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.id), "text", "one can go on writing");

  await page.getByRole("button", { name: `Leave ${room}` }).focus();
  await page.keyboard.press("Enter");
  await page.locator("#room-title", { hasText: "lobby" }).waitFor();
  await page.waitForFunction(() => document.activeElement?.textContent?.includes("lobby"));
});

test("for a screen reader: everything has a name, and what comes is said once", async () => {
  const room = newRoom();
  const mina = await person("Mina", { room });
  const jihun = await person("지훈", { room });
  await jihun.locator("#people-count", { hasText: "2" }).waitFor();
  await say(jihun, "hello");
  await mina.locator("#announcer[aria-live=polite]", { hasText: "지훈: hello" }).waitFor();
  await say(mina, "hi");
  await line(mina, "hi").waitFor();
  assert.equal(await mina.locator("#announcer").textContent(), "지훈: hello", "one's own is not read out");
  const nameless = await mina.evaluate(() => {
    const found = [];
    for (const element of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("button, input, textarea, select, nav, aside, [role=region]"))) {
      const labels = "labels" in element ? [.../** @type {HTMLInputElement} */ (element).labels ?? []].map((label) => label.textContent).join("") : "";
      const name = element.getAttribute("aria-label") || labels.trim() || (element.matches("button") ? element.textContent?.trim() : "");
      if (!name && !element.hidden) found.push(element.outerHTML);
    }
    return found;
  });
  assert.deepEqual(nameless, []);
  for (const role of /** @type {const} */ (["main", "navigation", "complementary"])) assert.equal(await mina.getByRole(role).count(), 1, role);
  assert.equal(await mina.getByRole("heading", { level: 1 }).count(), 1);
});
