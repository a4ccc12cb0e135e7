//! What an application knows of its users.

use crate::error::Result;
use std::future::Future;

/// What an application knows of its users: how to find one, and how to tell that somebody is one.
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
    /// Whose users these are, where one site has several kinds: customers and staff, say, of whom one `"1"` is not the
    /// other. Letters, digits, hyphens, underscores or periods. Default `user`.
    const REALM: &'static str = "user";
    /// A user, as handlers see one.
    type User: Clone + Send + Sync + 'static;
    /// What somebody shows to log in: a name and a password, say.
    type Credentials: Send;

    /// The user of this id; `None` if there is none (any more), or one who may not come in.
    ///
    /// It is asked for every page and socket that wants to know its user.
    ///
    /// # Errors
    /// Whatever keeps you from knowing: the client gets a 500 or 503, and nobody is logged out.
    fn load(&self, id: &str) -> impl Future<Output = Result<Option<Self::User>>> + Send;

    /// Who shows these credentials; `None` if they are wrong.
    ///
    /// # Errors
    /// Whatever keeps you from knowing.
    fn authenticate(
        &self,
        credentials: Self::Credentials,
    ) -> impl Future<Output = Result<Option<Self::User>>> + Send;

    /// The id by which [`load`](Authenticator::load) finds a user. It is kept in sessions.
    fn id(&self, user: &Self::User) -> String;

    /// Whatever ends a user's earlier log-ins when it changes: usually the hash of the password. Sessions keep a digest
    /// of it. Default: nothing does.
    fn stamp(&self, user: &Self::User) -> String {
        _ = user;
        String::new()
    }
}
