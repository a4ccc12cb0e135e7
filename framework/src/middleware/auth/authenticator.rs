//! The trait through which an application finds and verifies its users.

use std::future::Future;

/// An application's users: how to find one, and how to verify credentials.
///
/// ```
/// use seaway::{Result, middleware::Authenticator};
/// use std::collections::HashMap;
///
/// #[derive(Clone)]
/// struct Account { name: String, password_hash: String }
///
/// struct Accounts(HashMap<String, Account>);
/// # fn verify(password: &str, hash: &str) -> bool { password == hash }
///
/// impl Authenticator for Accounts {
///     type User = Account;
///     type Credentials = (String, String);
///
///     fn id(&self, account: &Account) -> String {
///         account.name.clone()
///     }
///     fn stamp(&self, account: &Account) -> String {
///         account.password_hash.clone()
///     }
///     async fn load(&self, id: &str) -> Result<Option<Account>> {
///         Ok(self.0.get(id).cloned())
///     }
///     async fn authenticate(&self, (name, password): (String, String)) -> Result<Option<Account>> {
///         let account = self.0.get(&name);
///         Ok(account.filter(|account| verify(&password, &account.password_hash)).cloned())
///     }
/// }
/// ```
pub trait Authenticator: Send + Sync + 'static {
    /// Name of this kind of users (default: `user`), for sites with several kinds, such as
    /// customers and staff, whose ids may coincide.
    ///
    /// It consists of ASCII letters, digits, hyphens and underscores, and is not `ended`, `expiry`,
    /// `session`, `sha256` or `sse`: [`Auth::new`](crate::middleware::Auth::new) panics otherwise.
    const REALM: &'static str = "user";
    /// A user, as handlers get it.
    type User: Clone + Send + Sync + 'static;
    /// Credentials for a login, such as a name and a password.
    type Credentials: Send;

    /// Loads the user with this id; `None` if there is no such user, or no longer, or access is
    /// denied.
    ///
    /// It is called once for every request or handshake whose handler extracts the user.
    ///
    /// # Errors
    /// If the user cannot be loaded; the client gets 500 or 503 and stays logged in.
    fn load(&self, id: &str) -> impl Future<Output = crate::Result<Option<Self::User>>> + Send;

    /// Returns the user with these credentials; `None` if they are wrong.
    ///
    /// # Errors
    /// If the credentials cannot be checked.
    fn authenticate(
        &self,
        credentials: Self::Credentials,
    ) -> impl Future<Output = crate::Result<Option<Self::User>>> + Send;

    /// Returns the id by which [`load`](Authenticator::load) finds the user.
    ///
    /// Sessions store it.
    fn id(&self, user: &Self::User) -> String;

    /// Returns a value whose change ends the user's earlier logins (default: an empty string,
    /// which never changes).
    ///
    /// It is usually the hash of the password. Sessions store a digest of it.
    fn stamp(&self, user: &Self::User) -> String {
        _ = user;
        String::new()
    }
}
