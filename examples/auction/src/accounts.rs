//! Accounts and their passwords: the first login with a name signs up.

use crate::auction::Auction;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use seaway::{Authenticator, BlockingPool, Result};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, query_as};
use std::sync::LazyLock;

/// Each password takes 19 MiB and a processor core. `examples/chat` also limits the attempts.
static HASHING: LazyLock<BlockingPool> = LazyLock::new(|| BlockingPool::new(4));

#[derive(Clone, Serialize, FromRow)]
pub struct Account {
    pub name: String,
    pub is_auctioneer: bool,
    #[serde(skip)]
    password: String,
}

#[derive(Deserialize)]
pub struct LogIn {
    name: String,
    password: String,
}

impl Authenticator for Auction {
    type User = Account;
    type Credentials = LogIn;

    fn id(&self, account: &Account) -> String {
        account.name.clone()
    }

    async fn load(&self, name: &str) -> Result<Option<Account>> {
        let found = query_as("SELECT * FROM accounts WHERE name = ? AND NOT is_removed");
        Ok(found.bind(name).fetch_optional(&self.database).await?)
    }

    async fn authenticate(&self, form: LogIn) -> Result<Option<Account>> {
        let password = form.password.into_bytes();
        if let Some(account) = self.load(&form.name).await? {
            let hash = account.password.clone();
            let verify = move || Argon2::default().verify_password(&password, &*hash);
            return Ok(HASHING.run(verify).await?.is_ok().then_some(account));
        }
        let hash = move || Argon2::default().hash_password(&password);
        let hash = HASHING.run(hash).await??;
        // Returns no row if the account was removed, or the table's checks refuse its name.
        let sign_up = "INSERT OR IGNORE INTO accounts (name, password, is_auctioneer)
                       VALUES (?, ?, NOT EXISTS (SELECT 1 FROM accounts)) RETURNING *";
        let sign_up = query_as(sign_up).bind(form.name).bind(hash.to_string());
        Ok(sign_up.fetch_optional(&self.database).await?)
    }
}
