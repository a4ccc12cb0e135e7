//! A headless Chromium.

use std::{
    fs,
    process::{Command, Stdio},
    sync::{Arc, Weak},
};

use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{child::Process, devtools::DevTools, page::Page, temp_dir::Scratch};

/// Flags with which Chromium runs in a container, without a screen, and connects to no other host.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    // Servers with TLS have certificates of their test's own authority.
    "--ignore-certificate-errors",
    "--disable-dev-shm-usage",
    "--log-level=3",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
];

/// A browser of one test: its pages share nothing with those of other tests.
#[derive(Debug)]
pub struct Browser {
    // The connection is closed, and with it the pages, before Chromium may exit.
    devtools: Arc<DevTools>,
    _chromium: Arc<Chromium>,
}

/// A running Chromium with its own profile. Tests that run at the same time share one, since a
/// start takes most of a second on a busy machine.
#[derive(Debug)]
struct Chromium {
    port: u16,
    path: String,
    // The process is dropped before the directory that it writes to.
    _process: Process,
    _profile: Scratch,
}

impl Chromium {
    /// Returns the running Chromium, or starts one.
    async fn shared() -> Arc<Self> {
        static RUNNING: Mutex<Weak<Chromium>> = Mutex::const_new(Weak::new());

        let mut running = RUNNING.lock().await;
        if let Some(chromium) = running.upgrade() {
            return chromium;
        }
        let chromium = Arc::new(Self::start().await);
        *running = Arc::downgrade(&chromium);
        chromium
    }

    async fn start() -> Self {
        let profile = Scratch::new("chromium-profile");
        let program = std::env::var_os("SEAWAY_CHROMIUM").unwrap_or_else(|| "chromium".into());
        let mut command = Command::new(program);
        command
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let mut process =
            Process::start("chromium", &mut command, "`cargo xtask setup` installs it");

        let mut endpoint = None;
        process
            .up(async || {
                endpoint = read_endpoint(&profile);
                endpoint.is_some()
            })
            .await;
        let (port, path) = endpoint.expect("Chromium is up");
        Self {
            port,
            path,
            _process: process,
            _profile: profile,
        }
    }
}

impl Browser {
    /// Connects to a browser, and starts it if it does not run; `SEAWAY_CHROMIUM` overrides the
    /// program `chromium`.
    ///
    /// # Panics
    /// If it is missing or does not start.
    pub async fn new() -> Self {
        let chromium = Chromium::shared().await;
        let devtools = DevTools::connect(chromium.port, &chromium.path).await;
        Self {
            devtools: Arc::new(devtools),
            _chromium: chromium,
        }
    }

    /// Opens a page in a new browser context, like another person's browser.
    ///
    /// # Panics
    /// If Chromium does not open it.
    pub async fn page(&self) -> Page {
        let context = self
            .call(
                "Target.createBrowserContext",
                json!({ "disposeOnDetach": true }),
            )
            .await;
        let context = context["browserContextId"].as_str();
        self.page_in(context.expect("a context id").to_owned())
            .await
    }

    /// Opens another tab in the browser context of a page, with the same cookies.
    pub async fn tab_beside(&self, page: &Page) -> Page {
        self.page_in(page.context().to_owned()).await
    }

    async fn page_in(&self, context: String) -> Page {
        let blank = json!({ "url": "about:blank", "browserContextId": context });
        let target = self.call("Target.createTarget", blank).await["targetId"].take();
        let attach = json!({ "targetId": target, "flatten": true });
        let session = self.call("Target.attachToTarget", attach).await["sessionId"].take();
        let session = session.as_str().expect("a session id").to_owned();
        Page::new(Arc::clone(&self.devtools), context, session).await
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        let answer = self.devtools.call(None, method, params).await;
        answer.expect(method)
    }
}

/// Returns the port and path on which Chromium listens; it writes them to a file once it does.
fn read_endpoint(profile: &Scratch) -> Option<(u16, String)> {
    let file = fs::read_to_string(profile.path().join("DevToolsActivePort")).ok()?;
    let (port, path) = file.split_once('\n')?;
    (!path.is_empty()).then_some((port.parse().ok()?, path.trim().to_owned()))
}
