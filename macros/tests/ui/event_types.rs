//! Types that are no types, and types that are taken.
use seaway::Event;

#[derive(Event)]
enum ChatEvent {
    #[event("chat message")]
    Message { text: String },
    #[event("seaway.disconnect")]
    Disconnect,
    Joined { name: String },
    #[event("chat.joined")]
    Came { name: String },
    #[event("chat_joined")]
    Arrived { name: String },
    #[event(prefix = "chat")]
    Left,
}

#[derive(Event)]
#[event("room")]
enum RoomEvent {
    Message { text: String },
}

#[derive(Event)]
#[event(prefix = "Lobby")]
enum LobbyEvent {
    Message { text: String },
    Left,
}

fn main() {}
