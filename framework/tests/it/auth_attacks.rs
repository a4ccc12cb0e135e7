//! Attacks on authentication and sessions, each of which must fail.

use crate::auth_app::{Accounts, Site, asking, cookie};
use seaway::{
    ApplicationExt, AuthSession, Channels, Close, User, from_service,
    middleware::{Auth, Sessions},
    session::{Key, MemoryStore},
    testing::HttpCommunicator,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

#[tokio::test]
async fn a_page_of_another_site_cannot_open_a_websocket_with_the_users_cookie() {
    let site = Site::new();
    let ana = site.log_in("ana").await;
    let from = |origin| [("cookie", ana.as_str()), ("origin", origin)];

    for origin in [
        "https://evil.example",
        "null",
        "https://site.example.evil.example",
        "http://site.example:81",
    ] {
        assert_eq!(
            site.handshake_status("/who", &from(origin)).await,
            403,
            "{origin}"
        );
        assert_eq!(
            site.handshake_status("/members", &from(origin)).await,
            403,
            "{origin}"
        );
    }
    assert_eq!(
        site.handshake_status("/who", &from("http://site.example"))
            .await,
        101
    );
}

#[tokio::test]
async fn a_session_id_from_before_the_login_is_invalid_after_it() {
    let site = Site::new();
    let planted = cookie(&site.get("/note", &[]).await).unwrap();
    let (mut waiting, who) = site.who(&planted).await;
    assert_eq!(who, "nobody");

    let page = site
        .get("/login/ana/open%20sesame", &[("cookie", &planted)])
        .await;
    let ana = cookie(&page).unwrap();

    assert_ne!(planted, ana);
    assert_eq!(site.get("/me", &[("cookie", &planted)]).await.status(), 401);
    assert_eq!(site.who(&planted).await.1, "nobody");
    // The WebSocket that was opened with the fixated id is closed, too.
    assert_eq!(waiting.receive_close().await.code, Close::UNAUTHORIZED);
}

#[tokio::test]
async fn a_made_up_session_id_is_not_adopted() {
    let site = Site::new();
    let made_up = "session=AAAAAAAAAAAAAAAAAAAAAA";

    let page = site
        .get("/login/ana/open%20sesame", &[("cookie", made_up)])
        .await;

    assert_ne!(cookie(&page).unwrap(), made_up);
    assert_eq!(site.get("/me", &[("cookie", made_up)]).await.status(), 401);
}

#[tokio::test]
async fn a_stolen_cookie_is_invalid_after_the_logout() {
    let site = Site::new();
    let stolen = site.log_in("ana").await;
    let (mut thief, who) = site.who(&stolen).await;
    assert_eq!(who, "ana");

    site.get("/logout", &[("cookie", &stolen)]).await;

    assert_eq!(thief.receive_close().await.code, Close::UNAUTHORIZED);
    assert_eq!(site.get("/me", &[("cookie", &stolen)]).await.status(), 401);
    assert_eq!(
        site.handshake_status("/members", &[("cookie", &stolen)])
            .await,
        401
    );
    assert_eq!(site.who(&stolen).await.1, "nobody");
}

#[tokio::test]
async fn a_forged_signed_or_private_cookie_does_not_reach_the_session() {
    let (ours, theirs) = (Key::from(&[1; 64]), Key::from(&[2; 64]));
    for protect in [
        seaway::middleware::Sessions::signed,
        seaway::middleware::Sessions::private,
    ] {
        let site = Site::with(|auth| auth, |sessions| protect(sessions, ours.clone()));
        let ana = site.log_in("ana").await;
        assert_eq!(site.get("/me", &[("cookie", &ana)]).await.body(), "ana");

        // The right id without a signature, with another key's signature, and with one changed
        // character.
        let plain = Site::new().log_in("ana").await;
        let other = Site::with(|auth| auth, |sessions| protect(sessions, theirs.clone()));
        let foreign = other.log_in("ana").await;
        let id = &ana[ana.len() - 22..];
        let bare = format!("session={id}");
        let last = if ana.ends_with('A') { 'B' } else { 'A' };
        let bent = format!("{}{last}", &ana[..ana.len() - 1]);
        for forged in [plain, foreign, bare, bent] {
            let page = site.get("/me", &[("cookie", &forged)]).await;
            assert_eq!(page.status(), 401, "{forged}");
            assert_eq!(
                site.handshake_status("/members", &[("cookie", &forged)])
                    .await,
                401
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_expired_subprotocol_token_is_invalid() {
    let is_valid = Arc::new(AtomicBool::new(true));
    let verify = {
        let is_valid = is_valid.clone();
        move |token: String| {
            let is_valid = is_valid.load(Ordering::Relaxed) && token == "good-for-an-hour";
            async move { Ok(is_valid.then(|| "ana".to_owned())) }
        }
    };
    let site = Site::with(
        |auth| auth.tokens(verify).recheck(Duration::from_secs(60)),
        |sessions| sessions,
    );
    let offer = [("sec-websocket-protocol", "bearer, good-for-an-hour")];
    let mut socket = site.open("/members", &offer).await;
    assert_eq!(socket.receive_text().await, "ana");

    is_valid.store(false, Ordering::Relaxed);

    assert_eq!(site.handshake_status("/members", &offer).await, 401);
    // The WebSocket that it opened is closed by the next recheck.
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(socket.receive_close().await.code, Close::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_is_not_echoed_in_the_response() {
    let site = Site::with(
        |auth| {
            auth.tokens(|token| async move { Ok((token == "secret").then(|| "ana".to_owned())) })
        },
        |sessions| sessions,
    );
    let offer = [("sec-websocket-protocol", "chat.v1, bearer, secret")];

    let mut socket = site.open("/who", &offer).await;

    let response = socket.response().await;
    assert_eq!(response.headers()["sec-websocket-protocol"], "bearer");
}

/// Staff of the same site, whose ids are numbers like those of customers.
struct Staff;

impl seaway::Authenticator for Staff {
    const REALM: &'static str = "staff";
    type User = String;
    type Credentials = String;

    fn id(&self, name: &String) -> String {
        name.clone()
    }

    async fn load(&self, id: &str) -> seaway::Result<Option<String>> {
        Ok(Some(id.to_owned()))
    }

    async fn authenticate(&self, name: String) -> seaway::Result<Option<String>> {
        Ok(Some(name))
    }
}

#[test]
#[should_panic(expected = "write only ASCII letters, digits, hyphens and underscores")]
fn a_realm_with_a_period_is_rejected() {
    struct Dotted;
    impl seaway::Authenticator for Dotted {
        const REALM: &'static str = "shop.staff";
        type User = String;
        type Credentials = ();

        fn id(&self, name: &String) -> String {
            name.clone()
        }
        async fn load(&self, _: &str) -> seaway::Result<Option<String>> {
            Ok(None)
        }
        async fn authenticate(&self, (): ()) -> seaway::Result<Option<String>> {
            Ok(None)
        }
    }

    _ = Auth::new(Dotted);
}

#[tokio::test]
async fn a_user_of_one_type_is_not_a_user_of_another() {
    let channels = Channels::in_memory();
    let page = async |user: Option<User<String>>| user.map_or("nobody".to_owned(), |user| user.0);
    let log_in = async |auth: AuthSession<Accounts>| {
        let root = auth
            .authenticate(("root".to_owned(), "open sesame".to_owned()))
            .await?;
        auth.log_in(&root.expect("an account")).await
    };
    let pages = axum::Router::new()
        .route("/page", axum::routing::get(page))
        .route("/login", axum::routing::get(log_in));
    let pages = from_service(pages)
        .with(Auth::new(Staff))
        .with(Auth::new(Accounts::of(&["root"])))
        .with(Sessions::new(MemoryStore::default(), &channels))
        .boxed();
    let get = async |path: &str, cookie: &str| {
        let request = asking(path, &[("cookie", cookie)]).body(String::new());
        HttpCommunicator::request(&pages, request.unwrap())
            .await
            .unwrap()
    };

    let root = cookie(&get("/login", "").await).unwrap();

    assert_eq!(get("/page", &root).await.body(), "nobody");
}

#[tokio::test]
async fn a_request_in_flight_at_the_logout_does_not_restore_the_session() {
    let site = Site::new();
    let ana = site.log_in("ana").await;

    // The page reads the session, waits while another tab logs out, and then requests a new id.
    let headers = [("cookie", ana.as_str())];
    let (page, ()) = tokio::join!(site.get("/renew", &headers), async {
        site.meanwhile().await;
        site.get("/logout", &headers).await;
        site.go_on();
    });

    let renewed = cookie(&page).unwrap_or_default();
    assert_eq!(site.get("/me", &[("cookie", &renewed)]).await.status(), 401);
    assert_eq!(site.get("/me", &[("cookie", &ana)]).await.status(), 401);
}

#[tokio::test]
async fn a_late_request_with_the_old_cookie_does_not_remove_the_new_one() {
    let site = Site::new();
    let anonymous = cookie(&site.get("/note", &[]).await).unwrap();
    let headers = [("cookie", anonymous.as_str())];
    let page = site.get("/login/ana/open%20sesame", &headers).await;
    assert!(cookie(&page).is_some());

    let late = site.get("/perhaps", &headers).await;

    assert_eq!(late.body(), "nobody");
    assert_eq!(cookie(&late), None);
}
