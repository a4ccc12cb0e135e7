//! A page in the browser, with a user's actions and checks.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use serde_json::{Value, json};

use super::{
    devtools::DevTools,
    wait::{DEADLINE, POLL},
};

/// The width and height of a window, in CSS pixels, and whether it is a phone's.
pub type Screen = (u32, u32, bool);

/// A desktop window.
pub const DESKTOP: Screen = (1280, 800, false);

/// A small phone in portrait orientation.
pub const PHONE: Screen = (375, 700, true);

/// The smallest common phone.
pub const SMALL_PHONE: Screen = (360, 640, true);

/// A key that has an action instead of a character.
#[derive(Debug, Clone, Copy)]
pub enum Key {
    /// Submits, or activates the focused element.
    Enter,
    /// Closes a panel.
    Escape,
    /// Moves the focus.
    Tab,
}

/// A page of its own browser context.
#[derive(Debug)]
pub struct Page {
    devtools: Arc<DevTools>,
    /// The browser context, which determines the cookies.
    context: String,
    session: String,
}

impl Page {
    pub(super) async fn new(devtools: Arc<DevTools>, context: String, session: String) -> Self {
        let page = Self {
            devtools,
            context,
            session,
        };
        for domain in ["Page", "Runtime", "Log"] {
            page.call(&format!("{domain}.enable"), json!({})).await;
        }
        page.show_on(DESKTOP, "light").await;
        page
    }

    /// Opens a URL and waits until it has loaded.
    pub async fn goto(&self, url: &str) {
        self.open(url).await;
        let expected = json!(url);
        self.wait_for(&format!(
            "location.href === {expected} && document.readyState === 'complete'"
        ))
        .await;
    }

    /// Opens a URL, which may redirect.
    pub async fn open(&self, url: &str) {
        // From now on the previous page must not evaluate anything.
        self.eval("window.isPageBefore = true").await;
        self.call("Page.navigate", json!({ "url": url })).await;
        self.wait_for("!window.isPageBefore && document.readyState === 'complete'")
            .await;
    }

    /// Waits until the URL has this path and query, and the page has loaded.
    pub async fn arrives_at(&self, path: &str) {
        let script = "document.readyState === 'complete' && location.pathname + location.search";
        self.wait_for_value(script, &json!(path)).await;
    }

    /// Navigates back, as by the browser's button.
    pub async fn go_back(&self) {
        self.eval("history.back()").await;
    }

    /// Simulates that the page is left and kept in the back/forward cache, as if its headers
    /// allowed that.
    pub async fn is_hidden(&self) {
        self.transition("pagehide").await;
    }

    /// Simulates that the page is shown again.
    pub async fn is_shown(&self) {
        self.transition("pageshow").await;
    }

    async fn transition(&self, kind: &str) {
        let event = format!("new PageTransitionEvent('{kind}', {{ persisted: true }})");
        self.eval(&format!("dispatchEvent({event})")).await;
    }

    /// Leaves the page, which closes its connections.
    pub async fn leave(self) {
        self.goto("about:blank").await;
    }

    pub(super) fn context(&self) -> &str {
        &self.context
    }

    /// Returns the value of an expression.
    ///
    /// # Panics
    /// If it throws.
    pub async fn eval(&self, script: &str) -> Value {
        self.try_eval(script)
            .await
            .unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Waits until an expression is true.
    pub async fn wait_for(&self, condition: &str) {
        self.wait_for_value(&format!("Boolean({condition})"), &Value::Bool(true))
            .await;
    }

    /// Waits until an expression has this value.
    ///
    /// # Panics
    /// If it does not have it in time; the message shows its actual value.
    pub async fn wait_for_value(&self, script: &str, expected: &Value) {
        let start = Instant::now();
        loop {
            // During a navigation there is nothing to evaluate.
            let value = self.try_eval(script).await;
            if value.as_ref() == Ok(expected) {
                return;
            }
            assert!(
                start.elapsed() < DEADLINE,
                "{script}\n  is {value:?}\n  not {expected}"
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Replaces the text of the field with this selector.
    pub async fn type_text(&self, selector: &str, text: &str) {
        let selector = json!(selector);
        self.eval(&format!("document.querySelector({selector}).select()"))
            .await;
        self.call("Input.insertText", json!({ "text": text })).await;
    }

    /// Chooses a file in the field with this selector.
    ///
    /// # Panics
    /// If there is no such field.
    pub async fn choose_file(&self, selector: &str, file: &Path) {
        let field = format!("document.querySelector({})", json!(selector));
        let field = self
            .call("Runtime.evaluate", json!({ "expression": field }))
            .await;
        let field = &field["result"]["objectId"];
        let chosen = json!({ "files": [file], "objectId": field });
        self.call("DOM.setFileInputFiles", chosen).await;
    }

    /// Clicks the centre of the element with this selector.
    ///
    /// # Panics
    /// If another element covers it.
    pub async fn click(&self, selector: &str) {
        let quoted = json!(selector);
        let spot = self
            .eval(&format!(
                "(() => {{ const target = document.querySelector({quoted});
                    target.scrollIntoView({{ block: 'nearest' }});
                    const box = target.getBoundingClientRect();
                    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
                    return {{ x, y, hit: target.contains(document.elementFromPoint(x, y)) }}; }})()"
            ))
            .await;
        assert_eq!(
            spot["hit"], true,
            "{selector} cannot be clicked: something covers it"
        );
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": spot["x"], "y": spot["y"], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event).await;
        }
    }

    /// Presses and releases a key.
    pub async fn press(&self, key: Key) {
        let (name, code, text) = match key {
            Key::Enter => ("Enter", 13, "\r"),
            Key::Escape => ("Escape", 27, ""),
            Key::Tab => ("Tab", 9, ""),
        };
        for kind in ["keyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": name, "code": name, "windowsVirtualKeyCode": code, "text": text });
            self.call("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Types a text into the focused element.
    pub async fn type_here(&self, text: &str) {
        self.call("Input.insertText", json!({ "text": text })).await;
    }

    /// Sets the size of the window, and the preferred colour scheme: `light` or `dark`.
    pub async fn show_on(&self, (width, height, is_phone): Screen, colours: &str) {
        let scale = if is_phone { 2 } else { 1 };
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": is_phone });
        self.call("Emulation.setDeviceMetricsOverride", metrics)
            .await;
        let scheme = json!({ "name": "prefers-color-scheme", "value": colours });
        self.call(
            "Emulation.setEmulatedMedia",
            json!({ "features": [scheme] }),
        )
        .await;
    }

    /// Waits until the page has handled its events up to now and drawn the result: scroll events,
    /// resize observers.
    pub async fn is_drawn(&self) {
        let frame =
            "new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))";
        self.eval(frame).await;
    }

    /// Simulates that this much time has passed: timers run at once, one after the other, and their
    /// fetches are awaited. From then on the page's clock is paused.
    pub async fn pass_time(&self, seconds: u32) {
        // Set before the clock runs: a timer that is set afterwards may never fire on the paused
        // clock.
        let alarm = format!(
            "window.isLater = false; setTimeout(() => window.isLater = true, {seconds} * 1000)"
        );
        self.eval(&alarm).await;
        let policy =
            json!({ "policy": "pauseIfNetworkFetchesPending", "budget": seconds * 1_000 + 1_000 });
        self.call("Emulation.setVirtualTimePolicy", policy).await;
        self.wait_for("window.isLater").await;
    }

    /// Saves a screenshot as `target/screenshots/<name>.png`.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub async fn screenshot(&self, name: &str) -> PathBuf {
        // A background tab is not drawn.
        self.call("Page.bringToFront", json!({})).await;
        let image = self.call("Page.captureScreenshot", json!({})).await;
        let bytes =
            data_encoding::BASE64.decode(image["data"].as_str().expect("an image").as_bytes());

        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/screenshots");
        fs::create_dir_all(&directory).expect("a directory for screenshots");
        let path = directory.join(format!("{name}.png"));
        fs::write(&path, bytes.expect("base64 from Chromium")).expect("a file for the screenshot");
        path
    }

    /// Returns the exceptions and content security policy violations so far.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.devtools.problems(&self.session)
    }

    async fn try_eval(&self, script: &str) -> Result<Value, String> {
        let params = json!({ "expression": script, "returnByValue": true, "awaitPromise": true });
        let mut answer = self
            .devtools
            .call(Some(&self.session), "Runtime.evaluate", params)
            .await?;
        match answer.get("exceptionDetails") {
            Some(details) => Err(details.to_string()),
            None => Ok(answer["result"]["value"].take()),
        }
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        let answer = self
            .devtools
            .call(Some(&self.session), method, params)
            .await;
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }
}
