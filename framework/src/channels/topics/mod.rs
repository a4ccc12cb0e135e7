//! What topics are made of: their history, the events that consumers get, and the merge of both.
//!
//! | file | contents |
//! | --- | --- |
//! | `history.rs` | what a channel layer stores and reads: events to store, queries, histories |
//! | `topic_event.rs` | the events of a topic as a consumer receives them |
//! | `window.rs` | the last events of one topic in the memory of this process |
//! | `windows.rs` | those of all topics, with one query at a time for each |
//! | `merge.rs` | the merge of history and live events of one mailbox, in order and each once |

mod history;
mod merge;
mod topic_event;
mod window;
mod windows;

pub(super) use self::{
    history::HistoryLimits,
    merge::{Merge, Merged, ReadFrom},
    window::{Recovery, TopicWindow},
    windows::{Look, RecoverySource, WindowQuery, Windows},
};
pub use self::{
    history::{TOPIC_AGE, TOPIC_EVENTS, TopicHistory, TopicPost, TopicQuery},
    topic_event::TopicEvent,
};
