//! The limit of login attempts, against guessing passwords.

use crate::{
    accounts::Account,
    database::{Result, now, write},
    names::UserName,
};
use sqlx::SqlitePool;
use std::net::IpAddr;

/// How long an attempt counts.
const WINDOW_MS: i64 = 5 * 60 * 1000;

/// The number of attempts per name; the next has to wait. So anyone can lock anyone out for a
/// while, which is why the window is short.
const PER_NAME: i64 = 5;

/// The number of attempts per address: a whole school may share one.
const PER_ADDRESS: i64 = 30;

/// The number of rows that are kept; the oldest are deleted first. Only attempts from very many
/// addresses reach it.
const ROWS: i64 = 100_000;

/// The attempts in this database, which all processes share.
pub struct Attempts(pub SqlitePool);

/// Whether an attempt is allowed.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    Try,
    Wait { seconds: i64 },
}

impl Attempts {
    /// Records an attempt before its password is checked, so that a hundred concurrent attempts
    /// count as a hundred.
    pub async fn note(&self, name: &UserName, address: IpAddr) -> Result<Verdict> {
        self.note_at(now(), name, address).await
    }

    async fn note_at(&self, now: i64, name: &UserName, address: IpAddr) -> Result<Verdict> {
        // Without the lock, two processes could both count, and then both write.
        let mut write = write(&self.0).await?;
        sqlx::query(
            "DELETE FROM attempts WHERE at <= ?1 OR id <= (SELECT max(id) FROM attempts) - ?2",
        )
        .bind(now - WINDOW_MS)
        .bind(ROWS)
        .execute(&mut *write)
        .await?;
        let mut wait = 0;
        let subjects = [
            (of_name(name), PER_NAME),
            (of_address(address), PER_ADDRESS),
        ];
        for (subject, limit) in &subjects {
            // The attempt that must expire before another one is allowed.
            let oldest: Option<i64> = sqlx::query_scalar(
                "SELECT at FROM attempts WHERE subject = ? ORDER BY at DESC LIMIT 1 OFFSET ?",
            )
            .bind(subject)
            .bind(limit - 1)
            .fetch_optional(&mut *write)
            .await?;
            wait = wait.max(oldest.map_or(0, |at| at + WINDOW_MS - now));
        }
        if wait > 0 {
            write.commit().await?;
            let seconds = wait.div_euclid(1000) + 1;
            return Ok(Verdict::Wait { seconds });
        }
        for (subject, _) in &subjects {
            sqlx::query("INSERT INTO attempts (subject, at) VALUES (?, ?)")
                .bind(subject)
                .bind(now)
                .execute(&mut *write)
                .await?;
        }
        write.commit().await?;
        Ok(Verdict::Try)
    }

    /// Deletes the attempts at this account's name after a correct password. Those of the address
    /// remain except this one: otherwise the owner of any account could continue guessing
    /// passwords of others.
    pub async fn forget(&self, account: &Account, address: IpAddr) -> Result<()> {
        sqlx::query(
            "DELETE FROM attempts
             WHERE subject = (SELECT 'name ' || folded FROM users WHERE id = ?1)
             OR id = (SELECT max(id) FROM attempts WHERE subject = ?2)",
        )
        .bind(account.id)
        .bind(of_address(address))
        .execute(&self.0)
        .await?;
        Ok(())
    }
}

/// Returns the key under which attempts at a name count: its folded form as a whole, by which its
/// account is found.
fn of_name(name: &UserName) -> String {
    format!("name {}", name.folded())
}

/// Returns the key under which attempts from an address count: of IPv6 the /64 network, as a
/// household has 2^64 addresses or more.
fn of_address(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("address {address}"),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("address {a:x}:{b:x}:{c:x}:{d:x}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    async fn tries(attempts: &Attempts, name: &str, now: i64) -> Verdict {
        attempts.note_at(now, &typed(name), HERE).await.unwrap()
    }

    fn typed(name: &str) -> UserName {
        UserName::typed(name).unwrap()
    }

    async fn account(database: &SqlitePool, name: &str) -> Account {
        sqlx::query_as(
            "INSERT INTO users (name, folded, password) VALUES (?, ?, '') RETURNING id, name",
        )
        .bind(name)
        .bind(typed(name).folded())
        .fetch_one(database)
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn the_sixth_attempt_at_a_name_waits_until_the_first_is_forgotten() {
        let attempts = Attempts(database::in_memory().await);
        for second in 0..5 {
            let verdict = tries(&attempts, "Ana", second * 1000).await;
            assert_eq!(verdict, Verdict::Try, "{second}");
        }

        let sixth = tries(&attempts, "ana ", 100_000).await;
        let other = tries(&attempts, "Bo", 100_000).await;
        let later = tries(&attempts, "ANA", WINDOW_MS).await;

        assert_eq!(sixth, Verdict::Wait { seconds: 201 });
        assert_eq!(other, Verdict::Try);
        assert_eq!(later, Verdict::Try);
    }

    #[tokio::test]
    async fn an_address_is_limited_whatever_the_names() {
        let attempts = Attempts(database::in_memory().await);
        for number in 0..PER_ADDRESS {
            let verdict = tries(&attempts, &number.to_string(), 0).await;
            assert_eq!(verdict, Verdict::Try, "{number}");
        }

        let next = tries(&attempts, "Ana", 1).await;
        let there = Ipv6Addr::LOCALHOST.into();
        let elsewhere = attempts.note_at(1, &typed("Ana"), there).await;

        assert!(matches!(next, Verdict::Wait { .. }));
        assert_eq!(elsewhere.unwrap(), Verdict::Try);
    }

    #[tokio::test]
    async fn attempts_count_for_the_account_that_they_would_find_however_its_name_is_written() {
        let attempts = Attempts(database::in_memory().await);
        let padded = format!("{}ana", "\u{200b}".repeat(27));
        for name in ["Ana", "ANA", "a\u{2060}na", "Ａｎａ", &padded] {
            assert_eq!(tries(&attempts, name, 0).await, Verdict::Try, "{name:?}");
        }

        for name in ["Ana", "ana", &padded] {
            let next = tries(&attempts, name, 1).await;
            assert!(matches!(next, Verdict::Wait { .. }), "{name:?}");
        }
        let look_alike = tries(&attempts, "аna", 1).await;
        assert_eq!(look_alike, Verdict::Try, "with a Cyrillic а");
    }

    #[tokio::test]
    async fn the_right_password_clears_the_accounts_name_and_one_attempt_of_the_address() {
        let attempts = Attempts(database::in_memory().await);
        let ana = account(&attempts.0, "Ana").await;
        for _ in 0..5 {
            tries(&attempts, "Ana", 0).await;
        }

        attempts.forget(&ana, HERE).await.unwrap();

        assert_eq!(tries(&attempts, "Ana", 1).await, Verdict::Try);
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM attempts")
            .fetch_one(&attempts.0)
            .await
            .unwrap();
        assert_eq!(left, 4 + 2);
    }

    #[tokio::test]
    async fn the_right_password_of_one_account_clears_no_other() {
        let attempts = Attempts(database::in_memory().await);
        account(&attempts.0, "Ana").await;
        let anabel = account(&attempts.0, "Anabel").await;
        for _ in 0..5 {
            tries(&attempts, "Ana", 0).await;
        }

        attempts.forget(&anabel, HERE).await.unwrap();

        let next = tries(&attempts, "Ana", 1).await;
        assert!(matches!(next, Verdict::Wait { .. }));
    }
}
