//! The processes that share the data folder: each records that it is alive, and cleans up after
//! dead ones.

use crate::{
    database::{Result, now, write},
    presence::{People, Presence, changed},
    rooms::Room,
};

/// The time without a heartbeat after which a process counts as dead: three times the interval.
const DEAD_MS: i64 = 15_000;

impl Presence {
    /// Records that this process is alive, and deletes dead ones. Returns the rooms with tabs of
    /// dead processes, with the people who are left; of several live processes, one gets them.
    pub async fn beat(&self) -> Result<Vec<(Room, People)>> {
        let mut write = write(&self.database).await?;
        sqlx::query(
            "INSERT INTO processes (id, seen_at) VALUES (?1, ?2)
             ON CONFLICT (id) DO UPDATE SET seen_at = ?2",
        )
        .bind(&self.process)
        .bind(now())
        .execute(&mut *write)
        .await?;
        let left: Vec<Room> = sqlx::query_as(
            "SELECT id, slug, name FROM rooms WHERE id IN (
                 SELECT room FROM presence JOIN processes ON processes.id = process WHERE seen_at < ?)",
        )
        .bind(now() - DEAD_MS)
        .fetch_all(&mut *write)
        .await?;
        // This also deletes their rows in `presence` (`ON DELETE CASCADE`).
        sqlx::query("DELETE FROM processes WHERE seen_at < ?")
            .bind(now() - DEAD_MS)
            .execute(&mut *write)
            .await?;
        let mut found = Vec::new();
        for room in left {
            let people = changed(&mut write, &room).await?;
            found.push((room, people));
        }
        write.commit().await?;
        Ok(found)
    }

    /// Deletes the rows of this process on a graceful shutdown.
    pub async fn end(&self) -> Result<()> {
        sqlx::query("DELETE FROM processes WHERE id = ?")
            .bind(&self.process)
            .execute(&self.database)
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{database, rooms::tests::a_room_and_ana};

    #[tokio::test]
    async fn a_survivor_clears_up_after_a_dead_process_once() {
        let database = database::in_memory().await;
        let (room, ana) = a_room_and_ana(&database).await;
        let dead = Presence::new(database.clone());
        let alive = Presence::new(database.clone());
        dead.enter(&room, &ana, "a").await.unwrap();
        assert_eq!(alive.beat().await.unwrap(), []);
        sqlx::query("UPDATE processes SET seen_at = seen_at - 16000 WHERE id = ?")
            .bind(&dead.process)
            .execute(&database)
            .await
            .unwrap();

        let found = alive.beat().await.unwrap();

        assert_eq!(found.len(), 1);
        assert_eq!((&found[0].0, found[0].1.people.len()), (&room, 0));
        assert_eq!(alive.beat().await.unwrap(), []);
    }
}
