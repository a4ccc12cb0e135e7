//! A user of the chat in a browser.

use serde_json::json;

use super::{
    browser::Browser,
    page::{Key, Page},
    server::Server,
};

/// The password of all users.
pub const PASSWORD: &str = "fair winds and following seas";

/// A user with an open tab of the chat.
#[derive(Debug)]
pub struct Visitor {
    /// The page in the tab.
    pub page: Page,
}

impl Visitor {
    /// Signs up, which leads to the list of rooms.
    pub async fn sign_up(browser: &Browser, server: &Server, name: &str) -> Self {
        let visitor = Self {
            page: browser.page().await,
        };
        visitor.page.goto(&server.page("/signup")).await;
        visitor.fills_in(name, PASSWORD).await;
        visitor.page.arrives_at("/").await;
        visitor
    }

    /// Signs up, and enters the room "Harbour", which is created if needed.
    pub async fn join(browser: &Browser, server: &Server, name: &str) -> Self {
        let visitor = Self::sign_up(browser, server, name).await;
        let has_room = "Boolean(document.querySelector('#rooms [data-slug=harbour]'))";
        if visitor.page.eval(has_room).await == false {
            visitor.creates("Harbour").await;
        }
        visitor.enters(server, "harbour").await;
        visitor
    }

    /// Opens another tab of the same user, in the same room.
    pub async fn another_tab(&self, browser: &Browser, server: &Server, room: &str) -> Self {
        let visitor = Self {
            page: browser.tab_beside(&self.page).await,
        };
        visitor.enters(server, room).await;
        visitor
    }

    /// Opens another tab of the same user, at this URL.
    pub async fn page_in_another_tab(&self, browser: &Browser, url: &str) -> Self {
        let page = browser.tab_beside(&self.page).await;
        page.goto(url).await;
        Self { page }
    }

    /// Fills in name and password on the current page, and submits them.
    pub async fn fills_in(&self, name: &str, password: &str) {
        self.page.type_text("#name", name).await;
        self.page.type_text("#password", password).await;
        self.page.click("#submit").await;
    }

    /// Creates a room on the list of rooms, which opens it.
    pub async fn creates(&self, name: &str) {
        self.page.type_text("#room-name", name).await;
        self.page.click("#create").await;
        self.page.wait_for("document.querySelector('#deck')").await;
        self.is("connected").await;
    }

    /// Opens a room.
    pub async fn enters(&self, server: &Server, room: &str) {
        let room = server.page(&format!("/rooms/{room}"));
        self.page.goto(&room).await;
        self.is("connected").await;
    }

    /// Writes a message and sends it with the Enter key.
    pub async fn says(&self, text: &str) {
        self.page.type_text("#composer", text).await;
        self.page.press(Key::Enter).await;
    }

    /// Sends this many numbers at once, without typing them.
    pub async fn says_at_once(&self, count: usize) {
        let script = format!(
            "(() => {{
                 const composer = document.querySelector('#composer');
                 for (let number = 1; number <= {count}; number += 1) {{
                     composer.value = String(number);
                     composer.form.requestSubmit();
                 }}
                 return true;
             }})()"
        );
        assert_eq!(self.page.eval(&script).await, true);
    }

    /// Waits for a connection state: `connected`, `connecting` or `waiting`.
    pub async fn is(&self, state: &str) {
        let shown = "document.querySelector('#status')?.dataset.state";
        self.page.wait_for_value(shown, &json!(state)).await;
    }

    /// Waits until exactly these messages, all delivered, are shown in this order.
    pub async fn sees(&self, texts: &[&str]) {
        let shown = "[...document.querySelectorAll('#messages > li')].map((item) => \
                     (item.dataset.state === 'sent' ? '' : `${item.dataset.state}: `) \
                     + item.querySelector('.text').textContent)";
        self.page.wait_for_value(shown, &json!(texts)).await;
    }

    /// Waits until exactly these users are shown.
    pub async fn sees_people(&self, names: &[&str]) {
        let shown =
            "[...document.querySelectorAll('#people li')].map((item) => item.dataset.name).sort()";
        self.page.wait_for_value(shown, &json!(names)).await;
    }

    /// Waits until the last message has this state (`stored`, `failed` …), and shows these words.
    pub async fn sees_the_last(&self, state: &str, words: &str) {
        let last = "document.querySelector('#messages > li:last-child')";
        self.page
            .wait_for_value(&format!("{last}?.dataset.state"), &json!(state))
            .await;
        let said = format!("{last}.querySelector('.delivery').textContent");
        let words = json!(words);
        let part = format!("{said}.includes({words}) ? {words} : {said}");
        self.page.wait_for_value(&part, &words).await;
    }

    /// Clicks "Retry" until the server has stored every message.
    pub async fn retries(&self) {
        let retry = "document.querySelector('.retry')?.click()";
        let all_sent = "!document.querySelector('#messages > :not([data-state=sent])')";
        self.page.wait_for(&format!("({retry}, {all_sent})")).await;
    }

    /// Posts a form's fields to a path, without the form; returns the status, `0` for a redirect.
    pub async fn posts(&self, path: &str, fields: &[(&str, &str)]) -> u64 {
        let (path, fields) = (json!(path), json!(fields));
        let script = format!(
            "fetch({path}, {{ method: 'POST', body: new URLSearchParams({fields}), redirect: 'manual' }})
                 .then((answer) => answer.status)"
        );
        let status = self.page.eval(&script).await;
        status.as_u64().expect("a status")
    }

    /// Checks that the page has neither thrown nor violated its content security policy.
    ///
    /// # Panics
    /// With the problems.
    pub fn had_no_problems(&self) {
        assert_eq!(self.page.problems(), Vec::<String>::new());
    }
}
