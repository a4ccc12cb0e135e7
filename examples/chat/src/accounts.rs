//! Accounts: sign-up and login.

use crate::{names::UserName, passwords::Passwords};
use seaway::{Authenticator, Result};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, SqlitePool};
use std::fmt;

/// The longest accepted password in characters: hashing a longer one would take long.
const LONGEST_PASSWORD: usize = 200;

/// A user who has signed up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, FromRow)]
pub struct Account {
    pub id: i64,
    pub name: String,
}

/// The account's id, for group names and logs: names are private there.
impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

/// The form input of a login or sign-up.
#[derive(Clone)]
pub struct Credentials {
    pub name: UserName,
    pub password: String,
}

/// All accounts.
#[derive(Clone)]
pub struct Accounts {
    database: SqlitePool,
    passwords: Passwords,
}

impl Accounts {
    /// Returns the accounts in this database.
    pub async fn new(database: SqlitePool) -> Result<Self> {
        let passwords = Passwords::new().await?;
        Ok(Self {
            database,
            passwords,
        })
    }

    /// Creates an account, or returns the reason for a rejection as a sentence.
    pub async fn sign_up(&self, credentials: Credentials) -> Result<Result<Account, &'static str>> {
        if let Some(problem) = credentials.name.problem() {
            return Ok(Err(problem));
        }
        if !(8..=LONGEST_PASSWORD).contains(&credentials.password.chars().count()) {
            return Ok(Err("A password has 8 to 200 characters."));
        }
        let hash = self.passwords.hash(credentials.password).await?;
        let account: Option<Account> = sqlx::query_as(
            "INSERT INTO users (name, folded, password) VALUES (?, ?, ?)
             ON CONFLICT (folded) DO NOTHING RETURNING id, name",
        )
        .bind(credentials.name.shown())
        .bind(credentials.name.folded())
        .bind(hash)
        .fetch_optional(&self.database)
        .await?;
        Ok(account.ok_or("Somebody has this name already."))
    }
}

impl Authenticator for Accounts {
    type User = Account;
    type Credentials = Credentials;

    async fn load(&self, id: &str) -> Result<Option<Account>> {
        let account = sqlx::query_as("SELECT id, name FROM users WHERE id = ?")
            .bind(id.parse::<i64>().ok())
            .fetch_optional(&self.database);
        Ok(account.await?)
    }

    async fn authenticate(&self, credentials: Credentials) -> Result<Option<Account>> {
        if credentials.password.chars().count() > LONGEST_PASSWORD {
            return Ok(None);
        }
        let found: Option<(i64, String, String)> =
            sqlx::query_as("SELECT id, name, password FROM users WHERE folded = ?")
                .bind(credentials.name.folded())
                .fetch_optional(&self.database)
                .await?;
        let (account, hash) = found
            .map(|(id, name, hash)| (Account { id, name }, hash))
            .unzip();
        let fits = self.passwords.fits(credentials.password, hash).await?;
        Ok(account.filter(|_| fits))
    }

    fn id(&self, account: &Account) -> String {
        account.id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database;

    #[tokio::test]
    async fn a_name_is_one_persons_in_any_case() {
        let accounts = Accounts::new(database::in_memory().await).await.unwrap();
        let typed = |name: &str, password: &str| Credentials {
            name: UserName::typed(name).unwrap(),
            password: password.to_owned(),
        };

        let first = accounts.sign_up(typed("Ælla", "long enough")).await;
        let second = accounts.sign_up(typed("ÆLLA", "long enough")).await;
        let found = accounts.authenticate(typed("ælla ", "long enough")).await;
        let wrong = accounts.authenticate(typed("Ælla", "a wrong one")).await;
        let nobody = accounts.authenticate(typed("Bo", "long enough")).await;

        let ana = first.unwrap().expect("the name is free");
        assert!(second.unwrap().is_err());
        assert_eq!(found.unwrap(), Some(ana));
        assert_eq!(wrong.unwrap(), None);
        assert_eq!(nobody.unwrap(), None);
    }
    #[tokio::test]
    async fn an_account_from_before_names_were_stricter_can_still_log_in() {
        let database = database::in_memory().await;
        let accounts = Accounts::new(database.clone()).await.unwrap();
        let hash = accounts.passwords.hash("long enough".to_owned()).await;
        // As the first version of this program stored them.
        for (name, folded) in [("Аna", "аna"), ("Be\u{ad}a", "bea")] {
            sqlx::query("INSERT INTO users (name, folded, password) VALUES (?, ?, ?)")
                .bind(name)
                .bind(folded)
                .bind(hash.as_ref().unwrap())
                .execute(&database)
                .await
                .unwrap();
            let typed = Credentials {
                name: UserName::typed(name).unwrap(),
                password: "long enough".to_owned(),
            };

            let found = accounts.authenticate(typed.clone()).await.unwrap();

            assert_eq!(found.unwrap().name, name);
            assert!(accounts.sign_up(typed).await.unwrap().is_err());
        }
    }
}
