//! A person in the chat, at the page of `examples/chat`.

use serde_json::json;

use super::{
    browser::Browser,
    page::{Key, Page},
    server::Server,
};

/// Everybody meets here; each test has a server of its own.
pub const ROOM: &str = "/?room=harbour";

/// Somebody with a page open in the room.
#[derive(Debug)]
pub struct Visitor {
    /// What they look at.
    pub page: Page,
}

impl Visitor {
    /// Opens the page, fills in the name and enters the room.
    pub async fn join(browser: &Browser, server: &Server, name: &str) -> Self {
        let visitor = Self {
            page: browser.page().await,
        };
        visitor.page.goto(&server.page(ROOM)).await;
        visitor.page.type_text("#name", name).await;
        visitor.page.click("#join").await;
        visitor.is("connected").await;
        visitor
    }

    /// Writes a message and sends it with the Enter key.
    pub async fn says(&self, text: &str) {
        self.page.type_text("#composer", text).await;
        self.page.press(Key::Enter).await;
    }

    /// Waits for the state of the connection: `connected`, `connecting` or `waiting`.
    pub async fn is(&self, state: &str) {
        self.page
            .wait_for_value(
                "document.querySelector('#status').dataset.state",
                &json!(state),
            )
            .await;
    }

    /// Waits until exactly these messages, all delivered, are shown in this order.
    pub async fn sees(&self, texts: &[&str]) {
        let shown = "[...document.querySelectorAll('#messages > *')].map((item) => \
                     (item.dataset.id ? '' : 'not delivered: ') + item.querySelector('.text').textContent)";
        self.page.wait_for_value(shown, &json!(texts)).await;
    }

    /// Waits until exactly these people are shown, each with one connection; oneself first, then by name.
    pub async fn sees_people(&self, names: &[&str]) {
        let expected: Vec<String> = names.iter().map(|name| format!("{name}: 1")).collect();
        let shown = "[...document.querySelectorAll('#people li')].map((item) => \
                     `${item.dataset.name}: ${item.dataset.count}`)";
        self.page.wait_for_value(shown, &json!(expected)).await;
    }

    /// Waits until a message is shown as not sent, for this reason.
    pub async fn sees_not_sent(&self, reason: &str) {
        let reason = json!(reason);
        let shown =
            "document.querySelector('#messages [data-state=failed] .delivery span')?.textContent";
        let part = format!("{shown}?.includes({reason}) ? {reason} : {shown}");
        self.page.wait_for_value(&part, &reason).await;
    }

    /// Presses "Retry" until the server has taken every message.
    pub async fn retries(&self) {
        let retry = "document.querySelector('.retry')?.click()";
        let all_sent = "!document.querySelector('#messages > :not([data-id])')";
        self.page.wait_for(&format!("({retry}, {all_sent})")).await;
    }

    /// Fails if the page has thrown, or broken its content security policy.
    ///
    /// # Panics
    /// With what went wrong.
    pub fn had_no_problems(&self) {
        assert_eq!(self.page.problems(), Vec::<String>::new());
    }
}
