//! Rooms: created once, and found by their slug.

use crate::{
    database::{Result, now, write},
    names::RoomName,
};
use sqlx::{FromRow, SqliteConnection, SqlitePool};

/// The slug of a room whose name has no ASCII letter or digit.
const NAMELESS: &str = "room";

/// A chat room.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct Room {
    pub id: i64,
    /// The segment of its URL, which is made from its name.
    pub slug: String,
    pub name: String,
}

/// The rooms in this database.
pub struct Rooms(pub SqlitePool);

impl Rooms {
    /// Creates a room, or returns the reason for a rejection as a sentence.
    pub async fn create(&self, name: &str) -> Result<Result<Room, &'static str>> {
        let Some(name) = RoomName::typed(name) else {
            return Ok(Err("A room’s name has 1 to 40 characters."));
        };
        if let Some(problem) = name.problem() {
            return Ok(Err(problem));
        }
        // The transaction keeps other writers out between the check for a free slug and its use.
        let mut write = write(&self.0).await?;
        let is_taken = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM rooms WHERE folded = ?)")
            .bind(name.folded())
            .fetch_one(&mut *write)
            .await?;
        if is_taken {
            return Ok(Err("There is a room of this name already."));
        }
        let Some(slug) = free_slug(&mut write, slug(name.shown())).await? else {
            return Ok(Err(
                "There are too many rooms of such a name. Choose another one.",
            ));
        };
        let room = sqlx::query_as(
            "INSERT INTO rooms (slug, name, folded, created_at, active_at) VALUES (?1, ?2, ?3, ?4, ?4)
             RETURNING id, slug, name",
        )
        .bind(slug)
        .bind(name.shown())
        .bind(name.folded())
        .bind(now())
        .fetch_one(&mut *write)
        .await?;
        write.commit().await?;
        Ok(Ok(room))
    }

    /// Returns the room with this slug.
    pub async fn find(&self, slug: &str) -> Result<Option<Room>> {
        let room = sqlx::query_as("SELECT id, slug, name FROM rooms WHERE slug = ?")
            .bind(slug)
            .fetch_optional(&self.0);
        Ok(room.await?)
    }
}

/// Returns this slug, or if a room has it, the slug with a number that no room has. `None` if there
/// is no such number.
async fn free_slug(read: &mut SqliteConnection, slug: String) -> Result<Option<String>> {
    if !is_taken(read, &slug).await? {
        return Ok(Some(slug));
    }
    let mut search = Search::default();
    while let Some(number) = search.next() {
        let is_taken = is_taken(read, &format!("{slug}-{number}")).await?;
        search.note(number, is_taken);
    }
    Ok(search.free.map(|number| format!("{slug}-{number}")))
}

/// A search for a number that no room has: it doubles the number until one is free, then bisects
/// between the last taken and the first free one. Among n numbered rooms it checks 2 log₂ n
/// numbers.
struct Search {
    taken: u64,
    free: Option<u64>,
}

impl Default for Search {
    /// Starts with number 1: the slug without a number is taken.
    fn default() -> Self {
        Self {
            taken: 1,
            free: None,
        }
    }
}

impl Search {
    /// Returns the number to check next; `None` if the search is over. It ends without a free one
    /// where rooms exist with all powers of two in their names.
    fn next(&self) -> Option<u64> {
        match self.free {
            None => self.taken.checked_mul(2),
            Some(free) if free - self.taken > 1 => Some(self.taken.midpoint(free)),
            Some(_) => None,
        }
    }

    fn note(&mut self, number: u64, is_taken: bool) {
        match is_taken {
            true => self.taken = number,
            false => self.free = Some(number),
        }
    }
}

async fn is_taken(read: &mut SqliteConnection, slug: &str) -> Result<bool> {
    let is_taken = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM rooms WHERE slug = ?)")
        .bind(slug)
        .fetch_one(read);
    Ok(is_taken.await?)
}
/// Returns the lower case ASCII letters and digits of a name, with single hyphens between runs of
/// them.
fn slug(name: &str) -> String {
    let lower = name.to_lowercase();
    let words = lower
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let slug = words.collect::<Vec<_>>().join("-");
    match slug.as_str() {
        "" => NAMELESS.to_owned(),
        _ => slug,
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::{accounts::Account, database};

    /// Creates a room and a user for tests of other modules.
    pub async fn a_room_and_ana(database: &SqlitePool) -> (Room, Account) {
        let insert = "INSERT INTO users (name, folded, password) VALUES ('Ana', 'ana', '')
                      RETURNING id, name";
        let ana = sqlx::query_as(insert).fetch_one(database).await.unwrap();
        let creation = Rooms(database.clone()).create("Harbour").await;
        (creation.unwrap().expect("the name is free"), ana)
    }

    #[tokio::test]
    async fn a_name_is_taken_in_any_case_and_a_slug_is_not() {
        let rooms = Rooms(database::in_memory().await);
        let slug = async |name: &str| match rooms.create(name).await.unwrap() {
            Ok(room) => room.slug,
            Err(reason) => reason.to_owned(),
        };

        assert_eq!(slug("日本").await, "room");
        assert_eq!(slug("中国").await, "room-2");
        assert_eq!(slug("Lobby").await, "lobby");
        assert!(slug("LOBBY").await.contains("of this name already"));
        assert_eq!(slug("Lobby!").await, "lobby-2");
        assert_eq!(slug("Lobby?").await, "lobby-3");
        assert_eq!(slug("Lobby 2").await, "lobby-2-2");
        assert!(slug(" ").await.contains("1 to 40 characters"));
    }

    #[test]
    fn the_search_for_a_free_number_looks_at_few_rooms() {
        for (rooms, most) in [
            (1, 1),
            (2, 3),
            (1_000, 19),
            (20_000, 29),
            (u64::MAX / 2, 127),
        ] {
            let mut search = Search::default();
            let mut looks = 0;
            while let Some(number) = search.next() {
                looks += 1;
                search.note(number, number <= rooms);
            }

            assert_eq!(search.free, Some(rooms + 1));
            assert!(looks <= most, "{looks} looks among {rooms}");
        }
    }

    #[test]
    fn the_search_ends_where_every_number_that_it_looks_at_is_taken() {
        let mut search = Search::default();

        while let Some(number) = search.next() {
            search.note(number, true);
        }

        assert_eq!(search.free, None);
    }

    #[tokio::test]
    async fn the_next_room_of_twenty_thousand_gets_the_next_number() {
        let database = database::in_memory().await;
        sqlx::query(
            "WITH RECURSIVE numbers (number) AS (
                 SELECT 2 UNION ALL SELECT number + 1 FROM numbers WHERE number < 20000)
             INSERT INTO rooms (slug, name, folded, created_at, active_at)
             SELECT 'room-' || number, number, number, 0, 0 FROM numbers
             UNION ALL SELECT 'room', 1, 1, 0, 0",
        )
        .execute(&database)
        .await
        .unwrap();

        let room = Rooms(database).create("日本").await.unwrap();

        assert_eq!(room.unwrap().slug, "room-20001");
    }

    #[tokio::test]
    async fn people_who_make_rooms_of_one_slug_at_once_all_get_one() {
        let folder = std::env::temp_dir().join(format!("seaway-rooms-{}", std::process::id()));
        let (one, two) = (database::open(&folder).await, database::open(&folder).await);
        let (one, two) = (Rooms(one.unwrap()), Rooms(two.unwrap()));
        let mut makers = tokio::task::JoinSet::new();
        for (number, mark) in "!?+~$%&*".chars().enumerate() {
            let rooms = Rooms([&one, &two][number % 2].0.clone());
            makers.spawn(async move { rooms.create(&format!("Lobby{mark}")).await.unwrap() });
        }

        let mut slugs: Vec<String> = makers
            .join_all()
            .await
            .into_iter()
            .map(|room| room.expect("the name is free").slug)
            .collect();

        slugs.sort();
        let expected = (2..=8).map(|number| format!("lobby-{number}"));
        let expected: Vec<String> = [String::from("lobby")]
            .into_iter()
            .chain(expected)
            .collect();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(slugs, expected);
    }

    #[test]
    fn a_slug_has_only_ascii_letters_digits_and_single_hyphens() {
        for (name, expected) in [
            ("Lobby", "lobby"),
            ("The  Old Harbour!", "the-old-harbour"),
            ("-- 2 x 2 --", "2-x-2"),
            ("Café Zoë", "caf-zo"),
            ("日本", "room"),
            ("../../etc", "etc"),
            ("%2e%2e", "2e-2e"),
        ] {
            assert_eq!(slug(name), expected, "{name}");
        }
    }
}
