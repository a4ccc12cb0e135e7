//! Password hashing with Argon2id, off the threads that serve sockets.

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use seaway::{BlockingPool, Result};
use std::sync::Arc;

/// The number of passwords that are hashed at once: each takes 19 MiB and a processor core. Further
/// ones wait.
const AT_ONCE: usize = 4;

/// A pool that hashes and verifies passwords.
#[derive(Clone)]
pub struct Passwords {
    pool: BlockingPool,
    /// The hash that stands in for the one of an unknown account.
    nobodys: Arc<str>,
}

impl Passwords {
    /// Returns a pool; takes as long as hashing one password.
    pub async fn new() -> Result<Self> {
        let pool = BlockingPool::new(AT_ONCE);
        let nobodys = pool.run(|| hashed("")).await??.into();
        Ok(Self { pool, nobodys })
    }

    /// Returns the password as it is stored: a hash with its salt and cost.
    pub async fn hash(&self, password: String) -> Result<String> {
        self.pool.run(move || hashed(&password)).await?
    }

    /// Returns whether the password has this hash. Without a hash it returns false after the same
    /// time, so that timing does not reveal which names exist.
    pub async fn fits(&self, password: String, hash: Option<String>) -> Result<bool> {
        let nobodys = self.nobodys.clone();
        let checking = self.pool.run(move || {
            let is_known = hash.is_some();
            let hash = hash.as_deref().unwrap_or(&nobodys);
            // Both are always done: `&`, not `&&`.
            Ok(is_known & verified(&password, hash)?)
        });
        checking.await?
    }
}

fn hashed(password: &str) -> Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes())?;
    Ok(hash.to_string())
}

fn verified(password: &str, hash: &str) -> Result<bool> {
    let hash = PasswordHash::new(hash)?;
    let verdict = Argon2::default().verify_password(password.as_bytes(), &hash);
    Ok(verdict.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_alone() {
        let passwords = Passwords::new().await.unwrap();
        let hash = passwords.hash("correct horse".into()).await.unwrap();

        let fits = async |word: &str, hash| passwords.fits(word.into(), hash).await.unwrap();

        assert!(fits("correct horse", Some(hash.clone())).await);
        assert!(!fits("Correct horse", Some(hash)).await);
        assert!(!fits("", None).await);
    }
}
